import { tagKeys } from '../../ebs/tags.ts';
import type { CallOptions, EbsVolume, Ec2 } from '../../ebs/types.ts';
import { visibilityMs } from '../../ebs/volume-record.ts';
import { DriverError } from '../../errors.ts';
import { decodeName, encodeName } from '../options/names.ts';
import { createView, type Seen } from './view.ts';

/** More names than these are not remembered: a cluster that makes a name for each job has no end of them. */
const knownAtMost = 2000;
/** EC2 remembers client tokens for about half as long. */
const generationMs = 86_400_000;

/** From a name to its EBS volume: reads of EC2, corrected by what this node has itself just done. */
export interface Lookup {
  /**
   * The volume of a name, undefined when EC2 says that there is none.
   * @throws DriverError AMBIGUOUS_NAME when there are several; EC2_* when EC2 cannot be asked: never "absent" then.
   */
  find(name: string): Promise<EbsVolume | undefined>;
  /**
   * The same by what EC2 shows alone, for whoever makes volumes: one that was just made here and is not shown may be
   * behind, or removed by another node, and only a repeated CreateVolume tells.
   */
  shown(name: string): Promise<EbsVolume | undefined>;
  /**
   * The same for a caller who only shows it: callers at the same time share a read, and where EC2 is slow or cannot be
   * asked the last positive answer is given, however old, also of an earlier daemon.
   */
  look(name: string): Promise<Seen<EbsVolume> | undefined>;
  /** All volumes of the cluster that have not been removed, read and remembered as {@link look} does. */
  list(): Promise<Seen<EbsVolume[]>>;
  /** A volume that this node has made: a read that does not list it yet is not believed. */
  created(name: string, volume: EbsVolume): void;
  /** Resolves once what is known now survives a restart; see {@link Memory}. */
  saved(): Promise<void>;
  /** A volume that this node has removed: a read that still lists it is not believed. */
  removed(name: string, volume: EbsVolume): void;
  /** The first ClientToken generation of a name that may not be used up, as far as this node knows. */
  nextGeneration(name: string): number;
}

/** What was known of volumes before this daemon started, and where to keep what is learnt. */
export interface Memory {
  readonly known: ReadonlyMap<string, EbsVolume>;
  /** Called when a name comes, goes, or means another volume. */
  keep(known: ReadonlyMap<string, EbsVolume>): Promise<void>;
}

