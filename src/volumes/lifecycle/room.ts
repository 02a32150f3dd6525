import { deviceNames } from '../../ebs/device-names.ts';
import type { AttachmentLimit, EbsVolume } from '../../ebs/types.ts';
import { DriverError } from '../../errors.ts';
import { devicesOf } from '../../fencing/records.ts';
import { type Node, waiting } from '../state/node.ts';

/** More names than these make no sentence. */
const namedAtMost = 8;

/** Asks EC2 how many volumes this instance type takes. Without an answer EC2 says so when there are too many. */
export async function learnLimit({ ec2, log, survey: { capacity } }: Node): Promise<void> {
  if (capacity.type === undefined) return;
  try {
    capacity.limit = await ec2.attachmentLimit(capacity.type, { lane: 'list' });
  } catch (error) {
    log.info({ err: error }, 'how many volumes this instance takes is not known');
  }
}

/**
 * Refuses what cannot be attached here, before anything is done elsewhere for it. Room that is found may be gone by the
 * time it is used: EC2 decides. Costs no call, except where it would refuse.
 * @throws DriverError NODE_FULL.
 */
export async function roomHere(node: Node, name: string, volume: EbsVolume): Promise<void> {
  const kernelNames = await checkRoom(node, name, volume);
  if (node.devices.next(volume.id, kernelNames) === undefined) throw noName(node, name, volume);
}

/** A device name for a volume, taken. @throws DriverError NODE_FULL. */
export async function takeName(node: Node, name: string, volume: EbsVolume): Promise<string> {
  for (const had of devicesOf(volume.tags, node.instanceId)) node.devices.told(had, volume.id);
  const device = node.devices.reserve(volume.id, await checkRoom(node, name, volume));
  if (device === undefined) throw noName(node, name, volume);
  return device;
}

/** The names that the kernel has. */
async function checkRoom(node: Node, name: string, volume: EbsVolume): Promise<ReadonlySet<string>> {
  const { survey, devices, host } = node;
  const reason = `EC2 to tell what is attached to this instance${survey.failure()}`;
  await waiting(node, name, reason, () => survey.done);
  const kernelNames = await host.usedDeviceNames();
  if (!isFull(node) && devices.next(volume.id, kernelNames) !== undefined) return kernelNames;
  // What was not attached by this node may be gone by now.
  const asked = await survey.again().then(
    () => true,
    () => false,
  );
  if (asked && isFull(node)) throw nodeFull(node, name, volume, devices.inUse());
  return kernelNames;
}

function isFull({ devices, survey: { capacity } }: Node): boolean {
  return capacity.limit !== undefined && devices.inUse() >= capacity.limit.maximum;
}

/**
 * This node takes no more volumes.
 * @param attached how many it has. @param cause EC2's own refusal, if it was that.
 */
export function nodeFull(
  node: Node,
  name: string,
  volume: EbsVolume,
  attached: number,
  cause?: DriverError,
): DriverError {
  const { type, limit } = node.survey.capacity;
  const says = cause === undefined ? '' : `; EC2 says: ${cause.parts.why}`;
  return new DriverError('NODE_FULL', {
    volume: name,
    tried: `attach ${volume.id} to ${node.instanceId}`,
    why: `this node is full: ${type ?? 'it'} ${takes(limit)} and ${attached} are attached${ours(node, name, attached)}${says}`,
    todo: 'Run the container on another node, stop one that uses a volume here, or use an instance type that takes more volumes',
    cause,
  });
}

function takes(limit: AttachmentLimit | undefined): string {
  if (limit === undefined) return 'takes no more volumes';
  // How EC2 counts these it does not say exactly: the number is the volumes that fit beside the usual ones.
  const shared = limit.kind === 'shared' ? ', fewer with more network interfaces,' : '';
  return `takes ${limit.maximum} volumes${shared}`;
}

/** Which of the attached volumes this driver holds, as ": …". */
function ours({ held }: Node, asking: string, attached: number): string {
  const names = [...held.keys()].filter((each) => each !== asking).sort();
  const named = names.slice(0, namedAtMost).map((each) => JSON.stringify(each));
  const more = names.length > named.length ? [`${names.length - named.length} more of this driver`] : [];
  const others =
    attached > names.length
      ? [`${attached - names.length} that this driver does not hold, its root disk among them`]
      : [];
  return `: ${[...named, ...more, ...others].join(', ')}`;
}

/** Every device name is in use or kept back from this volume. */
function noName(node: Node, name: string, volume: EbsVolume): DriverError {
  const kept = node.devices.keptBack(volume.id);
  const [first] = kept;
  const inUse = `${deviceNames.length - kept.length} of ${deviceNames.length} device names are in use on this instance`;
  const until =
    first === undefined
      ? ''
      : ` and the others (${kept.length}) are kept from this volume, which had or tried them lately: a detach from then may still arrive; ${first.name} comes free in ${Math.ceil(first.forMs / 1000)} s (${first.why})`;
  return new DriverError('NODE_FULL', {
    volume: name,
    tried: `attach ${volume.id} to ${node.instanceId}`,
    why: `${inUse}${until}`,
    todo:
      first === undefined
        ? 'Run the container on another node, or stop one that uses a volume here'
        : 'Try again then, or run the container on another node',
  });
}
