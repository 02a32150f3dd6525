/** What every process of the trash's model is made of: views, attachments, waits. */
import { tagKeys } from '../../src/ebs/tags.ts';
import { bearers as productionBearers } from '../../src/volumes/state/succession.ts';
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
  /** What a rollback has sent before it died takes effect within the time that reads may lag. */
  readonly lateIsBounded: boolean;
  /** Whoever mounts, or removes, ends a rollback that was begun before. */
  readonly settles: boolean;
  /** He looks twice, and waits in between for as long as reads may lag. */
  readonly looksTwice: boolean;
  /** He deletes what was made before the volume that has the name is used, and by a look that is younger than a wait. */
  readonly withdrawDeletes: boolean;
  readonly withdrawHurries: boolean;
  /** A rollback has the volume attached. */
  readonly rollbackLocks: boolean;
  /** It says that it begins before it makes a volume. */
  readonly announces: boolean;
  /** What it makes counts for nothing at first. */
  readonly pends: boolean;
  /** It waits once every read must show which volume was chosen, and once more until that one counts for all. */
  readonly waitsOnceChosen: boolean;
  readonly waitsOnceCounting: boolean;
  /** It looks whether it still has the volume before it says what was chosen, and before it takes the name off. */
  readonly checksLock: boolean;
  /** A node may lose what it has attached though it lives: by force, or while it stood still. */
  readonly fencesLiving: boolean;
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
  lateIsBounded: true,
  settles: true,
  looksTwice: true,
  withdrawDeletes: true,
  withdrawHurries: true,
  rollbackLocks: true,
  announces: true,
  pends: true,
  waitsOnceChosen: true,
  waitsOnceCounting: true,
  checksLock: true,
  fencesLiving: false,
};

export const done = 9;
/** Where whoever ends a rollback looks, and then deletes. */
export const looking = 11;
export const deleting = 15;

export interface Turn {
  readonly state: State;
  readonly index: number;
  readonly me: Process;
  readonly name: string;
  readonly protocol: TrashProtocol;
  go(did: string, next: State, broken?: readonly string[]): void;
}

/** What a volume shows of a rollback that was begun: 0 is nothing. */
export const begun = ({ replacing, replaced }: Volume): number => (replacing ? 4 : 0) | replaced;

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

/** Those that count for the name, as production judges it, by their bits. */
const judged = new Map<number, readonly number[]>();

export function bearers(view: readonly Volume[]): readonly number[] {
  let key = 0;
  for (const { there, named, replaces, replaced } of view)
    key = (key << 5) | (there && named ? 1 : 0) | (replaces << 1) | (replaced << 3);
  const known = judged.get(key);
  if (known !== undefined) return known;
  const named = view.flatMap((volume, which) =>
    volume.there && volume.named ? [{ id: `${which}`, tags: tagsOf(volume) }] : [],
  );
  const found = productionBearers(named).map(({ id }) => Number(id));
  judged.set(key, found);
  return found;
}

const tagsOf = ({ replaces, replaced }: Volume) => ({
  [tagKeys.name]: 'name',
  ...(replaces === 0 ? {} : { [tagKeys.replaces]: `${replaces - 1}` }),
  ...(replaced === 0 ? {} : { [tagKeys.replacedBy]: `${replaced - 1}` }),
});

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
  if ((state.lateWaits & bit) !== 0 && protocol.lateIsBounded) return;
  const over = waitEnds(state, bit);
  const processes = over.processes.map((each, place) => {
    if ((each.since & bit) !== 0) return each;
    if (protocol.purgeHurries && kindAt(turn, place) && each.at === 1) return { ...each, at: 0 };
    return protocol.withdrawHurries && each.at === deleting ? { ...each, at: looking, since: 0, deletes: 0 } : each;
  });
  go(did, then({ ...over, processes }));
}

/** Purges are the processes whose `left` is 3. */
const kindAt = ({ state }: Turn, place: number): boolean => state.processes[place]!.left === 3;
