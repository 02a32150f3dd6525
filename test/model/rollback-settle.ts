/** Whoever has the volume attached that bears the name, and finds that a rollback of it was begun, ends that. */
import { brokenByUnname, type Call, done as effect, unnamed, withLate } from './rollback-calls.ts';
import {
  changed,
  type State,
  truth,
  type Volume,
  volumes,
  waitBegins,
  waitDropped,
  withProcess,
} from './trash-state.ts';
import { begun, deleting, letGo, looking, shownMine, type Turn, to, views, wait } from './trash-turn.ts';

/** Where a process goes on once the rollback is ended. */
interface Ends {
  /** With the volume still attached, which has the name as before. */
  readonly backward: number;
  /** The other has the name. */
  readonly forward: number;
}

export const dead = 30;

export function beginSettling(turn: Turn, saw: number): void {
  const { state, index, protocol, go } = turn;
  const next = protocol.looksTwice ? waitBegins(state, 1 << index) : state;
  go('finds a rollback begun', to(turn, next, protocol.looksTwice ? 10 : looking, { saw }));
}

export function settle(turn: Turn, ends: Ends): void {
  const { state, me, go, protocol } = turn;
  const v = me.about;
  if (me.at === 10) {
    wait(turn, 'has waited for what is on its way', (over) => to(turn, over, looking));
    die(turn);
  }
  if (me.at === looking) lookAgain(turn, ends);
  if (me.at === deleting) {
    const gone = [1, 2].filter((which) => (me.deletes & (1 << which)) !== 0);
    const refused = gone.some((which) => truth(state, which).there && truth(state, which).by !== 0);
    if (refused) go('is refused the deletion', to(turn, state, looking, { deletes: 0, since: 0 }));
    else {
      const next = protocol.withdrawDeletes
        ? gone.reduce((before, which) => effect(before, 'delete', v, which), state)
        : state;
      go(`deletes ${gone.map((which) => volumes[which])}`, to(turn, next, 16, { deletes: 0, since: 0 }));
    }
    for (const which of gone) die(turn, 'delete', which);
  }
  if (me.at === 16) {
    const calm = (me.saw & 4) === 0 || !truth(state, v).there ? state : changed(state, v, { replacing: false });
    const s = (me.saw & 3) - 1;
    go('calls the rollback off', backward(turn, s < 0 ? calm : effect(calm, 'clear', v, s), ends));
    die(turn);
  }
  forwards(turn, ends);
}

const backward = (turn: Turn, state: State, { backward: at }: Ends): State =>
  at === 3 ? to(turn, state, at, { saw: 0 }) : letGo(turn, withProcess(state, turn.index, { saw: 0 }), at);

function lookAgain(turn: Turn, ends: Ends): void {
  const { state, index, me, go, protocol } = turn;
  const v = me.about;
  const bit = 1 << index;
  if (truth(state, v).by !== index + 1) {
    go('finds its attachment ended', to(turn, state, ends.forward, { saw: 0 }));
    return;
  }
  for (const view of views(state, shownMine(turn))) {
    const { named, replaced } = view[v]!;
    const saw = begun(view[v]!);
    if (!named) go('finds the name off', letGo(turn, withProcess(state, index, { saw: 0 }), ends.forward));
    else if (saw !== me.saw && protocol.looksTwice)
      go('finds it changed', to(turn, waitBegins(state, bit), 10, { saw }));
    else if (replaced > 0 && isUsable(view[replaced - 1]!)) go('goes on', to(turn, state, 12, { saw }));
    else {
      const deletes = [1, 2].filter((which) => isUsable(view[which]!) && view[which]!.replaces === v + 1);
      const mask = deletes.reduce((all, which) => all | (1 << which), 0);
      go('calls off', to(turn, state, deleting, { deletes: mask, since: waitingNow(state), saw }));
    }
  }
}

const isUsable = ({ there, named }: Volume): boolean => there && named;

/** The waits that had begun when a look is made: one that begins and ends after it outlasts its time. */
function waitingNow({ sights, processes }: State): number {
  const seen = sights.flat().reduce((all, { waits }) => all | waits, 0);
  return processes.reduce((all, { at }, place) => (waitingAt.includes(at) ? all | (1 << place) : all), seen);
}

const waitingAt = [5, 7, 8, 10, 13];

/** From the choice on: the new one counts, every read shows it, and the name goes off the former. */
export function forwards(turn: Turn, { forward }: Ends): void {
  const { state, index, me, go, protocol } = turn;
  const [v, s, bit] = [me.about, (me.saw & 3) - 1, 1 << index];
  if (me.at === 12) {
    const counting = effect(state, 'count', v, s);
    go(`${volumes[s]} counts`, to(turn, waitBegins(counting, bit), protocol.waitsOnceCounting ? 13 : 14));
    die(turn, 'count', s);
  }
  if (me.at === 13) {
    wait(turn, 'has waited', (over) => to(turn, over, 14));
    die(turn);
  }
  if (me.at === 14) {
    const isMine = truth(state, v).by === index + 1;
    if (!isMine && protocol.checksLock) go('finds its attachment ended', to(turn, state, forward, { saw: 0 }));
    else
      for (const view of views(state, protocol.checksLock ? shownMine(turn) : undefined)) {
        const stands = view[v]!.replaced === s + 1 && isUsable(view[s]!);
        if (stands || !protocol.checksLock) go('finds it as it was', to(turn, state, 17));
        else go('finds the choice gone', letGo(turn, withProcess(state, index, { saw: 0 }), forward));
      }
  }
  if (me.at === 17) {
    const off = unnamed(state, v, s);
    go(
      `takes the name off ${volumes[v]}`,
      letGo(turn, withProcess(off, index, { saw: 0 }), forward),
      brokenByUnname(state, v),
    );
    die(turn, 'unname', s);
  }
}

/** The process dies, with the call that it was about to send on its way or not; its node goes on with it, or is gone. */
export function die(turn: Turn, call?: Call, s = 0): void {
  const { state, index, me, go } = turn;
  if (me.crashes === 0) return;
  const lives: readonly (readonly [string, State])[] = [
    ['', state],
    ...(call === undefined ? [] : lateOf(state, call, me.about, s)),
  ];
  for (const [how, now] of lives) {
    const after = withProcess(waitDropped(now, 1 << index), index, {
      crashes: me.crashes - 1,
      saw: 0,
      deletes: 0,
      since: 0,
    });
    go(`CRASHES${how}`, to(turn, after, 18));
    go(`CRASHES${how}, and its node is gone`, to(turn, after, dead));
  }
}

function lateOf(state: State, call: Call, v: number, s: number): [string, State][] {
  const late = withLate(state, call, v, s);
  return late === undefined ? [] : [[`, ${call} on its way`, late]];
}

/** A node that is gone loses its attachments: another takes them over. */
export const fenced = (state: State, index: number): State | undefined => {
  const which = [0, 1, 2].find((each) => truth(state, each).by === index + 1);
  return which === undefined ? undefined : changed(state, which, { by: 0 });
};
