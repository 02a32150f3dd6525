import { isDeepStrictEqual } from 'node:util';
import { tagKeys } from '../../ebs/tags.ts';
import type { EbsVolume } from '../../ebs/types.ts';
import { isGone, visibilityMs } from '../../ebs/volume-record.ts';
import { lastingTags } from './lost-tags.ts';
import type { Answer } from './view.ts';

/** More names than these are not remembered: a cluster that makes a name for each job has no end of them. */
const knownAtMost = 2000;
/**
 * EC2 has not forgotten a ClientToken that is younger (aws-ebs-csi-driver measured 12 hours). All nodes must agree on the
 * next free one: a token is passed over only while EC2 would refuse it to those who try it.
 */
const tokenMs = 6 * 3_600_000;

/** A volume by name; for a name whose last volume is gone, that volume in state "deleted". */
interface Entry extends Answer<EbsVolume> {
  /** Since when this volume is known here, by the memory's clock. */
  readonly since: number;
}

/** What was known of volumes before this daemon started, and where to keep what is learnt. */
export interface Keeping {
  readonly known: ReadonlyMap<string, EbsVolume>;
  /** Called when a name comes, goes, means another volume, or its volume has other lasting tags. */
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
  /** Notes that this node has detached the volume of a name, and that its disk has gone. @param volume with its tags. */
  freed(name: string, volume: EbsVolume): void;
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
  /** Notes that a volume which was removed has a name again, perhaps another: reads that list it are believed. */
  returned(name: string, volume: EbsVolume): void;
  /**
   * Notes that no read shows the known volume of a name any more, not even by its id. Believed once it has been known for so
   * long that no read can be from before it came.
   */
  vanished(name: string): void;
  /** Notes that the last volume of a name is gone, by a read that shows it so. */
  ended(name: string, volume: EbsVolume): void;
  /** True when the last volume of a name is known to be gone, and no other is known. */
  isEnded(name: string): boolean;
  /** The volumes of all known names. */
  all(): EbsVolume[];
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
  const began = now();
  const known = new Map<string, Entry>(
    [...keeping.known].map(([name, value]) => [name, { value, at: undefined, read: false, since: began }]),
  );
  const made = new Map<string, { readonly volume: EbsVolume; readonly at: number; shown: boolean }>();
  const removed = new Map<string, number>();
  let lastSave = Promise.resolve();

  const live = (name: string): Entry | undefined => {
    const entry = known.get(name);
    return entry?.value.state === 'deleted' ? undefined : entry;
  };
  const save = () => {
    lastSave = keeping.keep(new Map([...known].map(([name, { value }]) => [name, value])));
  };
  /** `first`: as the one that was learnt about last. */
  const note = (name: string, value: EbsVolume, read: boolean, first: boolean): void => {
    const before = known.get(name);
    const same = before?.value.id === value.id && before.value.state !== 'deleted';
    if (first) known.delete(name);
    known.set(name, { value, at: now(), read, since: same ? before.since : now() });
    for (const oldest of known.keys()) {
      if (known.size <= knownAtMost) break;
      known.delete(oldest);
    }
    if (!same || value.state === 'deleted' || !saysTheSame(before.value, value)) save();
  };
  const ended = (name: string, volume: EbsVolume): void => {
    const before = known.get(name)?.value;
    const later = before?.state === 'deleted' && generationOf(before) > generationOf(volume) ? before : volume;
    note(name, { ...later, state: 'deleted', attachments: [] }, false, true);
  };

  return {
    known: live,
    learn(name, volume, read = false) {
      if (volume !== undefined) note(name, volume, read, true);
      else if (live(name) !== undefined) {
        known.delete(name);
        save();
      }
    },
    listed(name, volume) {
      if (known.has(name) || known.size < knownAtMost) note(name, volume, false, false);
    },
    freed(name, volume) {
      if (live(name)?.value.id === volume.id)
        note(name, { ...volume, state: 'available', attachments: [] }, false, true);
    },
    made(name, volume) {
      made.set(name, { volume, at: now(), shown: false });
      note(name, volume, false, true);
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
      ended(name, volume);
      removed.set(volume.id, now());
    },
    returned(name, volume) {
      removed.delete(volume.id);
      // Its former name, if that was another, means it no more.
      for (const [other, { value }] of known) if (other !== name && value.id === volume.id) known.delete(other);
      note(name, volume, false, true);
    },
    ended,
    vanished(name) {
      const entry = live(name);
      if (entry !== undefined && now() - entry.since > visibilityMs) ended(name, entry.value);
    },
    isEnded: (name) => known.has(name) && live(name) === undefined,
    all: () => [...known.values()].map(({ value }) => value).filter(({ state }) => state !== 'deleted'),
    isGone: (volume) => isGone(volume) || removed.has(volume.id),
    nextGeneration(name) {
      const last = known.get(name)?.value;
      return last?.state === 'deleted' && hasToken(last) ? generationOf(last) + 1 : 0;
    },
    forgetOld() {
      dropWhere(made, ({ at }) => now() - at > visibilityMs);
      dropWhere(removed, (at) => now() - at > visibilityMs);
      dropWhere(known, ({ value }) => value.state === 'deleted' && !hasToken(value));
    },
    saved: () => lastSave,
  };
}

/** What a volume is, its tags tell for good: they are what a restart must not forget. */
const saysTheSame = (one: EbsVolume, other: EbsVolume): boolean =>
  isDeepStrictEqual(lastingTags(one.tags), lastingTags(other.tags));

function dropWhere<T>(map: Map<string, T>, isOld: (value: T) => boolean): void {
  for (const [key, value] of map) if (isOld(value)) map.delete(key);
}

/** The ClientToken generation that made a volume; -1 for one that no token made. */
function generationOf({ tags }: EbsVolume): number {
  const generation = Number.parseInt(tags[tagKeys.generation] ?? '', 10);
  return Number.isNaN(generation) ? -1 : generation;
}

/** True while EC2 is sure to remember the token that made a volume. By the wall clock: it outlives the daemon. */
function hasToken(volume: EbsVolume): boolean {
  return generationOf(volume) >= 0 && Date.now() - Date.parse(volume.createdAt) < tokenMs;
}
