/** An undelete of the trash's model: under its attachment it gives the name, waits, looks, and keeps it or takes it off again. */
import { changed, none, type State, truth, volumes, waitBegins, waitDropped, withProcess } from './trash-state.ts';
import { attach, bearers, done, letGo, shownMine, type Turn, to, views, wait } from './trash-turn.ts';

export function undeleteOf(v: number): (turn: Turn) => void {
  return (turn) => {
    const { state, index, me, protocol, go } = turn;
    const bit = 1 << index;
    const V = volumes[v]!;
    const waited = (at: number) => (protocol.waits >= 2 && at === 4 ? 5 : 6);
    if (me.at === 0) {
      for (const view of views(state)) {
        const free = view[v]!.there && view[v]!.trash && !view[v]!.named && bearers(view).length === 0;
        if (free) go(`looks: ${V} is in the trash`, to(turn, state, protocol.undeleteLocks ? 1 : 3, { about: v }));
        else go('refuses', to(turn, state, done));
      }
    }
    if (me.at === 1) attach(turn, 2, done);
    if (me.at === 2) {
      for (const view of views(state, shownMine(turn))) {
        const free = view[v]!.trash && !view[v]!.named;
        go(
          free ? 'looks again: without a name' : 'looks again and gives it back',
          free ? to(turn, state, 3) : letGo(turn, state, done),
        );
      }
    }
    if (me.at === 3) {
      const named = truth(state, v).there ? changed(state, v, { named: true }) : state;
      go(`NAMES ${V}`, to(turn, waitBegins(named, bit), protocol.waits === 0 ? 6 : 4));
      crash(turn, { ...state, lateName: v }, ', the name on its way');
    }
    // What a dead one has sent arrives while its successor waits for that.
    if (me.at === 8 && state.lateName !== v) go('has waited for what was sent', to(turn, waitBegins(state, bit), 4));
    if (me.at === 4 || me.at === 5) {
      const next = waited(me.at);
      wait(turn, 'has waited', (over) => to(turn, next === 5 ? waitBegins(over, bit) : over, next));
      crash(turn, state, '');
    }
    if (me.at === 6) {
      for (const view of views(state, { which: v, keeps: (volume) => volume.named === truth(state, v).named })) {
        const alone = !protocol.looksLast || bearers(view).every((which) => which === v);
        const isNamed = truth(state, v).there && truth(state, v).named;
        if (isNamed && alone) {
          const broken = state.told !== none && state.told !== v ? ['two of one name'] : [];
          const kept = letGo(turn, changed(state, v, { trash: false }), done);
          go(`answers: ${V} has the name`, { ...kept, told: v }, broken);
        } else go('takes the name off again', to(turn, waitBegins(changed(state, v, { named: false }), bit), 7));
      }
      crash(turn, state, '');
    }
    if (me.at === 7) wait(turn, 'has waited and lets it go', (over) => letGo(turn, over, done));
  };
}

function crash(turn: Turn, state: State, how: string): void {
  const { index, me, protocol, go } = turn;
  if (me.crashes === 0) return;
  const bit = 1 << index;
  const after = withProcess(waitDropped(state, bit), index, { crashes: me.crashes - 1 });
  if (protocol.afterCrash === 'gives back') go(`CRASHES${how}`, letGo(turn, after, done));
  else
    go(
      `CRASHES${how}`,
      to(turn, protocol.waitsForLate ? after : waitBegins(after, bit), protocol.waitsForLate ? 8 : 4),
    );
}
