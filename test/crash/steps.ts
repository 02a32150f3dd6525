import type { Ec2 } from '../../src/ebs/types.ts';
import type { Host } from '../../src/host/types.ts';
import type { Journal } from '../../src/volumes/state/journal.ts';

/** What a step does to the world: a crash before or after one that only reads is a crash after the change before it. */
type Effect = 'changes' | 'reads';
type Methods<T> = { readonly [K in keyof T as T[K] extends (...args: never[]) => unknown ? K : never]: Effect };

const ec2: Methods<Required<Ec2>> = {
  findVolumes: 'reads',
  findDisplayed: 'reads',
  findTagged: 'reads',
  listVolumes: 'reads',
  describeVolume: 'reads',
  describeModification: 'reads',
  modifyVolume: 'changes',
  findSnapshots: 'reads',
  listSnapshots: 'reads',
  snapshotsOf: 'reads',
  describeSnapshot: 'reads',
  createVolume: 'changes',
  deleteVolume: 'changes',
  attachVolume: 'changes',
  detachVolume: 'changes',
  createTags: 'changes',
  deleteTags: 'changes',
  createSnapshot: 'changes',
  deleteSnapshot: 'changes',
  describeInstance: 'reads',
  describeHealth: 'reads',
  describeVolumeStatus: 'reads',
  attachmentLimit: 'reads',
  stopInstance: 'changes',
  denied: 'reads',
};

const host: Methods<Required<Host>> = {
  findDevice: 'reads',
  waitForDevice: 'reads',
  waitForDeviceGone: 'reads',
  attachedVolumeIds: 'reads',
  diskBytes: 'reads',
  hasDisk: 'reads',
  usedDeviceNames: 'reads',
  readContent: 'reads',
  wasEverMounted: 'reads',
  tryFormat: 'reads',
  replayJournal: 'changes',
  checkReadOnly: 'reads',
  makeFilesystem: 'changes',
  checkFilesystem: 'changes',
  mount: 'changes',
  growFilesystem: 'changes',
  unmount: 'changes',
  openFreezer: 'changes',
  thaw: 'changes',
  mountedAt: 'reads',
  filesystemUsage: 'reads',
  filesystemFault: 'reads',
  mountedElsewhereBy: 'reads',
  lookElsewhere: 'reads',
  lookAtUsers: 'reads',
  engineOf: 'reads',
  isRunning: 'reads',
  abandonMount: 'changes',
  watchDevices: 'reads',
  holdDisk: 'changes',
  letDiskGo: 'changes',
  openedBy: 'reads',
  isDeviceBusy: 'reads',
  openSubdirectory: 'changes',
  unanswered: 'reads',
};

const journal: Methods<Required<Journal>> = {
  load: 'reads',
  save: 'changes',
  forget: 'changes',
  loadDevices: 'reads',
  saveDevices: 'changes',
  reserveUsedSince: 'reads',
  loadKnown: 'reads',
  saveKnown: 'changes',
  loadIdentity: 'reads',
  saveIdentity: 'changes',
  loadAllowance: 'reads',
  saveAllowance: 'changes',
  loadGhosts: 'reads',
  saveGhosts: 'changes',
  loadScratch: 'reads',
  saveScratch: 'changes',
  loadTrash: 'reads',
  saveTrash: 'changes',
};

/** Every step through the seams of the driver, as "ec2.attachVolume". */
export const knownSteps: ReadonlyMap<string, Effect> = new Map(
  Object.entries({ ec2, host, journal }).flatMap(([room, methods]) =>
    Object.entries(methods).map(([name, effect]): [string, Effect] => [`${room}.${name}`, effect]),
  ),
);

/** Programs that only look: `node` is the worker that reads disks. */
const readers = new Set(['exec.node', 'exec.blkid', 'exec.dumpe2fs', 'exec.xfs_db', 'exec.blockdev', 'exec.df']);

/** True where a crash at this point may leave another world than one at the point before it. */
export function mayDiffer(point: string): boolean {
  const step = point.slice(0, point.indexOf(':'));
  return knownSteps.get(step) !== 'reads' && !readers.has(step);
}
