import { setTimeout as sleep } from 'node:timers/promises';
import { tagKeys } from '../../ebs/tags.ts';
import type { CallOptions, EbsVolume, Ec2 } from '../../ebs/types.ts';
import { visibilityMs } from '../../ebs/volume-record.ts';
import { DriverError } from '../../errors.ts';
import { decodeName, displayName, encodeName } from '../options/names.ts';
import { ambiguous } from './duplicates.ts';
import { hasLostTags, identityTags, lastingTags, tagsLost } from './lost-tags.ts';
import type { NameMemory } from './memory.ts';
import { bearers } from './succession.ts';
import { type Answer, createView, type Seen } from './view.ts';

/** How often a name is looked for that EC2 does not show yet. */
const againMs = 2000;

/** From a name to its EBS volume: reads of EC2, corrected by what this node remembers of names (memory.ts). */
export interface Lookup {
  /**
   * The volume of a name, undefined when EC2 says that there is none.
   * @throws DriverError AMBIGUOUS_NAME when there are several; TAGS_LOST when the one that is known here has lost its tags; EC2_* when EC2 cannot be asked: never "absent" then.
   */
  find(name: string): Promise<EbsVolume | undefined>;
  /**
   * The same for whoever answers that there is none: that is believed of a name whose last volume is known to be gone; else
   * only once no read can be from before a volume came.
   */
  findSurely(name: string): Promise<EbsVolume | undefined>;
  /**
   * The same by what EC2 shows alone, for whoever makes volumes: one that was just made here and is not shown may be
   * behind, or removed by another node, and only a repeated CreateVolume tells.
   */
  shown(name: string): Promise<EbsVolume | undefined>;
  /** All volumes of a name that EC2 shows, but for those that are gone or do not count yet. @throws DriverError EC2_* */
  named(name: string, options?: CallOptions): Promise<EbsVolume[]>;
  /**
   * The volume of a name for a caller who only shows it: callers at the same time share a read, and where EC2 is slow or cannot be
   * asked the last positive answer is given, however old, also of an earlier daemon.
   */
  look(name: string): Promise<Seen<EbsVolume> | undefined>;
  /**
   * A look for whoever has attached the volume that had the name: that volume as EC2 shows it now, by its id where its
   * name does not show it, what has the name, and all that EC2 lists of it, what does not count yet too.
   * @throws DriverError as {@link find} does.
   */
  again(name: string, volumeId: string): Promise<Again>;
  /**
   * Volumes of the cluster that show a name to people, and have lost the tag by which it is looked up. A name alone proves
   * nothing of volumes that are not of the cluster. @throws DriverError EC2_*
   */
  nameless(name: string): Promise<EbsVolume[]>;
  /** All volumes of the cluster, as EC2 lists them now; what their names mean is remembered. @throws DriverError EC2_* */
  all(): Promise<EbsVolume[]>;
  /** All volumes of the cluster that have not been removed, read and remembered as {@link look} does. */
  list(): Promise<Seen<EbsVolume[]>>;
}

interface Again {
  readonly seen: EbsVolume | undefined;
  readonly named: EbsVolume | undefined;
  readonly listed: readonly EbsVolume[];
}

/** What {@link createLookup} goes by unless it is told. */
interface LookupTimes {
  /** Gives milliseconds that never step back. */
  readonly now?: () => number;
  /** How far behind EC2's reads may be, in milliseconds. */
  readonly visibleMs?: number;
}

