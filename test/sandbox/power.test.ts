import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, statSync } from 'node:fs';
import {
  AttachVolumeCommand,
  DetachVolumeCommand,
  RebootInstancesCommand,
  RunInstancesCommand,
  StartInstancesCommand,
  StopInstancesCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { requires } from '../support/requirements.ts';
import {
  attach,
  becomes,
  bootIdOf,
  diskOf,
  filesOn,
  instanceBecomes,
  mounted,
  newVolume,
  onNode,
  openTwo,
  volumeOf,
} from './support.ts';

describe.skipIf(requires('root', 'loop').skip)('machines', () => {
  test('a power cut loses what was not synced, keeps the attachment, and the disk comes back at boot', async () => {
    const { sandbox, ec2, a } = await openTwo();
    const id = await newVolume(ec2);
    const mountpoint = await mounted(a, await attach(ec2, id, a));
    await onNode(a, `echo x > ${mountpoint}/synced && sync -f ${mountpoint}; echo y > ${mountpoint}/unsynced`);
    const boot = await bootIdOf(a);
    await ec2.send(new StopInstancesCommand({ InstanceIds: [a.instanceId], SkipOsShutdown: true }));
    await instanceBecomes(ec2, a.instanceId, 'stopped');
    expect(() => process.kill(a.pid, 0)).toThrow('ESRCH');
    expect(execFileSync('findmnt', ['-rno', 'TARGET'], { encoding: 'utf8' })).not.toContain(a.root);
    expect((await volumeOf(ec2, id)).Attachments).toMatchObject([{ State: 'attached', InstanceId: a.instanceId }]);
    await ec2.send(new StartInstancesCommand({ InstanceIds: [a.instanceId] }));
    await instanceBecomes(ec2, a.instanceId, 'running');
    const again = await vi.waitFor(
      async () => {
        const node = sandbox.nodes().find(({ instanceId }) => instanceId === a.instanceId)!;
        await onNode(node, 'true');
        return node;
      },
      { timeout: 60_000 },
    );
    expect(again.pid).not.toBe(a.pid);
    expect(await bootIdOf(again)).not.toBe(boot);
    const { stdout } = await onNode(again, `mount ${diskOf(again, id)} ${mountpoint} && ls ${mountpoint}`);
    expect(stdout).toBe('lost+found\nsynced\n');
  });

  test('a volume is taken from a stopped instance, and a reboot keeps attachments', async () => {
    const { sandbox, ec2, a, b } = await openTwo();
    const id = await newVolume(ec2);
    await mounted(a, await attach(ec2, id, a));
    await ec2.send(new RebootInstancesCommand({ InstanceIds: [a.instanceId] }));
    await vi.waitFor(() => expect(sandbox.nodes()[0]!.pid).not.toBe(a.pid), { timeout: 60_000 });
    expect((await volumeOf(ec2, id)).Attachments).toMatchObject([{ State: 'attached', InstanceId: a.instanceId }]);
    await ec2.send(new StopInstancesCommand({ InstanceIds: [a.instanceId], Force: true }));
    await instanceBecomes(ec2, a.instanceId, 'stopped');
    await ec2.send(new DetachVolumeCommand({ VolumeId: id, InstanceId: a.instanceId }));
    await becomes(ec2, id, 'available');
    expect(await filesOn(ec2, id, b)).toEqual([]);
  });

  test('a terminated instance lets go of its volumes', async () => {
    const { ec2, a, b } = await openTwo();
    const id = await newVolume(ec2);
    const mountpoint = await mounted(a, await attach(ec2, id, a));
    await onNode(a, `echo x > ${mountpoint}/synced && sync -f ${mountpoint}`);
    await ec2.send(new TerminateInstancesCommand({ InstanceIds: [a.instanceId] }));
    await instanceBecomes(ec2, a.instanceId, 'terminated');
    expect(await filesOn(ec2, id, b)).toEqual(['synced']);
  });

  test('a power cut reaches a mount that only a container still has', async () => {
    const { ec2, a, b } = await openTwo();
    const id = await newVolume(ec2);
    const mountpoint = await mounted(a, await attach(ec2, id, a));
    await onNode(a, `echo x > ${mountpoint}/synced && sync -f ${mountpoint}`);
    const container = spawn('unshare', ['--mount', '--propagation', 'private', 'sleep', '600'], { stdio: 'ignore' });
    onTestFinished(() => void container.kill('SIGKILL'));
    const inContainer = (script: string) =>
      spawnSync('nsenter', ['-t', String(container.pid), '-m', 'sh', '-c', script]);
    await vi.waitFor(() => expect(inContainer(`ls ${mountpoint}/synced`).status).toBe(0), { timeout: 60_000 });
    await ec2.send(new TerminateInstancesCommand({ InstanceIds: [a.instanceId] }));
    await instanceBecomes(ec2, a.instanceId, 'terminated');
    expect(String(inContainer(`echo z > ${mountpoint}/late`).stderr)).toContain('Input/output error');
    expect(await filesOn(ec2, id, b)).toEqual(['synced']);
    const exit = once(container, 'exit');
    container.kill('SIGKILL');
    await exit;
  });

  test('a hibernated instance keeps its memory and mounts', async () => {
    const { sandbox, ec2 } = await openTwo();
    const { Instances } = await ec2.send(
      new RunInstancesCommand({
        MinCount: 1,
        MaxCount: 1,
        InstanceType: 'm5.large',
        HibernationOptions: { Configured: true },
      }),
    );
    const instanceId = Instances![0]!.InstanceId!;
    const node = await vi.waitFor(
      async () => {
        const found = sandbox.nodes().find((each) => each.instanceId === instanceId)!;
        await onNode(found, 'true');
        return found;
      },
      { timeout: 60_000 },
    );
    const id = await newVolume(ec2);
    const mountpoint = await mounted(node, await attach(ec2, id, node));
    await ec2.send(new StopInstancesCommand({ InstanceIds: [instanceId], Hibernate: true }));
    await instanceBecomes(ec2, instanceId, 'stopped');
    expect(readFileSync(`/proc/${node.pid}/stat`, 'utf8')).toContain(') T ');
    await ec2.send(new StartInstancesCommand({ InstanceIds: [instanceId] }));
    await instanceBecomes(ec2, instanceId, 'running');
    expect(sandbox.nodes().find((each) => each.instanceId === instanceId)!.pid).toBe(node.pid);
    expect(await onNode(node, `touch ${mountpoint}/x && umount ${mountpoint}`)).toMatchObject({ code: 0 });
  });

  test('a stopped instance can be given a volume, which it finds at boot', async () => {
    const { sandbox, ec2, a } = await openTwo();
    const id = await newVolume(ec2);
    await ec2.send(new StopInstancesCommand({ InstanceIds: [a.instanceId] }));
    await instanceBecomes(ec2, a.instanceId, 'stopped');
    await ec2.send(new AttachVolumeCommand({ VolumeId: id, InstanceId: a.instanceId, Device: '/dev/xvdba' }));
    await becomes(ec2, id, 'attached');
    await ec2.send(new StartInstancesCommand({ InstanceIds: [a.instanceId] }));
    await vi.waitFor(() => expect(statSync(diskOf(sandbox.nodes()[0]!, id)).isBlockDevice()).toBe(true), {
      timeout: 60_000,
    });
  });
});
