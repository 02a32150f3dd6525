/**
 * The protocols of the trash as production has them: Remove and Undelete under the volume's attachment to the node that does
 * it, Mount with its look under the attachment, Create with its look after it has made a volume, and purge.
 */

import { lateCall } from './rollback-calls.ts';
import { beginSettling, settle } from './rollback-settle.ts';
import { rollbackTo, takeOver } from './rollback-steps.ts';
import type { Emit } from './search.ts';
import { changed, none, type Process, type State, truth, volumes, waitBegins, withProcess } from './trash-state.ts';
import {
  attach,
  bearers,
  begun,
  done,
  letGo,
  make,
  shownMine,
  type TrashProtocol,
  type Turn,
  to,
  views,
  wait,
} from './trash-turn.ts';
import { undeleteOf } from './trash-undelete.ts';

export type Kind =
  | 'mount'
  | 'undelete V'
  | 'undelete W'
  | 'create'
  | 'remove'
  | 'purge'
  | 'look'
  | 'rollback to W'
  | 'rollback to E';

export function stepsOf(kinds: readonly Kind[], protocol: TrashProtocol, state: State, emit: Emit<State>): void {
  if (state.lateName !== none) {
    const next = { ...state, lateName: none };
    const isThere = truth(state, state.lateName).there;
    emit(isThere ? changed(next, state.lateName, { named: true }) : next, `EC2 names ${volumes[state.lateName]}, late`);
  }
  lateCall(state, emit, protocol.pends);
  if (state.lateMake) emit(make({ ...state, lateMake: false }), 'EC2 makes E, late');
  kinds.forEach((kind, index) => {
    const name = kinds.indexOf(kind) === index ? kind : `${kind} again`;
    const go: Turn['go'] = (did, next, broken) => emit(next, `${name}: ${did}`, broken);
    actors[kind]({ state, index, me: state.processes[index]!, name, protocol, go });
  });
}

function mount(turn: Turn): void {
  const { state, me, protocol, go } = turn;
  const x = me.about;
  if (me.at === 0 && me.left > 0) {
    for (const view of views(state)) {
      const [only, ...more] = bearers(view);
      if (only !== undefined && more.length === 0 && view[only]!.by === 0)
        go(`looks: ${volumes[only]}`, to(turn, state, 1, { about: only }));
    }
  }
  if (me.at === 1) attach(turn, protocol.looksAgain ? 2 : 3, 0);
  if (me.at === 0 && me.left > 0) takeOver(turn);
  settle(turn, { backward: 3, forward: 0 });
  if (me.at === 2) {
    for (const view of views(state, shownMine(turn))) {
      const [only, ...more] = bearers(view);
      const alone = only === x && more.length === 0;
      if (alone && protocol.settles && begun(view[x]!) !== 0) beginSettling(turn, begun(view[x]!));
      else if (alone) go(`looks again: ${volumes[x]} alone`, to(turn, state, 3));
      else go('looks again and gives it back', letGo(turn, state, 0));
    }
  }
  if (me.at === 3) {
    const others = state.processes.some(
      (each, place) => place !== turn.index && each.at === 4 && isMount(each) && each.about !== x,
    );
    const broken = [
      ...(others ? ['two mounted'] : []),
      ...(state.current !== none && state.current !== x ? ['writes lost from sight'] : []),
      ...(truth(state, x).trash && !truth(state, x).named ? ['removed and mounted'] : []),
    ];
    go(`MOUNTS ${volumes[x]}`, { ...to(turn, state, 4), current: x }, broken);
  }
  const early =
    protocol.createHurries &&
    x === 2 &&
    state.processes.some(({ at, about, left }) => at === 2 && about === 2 && left === 0);
  if (me.at === 4 && !early)
    go('writes, unmounts, detaches', withProcess(letGo(turn, state, 0), turn.index, { left: me.left - 1 }));
}

/** Mounters are the processes that have something left to do, or are mounted: others never stand at 4 with work left. */
const isMount = ({ left }: Process): boolean => left === 1 || left === 2;

