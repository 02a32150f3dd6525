import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { command } from './command.ts';
import type { Loop } from './loops.ts';

/** Where things of a node are. */
export interface NodeLayout {
  readonly home: string;
  /** The node's /dev, /sys, boot id, DVE_ROOT and DVE_SOCKET. */
  readonly devices: string;
  readonly sysfs: string;
  readonly bootIdFile: string;
  readonly root: string;
  readonly socket: string;
  readonly log: string;
}

export function layoutOf(dir: string, instanceId: string): NodeLayout {
  const home = join(dir, 'nodes', instanceId);
  return {
    home,
    devices: join(home, 'dev'),
    sysfs: join(home, 'sys'),
    bootIdFile: join(home, 'boot_id'),
    root: join(home, 'root'),
    socket: join(home, 'ebs.sock'),
    log: join(home, 'daemon.log'),
  };
}

/** Makes an empty machine: no disks, no socket; what is below its root stays. */
export async function prepareLayout(layout: NodeLayout): Promise<void> {
  await rm(layout.devices, { recursive: true, force: true });
  await rm(layout.sysfs, { recursive: true, force: true });
  await rm(layout.socket, { force: true });
  for (const dir of [layout.devices, layout.root]) await mkdir(dir, { recursive: true });
  for (const dir of ['class/nvme', 'block']) await mkdir(join(layout.sysfs, dir), { recursive: true });
}

/** The lowest NVMe controller number, from 1 up, that the node does not use. */
async function freeController(layout: NodeLayout): Promise<number> {
  const used = new Set(await readdir(join(layout.sysfs, 'class/nvme')));
  let number = 1;
  while (used.has(`nvme${number}`)) number += 1;
  return number;
}

/** An NVMe disk as sysfs shows it: files by path below /sys. Numbers and padding as Linux writes them. */
function sysfsFiles(controller: number, volumeId: string, number: string, sizeBytes: number): Record<string, string> {
  const serial = `${volumeId.replace('-', '').padEnd(20)}\n`;
  const model = `${'Amazon Elastic Block Store'.padEnd(40)}\n`;
  const disk = `nvme${controller}n1`;
  return {
    [`class/nvme/nvme${controller}/serial`]: serial,
    [`class/nvme/nvme${controller}/model`]: model,
    [`class/nvme/nvme${controller}/${disk}/dev`]: `${number}\n`,
    [`block/${disk}/dev`]: `${number}\n`,
    [`block/${disk}/size`]: `${sizeBytes / 512}\n`,
    [`block/${disk}/device/serial`]: serial,
    [`block/${disk}/device/model`]: model,
  };
}

/** Shows a disk to the node: in sysfs first, then, at once and complete, in /dev. Gives the controller's number. */
export async function addDisk(layout: NodeLayout, volumeId: string, loop: Loop, sizeBytes: number): Promise<number> {
  const controller = await freeController(layout);
  const staging = await mkdtemp(join(layout.home, 'staging-'));
  try {
    for (const [path, content] of Object.entries(sysfsFiles(controller, volumeId, loop.number, sizeBytes))) {
      await mkdir(dirname(join(staging, path)), { recursive: true });
      await writeFile(join(staging, path), content);
    }
    const disk = `nvme${controller}n1`;
    await rename(join(staging, 'block', disk), join(layout.sysfs, 'block', disk));
    await rename(
      join(staging, 'class/nvme', `nvme${controller}`),
      join(layout.sysfs, 'class/nvme', `nvme${controller}`),
    );
    await command('mknod', '--mode=0660', join(staging, disk), 'b', ...loop.number.split(':'));
    await rename(join(staging, disk), join(layout.devices, disk));
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
  return controller;
}

export async function resizeDisk(layout: NodeLayout, controller: number, sizeBytes: number): Promise<void> {
  const file = join(layout.sysfs, 'block', `nvme${controller}n1`, 'size');
  await writeFile(`${file}.new`, `${sizeBytes / 512}\n`);
  await rename(`${file}.new`, file);
}

/** Takes a disk away: from /dev first, then, whole, from sysfs. */
export async function removeDisk(layout: NodeLayout, controller: number): Promise<void> {
  await rm(join(layout.devices, `nvme${controller}n1`), { force: true });
  const going = await mkdtemp(join(layout.home, 'staging-'));
  for (const path of [`class/nvme/nvme${controller}`, `block/nvme${controller}n1`]) {
    await rename(join(layout.sysfs, path), join(going, path.replaceAll('/', '-'))).catch(() => {});
  }
  await rm(going, { recursive: true, force: true });
}
