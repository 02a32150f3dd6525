import { setTimeout as sleep } from 'node:timers/promises';
import { tagKeys } from '../../ebs/tags.ts';
import type { EbsVolume } from '../../ebs/types.ts';
import { attachmentOf, isGone, ownerText } from '../../ebs/volume-record.ts';
import { DriverError, isCode } from '../../errors.ts';
import { operation } from '../../log.ts';
import { growthTagsIn } from '../options/growth-options.ts';
import { isUnused } from '../state/duplicates.ts';
import { type Leaving, leavingMark, readLeaving, refuseLeaving } from '../state/leaving.ts';
import { nameOf } from '../state/lookup.ts';
import { type Node, waiting } from '../state/node.ts';
import { looksMs } from './removals.ts';
import { carriedTags, snapshotShape } from './snapshot-tags.ts';
import { ownedSince, type TrashedSnapshot, trashedSnapshot, trashTag } from './trash-mark.ts';

/** What another node has begun is taken up after this: by then its daemon has been started again or never will be. */
const abandonedMs = 3_600_000;

/**
 * Removals of volumes that are in another zone than this node, which cannot attach them. A mark is put on the volume, under
 * which nobody mounts it; once no mount of before can be unseen, a snapshot is taken, which goes into the trash; then the
 * volume is deleted, which EC2 refuses while anybody has it. All of that is in EC2's tags, and any start goes on from there.
 */
export interface Departures {
  /**
   * Begins the removal of a volume that has this name, or joins the one under way.
   * @throws DriverError ATTACHED_ELSEWHERE where somebody has it, STILL_WORKING where another node removes it; as it was then.
   */
  remove(name: string, volume: EbsVolume): Promise<void>;
  /** Whether one of this name is under way here. */
  has(name: string): boolean;
  /** Goes on with what this node had begun, as a listing of the cluster shows it. */
  found(listed: readonly EbsVolume[]): void;
}

interface Job {
  readonly name: string;
  readonly volumeId: string;
  readonly mark: Leaving;
  /** Since when no snapshot of it has been seen; reads lag, and a second one would be made for nothing. */
  noneSince: number;
  said: string | undefined;
}

/** How far a step has come; `off`: why it is called off. */
type Outcome = 'gone' | 'waits' | { readonly off: DriverError };

type Needs = Pick<Node, 'ec2' | 'log' | 'settings' | 'instanceId' | 'visibleMs' | 'names' | 'waits' | 'trash'>;

