/** The calls of a rollback, each as EC2 does it: at once, or late where whoever sent it has died. */
import type { Emit } from './search.ts';
import { changed, none, type State, truth, volumes } from './trash-state.ts';

const calls = ['', 'announce', 'make', 'choose', 'count', 'unname', 'delete', 'clear'] as const;
export type Call = Exclude<(typeof calls)[number], ''>;

/** What EC2 makes of a call about the volume v that has the name and the one s that is to replace it. */
export function done(state: State, call: Call, v: number, s: number, pends = true): State {
  const [V, S] = [truth(state, v), truth(state, s)];
  switch (call) {
    case 'announce':
      return V.there ? changed(state, v, { replacing: true }) : state;
    case 'make':
      return S.there ? state : changed(state, s, { there: true, named: true, replaces: pends ? v + 1 : 0 });
    case 'choose':
      return V.there ? changed(state, v, { replaced: s + 1, trash: true }) : state;
    case 'count':
      return S.there ? changed(state, s, { replaces: 0 }) : state;
    case 'unname':
      return V.there
        ? changed(state, v, { named: false, replacing: false, replaced: V.replaced === s + 1 ? 0 : V.replaced })
        : state;
    case 'delete':
      return S.there && S.by === 0 ? changed(state, s, { there: false }) : state;
    case 'clear':
      return V.there && V.replaced === s + 1 ? changed(state, v, { replaced: 0, trash: false }) : state;
  }
}

/** What a name that goes off breaks: somebody writes under it, or has written what nobody finds then. */
export function brokenByUnname(state: State, v: number): string[] {
  const { named, there } = truth(state, v);
  if (!there || !named) return [];
  const isMounted = state.processes.some(({ at, about, left }) => at === 4 && about === v && left > 0 && left < 3);
  return [
    ...(isMounted ? ['rolled back under a mount'] : []),
    ...(state.current === v ? ['writes lost from sight'] : []),
  ];
}

/** The name means the other volume from then on, for whoever was told. */
export function unnamed(state: State, v: number, s: number): State {
  const wasNamed = truth(state, v).there && truth(state, v).named;
  return wasNamed ? { ...done(state, 'unname', v, s), current: none, told: s } : done(state, 'unname', v, s);
}

/** The state with a call on its way whose sender has died; none where one is on its way already. */
export const withLate = (state: State, call: Call, v: number, s: number): State | undefined =>
  state.late === 0 ? { ...state, late: calls.indexOf(call) | (v << 3) | (s << 5), lateWaits: 0 } : undefined;

/** It arrives. */
export function lateCall(state: State, emit: Emit<State>, pends = true): void {
  if (state.late === 0) return;
  const call = calls[state.late & 7] as Call;
  const [v, s] = [(state.late >> 3) & 3, (state.late >> 5) & 3];
  const before = { ...state, late: 0, lateWaits: 0 };
  const next = call === 'unname' ? unnamed(before, v, s) : done(before, call, v, s, pends);
  emit(next, `EC2 does late: ${call} ${volumes[v]} ${volumes[s]}`, call === 'unname' ? brokenByUnname(state, v) : []);
}
