import { tagKeys } from '../../ebs/tags.ts';
import type { EbsVolume } from '../../ebs/types.ts';
import { visibilityMs } from '../../ebs/volume-record.ts';
import type { Answer } from './view.ts';

/** More names than these are not remembered: a cluster that makes a name for each job has no end of them. */
const knownAtMost = 2000;
/** EC2 remembers client tokens for about half as long. */
const generationMs = 86_400_000;

/** What was known of volumes before this daemon started, and where to keep what is learnt. */
export interface Keeping {
  readonly known: ReadonlyMap<string, EbsVolume>;
  /** Called when a name comes, goes, or means another volume. */
  keep(known: ReadonlyMap<string, EbsVolume>): Promise<void>;
}

/** What this node remembers of names: the volumes they meant, what it made and removed itself, and the tokens used up. */
export interface NameMemory {
  /** The volume that a name meant last; undefined when there was none, or nothing is known. */
  known(name: string): Answer<EbsVolume> | undefined;
  /** Notes what a name means now; undefined forgets it. `read` as in {@link Answer}. */
  learn(name: string, volume: EbsVolume | undefined, read?: boolean): void;
  /** Notes what a listing of the cluster says a name means: where there is no room, names that callers asked for stay. */
  listed(name: string, volume: EbsVolume): void;
  /** Notes a volume that this node has made: a read that does not list it yet is not believed. */
  made(name: string, volume: EbsVolume): void;
  /** Notes what a read has shown of a name, in whatever state: from then on reads are believed about what was made here. */
  shown(name: string, volumes: readonly EbsVolume[]): void;
  /** The volume of a name that this node has made and no read has shown yet. */
  unshown(name: string): EbsVolume | undefined;
  /** All volumes that this node has made lately. */
  allMade(): EbsVolume[];
  /** Notes a volume that this node has removed: a read that still lists it is not believed. */
  removed(name: string, volume: EbsVolume): void;
  /** True for a volume that was removed here or that EC2 shows as going. */
  isGone(volume: Pick<EbsVolume, 'id' | 'state'>): boolean;
  /** The first ClientToken generation of a name that may not be used up, as far as this node knows. */
  nextGeneration(name: string): number;
  /** Drops what is too old to matter. */
  forgetOld(): void;
  /** Resolves once what is known now survives a restart; see {@link Keeping}. */
  saved(): Promise<void>;
}

/** A memory of names. @param now gives milliseconds that never step back. */
export function createNameMemory(
  keeping: Keeping = { known: new Map(), keep: async () => {} },
  now: () => number = () => performance.now(),
): NameMemory {
  const known = new Map<string, Answer<EbsVolume>>(
    [...keeping.known].map(([name, volume]) => [name, { value: volume, at: undefined, read: false }]),
  );
  const made = new Map<string, { readonly volume: EbsVolume; readonly at: number; shown: boolean }>();
  const removed = new Map<string, number>();
  const generations = new Map<string, { readonly next: number; readonly at: number }>();
  let lastSave = Promise.resolve();

  const save = () => {
    lastSave = keeping.keep(new Map([...known].map(([name, { value }]) => [name, value])));
  };
  const learn = (name: string, volume: EbsVolume | undefined, read = false): void => {
    const before = known.get(name)?.value.id;
    known.delete(name);
    if (volume !== undefined) known.set(name, { value: volume, at: now(), read });
    // In the order of what was learnt about them last.
    for (const oldest of known.keys()) {
      if (known.size <= knownAtMost) break;
      known.delete(oldest);
    }
    if (before !== volume?.id) save();
  };

  return {
    known: (name) => known.get(name),
    learn,
    listed(name, volume) {
      const before = known.get(name)?.value.id;
      if (before === undefined && known.size >= knownAtMost) return;
      known.set(name, { value: volume, at: now(), read: false });
      if (before !== volume.id) save();
    },
    made(name, volume) {
      made.set(name, { volume, at: now(), shown: false });
      learn(name, volume);
    },
    shown(name, volumes) {
      const mine = made.get(name);
      if (mine !== undefined && volumes.some(({ id }) => id === mine.volume.id)) mine.shown = true;
    },
    unshown(name) {
      const mine = made.get(name);
      return mine?.shown === false ? mine.volume : undefined;
    },
    allMade: () => [...made.values()].map(({ volume }) => volume),
    removed(name, volume) {
      made.delete(name);
      learn(name, undefined);
      removed.set(volume.id, now());
      const used = Number.parseInt(volume.tags[tagKeys.generation] ?? '0', 10) || 0;
      generations.set(name, { next: Math.max(generations.get(name)?.next ?? 0, used + 1), at: now() });
    },
    isGone: ({ id, state }) => state === 'deleting' || state === 'deleted' || removed.has(id),
    nextGeneration: (name) => generations.get(name)?.next ?? 0,
    forgetOld() {
      for (const [name, { at }] of made) if (now() - at > visibilityMs) made.delete(name);
      for (const [id, at] of removed) if (now() - at > visibilityMs) removed.delete(id);
      for (const [name, { at }] of generations) if (now() - at > generationMs) generations.delete(name);
    },
    saved: () => lastSave,
  };
}