/** A lookup. `now` gives milliseconds that never step back. */
export function createLookup(
  ec2: Ec2,
  memory: Memory = { known: new Map(), keep: async () => {} },
  now: () => number = () => performance.now(),
): Lookup {
  const known = new Map(memory.known);
  const created = new Map<string, { readonly volume: EbsVolume; readonly at: number; shown: boolean }>();
  const removed = new Map<string, number>();
  const generations = new Map<string, { readonly next: number; readonly at: number }>();

  const isGone = (volume: EbsVolume) =>
    volume.state === 'deleting' || volume.state === 'deleted' || removed.has(volume.id);
  const forgetOld = () => {
    for (const [name, { at }] of created) if (now() - at > visibilityMs) created.delete(name);
    for (const [id, at] of removed) if (now() - at > visibilityMs) removed.delete(id);
    for (const [name, { at }] of generations) if (now() - at > generationMs) generations.delete(name);
  };

  let lastSave = Promise.resolve();
  const learn = (name: string, volume: EbsVolume | undefined): void => {
    const before = known.get(name)?.id;
    known.delete(name);
    if (volume !== undefined) known.set(name, volume);
    // In the order of what was learnt about them last.
    for (const oldest of known.keys()) {
      if (known.size <= knownAtMost) break;
      known.delete(oldest);
    }
    if (before !== volume?.id) lastSave = memory.keep(known);
  };
  /** Once a read has shown what was made here, in whatever state, reads are believed about it. */
  const noteShown = (name: string, volumes: readonly EbsVolume[]): void => {
    const made = created.get(name);
    if (made !== undefined && volumes.some(({ id }) => id === made.volume.id)) made.shown = true;
  };
  const notShownYet = (name: string): EbsVolume | undefined => {
    const made = created.get(name);
    return made?.shown === false ? made.volume : undefined;
  };

  /** A volume that is known here and no listing shows: the listing is behind, or it is gone, which a look by its id tells. */
  const notListed = async (name: string, options: CallOptions): Promise<EbsVolume | undefined> => {
    const id = known.get(name)?.id;
    if (id === undefined || removed.has(id)) return undefined;
    const volume = await ec2.describeVolume(id, options);
    noteShown(name, volume === undefined ? [] : [volume]);
    return volume !== undefined && !isGone(volume) && nameOf(volume) === name ? volume : undefined;
  };
  const read = async (name: string, options: CallOptions, trust = true): Promise<EbsVolume | undefined> => {
    const listed = await ec2.findVolumes(encodeName(name), options);
    forgetOld();
    noteShown(name, listed);
    const found = listed.filter((volume) => !isGone(volume));
    const volume = onlyOne(name, found) ?? (await notListed(name, options)) ?? (trust ? notShownYet(name) : undefined);
    learn(name, volume);
    return volume;
  };
  const view = createView((name: string) => read(name, { lane: 'list' }), now);
  const listing = createView(async () => {
    const listed = await ec2.listVolumes({ lane: 'list' });
    forgetOld();
    const byName = Map.groupBy(listed, nameOf);
    for (const [name, [volume, ...others]] of byName) {
      const clear = name !== undefined && volume !== undefined && others.length === 0 && !isGone(volume);
      if (clear) view.saw(name, volume);
    }
    return listed;
  }, now);
  /** A listing, corrected by what was made, found and removed here since. */
  const corrected = (listed: readonly EbsVolume[]): EbsVolume[] => {
    const ids = new Set(listed.map(({ id }) => id));
    const unseen = [...created.values()].map(({ volume }) => volume).filter(({ id }) => !ids.has(id));
    return [...listed, ...unseen].filter((volume) => !isGone(volume));
  };

  return {
    async find(name) {
      const volume = await read(name, {});
      view.saw(name, volume);
      return volume;
    },
    shown: (name) => read(name, {}, false),
    look: (name) => view.look(name, known.get(name)),
    async list() {
      const { value, ...seen } = (await listing.look('')) ?? { value: [] };
      return { ...seen, value: corrected(value) };
    },
    created(name, volume) {
      created.set(name, { volume, at: now(), shown: false });
      learn(name, volume);
      view.saw(name, volume);
    },
    removed(name, volume) {
      created.delete(name);
      learn(name, undefined);
      view.saw(name, undefined);
      removed.set(volume.id, now());
      const used = Number.parseInt(volume.tags[tagKeys.generation] ?? '0', 10) || 0;
      generations.set(name, { next: Math.max(generations.get(name)?.next ?? 0, used + 1), at: now() });
    },
    saved: () => lastSave,
    nextGeneration: (name) => generations.get(name)?.next ?? 0,
  };
}

function onlyOne(name: string, found: readonly EbsVolume[]): EbsVolume | undefined {
  if (found.length <= 1) return found[0];
  throw new DriverError('AMBIGUOUS_NAME', {
    volume: name,
    tried: 'tell which EBS volume it is',
    why: `${found.length} carry its name: ${found.map((volume) => `${volume.id} (${volume.zone}, ${volume.state})`).join(', ')}`,
    todo: 'Keep one: delete the others, or remove their docker-volume-ebs:name tag',
  });
}

/** The name a volume goes by; undefined for one that has lost its tag, or carries text that encodes no name. */
export function nameOf(volume: EbsVolume): string | undefined {
  const encoded = volume.tags[tagKeys.name];
  return encoded === undefined ? undefined : decodeName(encoded);
}

/** The one way to say that a volume is not there. */
export function noSuchVolume(name: string, tried: string): DriverError {
  return new DriverError('NO_SUCH_VOLUME', {
    volume: name,
    tried,
    why: 'there is no such volume in this cluster',
    todo: 'Create it first (docker volume create), or check the name and the DVE_CLUSTER setting',
  });
}