/** A lookup. */
export function createLookup(
  ec2: Ec2,
  memory: NameMemory,
  { now = () => performance.now(), visibleMs = visibilityMs }: LookupTimes = {},
): Lookup {
  /** A volume that is known here and no listing shows: the listing is behind, or it is gone, which a look by its id tells. */
  const notListed = async (name: string, options: CallOptions): Promise<EbsVolume | undefined> => {
    const known = memory.known(name)?.value;
    if (known === undefined || memory.isGone(known)) return undefined;
    const volume = await ec2.describeVolume(known.id, options);
    memory.shown(name, volume === undefined ? [] : [volume]);
    if (volume === undefined) memory.vanished(name);
    else if (memory.isGone(volume)) memory.ended(name, volume);
    else if (hasLostTags(volume, name)) throw lostWhileKnown(name, volume, known);
    else if (nameOf(volume) === name && volume.tags[tagKeys.cluster] === known.tags[tagKeys.cluster]) return volume;
    else memory.ended(name, known);
    return undefined;
  };
  const listed = async (name: string, options: CallOptions): Promise<EbsVolume[]> => {
    const all = await ec2.findVolumes(encodeName(name), options);
    memory.forgetOld();
    memory.shown(name, all);
    return all.filter((volume) => !memory.isGone(volume));
  };
  const readAs = async (name: string, options: CallOptions, trust = true) => {
    const began = now();
    const found = await listed(name, options);
    const volume =
      onlyOne(name, bearers(found)) ?? (await notListed(name, options)) ?? (trust ? memory.unshown(name) : undefined);
    // What was learnt during the read is younger.
    if ((memory.known(name)?.at ?? 0) <= began) memory.learn(name, volume, options.lane === 'list');
    return { volume, found };
  };
  const read = async (name: string, options: CallOptions, trust = true): Promise<EbsVolume | undefined> =>
    (await readAs(name, options, trust)).volume;
  const view = createView((name: string) => read(name, { lane: 'list' }), memory.known, now);
  const readAll = async (options: CallOptions): Promise<EbsVolume[]> => {
    const listed = await ec2.listVolumes(options);
    memory.forgetOld();
    for (const [name, [volume, ...others]] of Map.groupBy(bearers(listed), nameOf)) {
      const clear = name !== undefined && volume !== undefined && others.length === 0 && !memory.isGone(volume);
      if (clear) memory.listed(name, volume);
    }
    return listed;
  };
  const earlier = memory.all();
  let lastListing: Answer<EbsVolume[]> | undefined =
    earlier.length === 0 ? undefined : { value: earlier, at: undefined, read: false };
  const listing = createView(
    async () => {
      const listed = await readAll({ lane: 'list' });
      lastListing = { value: listed, at: now(), read: true };
      return listed;
    },
    () => lastListing,
    now,
  );
  /** A listing, corrected by what was made, found and removed here since. */
  const corrected = (listed: readonly EbsVolume[]): EbsVolume[] => {
    const ids = new Set(listed.map(({ id }) => id));
    const unseen = memory.allMade().filter(({ id }) => !ids.has(id));
    return bearers([...listed, ...unseen].filter((volume) => !memory.isGone(volume)));
  };

  return {
    find: (name) => read(name, {}),
    async findSurely(name) {
      for (let waited = 0; ; waited += againMs) {
        const volume = await read(name, {});
        if (volume !== undefined || memory.isEnded(name) || waited >= visibleMs) return volume;
        await sleep(againMs);
      }
    },
    shown: (name) => read(name, {}, false),
    named: async (name, options = {}) => bearers(await listed(name, options)),
    look: (name) => view.look(name),
    async again(name, volumeId) {
      const { volume: named, found } = await readAs(name, {});
      return { named, listed: found, seen: named?.id === volumeId ? named : await ec2.describeVolume(volumeId) };
    },
    async nameless(name) {
      const shown = await ec2.findDisplayed(displayName(name));
      return shown.filter((volume) => !memory.isGone(volume) && hasLostTags(volume, name));
    },
    all: () => readAll({}),
    async list() {
      const { value, ...seen } = (await listing.look('')) ?? { value: [] };
      return { ...seen, value: corrected(value) };
    },
  };
}

function onlyOne(name: string, found: readonly EbsVolume[]): EbsVolume | undefined {
  if (found.length <= 1) return found[0];
  // An undelete gives its volume the name while that is attached to it, and takes it off again where another has it. Of one
  // whose node is gone in between, only the other is left.
  const [only, ...more] = found.filter(
    ({ tags, attachments }) => tags[tagKeys.trash] === undefined || attachments.length > 0,
  );
  if (only !== undefined && more.length === 0) return only;
  throw ambiguous(name, found);
}

function lostWhileKnown(name: string, volume: EbsVolume, known: EbsVolume): DriverError {
  const wanted = { ...lastingTags(known.tags), ...identityTags(known.tags[tagKeys.cluster] ?? '', name) };
  return tagsLost(name, volume, wanted, 'tell what has this name', 'this node knows it by that name');
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
    todo: 'Check the name and the DVE_CLUSTER setting (docker-volume-ebs ls lists the volumes of the cluster); one that is to be new is made with docker volume create',
  });
}
