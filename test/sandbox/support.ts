import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import {
  AttachVolumeCommand,
  CreateVolumeCommand,
  type CreateVolumeCommandInput,
  DescribeInstancesCommand,
  DescribeVolumesCommand,
  EC2Client,
} from '@aws-sdk/client-ec2';
import { expect, onTestFinished, vi } from 'vitest';
import { type Sandbox, type SandboxNode, type SandboxOptions, startSandbox } from '../../src/sandbox/sandbox.ts';

export const standIn = [process.execPath, fileURLToPath(new URL('stand-in-daemon.mjs', import.meta.url))];

/** A directory that is gone, with everything below it, when the test is over. */
export async function temporaryDirectory(): Promise<string> {
  const dir = await mkdtemp('/var/tmp/sandbox-');
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

/** A sandbox with stand-in daemons that closes when the test is over, and then must have left nothing behind. */
export async function open(dir: string, options: Partial<SandboxOptions> = {}): Promise<Sandbox> {
  const errors: string[] = [];
  const log = (line: string): number => errors.push(line);
  const sandbox = await startSandbox({
    dir,
    nodes: 1,
    zones: 1,
    timing: 'none',
    daemonCommand: standIn,
    log,
    ...options,
  });
  onTestFinished(async () => {
    await sandbox.close();
    // A namespace of another test may have copied a mount, and keeps its disk until it ends.
    let left = leftBehind(dir);
    for (let look = 0; left.includes('(deleted)') && look < 300; look++) {
      await sleep(100);
      left = leftBehind(dir);
    }
    if (left !== '' || errors.length > 0) throw new Error(`left behind: ${left}; logged: ${errors.join('\n')}`);
  });
  return sandbox;
}

/** Mounts, loop devices and processes that have to do with a directory. */
export function leftBehind(dir: string): string {
  const script = `findmnt -rno TARGET | grep -F "$0/"; losetup -nO BACK-FILE | grep -F "$0/"; grep -lsF "DVE_ROOT=$0/" /proc/[0-9]*/environ; true`;
  return execFileSync('sh', ['-c', script, dir], { encoding: 'utf8' }).trim();
}

export const client = (sandbox: Pick<Sandbox, 'endpoint' | 'region'>): EC2Client =>
  new EC2Client({
    endpoint: sandbox.endpoint,
    region: sandbox.region,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    maxAttempts: 1,
  });

/** Makes a 1 GiB volume and waits until it is available. */
export async function newVolume(ec2: EC2Client): Promise<string> {
  const { VolumeId = '' } = await ec2.send(
    new CreateVolumeCommand({ AvailabilityZone: 'us-east-1a', Size: 1, VolumeType: 'gp3' }),
  );
  await becomes(ec2, VolumeId, 'available');
  return VolumeId;
}

export async function volumeOf(ec2: EC2Client, id: string) {
  const { Volumes } = await ec2.send(new DescribeVolumesCommand({ VolumeIds: [id] }));
  return Volumes![0]!;
}

/** Waits until a volume is attached, available, …; "available" and "in-use" are volume states, the rest attachment's. */
export function becomes(ec2: EC2Client, id: string, state: string): Promise<void> {
  return vi.waitFor(
    async () => {
      const volume = await volumeOf(ec2, id);
      const now = [volume.State, volume.Attachments![0]?.State];
      if (!now.includes(state as 'attached')) throw new Error(`${id} is ${now.join()}, not ${state}`);
    },
    { timeout: 60_000, interval: 20 },
  );
}

export async function attach(
  ec2: EC2Client,
  volumeId: string,
  node: SandboxNode,
  device = '/dev/xvdba',
): Promise<string> {
  await ec2.send(new AttachVolumeCommand({ VolumeId: volumeId, InstanceId: node.instanceId, Device: device }));
  await becomes(ec2, volumeId, 'attached');
  return diskOf(node, volumeId);
}

/** The device node of a volume on a node. */
export function diskOf(node: SandboxNode, volumeId: string): string {
  const home = node.root.replace(/\/root$/, '');
  const script = `cd "$0/sys/class/nvme" && grep -l "$1" */serial | cut -d/ -f1`;
  const controller = execFileSync('sh', ['-c', script, home, volumeId.replace('-', '')], { encoding: 'utf8' }).trim();
  return `${home}/dev/${controller}n1`;
}

/** Runs a shell command on a node, in its daemon's mount namespace. */
export async function onNode(
  node: SandboxNode,
  script: string,
): Promise<{ code: number; stdout: string; stderr: string }> {
  const socket = connect(node.socket);
  socket.end(script);
  let answer = '';
  socket.on('data', (data) => {
    answer += data;
  });
  await once(socket, 'close');
  return JSON.parse(answer);
}

export const bootIdOf = (node: SandboxNode): Promise<string> => readFile(node.root.replace(/root$/, 'boot_id'), 'utf8');

const mkfs = { ext4: 'mkfs.ext4 -q -F', xfs: 'mkfs.xfs -q -f', btrfs: 'mkfs.btrfs -q -f' };

/** Formats and mounts a disk on a node; gives the mountpoint. */
export async function mounted(node: SandboxNode, disk: string, type: keyof typeof mkfs = 'ext4'): Promise<string> {
  const mountpoint = `${node.root}/mnt`;
  const result = await onNode(
    node,
    `${mkfs[type]} ${disk} 2>&1 && mkdir -p ${mountpoint} && mount ${disk} ${mountpoint}`,
  );
  expect(result).toMatchObject({ code: 0 });
  return mountpoint;
}

export async function instanceBecomes(ec2: EC2Client, id: string, state: string): Promise<void> {
  await vi.waitFor(
    async () => {
      const { Reservations } = await ec2.send(new DescribeInstancesCommand({ InstanceIds: [id] }));
      expect(Reservations![0]!.Instances![0]!.State!.Name).toBe(state);
    },
    { timeout: 60_000, interval: 20 },
  );
}

/** The names in a volume's filesystem, as another node sees them. */
export async function filesOn(ec2: EC2Client, id: string, node: SandboxNode): Promise<string[]> {
  const disk = await attach(ec2, id, node, '/dev/xvdca');
  const { stdout } = await onNode(
    node,
    `mkdir -p /tmp/look-$$ && mount ${disk} /tmp/look-$$ && ls /tmp/look-$$; umount /tmp/look-$$; rmdir /tmp/look-$$`,
  );
  return stdout.split('\n').filter((name) => name !== '' && name !== 'lost+found');
}

export async function openTwo(): Promise<{ sandbox: Sandbox; ec2: EC2Client; a: SandboxNode; b: SandboxNode }> {
  const sandbox = await open(await temporaryDirectory(), { nodes: 2 });
  const [a, b] = sandbox.nodes();
  return { sandbox, ec2: client(sandbox), a: a!, b: b! };
}

export const gp3: CreateVolumeCommandInput = { AvailabilityZone: 'us-east-1a', Size: 1, VolumeType: 'gp3' };
export const unknownVolume = 'vol-0123456789abcdef0';

export async function openCloud(nodes = 1, zones = 1): Promise<{ sandbox: Sandbox; ec2: EC2Client }> {
  const sandbox = await open(await temporaryDirectory(), { nodes, zones });
  return { sandbox, ec2: client(sandbox) };
}
export const refusal = (name: string, message: RegExp = /./) =>
  expect.objectContaining({ name, message: expect.stringMatching(message) });
