import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { tagKeys } from '../../ebs/tags.ts';
import type { CreateVolumeSpec, EbsVolume, Tags } from '../../ebs/types.ts';
import { attachmentOf } from '../../ebs/volume-record.ts';
import { waitUntilCreated } from '../../ebs/volume-waits.ts';
import { type ErrorCode, isCode } from '../../errors.ts';
import { isOurs, keyOf } from '../lifecycle/attachment-key.ts';
import { attachmentEnded, settleSuccession, succeed } from '../lifecycle/settle-succession.ts';
import { encodeName } from '../options/names.ts';
import type { Held } from '../state/held.ts';
import { keep, type Node, waiting } from '../state/node.ts';
import { replacementIn } from '../state/succession.ts';

/** What was made to take a volume's place and is left over is deleted once it is so old: whoever has made it is not at it any more. */
const leftMs = 3_600_000;
/** Errors after which nothing is on its way that could take effect later. */
const certain: readonly ErrorCode[] = [
  'EC2_DENIED',
  'EC2_REJECTED',
  'EC2_LIMIT',
  'EC2_NO_SUCH_SNAPSHOT',
  'CREATE_VANISHED',
];

/** What a name is to mean. */
export interface Replacement {
  /** Of the new volume. Its tags but for those that say whose it is. */
  readonly spec: Omit<CreateVolumeSpec, 'clientToken'>;
  /** What the volume that has the name gets before it loses it. @param volume as it is under our attachment. */
  readonly kept: (volume: EbsVolume) => Tags;
}

/**
 * Makes a name mean a new volume, and keeps the one that had it without a name. The attachment of that one to this node is
 * the lock: nobody mounts, removes or deletes it. The new one counts for nothing until every read shows that it was chosen,
 * and for the name once that is off the other: whoever looks finds one of them at every moment. Any node that gets the
 * attachment can end what is half done. Runs in the name's queue; takes 45 s.
 * @param lock our attachment, under which nothing is mounted.
 * @returns the new volume. @throws DriverError EC2_*, CREATE_VANISHED, STILL_WORKING: the name means what it meant.
 */
export async function replaceVolume(node: Node, lock: Held, replacement: Replacement): Promise<EbsVolume> {
  // Nothing is mounted under this attachment any more, also after a crash.
  const held = await keep(node, { ...lock, phase: 'detaching', replacing: true });
  const sent = { choice: false };
  try {
    return await conclude(node, held, await chooseNew(node, held, replacement, sent));
  } catch (error) {
    const nothingComes = !sent.choice && isCode(error, ...certain);
    const now = await settleSuccession(node, held, nothingComes).catch((failed: unknown) => {
      node.log.warn({ volume: held.name, err: failed }, 'a rollback is half done: its next mount ends it');
      node.scheduleRelease(held.name, node.visibleMs);
      throw error;
    });
    if (now === undefined || now.id === held.volume.id) {
      await letGo(node, held);
      throw error;
    }
    return conclude(node, held, now);
  }
}

/** Goes on after a crash. @throws DriverError as {@link replaceVolume}. */
export async function finishReplacing(node: Node, name: string): Promise<void> {
  const held = node.held.get(name);
  if (held?.replacing === undefined) return;
  const now = await settleSuccession(node, held);
  if (now === undefined || now.id === held.volume.id) await letGo(node, held);
  else await conclude(node, held, now);
}

async function chooseNew(
  node: Node,
  held: Held,
  { spec, kept }: Replacement,
  sent: { choice: boolean },
): Promise<EbsVolume> {
  const { ec2, settings, visibleMs } = node;
  const { name, volume } = held;
  const says = <T>(reason: string, work: () => Promise<T>, ms?: number) => waiting(node, name, reason, work, ms);
  await ec2.createTags(volume.id, { [tagKeys.replacing]: `${node.instanceId} ${new Date().toISOString()}` });
  const tags = {
    ...spec.tags,
    [tagKeys.cluster]: settings.cluster,
    [tagKeys.name]: encodeName(name),
    [tagKeys.replaces]: volume.id,
  };
  const made = await says(`EC2 to make a volume from ${spec.snapshotId}`, async () => {
    const answer = await ec2.createVolume({ ...spec, tags, clientToken: randomUUID() });
    return waitUntilCreated(ec2, answer, { timeoutMs: settings.mountTimeout * 1000 });
  });
  const now = await ec2.describeVolume(volume.id);
  // Taken from us meanwhile: who did that goes on with it.
  if (!now?.attachments.some((each) => isOurs(keyOf(held), each))) throw attachmentEnded(held);
  sent.choice = true;
  await ec2.createTags(volume.id, { ...kept(now), [tagKeys.replacedBy]: made.id });
  const reason = `every node to see that ${made.id} takes the place of ${volume.id}`;
  return says(
    reason,
    async () => {
      await sleep(visibleMs);
      return succeed(node, held, made);
    },
    2 * visibleMs,
  );
}

async function conclude(node: Node, held: Held, now: EbsVolume): Promise<EbsVolume> {
  const { name, volume } = held;
  node.names.removed(name, volume);
  node.names.returned(name, { ...now, attachments: [] });
  node.expires(now);
  await node.names.saved();
  await keep(node, { ...held, replacing: undefined, removing: true });
  node.scheduleRelease(name, 0);
  node.log.info({ volume: name, volumeId: now.id, former: volume.id }, 'its name means another volume now');
  return now;
}

async function letGo(node: Node, held: Held): Promise<void> {
  await keep(node, { ...held, replacing: undefined });
  node.scheduleRelease(held.name, 0);
}

/**
 * Deletes what a call that came late has made for a rollback that others had ended: it counts for nothing, and nobody has
 * ever used it. @param listed all volumes of the cluster. Never fails.
 */
export async function deleteLeft({ ec2, log }: Pick<Node, 'ec2' | 'log'>, listed: readonly EbsVolume[]): Promise<void> {
  for (const volume of listed) {
    const { id, tags, createdAt } = volume;
    const replaces = tags[tagKeys.replaces];
    const isOld = Date.now() - Date.parse(createdAt) > leftMs;
    if (replaces === undefined || !isOld || attachmentOf(volume) !== undefined) continue;
    try {
      const other = await ec2.describeVolume(replaces, { lane: 'list' });
      if (other !== undefined && replacementIn(other) !== undefined) continue;
      await ec2.deleteVolume(id, { lane: 'list' });
      log.warn({ volumeId: id, replaces }, 'deleted: it was made for a rollback that was called off');
    } catch (error) {
      log.warn({ volumeId: id, err: error }, 'what a rollback has left stays for now');
    }
  }
}
