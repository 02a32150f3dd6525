import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, it, onTestFinished } from 'vitest';
import { openMachine } from '../../src/cli/doctor/machine.ts';
import { mountOf, parseMountPoints } from '../../src/cli/doctor/mountpoints.ts';
import { nodeVariables } from '../../src/cli/node-variables.ts';
import { lockInstance } from '../../src/host/instance-lock.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'doctor-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
});

const machineAt = (root: string) =>
  openMachine({ root, deviceRoot: join(dir, 'dev'), sysfsRoot: join(dir, 'sys'), cluster: 'default' });

it('takes the settings of the unit where the environment has none of ours, below what it has', async () => {
  const file = join(dir, 'env');
  const lines = ['# a comment', 'DVE_CLUSTER=prod', 'AWS_REGION="eu-west-1"', "  DVE_TAGS='a=b,c=d'", 'nonsense', ''];
  await writeFile(file, lines.join('\n'));
  const { env, variables } = nodeVariables({ PATH: '/bin', AWS_REGION: 'eu-west-2' }, file);
  expect(env).toEqual({ PATH: '/bin', AWS_REGION: 'eu-west-2', DVE_CLUSTER: 'prod', DVE_TAGS: 'a=b,c=d' });
  expect(variables).toEqual({ from: 'file', file, names: ['AWS_REGION', 'DVE_CLUSTER', 'DVE_TAGS'] });
  const own = { DVE_SOCKET: '/x' };
  expect(nodeVariables(own, file)).toEqual({ env: own, variables: { from: 'environment' } });
  expect(nodeVariables({}, join(dir, 'none'), dir)).toEqual({ env: {}, variables: { from: 'environment' } });
  expect(nodeVariables({}, dir).variables).toMatchObject({ from: 'nowhere', file: dir });
});

it('finds the mount that a path is on, and with whom it is shared', () => {
  const mounts = parseMountPoints(
    [
      '1 0 8:1 / / rw shared:1 - ext4 /dev/sda1 rw',
      '2 1 0:5 / /dev rw,nosuid - devtmpfs udev rw',
      '3 1 8:2 / /var/lib rw shared:7 master:1 - ext4 /dev/sdb ro,errors=remount-ro',
      '4 1 8:3 / /var/library ro - ext4 /dev/sdc rw',
    ].join('\n'),
  );
  expect(mountOf(mounts, '/var/lib/ebs')).toEqual({
    ...{ mountpoint: '/var/lib', type: 'ext4', readOnly: true, shared: '7', master: '1' },
  });
  expect(mountOf(mounts, '/var/library')).toMatchObject({ readOnly: true, shared: undefined });
  expect(mountOf(mounts, '/dev')).toMatchObject({ type: 'devtmpfs' });
  expect(mountOf(mounts, '/variable')).toMatchObject({ mountpoint: '/' });
});

it("reads the NVMe driver's timeout, where there is one", async () => {
  const machine = machineAt(dir);
  expect(await machine.nvmeTimeout()).toBeUndefined();
  const parameters = join(dir, 'sys/module/nvme_core/parameters');
  await mkdir(parameters, { recursive: true });
  await writeFile(join(parameters, 'io_timeout'), '4294967295\n');
  expect(await machine.nvmeTimeout()).toBe(4_294_967_295);
});

it('looks at a root that is there, and at where one will be', async () => {
  expect(await machineAt(dir).root()).toMatchObject({ path: dir, exists: true, mount: { readOnly: false } });
  const later = await machineAt(join(dir, 'not/yet')).root();
  expect(later).toMatchObject({ path: dir, exists: false });
  expect(later.freeBytes).toBeGreaterThan(0);
});

it('reads the journal without touching it, and leaves out what is no record', async () => {
  const machine = machineAt(dir);
  expect(await machine.records()).toEqual([]);
  const volumes = join(dir, 'state/volumes');
  await mkdir(volumes, { recursive: true });
  await writeFile(join(volumes, 'a.json'), JSON.stringify({ name: 'a', volume: { id: 'vol-1' }, phase: 'mounted' }));
  await writeFile(join(volumes, 'b.json'), 'half a rec');
  await writeFile(join(volumes, 'c.json.new'), 'being written');
  expect(await machine.records()).toEqual([{ name: 'a', volumeId: 'vol-1', phase: 'mounted' }]);
});

it('asks programs for their versions, and says what brings one that is missing', async () => {
  const [mount, none] = await machineAt(dir).tools({ mount: '--version', 'mkfs.none': '-V' });
  expect(mount).toMatchObject({ program: 'mount', version: expect.stringMatching(/^\d+\.\d+/), todo: undefined });
  expect(none).toEqual({
    ...{ program: 'mkfs.none', version: undefined },
    todo: 'Install the package mkfs.none on this host (or in the plugin image)',
  });
});

it('sees a disk that the kernel describes and that has no node', async () => {
  await mkdir(join(dir, 'dev'));
  await mkdir(join(dir, 'sys/class/nvme/nvme1/nvme1n1'), { recursive: true });
  await writeFile(join(dir, 'sys/class/nvme/nvme1/serial'), 'vol0123             \n');
  expect(await machineAt(dir).disks()).toEqual([{ volumeId: 'vol-0123', path: undefined, refused: undefined }]);
});

it('sees whether a daemon serves the cluster here, and is in the way of none that starts', async () => {
  await mkdir(join(dir, 'dev'));
  const place = { deviceRoot: join(dir, 'dev'), cluster: 'default', instanceId: `i-${process.pid}` };
  expect(await machineAt(dir).isServed(place.instanceId)).toBe(false);
  await lockInstance(place, () => undefined);
  expect(await machineAt(dir).isServed(place.instanceId)).toBe(true);
  expect(await machineAt(dir).isServed(`${place.instanceId}-2`)).toBe(false);
});

it('knows what this process may do', async () => {
  expect(await machineAt(dir).capabilities()).toBeGreaterThanOrEqual(0n);
  expect(typeof (await machineAt(dir).seesAllProcesses())).toBe('boolean');
});
