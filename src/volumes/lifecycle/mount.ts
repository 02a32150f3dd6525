import { setTimeout as sleep } from 'node:timers/promises';
import { tagKeys } from '../../ebs/tags.ts';
import type { EbsVolume } from '../../ebs/types.ts';
import { DriverError, isCode, shellWord } from '../../errors.ts';
import { timed } from '../../events.ts';
import { stableName } from '../../host/disk-names.ts';
import { type BlockDevice, type DiskContent, type FilesystemType, filesystemTypes } from '../../host/types.ts';
import { absentDirectory, type MountPlan, planFormat, planMount } from '../options/mount-plan.ts';
import type { Held } from '../state/held.ts';
import { refuseNameless } from '../state/nameless.ts';
import { keep, mountpointOf, type Node, waiting } from '../state/node.ts';
import { refuseFailed } from './faults.ts';
import { withStatus } from './volume-status.ts';

const idleCheckMs = 200;
const idleTimeoutMs = 60_000;

/**
 * From an attached disk to a mounted directory: filesystem made if the disk is provably blank, checked, mounted.
 * @param held in phase attached. @returns it in phase mounted, without a new holder.
 * @throws DriverError; the volume stays attached, and the next call starts here again.
 */
export async function mountHeld(node: Node, held: Held): Promise<Held> {
  try {
    return await bringFilesystem(node, held);
  } catch (error) {
    throw await withStatus(node, held, namingVolume(error, held.name, node.instanceId));
  }
}

/** The host knows neither the volume's name nor this instance's: what to do is said here where it needs them. */
function namingVolume(error: unknown, volume: string, instanceId: string): unknown {
  if (isCode(error, 'FILESYSTEM_DAMAGED')) {
    return new DriverError(error.code, { ...error.parts, volume, todo: rescueAdvice(volume, instanceId) });
  }
  if (isCode(error, 'UNMADE_SUBDIRECTORY'))
    return new DriverError(error.code, { ...error.parts, volume, todo: rootAdvice(volume) });
  if (!isCode(error, 'NO_SUBDIRECTORY')) return error;
  const todo = `To have its root given out, run docker-volume-ebs set ${shellWord(volume)} --subdirectory /, or name the directory that has the data instead of /; a volume that is yet to be made takes the option subdirectory`;
  return new DriverError(error.code, { ...error.parts, volume, todo });
}

/** What to do about a disk whose content is not as it should be: nothing on it is changed by it. */
const rescueAdvice = (name: string, instanceId: string): string =>
  `Run docker-volume-ebs rescue ${shellWord(name)} on ${instanceId}: it takes a snapshot first, and says which check to run`;

/** How to get into a volume whose directory cannot be made: full, say, and nobody could free space in it. */
const rootAdvice = (name: string): string =>
  `Run docker-volume-ebs set ${shellWord(name)} --subdirectory / to have its root mounted; free space there with a container (or set other mount options, if it is read-only), and set the subdirectory back`;

async function bringFilesystem(node: Node, held: Held): Promise<Held> {
  const disk = await findDisk(node, held);
  const plan = planMount(held.name, held.volume.tags, node.settings);
  const ready = await prepareFilesystem(node, held, disk, plan);
  const type = ready.filesystem ?? plan.fsType;
  const target = mountpointOf(node.settings, held.name);
  const { mountOptions } = planMount(held.name, held.volume.tags, node.settings, type);
  // Its twin may be mounted here, which XFS would refuse (xfs(5), nouuid); a copy keeps its identity for good.
  const asTwin = type === 'xfs' && isCopy(held.volume) ? [...mountOptions, 'nouuid'] : mountOptions;
  const filesystemBytes = await timed('mount', () => node.host.mount(disk, target, type, asTwin));
  // A container that still has it mounted from before shares the filesystem, and what befell it.
  await refuseFailed(node, ready);
  const absent = absentDirectory(held.volume);
  const directory = await node.host.openSubdirectory(target, plan.subdirectory, plan.owner, absent);
  return keep(node, { ...ready, phase: 'mounted', filesystem: type, filesystemBytes, directory });
}

