/** A rollback, and the takeover of what a node had that is gone. */
import { type Call, done as effect } from './rollback-calls.ts';
import { beginSettling, dead, die, fenced, settle } from './rollback-settle.ts';
import { changed, none, type State, truth, volumes, waitBegins } from './trash-state.ts';
import { attach, bearers, begun, done, letGo, shownMine, type Turn, to, views, wait } from './trash-turn.ts';

export function rollbackTo(s: number): (turn: Turn) => void {
  return (turn) => {
    const { state, index, me, protocol, go } = turn;
    const v = me.about;
    if (me.at === 0) {
      for (const view of views(state)) {
        const [only, ...more] = bearers(view);
        const free = only !== undefined && only !== s && more.length === 0 && view[only]!.by === 0;
        if (free) go(`looks: ${volumes[only]}`, to(turn, state, protocol.rollbackLocks ? 1 : 3, { about: only }));
        else go('refuses', to(turn, state, done));
      }
    }
    if (me.at === 1) attach(turn, 2, done);
    if (me.at === 2) {
      for (const view of views(state, shownMine(turn))) {
        const isIt = bearers(view).join() === `${v}`;
        if (!isIt) go('looks again and gives it back', letGo(turn, state, done));
        else if (begun(view[v]!) !== 0) beginSettling(turn, begun(view[v]!));
        else go(`looks again: ${volumes[v]}`, to(turn, state, 3));
      }
    }
    // What is on it now is what the user wants to leave.
    const leaves = { ...state, current: state.current === v ? none : state.current };
    if (me.at === 3) call(turn, protocol.announces ? 'announce' : undefined, s, leaves, 4);
    if (me.at === 4) call(turn, 'make', s, state, 6);
    if (me.at === 6) {
      const isMine = truth(state, v).by === index + 1;
      if (isMine || !protocol.checksLock || !protocol.rollbackLocks) go('has it still', to(turn, state, 7));
      else go('finds its attachment ended', to(turn, state, done));
      die(turn);
    }
    if (me.at === 7) {
      const next = waitBegins(effect(state, 'choose', v, s), 1 << index);
      go(`chooses ${volumes[s]}`, to(turn, next, protocol.waitsOnceChosen ? 8 : 12, { saw: s + 1 }));
      die(turn, 'choose', s);
    }
    if (me.at === 8) {
      wait(turn, 'has waited', (over) => to(turn, over, 12));
      die(turn);
    }
    if (me.at === 18) restart(turn);
    settle(turn, { backward: done, forward: done });
    if (me.at === dead) {
      const free = fenced(state, index);
      if (free !== undefined) go('is taken from', free);
    }
    if (protocol.fencesLiving && me.at > 2 && me.at !== dead) {
      const free = fenced(state, index);
      if (free !== undefined) go('is taken from, though it lives', free);
    }
  };
}

function call(turn: Turn, which: Call | undefined, s: number, state: State, at: number): void {
  const { me, go, protocol } = turn;
  if (which === undefined) {
    go('says nothing', to(turn, state, at));
    return;
  }
  go(
    `${which}s ${volumes[which === 'make' ? s : me.about]}`,
    to(turn, effect(state, which, me.about, s, protocol.pends), at),
  );
  die({ ...turn, state }, which, s);
}

/** The next daemon of the node goes on, if the attachment is there still. */
function restart(turn: Turn): void {
  const { state, index, me, go } = turn;
  if (truth(state, me.about).by !== index + 1) {
    go('starts again, and its attachment is ended', to(turn, state, done));
    return;
  }
  for (const view of views(state, shownMine(turn))) {
    const saw = begun(view[me.about]!);
    if (!view[me.about]!.named) go('starts again, and the name is off', letGo(turn, state, done));
    else go('starts again', to(turn, waitBegins(state, 1 << index), 10, { saw }));
  }
}

/** A mount of what a node had that is gone: EC2's answer about the detached volume tells whether a rollback was begun. */
export function takeOver(turn: Turn): void {
  const { state, index, protocol, go } = turn;
  for (const which of [0, 1, 2]) {
    const { by, there, named } = truth(state, which);
    const isGone = by !== 0 && state.processes[by - 1]?.at === dead;
    if (!isGone || !there || !named) continue;
    const taken = changed(changed(state, which, { by: 0 }), which, { by: index + 1 });
    const next = begun(truth(state, which)) === 0 || !protocol.settles ? 3 : 2;
    go(`takes ${volumes[which]} over`, to(turn, taken, next, { about: which }));
  }
}
