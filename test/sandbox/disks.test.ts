import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import {
  CreateSnapshotCommand,
  CreateVolumeCommand,
  DetachVolumeCommand,
  ModifyVolumeCommand,
} from '@aws-sdk/client-ec2';
import { describe, expect, test, vi } from 'vitest';
import { requires } from '../support/requirements.ts';
import { attach, becomes, filesOn, mounted, newVolume, onNode, openTwo } from './support.ts';

describe.skipIf(requires('root', 'loop').skip)('disks', () => {
  test('an attached volume is an NVMe disk on its node, and grows there', async () => {
    const { ec2, a } = await openTwo();
    const id = await newVolume(ec2);
    const disk = await attach(ec2, id, a);
    expect(disk).toMatch(/\/dev\/nvme1n1$/);
    const sysfs = disk.replace('/dev/nvme1n1', '/sys');
    expect(readFileSync(`${sysfs}/class/nvme/nvme1/serial`, 'utf8')).toBe(`${id.replace('-', '')}\n`);
    expect(readFileSync(`${sysfs}/class/nvme/nvme1/model`, 'utf8').trim()).toBe('Amazon Elastic Block Store');
    expect(statSync(disk).isBlockDevice()).toBe(true);
    await ec2.send(new ModifyVolumeCommand({ VolumeId: id, Size: 2 }));
    // It has its new size once it is "optimizing".
    await vi.waitFor(() => expect(readFileSync(`${sysfs}/block/nvme1n1/size`, 'utf8')).toBe('4194304\n'), 30_000);
    expect(execFileSync('blockdev', ['--getsize64', disk], { encoding: 'utf8' }).trim()).toBe(String(2 * 1024 ** 3));
  });

  test('nodes do not see each other’s mounts, and this host sees both', async () => {
    const { ec2, a, b } = await openTwo();
    const mountpoint = await mounted(a, await attach(ec2, await newVolume(ec2), a));
    await onNode(a, `touch ${mountpoint}/here`);
    expect((await onNode(b, `grep -c ${a.root} /proc/self/mountinfo; ls ${mountpoint}`)).stdout).toBe('0\n');
    expect(execFileSync('ls', [mountpoint], { encoding: 'utf8' })).toContain('here');
    execFileSync('umount', [mountpoint]);
    expect((await onNode(a, `grep -c ${mountpoint} /proc/self/mountinfo`)).stdout).toBe('0\n');
  });

  test('a plain detach waits for the last mount', async () => {
    const { ec2, a } = await openTwo();
    const id = await newVolume(ec2);
    const disk = await attach(ec2, id, a);
    const mountpoint = await mounted(a, disk);
    await ec2.send(new DetachVolumeCommand({ VolumeId: id, InstanceId: a.instanceId, Device: '/dev/xvdba' }));
    await new Promise((resolve) => setTimeout(resolve, 400));
    await becomes(ec2, id, 'detaching');
    expect(await onNode(a, `touch ${mountpoint}/still && umount ${mountpoint}`)).toMatchObject({ code: 0 });
    await becomes(ec2, id, 'available');
    expect(() => statSync(disk)).toThrow('ENOENT');
  });

  test.each(['ext4', 'xfs'] as const)('%s: a forced detach cuts a live mount off for good', async (type) => {
    if (type === 'xfs' && requires('mkfs.xfs').skip) return;
    const { ec2, a, b } = await openTwo();
    const id = await newVolume(ec2);
    const mountpoint = await mounted(a, await attach(ec2, id, a), type);
    await onNode(a, `echo x > ${mountpoint}/synced && sync -f ${mountpoint}; echo y > ${mountpoint}/unsynced`);
    await ec2.send(new DetachVolumeCommand({ VolumeId: id, InstanceId: a.instanceId, Force: true }));
    await becomes(ec2, id, 'available');
    expect(await onNode(a, `cat ${mountpoint}/synced`)).toMatchObject({ stdout: '', code: 1 });
    const late = await onNode(a, `echo z > ${mountpoint}/late; umount ${mountpoint}`);
    expect(late.stderr).toContain('Input/output error');
    // Only now: one kernel mounts no second XFS with the UUID of a mounted one.
    expect(await filesOn(ec2, id, b)).toEqual(['synced']);
  });

  test('btrfs: a forced detach cuts a live mount off for good', async () => {
    if (requires('mkfs.btrfs').skip) return;
    const { ec2, a, b } = await openTwo();
    const id = await newVolume(ec2);
    const mountpoint = await mounted(a, await attach(ec2, id, a), 'btrfs');
    await onNode(a, `echo x > ${mountpoint}/synced && sync -f ${mountpoint}`);
    await ec2.send(new DetachVolumeCommand({ VolumeId: id, InstanceId: a.instanceId, Force: true }));
    await becomes(ec2, id, 'available');
    expect((await onNode(a, `echo z > ${mountpoint}/late && sync -f ${mountpoint}`)).code).not.toBe(0);
    await onNode(a, `umount ${mountpoint}`);
    expect(await filesOn(ec2, id, b)).toEqual(['synced']);
  });

  test('a raw device in use is taken away from who uses it', async () => {
    const { ec2, a, b } = await openTwo();
    const id = await newVolume(ec2);
    const disk = await attach(ec2, id, a);
    const { stdout } = await onNode(a, `sleep 600 < ${disk} >/dev/null 2>&1 & echo $!`);
    await ec2.send(new DetachVolumeCommand({ VolumeId: id, InstanceId: a.instanceId, Force: true }));
    await becomes(ec2, id, 'available');
    // An init that does not reap, as in some containers, leaves a zombie, which holds nothing.
    const status = spawnSync('ps', ['-o', 'stat=', '-p', stdout.trim()], { encoding: 'utf8' }).stdout.trim();
    expect(status).toMatch(/^Z|^$/);
    expect(statSync(await attach(ec2, id, b)).isBlockDevice()).toBe(true);
  });

  test('a snapshot holds what the volume held at that moment', async () => {
    const { ec2, a, b } = await openTwo();
    const id = await newVolume(ec2);
    const mountpoint = await mounted(a, await attach(ec2, id, a));
    await onNode(a, `touch ${mountpoint}/before`);
    const { SnapshotId } = await ec2.send(new CreateSnapshotCommand({ VolumeId: id }));
    await onNode(a, `touch ${mountpoint}/after; umount ${mountpoint}`);
    const copy = await vi.waitFor(
      () => ec2.send(new CreateVolumeCommand({ AvailabilityZone: 'us-east-1a', VolumeType: 'gp3', SnapshotId })),
      { timeout: 60_000 },
    );
    await becomes(ec2, copy.VolumeId!, 'available');
    expect(await filesOn(ec2, copy.VolumeId!, b)).toEqual(['before']);
  });
});