/** The disk of a held volume. @throws DriverError WRONG_DEVICE when it is not on this machine any more. */
export async function findDisk(node: Node, held: Held): Promise<BlockDevice> {
  const disk = await node.host.findDevice(held.volume.id, held.device);
  if (disk !== undefined) return disk;
  throw new DriverError('WRONG_DEVICE', {
    volume: held.name,
    tried: `find the disk of ${held.volume.id} (${held.device})`,
    why: 'it was attached here and this machine does not have it any more',
    todo: 'See where it is attached now (docker-volume-ebs ls), then try again',
  });
}

/** The filesystem that the disk has, or gets: made if there is nothing, checked if there is one. */
async function prepareFilesystem(node: Node, held: Held, disk: BlockDevice, plan: MountPlan): Promise<Held> {
  if (held.filesystem !== undefined && (await node.host.isDeviceBusy(disk))) {
    // A container still has it mounted from before: the filesystem is live, and a check would harm it.
    return held;
  }
  await untilIdle(node, held, disk);
  const existing = await identify(node, held, disk, plan);
  if (existing === undefined) return format(node, held, disk, plan, 'nothing');
  if (existing === 'unfinished') return format(node, held, disk, plan, 'unfinished');
  try {
    await waiting(node, held.name, `the check of its ${existing} filesystem`, () =>
      timed('fsck', () => node.host.checkFilesystem(disk, existing)),
    );
  } catch (error) {
    if (!isCode(error, 'FILESYSTEM_DAMAGED') || !isBegun(held.volume)) throw error;
    if (await node.host.wasEverMounted(disk)) throw error;
    return format(node, held, disk, plan, 'unfinished');
  }
  return plan.formatted === undefined ? tagFormatted(node, held, existing) : { ...held, filesystem: existing };
}

/** A mkfs or fsck that a killed daemon began goes on without it. */
async function untilIdle(node: Node, held: Held, disk: BlockDevice): Promise<void> {
  if (!(await node.host.isDeviceBusy(disk))) return;
  await waiting(node, held.name, `a program that works on the disk of ${held.volume.id}`, async () => {
    for (let look = 0; await node.host.isDeviceBusy(disk); look++) {
      if (look * idleCheckMs > idleTimeoutMs) throw stillBusy(node, held, disk);
      await sleep(idleCheckMs);
    }
  });
}

function stillBusy(node: Node, held: Held, disk: BlockDevice): DriverError {
  return new DriverError('IN_USE_HERE', {
    volume: held.name,
    tried: `mount ${held.volume.id}`,
    why: 'a program on this machine has the disk open for itself alone',
    todo: `Find it on ${node.instanceId} (fuser -v names who has ${stableName(disk)} open) and try again when it has ended; a mkfs or a check (e2fsck) that an earlier daemon began ends by itself`,
  });
}

/** The filesystem on the disk; undefined if the disk is blank by every account, "unfinished" if our own mkfs was cut off. */
async function identify(
  node: Node,
  held: Held,
  disk: BlockDevice,
  plan: MountPlan,
): Promise<FilesystemType | 'unfinished' | undefined> {
  // Samples do for a disk that EC2 made empty for us and nobody was given since. Any other may hold data anywhere.
  const parts = isUnwritten(held.volume) ? 'samples' : 'all';
  const content = await waiting(node, held.name, `a look at what the disk of ${held.volume.id} holds`, () =>
    node.host.readContent(
      disk,
      parts,
      filesystemTypes.find((type) => type === plan.formatted),
    ),
  );
  const { formatted } = plan;
  if (
    formatted === undefined &&
    (content.kind === 'blank' || (isNoise(content) && held.volume.encrypted && isUnwritten(held.volume)))
  )
    return undefined;
  if (content.kind === 'filesystem') {
    const type = filesystemTypes.find((known) => known === content.type);
    if (type !== undefined && (formatted ?? held.volume.tags[tagKeys.fsType] ?? type) === type) return type;
  }
  if (content.kind === 'other' && content.signed !== true && isBegun(held.volume)) return 'unfinished';
  throw unexpected(held, content, node.instanceId);
}