function create(turn: Turn): void {
  const { state, me, protocol, go } = turn;
  if (me.at === 0) {
    for (const view of views(state)) {
      if (bearers(view).length > 0) go('finds the name', to(turn, state, done));
      else go('looks: none', to(turn, state, 1, { about: 2 }));
    }
  }
  if (me.at === 1) {
    if (truth(state, 2).named) go('is told that E was made', to(turn, state, done));
    else go('MAKES E', to(turn, make(state), protocol.createLooks ? 2 : 3));
    if (me.crashes > 0)
      go('CRASHES, its CreateVolume on its way', { ...to(turn, state, done, { crashes: 0 }), lateMake: true });
  }
  if (me.at === 2) {
    for (const view of views(state, { which: 2, keeps: ({ there }) => there })) {
      if (bearers(view).every((which) => which === 2)) go('looks: E alone', to(turn, state, 3));
      else if (truth(state, 2).by === 0)
        go('looks: another has the name; deletes E', to(turn, changed(state, 2, { there: false }), done));
      else go('looks: another has the name, and E is in use', to(turn, state, done));
    }
  }
  if (me.at === 3) {
    const isE = state.told === none && truth(state, 2).there;
    const broken = state.told !== none && state.told !== 2 ? ['two of one name'] : [];
    go('answers', { ...to(turn, state, done), told: isE ? 2 : state.told }, broken);
  }
}

function remove(turn: Turn): void {
  const { state, index, me, protocol, go } = turn;
  if (me.at === 0) {
    for (const view of views(state)) {
      if (bearers(view).join() === '0' && view[0]!.by === 0)
        go('looks: V', to(turn, state, protocol.removeLocks ? 1 : 3, { about: 0 }));
    }
  }
  if (me.at === 1) attach(turn, 2, done);
  settle(turn, { backward: 3, forward: done });
  if (me.at === 2) {
    for (const view of views(state, shownMine(turn))) {
      const has = bearers(view).join() === '0';
      if (has && protocol.settles && begun(view[0]!) !== 0) beginSettling(turn, begun(view[0]!));
      else
        go(
          has ? 'looks again: V' : 'looks again and gives it back',
          has ? to(turn, state, 3) : letGo(turn, state, done),
        );
    }
  }
  if (me.at === 3) go('puts V into the trash', to(turn, changed(state, 0, { trash: true }), 4));
  if (me.at === 4) {
    const off = waitBegins(changed(state, 0, { named: false }), 1 << index);
    const at = protocol.removeLocks ? 5 : done;
    go('takes the name off and answers', {
      ...to(turn, off, at),
      current: none,
      told: state.told === 0 ? none : state.told,
    });
  }
  if (me.at === 5) wait(turn, 'has waited and lets it go', (over) => letGo(turn, over, done));
}

function purge(turn: Turn): void {
  const { state, me, protocol, go } = turn;
  if (me.at === 0) {
    const waiting = state.sights.flat().reduce((all, { waits }) => all | waits, 0);
    const begun = state.processes.reduce((all, each, place) => all | (isWaiting(each) ? 1 << place : 0), waiting);
    for (const { volume } of state.sights[0]!) {
      if (volume.there && volume.trash && !volume.named && volume.by === 0)
        go('looks: V is in the trash', to(turn, state, 1, { about: 0, since: begun }));
    }
  }
  if (me.at === 1) {
    const { there, by, named } = truth(state, 0);
    if (!there || (by !== 0 && protocol.deleteRefusesUse))
      go('is refused the deletion', to(turn, state, there ? 0 : done));
    else
      go(
        'DELETES V',
        to(turn, changed(state, 0, { there: false, by: 0 }), done),
        named || state.told === 0 ? ['purged'] : [],
      );
  }
}

/** Those of an undelete or a remove; a mounter at these places only makes a purge look later than it may. */
const isWaiting = ({ at }: Process): boolean => at === 4 || at === 5 || at === 7;

const actors: Readonly<Record<Kind, (turn: Turn) => void>> = {
  mount,
  'undelete V': undeleteOf(0),
  'undelete W': undeleteOf(1),
  create,
  remove,
  purge,
  look,
  'rollback to W': rollbackTo(1),
  'rollback to E': rollbackTo(2),
};

/** Whoever only wants to know what the name means, at any moment. */
function look({ state, go }: Turn): void {
  for (const view of views(state)) {
    const found = bearers(view);
    if (found.length === 0) go('finds none', state, ['unfound']);
    if (found.length > 1) go('finds two', state, ['ambiguous']);
  }
}