/** The departures of a node, until the signal is aborted. */
export function createDepartures(node: Needs, signal: AbortSignal): Departures {
  const { ec2, log, settings, instanceId, visibleMs } = node;
  const running = new Map<string, Promise<void>>();

  const begin = async (name: string, seen: EbsVolume): Promise<Job | undefined> => {
    const volume = await ec2.describeVolume(seen.id);
    if (volume === undefined || isGone(volume)) return undefined;
    const attachment = attachmentOf(volume);
    if (attachment !== undefined) throw elsewhere(name, volume);
    const before = readLeaving(volume.tags);
    if (before?.by === instanceId) {
      return { name, volumeId: volume.id, mark: before, noneSince: performance.now(), said: undefined };
    }
    const abandoned = before !== undefined && Date.now() - Date.parse(before.since) > abandonedMs;
    if (!abandoned) refuseLeaving(name, volume, 'remove it');
    const mark = { by: instanceId, since: new Date().toISOString() };
    await ec2.createTags(volume.id, { [tagKeys.leaving]: leavingMark(mark) });
    return { name, volumeId: volume.id, mark, noneSince: Number.NEGATIVE_INFINITY, said: undefined };
  };

  const run = async (name: string, seen: EbsVolume): Promise<void> => {
    const job = await begin(name, seen);
    if (job === undefined) return;
    const settledMs = 2 * visibleMs;
    await waiting(node, name, `mounts of ${seen.id} that EC2 may not show yet`, () =>
      sleep(settledMs, undefined, { ref: false, signal }),
    );
    for (let look = 0; ; look++) {
      const outcome = await step(job).catch((error: unknown) => {
        if (signal.aborted) throw error;
        const { message } = error as Error;
        if (job.said !== message) log.warn({ volume: name, volumeId: seen.id, err: error }, 'its removal waits');
        job.said = message;
        return 'waits' as const;
      });
      if (outcome === 'gone') {
        node.names.removed(name, seen);
        log.info(
          { volume: name, volumeId: seen.id },
          'removed: its snapshot is in the trash, and the volume is deleted',
        );
        return;
      }
      if (outcome !== 'waits') throw await calledOff(job, outcome.off);
      const pause = looksMs[Math.min(look, looksMs.length - 1)];
      await waiting(
        node,
        name,
        `the last snapshot of ${seen.id} to be complete, after which the volume is deleted`,
        () => sleep(pause, undefined, { ref: false, signal }),
      );
    }
  };

  const step = async (job: Job): Promise<Outcome> => {
    const { volumeId } = job;
    const taken = await snapshotsOf(job);
    const looked = performance.now();
    const volume = await ec2.describeVolume(volumeId, { lane: 'list' });
    if (volume === undefined || isGone(volume)) return gone(taken);
    const off = whyOff(job, volume, taken);
    if (off !== undefined) return { off };
    // Whoever attaches it from here on finds the mark, and gives it back.
    if (attachmentOf(volume) !== undefined) return 'waits';
    const isComplete = taken.some(({ snapshot }) => snapshot.state === 'completed');
    if (!isComplete && !isUnused(volume)) return takeOnce(job, volume, taken);
    return deleteBy(looked, volumeId, taken);
  };

  /** Who takes the mark off holds the volume for longer than a look this old can hide. */
  const deleteBy = async (looked: number, volumeId: string, taken: readonly TrashedSnapshot[]): Promise<Outcome> => {
    const stillValid = () => performance.now() - looked < visibleMs / 2;
    try {
      await ec2.deleteVolume(volumeId, { lane: 'list', stillValid });
    } catch (error) {
      if (isCode(error, 'EC2_VOLUME_IN_USE')) return 'waits';
      if (!isCode(error, 'EC2_NO_SUCH_VOLUME')) throw error;
    }
    return gone(taken);
  };

  const snapshotsOf = async ({ volumeId, mark }: Job): Promise<TrashedSnapshot[]> => {
    const all = await ec2.findSnapshots(tagKeys.trashOf, volumeId, { lane: 'list' });
    const own = all.flatMap((each) => trashedSnapshot(each) ?? []);
    return own.filter((each) => each.mark.by === mark.by && each.mark.removed === mark.since);
  };

  const whyOff = (
    { name, mark }: Job,
    volume: EbsVolume,
    taken: readonly TrashedSnapshot[],
  ): DriverError | undefined => {
    const refuse = (why: string) => refused(name, volume, why);
    if (volume.tags[tagKeys.leaving] !== leavingMark(mark)) return refuse('somebody has called it off meanwhile');
    if (nameOf(volume) !== name) return refuse('it has lost its name meanwhile');
    if (taken.length === 0 && attachmentOf(volume) !== undefined) return elsewhere(name, volume);
    const [first] = taken;
    if (first === undefined) return undefined;
    if (first.mark.owned !== ownedSince(volume.tags))
      return refuse('somebody has had it since its last snapshot was taken');
    const failed = taken.every(({ snapshot }) => snapshot.state === 'error');
    return failed
      ? refuse(`its last snapshot ${first.snapshot.id} has failed (${first.snapshot.message ?? 'EC2 gives no reason'})`)
      : undefined;
  };

  const takeOnce = async (job: Job, volume: EbsVolume, taken: readonly TrashedSnapshot[]): Promise<Outcome> => {
    if (taken.length > 0 || performance.now() - job.noneSince < visibleMs) return 'waits';
    job.noneSince = performance.now();
    const { name, mark } = job;
    const expires = new Date(Date.now() + settings.trash * 1000).toISOString();
    const snapshotId = await ec2.createSnapshot(
      volume.id,
      `docker-volume-ebs: ${name} when it was removed`.slice(0, 255),
      {
        ...carriedTags(volume.tags),
        ...snapshotShape(volume),
        // Other snapshots do not carry on how their volume grows by itself.
        ...growthTagsIn(volume.tags),
        [tagKeys.displayName]: volume.tags[tagKeys.displayName] ?? name,
        [tagKeys.cluster]: settings.cluster,
        [tagKeys.retained]: volume.tags[tagKeys.name] ?? name,
        [tagKeys.trashOf]: volume.id,
        [tagKeys.trash]: trashTag({ expires, removed: mark.since, by: mark.by, owned: ownedSince(volume.tags) }),
        [tagKeys.consistency]: 'unmounted',
      },
    );
    log.info({ volume: name, volumeId: volume.id, snapshotId }, 'its last snapshot is begun');
    return 'waits';
  };

  const gone = (taken: readonly TrashedSnapshot[]): 'gone' => {
    for (const each of taken) node.trash.added(each.snapshot, Date.parse(each.mark.expires));
    return 'gone';
  };

  const calledOff = async (job: Job, why: DriverError): Promise<DriverError> => {
    try {
      await ec2.deleteTags(job.volumeId, { [tagKeys.leaving]: leavingMark(job.mark) });
      for (const { snapshot } of await snapshotsOf(job)) await ec2.deleteSnapshot(snapshot.id, { lane: 'list' });
    } catch (error) {
      log.warn(
        { volume: job.name, volumeId: job.volumeId, err: error },
        'its removal is called off, and its mark or snapshot stays',
      );
    }
    return why;
  };

  const join = (name: string, volume: EbsVolume): Promise<void> => {
    const earlier = running.get(name);
    if (earlier !== undefined) return earlier;
    const job = operation
      .run({ op: 'remove', volume: name }, () => run(name, volume))
      .finally(() => running.delete(name));
    running.set(name, job);
    // Its caller may have left.
    job.catch((error: unknown) => {
      if (!signal.aborted) log.warn({ volume: name, volumeId: volume.id, err: error }, 'it was not removed');
    });
    return job;
  };

  return {
    remove: join,
    has: (name) => running.has(name),
    found(listed) {
      for (const volume of listed) {
        const name = nameOf(volume);
        const isOurs = readLeaving(volume.tags)?.by === instanceId && !isGone(volume);
        if (name !== undefined && isOurs) join(name, volume).catch(() => undefined);
      }
    },
  };
}

function refused(name: string, { id }: EbsVolume, why: string): DriverError {
  return new DriverError('ATTACHED_ELSEWHERE', {
    volume: name,
    tried: `remove ${id} from another zone`,
    why,
    todo: 'It is as it was; see docker-volume-ebs ls',
  });
}

function elsewhere(name: string, volume: EbsVolume): DriverError {
  const attachment = attachmentOf(volume);
  const place =
    attachment === undefined ? 'nowhere' : `${ownerText(attachment)} as ${attachment.device} (${attachment.state})`;
  return new DriverError('ATTACHED_ELSEWHERE', {
    volume: name,
    tried: `remove ${volume.id}`,
    why: `it is attached to ${place}`,
    todo: 'Stop the container that uses it there, or wait a moment if none does any more; then remove it again',
  });
}
