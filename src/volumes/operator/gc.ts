import { readScratch, tagKeys } from '../../ebs/tags.ts';
import { attachmentOf, isGone } from '../../ebs/volume-record.ts';
import { DriverError } from '../../errors.ts';
import { readDuration } from '../../kinds.ts';
import { takenHere } from '../copies/find.ts';
import { findGarbage, type Garbage } from '../copies/garbage.ts';
import { removeVolume } from '../requests/remove.ts';
import { nameOf } from '../state/lookup.ts';
import type { Node } from '../state/node.ts';

export type { Garbage } from '../copies/garbage.ts';

/** What is asked of a collection. */
export interface GcOptions {
  /** Only these, by id; what has a name, or may be a backup, goes only if it is among them. All that is found without. */
  readonly ids: readonly string[] | undefined;
  /** After how long without an attachment a volume is shown, as "30d". */
  readonly idle: string;
  readonly apply: boolean;
}

/** What has been found, and what has become of it. */
export interface Collected extends Garbage {
  /** `found` where nothing was to be done with it. */
  readonly outcome: 'found' | 'removed' | 'failed';
  /** Why it failed, as a sentence. */
  readonly failure: string | undefined;
}

const lane = { lane: 'list' } as const;

/**
 * Finds what nobody needs and, if asked, puts it into the trash, or deletes what is the driver's own. Each is looked at again before.
 * @throws DriverError INVALID_REQUEST for an id that is no garbage, or an `idle` that is no time; EC2_*.
 */
export async function collectGarbage(node: Node, { ids, idle, apply }: GcOptions): Promise<Collected[]> {
  const idleMs = millisecondsOf(idle);
  const found = await look(node, idleMs);
  const wanted = ids === undefined ? found : ids.map((id) => found.find((each) => each.id === id) ?? none(id));
  const collected: Collected[] = [];
  for (const each of wanted) {
    const goes = apply && (!each.named || ids !== undefined);
    collected.push(goes ? await removed(node, each, idleMs) : { ...each, outcome: 'found', failure: undefined });
  }
  return collected;
}

function millisecondsOf(idle: string): number {
  const seconds = readDuration(idle);
  if (seconds !== undefined) return seconds * 1000;
  throw new DriverError('INVALID_REQUEST', {
    tried: 'find what nobody needs',
    why: `${JSON.stringify(idle)} is no time`,
    todo: 'Give --idle a time as 12h or 30d',
  });
}

async function look({ ec2 }: Node, idleMs: number): Promise<Garbage[]> {
  const [volumes, snapshots] = await Promise.all([ec2.listVolumes(lane), takenHere(ec2, lane)]);
  return findGarbage({ volumes, snapshots, now: Date.now(), idleMs });
}

function none(id: string): never {
  throw new DriverError('INVALID_REQUEST', {
    tried: `collect ${id}`,
    why: 'it is not among what may not be needed',
    todo: 'See what docker-volume-ebs gc shows',
  });
}

async function removed(node: Node, garbage: Garbage, idleMs: number): Promise<Collected> {
  try {
    const again = (await look(node, idleMs)).some(({ id, why }) => id === garbage.id && why === garbage.why);
    if (!again) throw new Error('it has changed meanwhile');
    await remove(node, garbage);
    node.log.info({ op: 'gc', id: garbage.id, kind: garbage.kind, name: garbage.name }, 'nobody needed it: removed');
    return { ...garbage, outcome: 'removed', failure: undefined };
  } catch (error) {
    return { ...garbage, outcome: 'failed', failure: error instanceof Error ? error.message : String(error) };
  }
}

async function remove(node: Node, { id, kind, name }: Garbage): Promise<void> {
  if (kind === 'snapshot') return node.ec2.deleteSnapshot(id, lane);
  if (kind === 'scratch') return removeScratch(node, id);
  if (name === undefined) throw new Error('it has lost its name meanwhile');
  // By its name, as docker volume rm does; that name must mean this volume.
  return node.queue.run(name, async () => {
    const volume = await node.lookup.find(name);
    if (volume?.id !== id) throw new Error(`${name} means another volume now`);
    await removeVolume(node, name, true);
  });
}

/** EC2 refuses one that somebody has attached. */
async function removeScratch({ ec2, visibleMs }: Node, id: string): Promise<void> {
  const looked = performance.now();
  const volume = await ec2.describeVolume(id, lane);
  if (volume === undefined || isGone(volume)) return;
  const isScratch = readScratch(volume.tags[tagKeys.scratch]) !== undefined && nameOf(volume) === undefined;
  if (!isScratch || attachmentOf(volume) !== undefined) throw new Error('it is in use, or no scratch volume any more');
  await ec2.deleteVolume(id, { ...lane, stillValid: () => performance.now() - looked < visibleMs / 2 });
}
