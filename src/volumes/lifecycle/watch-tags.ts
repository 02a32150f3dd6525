import { encodeName } from '../options/names.ts';
import type { Held } from '../state/held.ts';
import { createTagsCommand, hasLostTags, identityTags, lastingTags, missingTags } from '../state/lost-tags.ts';
import type { Node } from '../state/node.ts';
import { isOurs, keyOf } from './attachment-key.ts';

/** The tags of a volume in use are looked at this often at most, and then only when EC2 is asked anyway. */
const lookEveryMs = 10 * 60_000;

/**
 * Looks whether somebody has taken the tags off a volume that has been in use here for a while, and puts them back where
 * the settings say so: without them no node finds it once it is given back. Never fails.
 */
export async function watchTags(node: Node, held: Held): Promise<void> {
  const { name, volume } = held;
  // Only what was mounted under this attachment is certain to be the volume of the name.
  if (held.filesystem === undefined || held.removing || held.giving) return;
  if (performance.now() - (node.tagLooks.get(name)?.at ?? Number.NEGATIVE_INFINITY) < lookEveryMs) return;
  try {
    node.tagLooks.set(name, { at: performance.now(), lost: await lostTags(node, held) });
  } catch (error) {
    node.log.warn({ volume: name, volumeId: volume.id, err: error }, 'whether it still has its tags is not known');
  }
}

/** The same for all volumes in use here but one, in the call that a look for that one makes: look-ups by name share calls. */
export function watchOthers(node: Node, name: string): void {
  for (const held of node.held.values()) if (held.name !== name) void watchTags(node, held);
}

/** What the volume waits for, as a clause, where its tags are gone and stay so. */
async function lostTags(node: Node, held: Held): Promise<string | undefined> {
  const { name, volume } = held;
  const named = await node.ec2.findVolumes(encodeName(name), { lane: 'list' });
  if (named.some(({ id }) => id === volume.id)) return undefined;
  const seen = await node.ec2.describeVolume(volume.id, { lane: 'list' });
  const ours = seen?.attachments.some((each) => isOurs(keyOf(held), each)) ?? false;
  if (seen === undefined || !ours || !hasLostTags(seen, name)) return undefined;
  const missing = missingTags(seen, {
    ...lastingTags(held.volume.tags),
    ...identityTags(node.settings.cluster, name),
  });
  const lost = Object.keys(missing);
  const command = createTagsCommand(volume.id, missing);
  node.log.warn(
    { volume: name, volumeId: volume.id, lost, command },
    'somebody has taken the tags off a volume in use',
  );
  // Another volume of the name is for a person to judge.
  if (node.settings.restoreTags === 'on' && named.length === 0) {
    try {
      await node.ec2.createTags(volume.id, missing, { stillValid: () => isHeld(node, held) });
      node.log.info({ volume: name, volumeId: volume.id, lost }, 'its tags are put back');
      return undefined;
    } catch (error) {
      node.log.warn({ volume: name, volumeId: volume.id, err: error }, 'its tags could not be put back');
    }
  }
  return `somebody to put its tags back, which were taken off: ${command}`;
}

function isHeld({ held }: Node, { name, device, attachTime }: Held): boolean {
  const now = held.get(name);
  return now !== undefined && now.attachTime === attachTime && now.device === device;
}