/** A disk that holds something else than it should. */
function unexpected(held: Held, content: DiskContent, instanceId: string): DriverError {
  const what = {
    blank: 'nothing',
    filesystem: `a ${'type' in content ? content.type : ''} filesystem`,
    other: 'what' in content ? content.what : '',
  };
  const parts = { volume: held.name, tried: `mount ${held.volume.id}`, todo: rescueAdvice(held.name, instanceId) };
  const copy = content.kind === 'other' ? content.copy : undefined;
  if (copy !== undefined) {
    const type = held.volume.tags[tagKeys.formatted];
    const place = `block ${copy.block} of ${copy.blockBytes} bytes`;
    const why = `the superblock of its ${type} filesystem is damaged, and a copy of it is intact (${place}), from which a check can restore it; nothing was written to it`;
    return new DriverError('FILESYSTEM_DAMAGED', { ...parts, why });
  }
  const why = `the disk holds ${what[content.kind]}, and ${expectation(held, content)}; nothing was written to it`;
  return new DriverError('NOT_BLANK', { ...parts, why });
}

function expectation({ volume: { tags } }: Held, content: DiskContent): string {
  const formatted = tags[tagKeys.formatted];
  if (formatted !== undefined) return `its tag ${tagKeys.formatted} says that ${formatted} was made on it`;
  if (content.kind === 'filesystem' && filesystemTypes.some((type) => type === content.type)) {
    return `its tag ${tagKeys.fsType} asks for ${tags[tagKeys.fsType]}`;
  }
  return `only a blank disk is formatted, and only ${filesystemTypes.join(', ')} are mounted`;
}

function isNoise(content: DiskContent): boolean {
  return content.kind === 'other' && content.noise === true;
}

/**
 * True for a volume that was made empty, by us, and never handed out. An encrypted one reads as noise then, since EBS
 * decrypts blocks that were never written too (kubernetes-sigs/aws-ebs-csi-driver#738).
 */
function isUnwritten({ snapshotId, tags }: EbsVolume): boolean {
  const madeByUs =
    tags[tagKeys.generation] !== undefined && tags[tagKeys.formatted] === undefined && tags[tagKeys.from] === undefined;
  return madeByUs && snapshotId === undefined;
}

/** Made from another volume or a snapshot, which may be mounted on the same machine. */
const isCopy = ({ snapshotId, tags }: EbsVolume): boolean =>
  snapshotId !== undefined || tags[tagKeys.from] !== undefined;

/** True between the two tags around mkfs: the disk was blank when it began, and nobody was given it since. */
function isBegun({ tags }: EbsVolume): boolean {
  return tags[tagKeys.formatting] !== undefined && tags[tagKeys.formatted] === undefined;
}

async function format(
  node: Node,
  held: Held,
  disk: BlockDevice,
  plan: MountPlan,
  over: 'nothing' | 'unfinished',
): Promise<Held> {
  const { fsType } = plan;
  const mkfsOptions = planFormat(held.name, held.volume.tags, plan);
  if (over === 'nothing') await refuseNameless(node, held.name, `make a filesystem on ${held.volume.id}`, held.volume);
  const begun = over === 'unfinished' ? held : await tag(node, held, tagKeys.formatting, fsType);
  await waiting(node, held.name, `mkfs.${fsType}`, () =>
    timed('mkfs', () => node.host.makeFilesystem(disk, fsType, mkfsOptions, over)),
  );
  node.log.info({ volume: held.name, volumeId: held.volume.id, filesystem: fsType, over }, 'formatted');
  return tagFormatted(node, begun, fsType);
}

/** From here on a disk of this volume that reads blank is a fault, not a reason to format. */
async function tagFormatted(node: Node, held: Held, type: FilesystemType): Promise<Held> {
  return tag(node, { ...held, filesystem: type }, tagKeys.formatted, type);
}

async function tag(node: Node, held: Held, key: string, value: string): Promise<Held> {
  await waiting(node, held.name, `EC2 to tag ${held.volume.id}`, () =>
    node.ec2.createTags(held.volume.id, { [key]: value }),
  );
  return keep(node, { ...held, volume: { ...held.volume, tags: { ...held.volume.tags, [key]: value } } });
}
