import { tagKeys } from '../ebs/tags.ts';
import type { EbsVolume } from '../ebs/types.ts';
import { DriverError } from '../errors.ts';
import { type BlockDevice, type DiskContent, type FilesystemType, filesystemTypes } from '../host/types.ts';
import type { Held } from './held.ts';
import { keep, mountpointOf, type Node, waiting } from './node.ts';
import { type MountPlan, planMount } from './plan.ts';

/**
 * From an attached disk to a mounted directory: filesystem made if the disk is provably blank, checked, grown, mounted.
 * @param held in phase attached. @returns it in phase mounted, without a new holder.
 * @throws DriverError; the volume stays attached, and the next call starts here again.
 */
export async function mountHeld(node: Node, held: Held): Promise<Held> {
  const disk = await findDisk(node, held);
  const plan = planMount(held.name, held.volume.tags, node.settings);
  const { type, held: ready } = await prepareFilesystem(node, held, disk, plan);
  const target = mountpointOf(node.settings, held.name);
  await node.host.mount(disk, target, type, plan.mountOptions);
  const directory = await node.host.openSubdirectory(target, plan.subdirectory, plan.owner);
  return keep(node, { ...ready, phase: 'mounted', filesystem: type, directory });
}

/** The disk of a held volume. @throws DriverError WRONG_DEVICE when it is not on this machine any more. */
export async function findDisk(node: Node, held: Held): Promise<BlockDevice> {
  const disk = await node.host.findDevice(held.volume.id, held.device);
  if (disk !== undefined) return disk;
  throw new DriverError('WRONG_DEVICE', {
    volume: held.name,
    tried: `find the disk of ${held.volume.id} (${held.device})`,
    why: 'it was attached here and this machine does not have it any more',
    todo: 'Look in EC2 where the volume is attached now, then try again',
  });
}

async function prepareFilesystem(
  node: Node,
  held: Held,
  disk: BlockDevice,
  plan: MountPlan,
): Promise<{ type: FilesystemType; held: Held }> {
  if (held.filesystem !== undefined && (await node.host.isDeviceBusy(disk))) {
    // A container still has it mounted from before: the filesystem is live, and a check would harm it.
    return { type: held.filesystem, held };
  }
  const existing = await identify(node, held, disk, plan);
  const type = existing ?? (await format(node, held, disk, plan));
  const tagged = plan.formatted === undefined ? await tagFormatted(node, held, type) : held;
  if (existing !== undefined) {
    await waiting(node, held.name, `the check of its ${type} filesystem`, () => node.host.checkFilesystem(disk, type));
  }
  return { type, held: tagged };
}

/** The filesystem on the disk; undefined only if the disk is blank by every account. */
async function identify(
  node: Node,
  held: Held,
  disk: BlockDevice,
  plan: MountPlan,
): Promise<FilesystemType | undefined> {
  const content = await node.host.readContent(disk);
  const { formatted } = plan;
  if (formatted === undefined && (content.kind === 'blank' || (isNoise(content) && isUnwritten(held.volume))))
    return undefined;
  if (content.kind === 'filesystem') {
    const type = filesystemTypes.find((known) => known === content.type);
    if (type !== undefined && (formatted ?? type) === type) return type;
  }
  const what = {
    blank: 'nothing',
    filesystem: `a ${'type' in content ? content.type : ''} filesystem`,
    other: 'what' in content ? content.what : '',
  };
  const expected =
    formatted === undefined
      ? `only a blank disk is formatted, and only ${filesystemTypes.join(', ')} are mounted`
      : `its tag ${tagKeys.formatted} says that ${formatted} was made on it`;
  throw new DriverError('NOT_BLANK', {
    volume: held.name,
    tried: `mount ${held.volume.id} from ${disk.path}`,
    why: `the disk holds ${what[content.kind]}, and ${expected}; nothing was written to it`,
    todo: `Look at it on ${node.instanceId} (blkid -p ${disk.path}); restore a snapshot, or remove the volume and create it anew`,
  });
}

function isNoise(content: DiskContent): boolean {
  return content.kind === 'other' && content.noise === true;
}

/**
 * True for a volume that was made empty, by us, and never handed out: an encrypted one reads as noise then, since EBS
 * decrypts blocks that were never written too (kubernetes-sigs/aws-ebs-csi-driver#738).
 */
function isUnwritten({ encrypted, snapshotId, tags }: EbsVolume): boolean {
  return encrypted && snapshotId === undefined && tags[tagKeys.generation] !== undefined;
}

async function format(node: Node, held: Held, disk: BlockDevice, plan: MountPlan): Promise<FilesystemType> {
  await waiting(node, held.name, `mkfs.${plan.fsType}`, () =>
    node.host.makeFilesystem(disk, plan.fsType, plan.mkfsOptions),
  );
  node.log.info({ volume: held.name, volumeId: held.volume.id, filesystem: plan.fsType }, 'formatted a blank volume');
  return plan.fsType;
}

/** From here on a disk of this volume that reads blank is a fault, not a reason to format. */
async function tagFormatted(node: Node, held: Held, type: FilesystemType): Promise<Held> {
  await node.ec2.createTags(held.volume.id, { [tagKeys.formatted]: type });
  const tags = { ...held.volume.tags, [tagKeys.formatted]: type };
  return keep(node, { ...held, volume: { ...held.volume, tags }, filesystem: type });
}
