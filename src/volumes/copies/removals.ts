import { setTimeout as sleep } from 'node:timers/promises';
import { tagKeys } from '../../ebs/tags.ts';
import type { EbsSnapshot, EbsVolume } from '../../ebs/types.ts';
import { attachmentOf, isGone, ownerText } from '../../ebs/volume-record.ts';
import { DriverError, isCode } from '../../errors.ts';
import { operation } from '../../log.ts';
import { nameOf } from '../state/lookup.ts';
import type { Node } from '../state/node.ts';

/** A snapshot takes seconds or hours: it is looked for often at first, and then once a minute. */
export const looksMs = [200, 1000, 2000, 5000, 12_500, 20_000, 30_000, 60_000];
/** Another node's removal is taken up after this: by then its daemon has been started again or never will be. */
const abandonedMs = 3_600_000;

/** The end of removals that keep a snapshot: the name is free at once, the EBS volume goes when its snapshot is complete. */
export interface Removals {
  /**
   * Goes on in the background with a volume that has lost its name, and once an hour with what other nodes have left.
   * @param snapshotId the snapshot that was begun.
   */
  finish(volumeId: string, snapshotId: string | undefined): void;
  /** Takes up what this node has begun before, and what other nodes have left. */
  resume(): void;
}

/** What the volume's tag says while it waits: who removed it, and when. */
export const removalMark = (instanceId: string): string => `${instanceId} ${new Date().toISOString()}`;

/** All that is known of a removal, and must be said or done once. */
interface Removal {
  readonly volumeId: string;
  readonly began: number;
  snapshotId: string | undefined;
  /** When no snapshot was seen first, by the monotonic clock: reads lag, and a second one would be made for nothing. */
  noneSince: number | undefined;
  said: string | undefined;
}

/** How far a look has brought it: to its end, to a snapshot, or to the next look. */
type Outcome = 'done' | 'begun' | 'waits';

