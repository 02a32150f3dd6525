/** What every process of the trash's model is made of: views, attachments, waits. */
import {
  changed,
  type Process,
  type State,
  truth,
  type Volume,
  volumes,
  waitEnds,
  withProcess,
} from './trash-state.ts';

/** What production does; each left out is a mutant. */
export interface TrashProtocol {
  /** A mounter looks by name again under its attachment, and mounts what has the name alone. */
  readonly looksAgain: boolean;
  /** A remover, an undelete attaches the volume before it changes the name; else it only looks. */
  readonly removeLocks: boolean;
  readonly undeleteLocks: boolean;
  /** How often an undelete waits until nothing older is shown, between the name and its last look. */
  readonly waits: 0 | 1 | 2;
  /** An undelete looks at last whether another volume has the name. */
  readonly looksLast: boolean;
  /** What a crash leaves of an undelete: its node goes on with it, still attached, or gives it back at once. */
  readonly afterCrash: 'goes on' | 'gives back';
  /** Who goes on waits first for calls that the dead one may have sent. */
  readonly waitsForLate: boolean;
  /** A Create looks again once it has made a volume, and gives way to an older one. */
  readonly createLooks: boolean;
  /** That look comes before anybody can have mounted, used and given back what was made: half a second after it. */
  readonly createHurries: boolean;
  /** A purge deletes by a look that is younger than the wait of an undelete, or not at all. */
  readonly purgeHurries: boolean;
  /** EC2 deletes nothing that is attached. */
  readonly deleteRefusesUse: boolean;
}

export const production: TrashProtocol = {
  looksAgain: true,
  removeLocks: true,
  undeleteLocks: true,
  waits: 2,
  looksLast: true,
  afterCrash: 'goes on',
  waitsForLate: true,
  createLooks: true,
  createHurries: true,
  purgeHurries: true,
  deleteRefusesUse: true,
};

export const done = 9;

export interface Turn {
  readonly state: State;
  readonly index: number;
  readonly me: Process;
  readonly name: string;
  readonly protocol: TrashProtocol;
  go(did: string, next: State, broken?: readonly string[]): void;
}

/** Every combination of what reads may show, each volume by itself; `own` narrows one volume's. */
export function* views(
  state: State,
  own?: { which: number; keeps: (volume: Volume) => boolean },
): Generator<readonly Volume[]> {
  const shown = state.sights.map((sights, which) => {
    const all = sights.map(({ volume }) => volume);
    return own?.which === which ? all.filter(own.keeps) : all;
  });
  for (const v of shown[0]!) for (const w of shown[1]!) for (const e of shown[2]!) yield [v, w, e];
}

export const bearers = (view: readonly Volume[]): number[] =>
  [0, 1, 2].filter((which) => view[which]!.there && view[which]!.named);

/** One ClientToken makes one volume, also once that is gone. */
export const make = (state: State): State =>
  truth(state, 2).named ? state : changed(state, 2, { there: true, named: true });

export const to = ({ index }: Turn, state: State, at: number, change: Partial<Process> = {}): State =>
  withProcess(state, index, { at, ...change });

export function attach(turn: Turn, next: number, refused: number): void {
  const { state, index, me, go } = turn;
  const volume = truth(state, me.about);
  if (volume.there && volume.by === 0)
    go(`attaches ${volumes[me.about]}`, to(turn, changed(state, me.about, { by: index + 1 }), next));
  else go('is refused the attachment', to(turn, state, refused));
}

/** Ends its own attachment, if it has one. */
export const letGo = (turn: Turn, state: State, at: number): State => {
  const { about } = turn.me;
  return to(turn, truth(state, about).by === turn.index + 1 ? changed(state, about, { by: 0 }) : state, at);
};

export const shownMine = ({ index, me }: Turn) => ({ which: me.about, keeps: ({ by }: Volume) => by === index + 1 });

/** Waits for as long as a read may lag, and so outlasts every purge that has looked before. */
export function wait(turn: Turn, did: string, then: (state: State) => State): void {
  const { state, index, protocol, go } = turn;
  const bit = 1 << index;
  const over = waitEnds(state, bit);
  const processes = over.processes.map((each, place) =>
    protocol.purgeHurries && kindAt(turn, place) && each.at === 1 && (each.since & bit) === 0
      ? { ...each, at: 0 }
      : each,
  );
  go(did, then({ ...over, processes }));
}

/** Purges are the processes whose `left` is 3. */
const kindAt = ({ state }: Turn, place: number): boolean => state.processes[place]!.left === 3;
