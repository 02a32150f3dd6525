import { setTimeout as sleep } from 'node:timers/promises';
import { doing, isKind, type Job, look, readVolume, type Sight, type SightOf, subjectOf } from './job.ts';
import { lane, stillThere } from './observe.ts';
import { intentKey, intentsOf, intentTag } from './records.ts';
import { refuseDenied, refuseUnderFence } from './taker.ts';
import type { Evidence, Observation } from './types.ts';

/**
 * Writes our intent on the volume: the owner, should it live, mounts nothing more under this attachment. One that an
 * earlier takeover of ours left there will do as well, and is not ours to withdraw: EC2 gives a volume but 50 tags.
 * @returns whether anything had to be written.
 */
export async function announce(job: Job, { observation }: Sight, evidence: Evidence): Promise<boolean> {
  const { context, fenceId } = job;
  const { attachment, owner } = observation;
  const { volumeId, instanceId = '', device, attachTime } = attachment;
  const intent = intentTag({
    fenceId,
    taker: context.instanceId,
    victim: instanceId,
    device,
    attachTime,
    launchTime: owner?.launchTime,
    policy: context.rules.policy,
    evidence,
  });
  const isWritten = job.intent?.value === intent && job.intent.isWritten;
  if (isWritten || isAnnounced(job, observation, evidence)) return false;
  await context.audit.calling(subjectOf(job, attachment), 'CreateTags', evidence, false);
  // From here on it may be there: a lost answer leaves it too.
  job.intent = { value: intent, isWritten: false };
  await context.ec2.createTags(volumeId, { [intentKey(context.instanceId, fenceId)]: intent }, lane);
  job.intent = { value: intent, isWritten: true };
  return true;
}

/** Does the volume show an intent of this node that says the same of the same boot? */
function isAnnounced({ context }: Job, { volume, attachment, owner }: Observation, evidence: Evidence): boolean {
  return intentsOf(volume.tags, attachment).some(
    (intent) =>
      intent.taker === context.instanceId &&
      intent.launchTime === owner?.launchTime &&
      intent.policy === context.rules.policy &&
      intent.evidence === evidence,
  );
}

/**
 * What is only suspected, or only wished, is announced first and judged again once everybody can see that.
 * @returns the new sight; undefined when it no longer says the same of the same attachment and the same boot.
 */
export async function announced<K extends 'stop' | 'pull'>(
  job: Job,
  kind: K,
  before: SightOf<K>,
): Promise<SightOf<K> | undefined> {
  const { visibleMs } = job.context.timings;
  const { attachment, owner } = before.observation;
  const evidence = kind === 'stop' ? 'suspected' : 'preempted';
  await refuseDenied(job, kind, attachment);
  const what = `${attachment.instanceId} to see that ${attachment.volumeId} is about to be taken, and a second look`;
  return doing(job, 'announce', what, visibleMs, async () => {
    await announce(job, before, evidence);
    await sleep(visibleMs);
    if (kind === 'stop') await refuseUnderFence(job, attachment);
    const volume = await readVolume(job, attachment.volumeId);
    const same = stillThere(volume, attachment);
    const now = same === undefined ? undefined : await look(job, volume, same);
    // A read may have shown an earlier one that was just withdrawn, or somebody has removed it.
    const stands = now !== undefined && isAnnounced(job, now.observation, evidence);
    if (!stands && job.intent !== undefined) job.intent = { ...job.intent, isWritten: false };
    if (stands && isKind(now, kind) && now.observation.owner?.launchTime === owner?.launchTime) return now;
    await job.context.audit.ended(subjectOf(job, attachment), 'aborted: the second look did not confirm the first');
    return undefined;
  });
}

/**
 * Takes our intent back, while it still has this value. Not once the owner was told to stop or a detach may have been
 * sent, which cannot be called back: then it tells the next taker, and an owner that lives.
 */
export async function withdraw(job: Job, volumeId: string): Promise<void> {
  const { context, intent } = job;
  if (intent === undefined || job.detachSent || job.stopped !== undefined) return;
  job.intent = undefined;
  await context.ec2
    .deleteTags(volumeId, { [intentKey(context.instanceId, job.fenceId)]: intent.value }, lane)
    .catch((error: unknown) =>
      context.log.warn(
        { op: 'fence', volumeId, err: error },
        'the tag that announces a takeover could not be taken off: it names one attachment alone, and does no harm',
      ),
    );
}
