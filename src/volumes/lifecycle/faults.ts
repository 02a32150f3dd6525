import { DriverError } from '../../errors.ts';
import type { FilesystemFault } from '../../host/types.ts';
import { planMount } from '../options/mount-plan.ts';
import type { Held } from '../state/held.ts';
import { mountpointOf, type Node } from '../state/node.ts';
import { noteStatus } from './volume-status.ts';

const clauses: Readonly<Record<FilesystemFault, string>> = {
  'read-only': 'the kernel has made its filesystem read-only, as it does after an I/O error',
  'shut down': 'the kernel has shut its filesystem down after an error, and nothing can be read or written',
  silent: 'its filesystem does not answer',
};

/**
 * Looks whether a mounted volume can be written to, and notes what is found for status and metrics; what changes is logged.
 * @returns the fault as a clause. A volume that is to be mounted read-only has none by that.
 */
export async function noteFault(node: Node, held: Held): Promise<string | undefined> {
  const { name, volume } = held;
  const fault = await node.host.filesystemFault(mountpointOf(node.settings, name));
  const clause = fault === undefined || (fault === 'read-only' && isReadOnly(node, held)) ? undefined : clauses[fault];
  const before = node.faults.get(name);
  if (clause === before) return clause;
  const about = { volume: name, volumeId: volume.id };
  if (clause === undefined) {
    node.faults.delete(name);
    node.log.info(about, 'its filesystem is well again');
  } else {
    node.faults.set(name, clause);
    node.log.error({ ...about, fault: clause }, 'its filesystem has failed: it is handed to no further container');
    await noteStatus(node, held);
  }
  return clause;
}

/** True for a volume whose mount options, or those of the node, ask for reading alone. */
export function isReadOnly(node: Node, { name, volume, filesystem }: Held): boolean {
  try {
    return planMount(name, volume.tags, node.settings, filesystem).mountOptions.includes('ro');
  } catch {
    // Options that cannot be read ask for nothing; the next mount says what is wrong with them.
    return false;
  }
}

/** @throws DriverError FILESYSTEM_FAILED when a mounted volume cannot be written to. */
export async function refuseFailed(node: Node, held: Held): Promise<void> {
  const fault = await noteFault(node, held);
  if (fault === undefined) return;
  throw new DriverError('FILESYSTEM_FAILED', {
    volume: held.name,
    tried: `hand out ${held.volume.id}, which is mounted on ${node.instanceId}`,
    why: [fault, node.ec2Says.get(held.name), "the kernel's log there says more (dmesg)"].filter(Boolean).join('; '),
    todo: `Stop all containers that use it on ${node.instanceId}: it is unmounted with the last one, and the next mount checks its filesystem and mounts it anew`,
  });
}
