import type { EbsSnapshot } from '../../ebs/types.ts';
import { DriverError, isCode } from '../../errors.ts';
import { nameOf } from '../state/lookup.ts';
import type { Node } from '../state/node.ts';
import { readSnapshot, type VolumeSnapshot } from './snapshot-tags.ts';

type Asked = Pick<Node, 'ec2' | 'lookup' | 'settings'>;
const lane = { lane: 'list' } as const;
const ls = 'docker-volume-ebs snapshot ls';

/**
 * The snapshots of the cluster's volumes, or of those that go by one name, the newest first: ours, also of volumes that are
 * gone, and those that other tools took of volumes that are there. @throws DriverError EC2_*
 */
export async function listSnapshots({ ec2, lookup }: Asked, name?: string): Promise<VolumeSnapshot[]> {
  const volumes = name === undefined ? await lookup.all() : await lookup.named(name, lane);
  const names = new Map(volumes.map((volume) => [volume.id, nameOf(volume)]));
  const read = (all: readonly EbsSnapshot[]) => all.map((each) => readSnapshot(each, (id) => names.get(id)));
  const [tagged, taken] = await Promise.all([ec2.listSnapshots(lane), ec2.snapshotsOf([...names.keys()], lane)]);
  const all = new Map([...read(tagged), ...read(taken)].map((each) => [each.id, each]));
  return [...all.values()]
    .filter(({ volume }) => name === undefined || volume === name)
    .sort((a, b) => (a.startedAt < b.startedAt ? 1 : -1));
}

/** The snapshots that carry the tag of the cluster; a role that may not list snapshots has taken none. @throws DriverError EC2_* */
export const takenHere = (ec2: Node['ec2'], options?: typeof lane): Promise<EbsSnapshot[]> =>
  ec2.listSnapshots(options).catch((error: unknown) => {
    if (isCode(error, 'EC2_DENIED')) return [];
    throw error;
  });

/**
 * The one snapshot of a volume that a word means: its id, or its name.
 * @throws DriverError INVALID_REQUEST where there is none, or several have the name; EC2_*.
 */
export async function findSnapshot(node: Asked, volume: string, word: string, tried: string): Promise<VolumeSnapshot> {
  const all = await listSnapshots(node, volume);
  const [found, ...others] = all.filter(({ id, name }) => id === word || name === word);
  if (found !== undefined && others.length === 0) return found;
  throw new DriverError('INVALID_REQUEST', {
    volume,
    tried,
    why:
      found === undefined
        ? `it has no snapshot ${JSON.stringify(word)}`
        : `${[found, ...others].map(({ id }) => id).join(' and ')} have this name`,
    todo: `Give the id of one that ${ls} shows`,
  });
}

/**
 * The snapshot that a word means for whoever makes a volume from it: an id, `latest`, a name, or a time, which is the last
 * one until then. @param volume whose it is; undefined where the word is an id of whatever volume.
 * @returns undefined where there is none, and all there are of the volume. @throws DriverError EC2_*.
 */
export async function snapshotMeant(
  node: Asked,
  volume: string | undefined,
  word: string,
): Promise<{ readonly found: VolumeSnapshot | undefined; readonly all: readonly VolumeSnapshot[] }> {
  const all = volume === undefined ? [] : await listSnapshots(node, volume);
  if (/^snap-[0-9a-f]+$/.test(word)) {
    const listed = all.find(({ id }) => id === word);
    const known = listed === undefined ? await node.ec2.describeSnapshot(word) : undefined;
    return { found: listed ?? (known && readSnapshot(known)), all };
  }
  const time = Date.parse(word);
  const good = all.filter(({ state }) => state === 'completed');
  const found =
    word === 'latest'
      ? good[0]
      : (all.find(({ name }) => name === word) ??
        (Number.isNaN(time) ? undefined : good.find(({ startedAt }) => Date.parse(startedAt) <= time)));
  return { found, all };
}

/** As `Known: nightly (2026-11-30T12:00:00Z)`; what to do first where there is none. */
export function knownText(all: readonly VolumeSnapshot[]): string {
  const known = all.map(({ id, name, startedAt }) => `${name ?? id} (${startedAt})`).slice(0, 10);
  return known.length === 0 ? 'Take one first' : `Known: ${known.join(', ')}`;
}

/**
 * The one snapshot of any volume that a word means: its id, or VOLUME/NAME.
 * @throws DriverError as {@link findSnapshot}.
 */
export async function findAnySnapshot(node: Asked, which: string, tried: string): Promise<VolumeSnapshot> {
  const [, volume, name] = /^(.+)\/([^/]+)$/s.exec(which) ?? [];
  if (volume !== undefined && name !== undefined) return findSnapshot(node, volume, name, tried);
  const found = (await listSnapshots(node)).find(({ id }) => id === which);
  if (found !== undefined) return found;
  const why = `there is no snapshot ${JSON.stringify(which)} of a volume of this cluster`;
  throw new DriverError('INVALID_REQUEST', { tried, why, todo: `Give an id that ${ls} shows, or VOLUME/NAME` });
}

/**
 * Deletes a snapshot that this driver took; one that is gone already is deleted.
 * @throws DriverError INVALID_REQUEST for one that another tool took; EC2_* also where it is locked or in use.
 */
export async function removeSnapshot(node: Asked, volume: string, word: string): Promise<VolumeSnapshot> {
  const tried = `delete its snapshot ${word}`;
  const snapshot = await findSnapshot(node, volume, word, tried);
  if (snapshot.kind === 'foreign') {
    const why = 'another tool took it, and keeps account of it';
    throw new DriverError('INVALID_REQUEST', {
      volume,
      tried,
      why,
      todo: 'Leave it to that tool',
    });
  }
  await node.ec2.deleteSnapshot(snapshot.id).catch((error: unknown) => {
    if (!isCode(error, 'EC2_NO_SUCH_SNAPSHOT')) throw error;
  });
  return snapshot;
}
