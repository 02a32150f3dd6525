import { mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { findDevice, hasDisk, usedDeviceNames, waitForDevice, waitForDeviceGone } from '../../src/host/devices.ts';
import { deviceNumber, diskOfController, volumeIdOfSerial } from '../../src/host/sysfs.ts';
import { requires } from '../support/requirements.ts';
import { must, tempDirectory } from './lab.ts';

const root = requires('root');

const volumeId = 'vol-0aaaaaaaaaaaaaaaa';
const otherId = 'vol-0bbbbbbbbbbbbbbbb';
const never = new AbortController().signal;

test.each([
  ['vol0abc', 'vol-0abc'],
  ['vol-0abc\n', 'vol-0abc'],
  ['AWS1234567890ABCDEF', undefined],
  ['', undefined],
])('serial %j is volume %j', (serial, id) => expect(volumeIdOfSerial(serial)).toBe(id));

test.each([
  ['nvme1', ['nvme1n1', 'serial', 'hwmon1'], 'nvme1n1'],
  ['nvme1', ['nvme3c1n1', 'serial'], 'nvme3n1'],
  ['nvme1', ['serial', 'nvme1n1p1'], 'nvme1n1'],
  ['nvme1', [], undefined],
])('%s with %j is disk %s', (controller, children, disk) => expect(diskOfController(controller, children)).toBe(disk));

test('device numbers are split as the kernel packs them', () => {
  expect(deviceNumber(7 * 256)).toBe('7:0');
  expect(deviceNumber(259 * 256 + 7)).toBe('259:7');
  expect(deviceNumber(259 * 256 + 7 + 0x100000)).toBe('259:263');
});

/** A made-up machine: device nodes with the numbers of the loop devices, and as much sysfs as is read. */
async function fakeMachine() {
  const root = await tempDirectory();
  const roots = { deviceRoot: join(root, 'dev'), sysfsRoot: join(root, 'sys') };
  await mkdir(roots.deviceRoot);
  await mkdir(join(roots.sysfsRoot, 'block'), { recursive: true });
  const put = async (path: string, text: string) => {
    await mkdir(join(roots.sysfsRoot, path, '..'), { recursive: true });
    await writeFile(join(roots.sysfsRoot, path), `${text}\n`);
  };
  return {
    ...roots,
    async controller(index: number, id: string) {
      await put(`class/nvme/nvme${index}/serial`, `${id.replace('-', '')}   `);
      await put(`class/nvme/nvme${index}/nvme${index}n1/x`, '');
    },
    async disk(name: string, minor: number) {
      await put(`block/${name}/size`, '2048');
      await put(`block/${name}/dev`, `7:${minor}`);
    },
    node: (name: string, minor: number) => must('mknod', join(roots.deviceRoot, name), 'b', '7', String(minor)),
  };
}

describe.skipIf(root.skip)('a machine with NVMe', () => {
  test('a disk is found by its serial, whatever its name', async () => {
    const host = await fakeMachine();
    await host.controller(0, otherId);
    await host.controller(4, volumeId);
    await host.disk('nvme4n1', 3);
    await host.node('nvme4n1', 3);
    expect(await findDevice(host, volumeId, '/dev/sdf')).toEqual({
      path: join(host.deviceRoot, 'nvme4n1'),
      number: '7:3',
      volumeId,
      serialVolumeId: volumeId,
      sizeBytes: 1024 * 1024,
    });
  });

  test('a disk without a node, with a plain file for a node, or with an old node is not there yet', async () => {
    const host = await fakeMachine();
    await host.controller(1, volumeId);
    await host.disk('nvme1n1', 3);
    expect(await findDevice(host, volumeId, '/dev/sdf')).toBeUndefined();
    const node = join(host.deviceRoot, 'nvme1n1');
    await writeFile(node, '');
    expect(await findDevice(host, volumeId, '/dev/sdf')).toBeUndefined();
    await rm(node);
    await host.node('nvme1n1', 4);
    expect(await findDevice(host, volumeId, '/dev/sdf')).toBeUndefined();
  });

  test('a link to another volume is refused, and so is another disk of the right name', async () => {
    const host = await fakeMachine();
    await host.controller(1, otherId);
    await host.disk('nvme1n1', 3);
    await host.node('nvme1n1', 3);
    await host.node('sdg', 5);
    await symlink('nvme1n1', join(host.deviceRoot, 'xvdf'));
    await expect(findDevice(host, volumeId, '/dev/sdf')).rejects.toMatchObject({
      code: 'WRONG_DEVICE',
      message: expect.stringContaining(otherId),
    });
    expect(await findDevice(host, volumeId, '/dev/sdg')).toBeUndefined();
  });

  test('a stale by-id link is refused', async () => {
    const host = await fakeMachine();
    await host.controller(1, otherId);
    await host.node('nvme1n1', 3);
    const directory = join(host.deviceRoot, 'disk/by-id');
    await mkdir(directory, { recursive: true });
    const link = `nvme-Amazon_Elastic_Block_Store_${volumeId.replace('-', '')}`;
    await symlink('../../nvme1n1', join(directory, link));
    await expect(findDevice(host, volumeId, '/dev/sdf')).rejects.toMatchObject({ code: 'WRONG_DEVICE' });
  });
});

describe.skipIf(root.skip)('a machine with Xen disks', () => {
  test.each([
    ['/dev/sdf', 'xvdf'],
    ['/dev/xvdf', 'xvdf'],
    ['/dev/sdf', 'sdf'],
    ['/dev/xvdba', 'xvdba'],
  ])('%s appears as %s', async (ec2Device, node) => {
    const host = await fakeMachine();
    await host.disk(node, 3);
    await host.node(node, 3);
    expect(await findDevice(host, volumeId, ec2Device)).toMatchObject({
      path: join(host.deviceRoot, node),
      serialVolumeId: undefined,
      sizeBytes: 1024 * 1024,
    });
    expect(await findDevice(host, volumeId, '/dev/sdz')).toBeUndefined();
  });

  test('names in use are told in both spellings', async () => {
    const host = await fakeMachine();
    for (const [minor, name] of ['xvda', 'xvda1', 'sdf', 'loop0', 'xvdba'].entries()) await host.node(name, minor);
    const names = [...(await usedDeviceNames(host.deviceRoot))].sort();
    const expected = ['sda', 'sdba', 'sdf', 'xvda', 'xvdba', 'xvdf'];
    expect(names).toEqual(expected.map((name) => `/dev/${name}`));
    expect(await usedDeviceNames('/nowhere')).toEqual(new Set());
  });
});

/** How many inotify watches this process has. */
async function countWatches(): Promise<number> {
  const files = (await readdir('/proc/self/fdinfo')).map((fd) => `/proc/self/fdinfo/${fd}`);
  const texts = await Promise.all(files.map((file) => readFile(file, 'utf8').catch(() => '')));
  return texts.join('').split('inotify wd').length - 1;
}

describe.skipIf(root.skip)('waiting for a disk', () => {
  test('ends within milliseconds of the node appearing', async () => {
    const host = await fakeMachine();
    const waiting = waitForDevice(host, volumeId, '/dev/sdf', never);
    await sleep(60);
    await host.controller(2, volumeId);
    await host.disk('nvme2n1', 3);
    const begun = performance.now();
    await host.node('nvme2n1', 3);
    expect((await waiting).number).toBe('7:3');
    expect(performance.now() - begun).toBeLessThan(200);
  });

  test('is helped by the slow poll where no node event comes', async () => {
    const host = await fakeMachine();
    await host.disk('nvme2n1', 3);
    await host.node('nvme2n1', 3);
    const waiting = waitForDevice(host, volumeId, '/dev/sdf', never);
    await sleep(60);
    await host.controller(2, volumeId);
    expect((await waiting).number).toBe('7:3');
  });

  test('to go ends soon after its node does, and after a second look if it was never seen', async () => {
    const host = await fakeMachine();
    await waitForDeviceGone(host, volumeId, '/dev/sdf', never);
    await host.controller(2, volumeId);
    await host.disk('nvme2n1', 3);
    await host.node('nvme2n1', 3);
    const stopped = waitForDeviceGone(host, volumeId, '/dev/sdf', AbortSignal.timeout(80));
    await expect(stopped).rejects.toThrow(/timeout/);
    const waiting = waitForDeviceGone(host, volumeId, '/dev/sdf', never);
    await sleep(60);
    const begun = performance.now();
    await rm(join(host.deviceRoot, 'nvme2n1'));
    await waiting;
    expect(performance.now() - begun).toBeLessThan(200);
  });

  test('to go outlasts a moment without a serial', async () => {
    const host = await fakeMachine();
    await host.controller(2, volumeId);
    await host.disk('nvme2n1', 3);
    await host.node('nvme2n1', 3);
    const serial = join(host.sysfsRoot, 'class/nvme/nvme2/serial');
    let gone = false;
    const waiting = waitForDeviceGone(host, volumeId, '/dev/sdf', never).then(() => {
      gone = true;
    });
    const touch = async (name: string) => {
      await writeFile(join(host.deviceRoot, name), '');
      await sleep(60);
    };
    await rm(serial);
    await touch('one');
    expect(await hasDisk(host.sysfsRoot, '7:3')).toBe(true);
    await writeFile(serial, 'vol0aaaaaaaaaaaaaaaa');
    await touch('two');
    expect(gone).toBe(false);
    await rm(join(host.deviceRoot, 'nvme2n1'));
    await waiting;
  });

  test('a disk is known by its number, whatever its serial; a machine that cannot be read proves nothing', async () => {
    const host = await fakeMachine();
    await host.disk('nvme2n1', 3);
    expect(await hasDisk(host.sysfsRoot, '7:3')).toBe(true);
    expect(await hasDisk(host.sysfsRoot, '7:4')).toBe(false);
    await expect(hasDisk('/nowhere', '7:3')).rejects.toMatchObject({ code: 'HOST_FAILED' });
  });

  test('outlasts a stale link', async () => {
    const host = await fakeMachine();
    await host.controller(1, otherId);
    await host.node('nvme1n1', 2);
    await symlink('nvme1n1', join(host.deviceRoot, 'xvdf'));
    const waiting = waitForDevice(host, volumeId, '/dev/sdf', never);
    await sleep(60);
    await host.controller(2, volumeId);
    await host.disk('nvme2n1', 3);
    await host.node('nvme2n1', 3);
    expect((await waiting).number).toBe('7:3');
  });

  test('throws the reason of its signal, at once if it is aborted already, and leaves no watcher', async () => {
    const host = await fakeMachine();
    const before = await countWatches();
    const reason = new Error('the deadline passed');
    const controller = new AbortController();
    onTestFinished(() => controller.abort());
    const waiting = waitForDevice(host, volumeId, '/dev/sdf', controller.signal);
    await sleep(50);
    expect(await countWatches()).toBe(before + 1);
    controller.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    await expect(waitForDevice(host, volumeId, '/dev/sdf', AbortSignal.abort(reason))).rejects.toBe(reason);
    await sleep(20);
    expect(await countWatches()).toBe(before);
    expect(await readdir(host.deviceRoot)).toEqual([]);
  });

  test('does without a directory to watch', async () => {
    const reason = new Error('enough');
    const roots = { deviceRoot: '/nowhere', sysfsRoot: '/nowhere' };
    await expect(waitForDevice(roots, volumeId, '/dev/sdf', AbortSignal.timeout(50))).rejects.toThrow(/timeout/);
    await expect(waitForDevice(roots, volumeId, '/dev/sdf', AbortSignal.abort(reason))).rejects.toBe(reason);
  });
});
