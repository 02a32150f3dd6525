import { setTimeout as sleep } from 'node:timers/promises';
import { tagKeys } from '../../ebs/tags.ts';
import type { EbsVolume } from '../../ebs/types.ts';
import { DriverError, isCode } from '../../errors.ts';
import type { Held } from '../state/held.ts';
import { nameOf } from '../state/lookup.ts';
import { type Node, waiting } from '../state/node.ts';
import { leftBy, replacementIn, replacementTags, successorOf } from '../state/succession.ts';
import { isOurs, keyOf } from './attachment-key.ts';

/**
 * Ends what was begun to make a name mean another volume, for whoever has the volume attached that bears it: forwards once
 * the other was chosen, else backwards. What the one who began had sent and nobody has seen yet takes effect within the time
 * that reads may lag: two looks so far apart show the same before anything is done.
 * @param certain the one who began is we, and nothing is on its way: one look does.
 * @returns what has the name then. @throws DriverError STILL_WORKING when the attachment was ended; EC2_*.
 */
export async function settleSuccession(node: Node, held: Held, certain = false): Promise<EbsVolume | undefined> {
  const { name } = held;
  const reason = `a rollback of it that was begun and not ended: what is on its way to EC2 arrives within ${node.visibleMs / 1000} s`;
  return waiting(node, name, reason, async () => {
    const now = certain ? await lookAt(node, held) : await lookTwice(node, held);
    const { seen } = now;
    if (seen === undefined || nameOf(seen) !== name) return now.named;
    const found = now.listed.find(({ id }) => id === seen.tags[tagKeys.replacedBy]);
    const successor = successorOf(seen, found);
    return successor === undefined ? withdraw(node, held, now) : succeed(node, held, successor);
  });
}

/** What two looks show alike that are so far apart that all which was on its way has arrived. */
async function lookTwice(node: Node, held: Held): Promise<Look> {
  for (let before = await lookAt(node, held); ; ) {
    await sleep(node.visibleMs);
    const now = await lookAt(node, held);
    if (said(now) === said(before)) return now;
    before = now;
  }
}

const said = ({ seen }: Look) => seen && replacementIn(seen);

type Look = Awaited<ReturnType<typeof lookAt>>;

/** The volume under our attachment, and all that bears its name. */
async function lookAt(node: Node, held: Held) {
  const { name, volume } = held;
  const looked = performance.now();
  const found = await node.lookup.again(name, volume.id);
  if (!found.seen?.attachments.some((each) => isOurs(keyOf(held), each))) throw attachmentEnded(held);
  return { ...found, looked };
}

/** It stays what has the name: what was made to take its place was never used, and goes before this one is. */
async function withdraw(node: Node, { name, volume }: Held, { seen = volume, listed, looked }: Look) {
  const stillValid = () => performance.now() - looked < node.visibleMs / 2;
  for (const { id } of leftBy(seen, listed)) {
    node.log.warn(
      { volume: name, volumeId: seen.id, successor: id },
      'a rollback is called off: deleting what it made',
    );
    await node.ec2.deleteVolume(id, { stillValid }).catch((error: unknown) => {
      if (!isCode(error, 'EC2_NO_SUCH_VOLUME')) throw error;
    });
  }
  const replaced = replacementTags(seen.tags);
  await node.ec2.deleteTags(seen.id, replaced);
  const left = Object.entries(seen.tags).filter(([key]) => !(key in replaced));
  return { ...seen, tags: Object.fromEntries(left) };
}

/**
 * Gives the name over, once every read shows which volume was chosen: from then on that one counts as soon as this one
 * has no name. @returns it. @throws DriverError STILL_WORKING when the attachment was ended; EC2_*.
 */
export async function succeed(node: Node, held: Held, successor: EbsVolume): Promise<EbsVolume> {
  const { ec2, visibleMs } = node;
  await ec2.deleteTags(successor.id, { [tagKeys.replaces]: undefined });
  await sleep(visibleMs);
  // Whoever may have taken our attachment meanwhile has ended it his way.
  const { seen, listed } = await lookAt(node, held);
  const found = listed.find(({ id }) => id === successor.id);
  if (seen === undefined || successorOf(seen, found) === undefined)
    throw interrupted(held, `${successor.id} is not what was chosen any more`);
  const { [tagKeys.replacing]: begun, [tagKeys.name]: name } = seen.tags;
  await ec2.deleteTags(seen.id, {
    [tagKeys.name]: name,
    [tagKeys.replacedBy]: successor.id,
    ...(begun === undefined ? {} : { [tagKeys.replacing]: begun }),
  });
  const { [tagKeys.replaces]: _, ...tags } = successor.tags;
  return { ...successor, tags };
}

/** What is said when the attachment that was the lock is another's, or nobody's. */
export const attachmentEnded = (held: Held): DriverError =>
  interrupted(held, `${held.volume.id} is not attached as ${held.device} any more, which kept others from it`);

const interrupted = ({ name: volume }: Held, why: string): DriverError =>
  new DriverError('STILL_WORKING', {
    volume,
    tried: 'end a rollback of it',
    why,
    todo: 'Try again: whoever mounts it next ends the rollback',
  });