/** The removals of a node, until the signal is aborted. What they wait for is in EC2's tags: any daemon goes on from there. */
export function createRemovals(
  node: Pick<Node, 'ec2' | 'log' | 'settings' | 'instanceId' | 'visibleMs'>,
  signal: AbortSignal,
): Removals {
  const { ec2, log, settings, instanceId, visibleMs } = node;
  const running = new Set<string>();
  let resumedAt = performance.now();

  const say = (removal: Removal, level: 'info' | 'warn' | 'error', text: string, more: object = {}) => {
    if (removal.said === text) return;
    removal.said = text;
    log[level]({ volumeId: removal.volumeId, snapshotId: removal.snapshotId, ...more }, text);
  };
  const run = async (removal: Removal) => {
    for (let look = 0; !signal.aborted; look++) {
      await sleep(looksMs[Math.min(look, looksMs.length - 1)], undefined, { ref: false, signal });
      try {
        const outcome = await step(removal);
        if (outcome === 'done') return;
        if (outcome === 'begun') look = -1;
      } catch (error) {
        const { message } = error as Error;
        say(removal, 'warn', `a removed volume is kept for now: ${message}`, { err: error });
      }
    }
  };
  const step = async (removal: Removal): Promise<Outcome> => {
    const volume = await ec2.describeVolume(removal.volumeId, { lane: 'list' });
    if (volume === undefined || isGone(volume)) return 'done';
    if (!isRemoved(volume)) return performance.now() - removal.began > visibleMs ? 'done' : 'waits';
    const user = attachmentOf(volume);
    if (user !== undefined) {
      if (user.instanceId !== instanceId) say(removal, 'warn', `a removed volume is kept: it is on ${ownerText(user)}`);
      return 'waits';
    }
    return goBySnapshots(removal, volume);
  };
  const goBySnapshots = async (removal: Removal, volume: EbsVolume): Promise<Outcome> => {
    const snapshots = await ec2.findSnapshots(tagKeys.removalOf, volume.id, { lane: 'list' });
    if (snapshots.some(({ state }) => state === 'completed')) return end(removal);
    if (snapshots.some(({ state }) => state !== 'error')) return 'waits';
    const [failed] = snapshots;
    if (failed !== undefined) {
      say(removal, 'error', keptText(volume, failed));
      return 'done';
    }
    removal.noneSince ??= performance.now();
    if (performance.now() - removal.noneSince < visibleMs) return 'waits';
    removal.snapshotId = await takeSnapshot(ec2, settings.cluster, volume);
    removal.noneSince = undefined;
    return 'begun';
  };
  const end = async (removal: Removal): Promise<Outcome> => {
    // The look for its snapshots may have waited for its turn: by now it may have a name, and data of its own, again.
    const now = await ec2.describeVolume(removal.volumeId, { lane: 'list' });
    if (now !== undefined && (!isRemoved(now) || attachmentOf(now) !== undefined)) return 'waits';
    await ec2.deleteVolume(removal.volumeId, { lane: 'list' }).catch((error: unknown) => {
      if (!isCode(error, 'EC2_NO_SUCH_VOLUME')) throw error;
    });
    say(removal, 'info', 'removed: its snapshot is complete, and the volume is deleted');
    return 'done';
  };
  const goOn = (volumeId: string, snapshotId: string | undefined) => {
    if (running.has(volumeId)) return;
    running.add(volumeId);
    const removal = { volumeId, began: performance.now(), snapshotId, noneSince: undefined, said: undefined };
    void operation
      .run({ op: 'remove' }, () => run(removal))
      .catch(() => undefined)
      .finally(() => running.delete(volumeId));
  };
  const isOurs = (volume: EbsVolume) => {
    const [who, at = ''] = volume.tags[tagKeys.removing]?.split(' ') ?? [];
    return who === instanceId || Date.now() - Date.parse(at) > abandonedMs;
  };
  const findBegun = async () => {
    const found = await ec2.findTagged(tagKeys.removing, { lane: 'list' });
    for (const volume of found) if (isRemoved(volume) && isOurs(volume)) goOn(volume.id, undefined);
  };

  const resume = () => {
    resumedAt = performance.now();
    void operation
      .run({ op: 'remove' }, findBegun)
      .catch((error: unknown) => log.warn({ err: error }, 'removals that wait for a snapshot were not looked for'));
  };

  return {
    finish(volumeId, snapshotId) {
      if (performance.now() - resumedAt > abandonedMs) resume();
      goOn(volumeId, snapshotId);
    },
    resume,
  };
}

/** One that got a name again, by hand or by adopt, is no removal any more. */
const isRemoved = (volume: EbsVolume): boolean =>
  nameOf(volume) === undefined && volume.tags[tagKeys.removing] !== undefined;

/** Begins the snapshot that outlives a removed volume. @returns its id. @throws DriverError EC2_* */
export function takeSnapshot(ec2: Pick<Node['ec2'], 'createSnapshot'>, cluster: string, { id, tags }: EbsVolume) {
  const name = tags[tagKeys.displayName] ?? id;
  return ec2.createSnapshot(id, `docker-volume-ebs: ${name} when it was removed`.slice(0, 255), {
    [tagKeys.displayName]: name,
    [tagKeys.cluster]: cluster,
    [tagKeys.retained]: tags[tagKeys.retained] ?? tags[tagKeys.name] ?? name,
    [tagKeys.removalOf]: id,
  });
}

function keptText({ id, tags }: EbsVolume, { id: snapshotId, message }: EbsSnapshot): string {
  return new DriverError('EC2_REJECTED', {
    volume: tags[tagKeys.displayName],
    tried: `finish its removal: its snapshot ${snapshotId} has failed`,
    why: message ?? 'EC2 gives no reason',
    todo: `${id} is kept, with its data and without its name; docker-volume-ebs ls shows it, and docker-volume-ebs adopt gives it its name back`,
  }).message;
}
