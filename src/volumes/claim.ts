import { setTimeout as sleep } from 'node:timers/promises';
import { tagKeys } from '../ebs/tags.ts';
import type { EbsVolume, Tags } from '../ebs/types.ts';
import { fenceLogTag, intentKey, nextEpoch, ownerTag, readOwner } from '../fencing/records.ts';
import type { Fenced } from '../fencing/takeover.ts';
import type { Held } from './held.ts';
import type { Node } from './node.ts';

/** The first part of a boot id tells boots of one instance apart. */
const bootLength = 8;
/** Once the disk is here, a mount waits this long for its tags: they only inform. */
const patienceMs = 5000;

/**
 * Records on a volume just attached here whose it is now, as the how-manieth owner, and the takeover that came before;
 * clears away announcements of takeovers, which were about attachments that are over. Never fails.
 * @param held with its attach time. @param disk settles when the volume's disk is here, or never will be.
 * @returns the volume with the tags as they are then.
 */
export async function claim(
  node: Node,
  held: Held & { readonly attachTime: string },
  fenced: Fenced | undefined,
  disk: Promise<unknown>,
): Promise<EbsVolume> {
  const { volume } = held;
  const late = new AbortController();
  const done = new AbortController();
  disk
    .then(() => sleep(patienceMs, undefined, { signal: done.signal }))
    .then(() => late.abort())
    .catch(() => undefined);
  try {
    const tags = await tagsOf(node, held, fenced);
    const intents = intentsOn(node, volume.tags, fenced);
    const options = { signal: late.signal };
    const cleared = Object.keys(intents).length === 0 ? undefined : node.ec2.deleteTags(volume.id, intents, options);
    await Promise.all([node.ec2.createTags(volume.id, tags, options), cleared]);
    const left = Object.entries(volume.tags).filter(([key]) => !(key in intents));
    return { ...volume, tags: { ...Object.fromEntries(left), ...tags } };
  } catch (error) {
    node.log.warn(
      { volume: held.name, volumeId: volume.id, err: error },
      'its owner could not be recorded in its tags',
    );
    return volume;
  } finally {
    done.abort();
  }
}

async function tagsOf(
  node: Node,
  { volume, instanceId, device, attachTime, bootId }: Held & { readonly attachTime: string },
  fenced: Fenced | undefined,
): Promise<Tags> {
  const scheduler = await node.fencing.schedulers.ownIdentity();
  const isNewOwner = readOwner(volume.tags)?.instanceId !== instanceId;
  const owner = { instanceId, device, attachTime, boot: bootId.slice(0, bootLength), scheduler };
  const tags = {
    [tagKeys.epoch]: String(nextEpoch(volume.tags, isNewOwner)),
    [tagKeys.owner]: ownerTag(owner),
  };
  if (fenced === undefined) return tags;
  const { fenceId, evidence, subject } = fenced;
  // The attach time is by EC2's clock, like every time that is compared with it later.
  const entry = { at: attachTime, fenceId, evidence, victim: subject.instanceId, taker: instanceId };
  return { ...tags, [tagKeys.fenceLog]: fenceLogTag(volume.tags, entry) };
}

/** Their values too: one that was written anew meanwhile, about our own attachment, stays. */
function intentsOn({ instanceId }: Node, tags: Tags, fenced: Fenced | undefined): Tags {
  const seen = Object.entries(tags).filter(([key]) => key.startsWith(tagKeys.intentPrefix));
  const ours = fenced?.intent === undefined ? {} : { [intentKey(instanceId)]: fenced.intent };
  return { ...Object.fromEntries(seen), ...ours };
}
