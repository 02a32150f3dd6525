import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { EC2Client } from '@aws-sdk/client-ec2';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { startSandbox } from '../../src/sandbox/sandbox.ts';
import { requires } from '../support/requirements.ts';
import {
  attach,
  bootIdOf,
  client,
  diskOf,
  leftBehind,
  newVolume,
  onNode,
  open,
  standIn,
  temporaryDirectory,
  volumeOf,
} from './support.ts';

const runner = fileURLToPath(new URL('run-sandbox.ts', import.meta.url));

/** A sandbox in a process of its own, to be killed. */
async function spawnSandbox(dir: string): Promise<{ kill: () => Promise<void>; endpoint: string }> {
  const child = spawn(process.execPath, [runner, dir], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const kill = async (): Promise<void> => {
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
  };
  return { kill, endpoint: String(line).trim() };
}

describe.skipIf(requires('root', 'loop').skip)('a sandbox started again', () => {
  test('goes on where it ended: same instances and attachments, a new boot, synced and unsynced data', async () => {
    const dir = await temporaryDirectory();
    const first = await startSandbox({ dir, nodes: 1, zones: 1, timing: 'none', daemonCommand: standIn });
    const [before] = first.nodes();
    const id = await newVolume(client(first));
    const disk = await attach(client(first), id, before!);
    const mountpoint = `${before!.root}/mnt`;
    await onNode(
      before!,
      `mkfs.ext4 -q ${disk} && mkdir ${mountpoint} && mount ${disk} ${mountpoint} && echo x > ${mountpoint}/x`,
    );
    const boot = await bootIdOf(before!);
    await first.close();
    expect(leftBehind(dir)).toBe('');

    const second = await open(dir, { nodes: 2 });
    const [again, added] = second.nodes();
    expect(again!.instanceId).toBe(before!.instanceId);
    expect(added).toBeDefined();
    expect(await bootIdOf(again!)).not.toBe(boot);
    const [attachment] = (await volumeOf(client(second), id)).Attachments!;
    expect(attachment).toMatchObject({ State: 'attached', InstanceId: before!.instanceId });
    expect((await onNode(again!, `mount ${diskOf(again!, id)} ${mountpoint} && cat ${mountpoint}/x`)).stdout).toBe(
      'x\n',
    );
  });

  test('clears what a killed one left, as a power outage does', async () => {
    const dir = await temporaryDirectory();
    const killed = await spawnSandbox(dir);
    const ec2 = new EC2Client({
      endpoint: killed.endpoint,
      region: 'us-east-1',
      credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    });
    const id = await newVolume(ec2);
    const nodes = execFileSync('ls', [`${dir}/nodes`], { encoding: 'utf8' }).trim();
    const home = `${dir}/nodes/${nodes}`;
    const node = {
      instanceId: nodes,
      root: `${home}/root`,
      socket: `${home}/ebs.sock`,
      availabilityZone: '',
      log: '',
      pid: 0,
    };
    const disk = await attach(ec2, id, node);
    await onNode(node, `mkfs.ext4 -q ${disk} && mkdir ${node.root}/mnt && mount ${disk} ${node.root}/mnt`);
    await onNode(node, `cd ${node.root}/mnt && echo x > synced && sync -f . && echo y > unsynced`);
    await killed.kill();
    expect(leftBehind(dir)).not.toBe('');

    const sandbox = await open(dir);
    const [again] = sandbox.nodes();
    expect(again!.instanceId).toBe(node.instanceId);
    const { stdout } = await onNode(again!, `mount ${diskOf(again!, id)} ${node.root}/mnt && ls ${node.root}/mnt`);
    expect(stdout).toBe('lost+found\nsynced\n');
  });

  test('refuses a directory that another one uses', async () => {
    const dir = await temporaryDirectory();
    await open(dir, { nodes: 0 });
    await expect(startSandbox({ dir, nodes: 0, zones: 1, timing: 'none' })).rejects.toThrow(
      'in use by another sandbox',
    );
  });

  test('leaves nothing behind when a daemon does not start, and says why', async () => {
    const dir = await temporaryDirectory();
    const daemonCommand = ['sh', '-c', 'echo no such thing >&2; exit 1'];
    const starting = startSandbox({ dir, nodes: 2, zones: 1, timing: 'none', daemonCommand });
    await expect(starting).rejects.toThrow(/exited before it accepted[\s\S]*no such thing/);
    expect(leftBehind(dir)).toBe('');
  });

  test('starts a daemon that has died, which finds its mounts', async () => {
    const sandbox = await open(await temporaryDirectory());
    const [node] = sandbox.nodes();
    const disk = await attach(client(sandbox), await newVolume(client(sandbox)), node!);
    await onNode(node!, `mkfs.ext4 -q ${disk} && mkdir ${node!.root}/mnt && mount ${disk} ${node!.root}/mnt`);
    process.kill(node!.pid, 'SIGKILL');
    await vi.waitFor(() => expect(() => process.kill(node!.pid, 0)).toThrow(), { timeout: 60_000 });
    const again = await sandbox.startDaemon(node!.instanceId);
    expect(again.pid).not.toBe(node!.pid);
    expect(
      (await onNode(again, `grep -c ${node!.root}/mnt /proc/self/mountinfo; umount ${node!.root}/mnt`)).stdout,
    ).toBe('1\n');
  });
});

describe.skipIf(requires('root', 'loop').skip)('a node', () => {
  test('has the credentials of its role, and its calls name it', async () => {
    const sandbox = await open(await temporaryDirectory());
    const [node] = sandbox.nodes();
    const script = `import { DescribeVolumesCommand, EC2Client } from '@aws-sdk/client-ec2';
      await new EC2Client({}).send(new DescribeVolumesCommand({}));`;
    const result = await onNode(node!, `cd ${process.cwd()} && ${process.execPath} --input-type=module -e "${script}"`);
    expect(result).toMatchObject({ code: 0 });
    const { calls } = (await (await fetch(`${sandbox.faults}/calls`)).json()) as { calls: object[] };
    expect(calls).toMatchObject([{ action: 'DescribeVolumes', caller: node!.instanceId, result: 'OK' }]);
  });

  test('has a metadata service, version 2 only', async () => {
    const sandbox = await open(await temporaryDirectory());
    const [node] = sandbox.nodes();
    const { stdout } = await onNode(
      node!,
      `I=$AWS_EC2_METADATA_SERVICE_ENDPOINT; curl -s $I/latest/meta-data/instance-id; echo
       T=$(curl -s -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' $I/latest/api/token)
       for what in meta-data/instance-id meta-data/placement/availability-zone meta-data/nothing dynamic/instance-identity/document; do
         curl -s -H "X-aws-ec2-metadata-token: $T" $I//latest/$what; echo; done`,
    );
    const [refused, instanceId, zone, nothing, document] = stdout.split('\n');
    expect([refused, instanceId, zone, nothing]).toEqual(['Unauthorized', node!.instanceId, 'us-east-1a', 'Not Found']);
    expect(JSON.parse(document!)).toMatchObject({ instanceId: node!.instanceId, region: 'us-east-1' });
  });

  test('answers at Docker’s socket too, unless that is taken', async () => {
    const dir = await temporaryDirectory();
    const dockerSocket = `${dir}/plugins/ebs.sock`;
    const sandbox = await open(`${dir}/sandbox`, { dockerSocket });
    const [node] = sandbox.nodes();
    const { stdout } = await onNode({ ...node!, socket: dockerSocket }, 'echo $DVE_SOCKET');
    expect(stdout).toBe(`${node!.socket}\n`);
    const taken = `${dir}/taken.sock`;
    const server = createServer().listen(taken);
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    const starting = startSandbox({
      ...{ dir: `${dir}/other`, nodes: 1, zones: 1, timing: 'none', daemonCommand: standIn, dockerSocket: taken },
    });
    await expect(starting).rejects.toThrow('taken by a running plugin');
    expect(leftBehind(`${dir}/other`)).toBe('');
  });
});
