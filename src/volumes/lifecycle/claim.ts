import { setTimeout as sleep } from 'node:timers/promises';
import { tagKeys } from '../../ebs/tags.ts';
import type { EbsVolume, Tags } from '../../ebs/types.ts';
import { fenceLogTag, intentKey, nextEpoch, ownerTag, readOwner } from '../../fencing/records.ts';
import type { Fenced } from '../../fencing/takeover.ts';
import { over } from '../../log.ts';
import type { Held } from '../state/held.ts';
import type { Node } from '../state/node.ts';

/** The first part of a boot id tells boots of one instance apart. */
const bootLength = 8;
/** Once the disk is here, a mount waits this long for its tags: they only inform. */
const patienceMs = 5000;

type Attached = Held & { readonly attachTime: string };

/**
 * Records on a volume just attached here whose it is now, as the how-manieth owner, and the takeover that came before;
 * clears away announcements of takeovers, which were about attachments that are over. Never fails; while EC2 throttles
 * it goes on without its caller, for as long as the volume is held here.
 * @param held with its attach time. @param disk settles when the volume's disk is here, or never will be.
 * @returns the volume with the tags as they are then.
 */
export async function claim(
  node: Node,
  held: Attached,
  fenced: Fenced | undefined,
  disk: Promise<unknown>,
): Promise<EbsVolume> {
  const done = new AbortController();
  const tagged = record(node, held, fenced);
  const late = disk.then(() => sleep(patienceMs, held.volume, { signal: done.signal })).catch(() => tagged);
  return Promise.race([tagged, late]).finally(() => done.abort());
}

async function record(node: Node, held: Attached, fenced: Fenced | undefined): Promise<EbsVolume> {
  const { volume } = held;
  try {
    const tags = await tagsOf(node, held, fenced);
    const intents = intentsOn(node, volume.tags, fenced);
    // Later it would overwrite what the next owner has written.
    const options = { stillValid: () => isHeld(node, held) };
    const cleared = Object.keys(intents).length === 0 ? undefined : node.ec2.deleteTags(volume.id, intents, options);
    await Promise.all([node.ec2.createTags(volume.id, tags, options), cleared]);
    over(node.log, { op: 'owner tag', volume: held.name });
    const left = Object.entries(volume.tags).filter(([key]) => !(key in intents));
    return { ...volume, tags: { ...Object.fromEntries(left), ...tags } };
  } catch (error) {
    node.log.warn(
      { op: 'owner tag', volume: held.name, volumeId: volume.id, err: error },
      'its owner could not be recorded in its tags',
    );
    return volume;
  }
}

/** Under this very attachment, and not about to be given back. */
function isHeld({ held }: Node, { name, device, attachTime }: Attached): boolean {
  const now = held.get(name);
  return now?.attachTime === attachTime && now.device === device && now.phase !== 'detaching';
}

async function tagsOf(
  node: Node,
  { volume, instanceId, device, attachTime, bootId }: Attached,
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
  const ours = fenced?.intent === undefined ? {} : { [intentKey(instanceId, fenced.fenceId)]: fenced.intent };
  return { ...Object.fromEntries(seen), ...ours };
}
