import { DriverError } from '../../errors.ts';
import type { BlockDevice } from '../../host/types.ts';
import type { Held } from '../state/held.ts';
import { mountpointOf, type Node, waiting } from '../state/node.ts';
import { isOurs, keyOf } from './attachment-key.ts';
import { secondLook } from './detach.ts';

/** A node that is cut off from EC2 must not wait for it to shut down what was taken from it. */
const patienceMs = 2_000;

/**
 * Whether the disk of a volume that was attached here has gone for good: a moment without a serial in sysfs is not that.
 * EC2 says so at once where it was detached from outside. Where EC2 has it attached here, the disk may come back. Where
 * EC2 does not answer, the kernel tells: a mount whose block device has ended never comes back.
 * @returns the disk, if it came back; `gone`; `unseen` where this machine does not show it, and nothing says that it is gone.
 * @throws DriverError HOST_FAILED
 */
export async function lookAgain(node: Node, held: Held): Promise<BlockDevice | 'gone' | 'unseen'> {
  return waiting(node, held.name, `the disk of ${held.volume.id}, which this machine does not show`, async () => {
    if ((await isDetached(node, held)) === true)
      return (await node.host.findDevice(held.volume.id, held.device)) ?? 'gone';
    const disk = await secondLook(node, held);
    if (disk !== undefined) return disk;
    return ((await isDetached(node, held)) ?? (await hasDeadMount(node, held))) ? 'gone' : 'unseen';
  });
}

/** What EC2 says; undefined when it does not. */
async function isDetached(node: Node, held: Held): Promise<boolean | undefined> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), patienceMs);
  try {
    const volume = await node.ec2.describeVolume(held.volume.id, { signal: late.signal });
    const ours = volume?.attachments.find((each) => isOurs(keyOf(held), each));
    return ours === undefined || ours.state === 'detaching' || ours.state === 'busy';
  } catch (error) {
    node.log.warn(
      { volume: held.name, volumeId: held.volume.id, err: error },
      'EC2 does not say whether it is attached',
    );
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}

async function hasDeadMount(node: Node, held: Held): Promise<boolean> {
  const mounted = await node.host.mountedAt(mountpointOf(node.settings, held.name), undefined);
  // A mount of btrfs goes by a number that is no disk's: it proves nothing.
  if (mounted.what === 'nothing' || mounted.number.startsWith('0:')) return false;
  return !(await node.host.hasDisk(mounted.number));
}

/** A volume whose disk is not seen, and which somebody holds: nothing is done with it. */
export function unseenDisk({ name, volume, device }: Held): DriverError {
  return new DriverError('WRONG_DEVICE', {
    volume: name,
    tried: `find the disk of ${volume.id} (${device})`,
    why: 'this machine does not show it, and EC2 does not say that it was detached: its mount is left alone',
    todo: 'Try again; if that lasts, stop the containers that use it, and see what the kernel says (dmesg)',
  });
}
