import { beforeEach, describe, expect, it, vi } from 'vitest';
import { tagKeys } from '../../../src/ebs/tags.ts';
import { adoptUnrecorded } from '../../../src/volumes/lifecycle/adopt.ts';
import { endRescue, rescue } from '../../../src/volumes/lifecycle/rescue.ts';
import { rescueReport } from '../../../src/volumes/operator/rescue-steps.ts';
import { type FakeNode, fakeNode, nodeWithVolume } from '../../support/fake-node.ts';
import { failure, pass, played, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

const path = '/ebs/rescue/a';
const does = (node: FakeNode) => ({
  rescue: (snapshot = true) => played(node.queue.run('a', () => rescue(node, 'a', { snapshot }))),
  end: () => played(node.queue.run('a', () => endRescue(node, 'a'))),
});

async function bench() {
  const all = await nodeWithVolume();
  return { ...all, ...does(all.node) };
}

describe('a volume that is rescued', () => {
  it('is attached and not mounted, has a path and a snapshot, and stays', async () => {
    const { rescue, node, ec2, volume } = await bench();
    const { path: given, snapshotId, volumeId } = await rescue();
    expect([given, volumeId]).toEqual([path, 'vol-1']);
    expect(snapshotId).toMatch(/^snap-/);
    expect(node.host.rescued).toEqual(new Map([[path, 'vol-1']]));
    await pass(600_000);
    expect([node.host.mounted.size, ec2.count('detachVolume'), volume.attachments.length]).toEqual([0, 0, 1]);
    expect(node.held.get('a')).toMatchObject({ phase: 'attached', holders: [{ id: 'rescue', snapshotId }] });
  });

  it('has its snapshot before its path is given out, tagged as ours', async () => {
    const { rescue, ec2, node } = await bench();
    await rescue();
    const call = ec2.calls.find(({ method }) => method === 'createSnapshot');
    expect(call?.args[2]).toMatchObject({ [tagKeys.cluster]: 'default', [tagKeys.rescued]: 'a' });
    expect(node.host.count('holdDisk')).toBe(1);
  });

  it('is rescued once, however often it is asked for, with one snapshot', async () => {
    const { rescue, ec2 } = await bench();
    const first = await rescue();
    expect(await rescue()).toEqual(first);
    expect([ec2.count('createSnapshot'), ec2.count('attachVolume')]).toEqual([1, 1]);
  });

  it('has none where none is wanted', async () => {
    const { rescue, ec2 } = await bench();
    expect((await rescue(false)).snapshotId).toBeUndefined();
    expect(ec2.count('createSnapshot')).toBe(0);
  });

  it('is neither mounted nor removed, and the error says how to end it; no Unmount ends it', async () => {
    const { rescue, mount, remove, unmount, node } = await bench();
    await rescue();
    await unmount('a', 'rescue');
    for (const verb of [() => mount('a', 'id-1'), () => remove('a')]) {
      const error = await failure(verb());
      expect(error).toMatchObject({ code: 'IN_USE_HERE' });
      expect(String(error)).toContain('docker-volume-ebs rescue a --end on i-1');
    }
    expect(node.host.rescued.size).toBe(1);
  });

  it('goes on after a restart of the daemon, with its path renewed', async () => {
    const { rescue, node, ec2, volume } = await bench();
    await rescue();
    node.kill();
    node.host.rescued.clear();
    const again = await fakeNode(ec2, node.machine);
    await pass(60_000);
    expect(again.held.get('a')).toMatchObject({ holders: [{ id: 'rescue' }] });
    expect(again.host.rescued).toEqual(new Map([[path, 'vol-1']]));
    expect(volume.attachments).toMatchObject([{ state: 'attached' }]);
  });

  it('is over after a reboot, and its path is gone before anything else', async () => {
    const { rescue, node, ec2, volume } = await bench();
    await rescue();
    node.kill();
    node.machine.host.reboot();
    const again = await fakeNode(ec2, node.machine);
    expect(again.host.rescued.size).toBe(0);
    await pass(60_000);
    expect(volume.attachments).toEqual([]);
  });

  it('has no path any more once its disk has gone', async () => {
    const { rescue, node, ec2, volume } = await bench();
    await rescue();
    ec2.plugged.clear();
    volume.attachments = [];
    await played(
      node.queue.run('a', async () => (await import('../../../src/volumes/lifecycle/agree.ts')).agree(node, 'a')),
    );
    expect(node.host.rescued.size).toBe(0);
    expect(node.held.get('a')).toBeUndefined();
  });

  it('is given back with the clean tag, and mounts as ever', async () => {
    const { rescue, end, mount, node, volume } = await bench();
    await rescue();
    await end();
    expect([node.host.rescued.size, volume.attachments.length]).toEqual([0, 0]);
    expect(volume.tags[tagKeys.clean]).toMatch(/^i-1 /);
    expect(await mount('a', 'id-1')).toBe('/ebs/volumes/a/data');
  });

  it('is not given back while a program has its disk', async () => {
    const { rescue, end, node, volume } = await bench();
    await rescue();
    node.host.mountedElsewhere.add('vol-1');
    expect(await failure(end())).toMatchObject({ code: 'IN_USE_HERE' });
    expect([node.host.rescued.size, volume.attachments.length]).toEqual([1, 1]);
  });

  it('is let go again when its snapshot cannot be taken', async () => {
    const { rescue, node, ec2, volume } = await bench();
    ec2.failNext('createSnapshot', 'EC2_DENIED');
    expect(await failure(rescue())).toMatchObject({ code: 'EC2_DENIED' });
    await pass(20_000);
    expect([node.host.rescued.size, node.held.size, volume.attachments.length]).toEqual([0, 0, 0]);
  });
});

describe('a rescue is refused', () => {
  it('of a volume that a container has', async () => {
    const { rescue, mount, ec2, node } = await bench();
    await mount('a', 'id-1');
    expect(await failure(rescue())).toMatchObject({ code: 'IN_USE_HERE' });
    expect([ec2.count('createSnapshot'), node.held.get('a')?.holders.length]).toEqual([0, 1]);
  });

  it('of one that a running node has', async () => {
    const { mount, ec2 } = await bench();
    await mount('a', 'id-1');
    const other = await fakeNode(ec2, { instanceId: 'i-2' });
    expect(await failure(does(other).rescue())).toMatchObject({ code: 'ATTACHED_ELSEWHERE' });
  });

  it('to be ended where none is', async () => {
    const { end } = await bench();
    expect(await failure(end())).toMatchObject({ code: 'INVALID_REQUEST' });
  });
});

it('a volume that somebody else has attached is left alone, and told of', async () => {
  const { ec2, node, volume } = await bench();
  ec2.addAttachment(volume, 'i-1', '/dev/sdf');
  await played(adoptUnrecorded(node));
  await pass(120_000);
  expect([...node.foreign.values()]).toEqual([{ name: 'a', volumeId: 'vol-1', device: '/dev/sdf' }]);
  expect([ec2.count('detachVolume'), node.held.size]).toEqual([0, 0]);
});

it('a disk that a program reads under a name of ours is left alone; read by nothing, it is released by the next look', async () => {
  const { ec2, node, volume } = await bench();
  ec2.addAttachment(volume, 'i-1', '/dev/xvdba');
  node.host.readers.add('vol-1');
  await played(adoptUnrecorded(node));
  await pass(120_000);
  expect([...node.foreign.values()]).toEqual([{ name: 'a', volumeId: 'vol-1', device: '/dev/xvdba' }]);
  expect([ec2.count('detachVolume'), node.held.size]).toEqual([0, 0]);
  node.host.readers.clear();
  await played(adoptUnrecorded(node));
  await pass(20_000);
  expect([volume.attachments.length, node.held.size]).toEqual([0, 0]);
});

describe('what is printed', () => {
  const base = { name: 'a', volumeId: 'vol-1', path, since: 's', snapshotId: undefined } as const;
  const other = { kind: 'other', what: 'data' } as const;
  const commands = (more: Pick<Parameters<typeof rescueReport>[0], 'filesystem' | 'content'>) =>
    rescueReport({ ...base, ...more }).steps.map(({ command }) => command);

  it('looks first, and repairs from the copy of the superblock where the first is lost', () => {
    const content = { ...other, copy: { block: 32_768, blockBytes: 4096 } };
    expect(commands({ filesystem: 'ext4', content })).toEqual([
      `e2fsck -f -n -b 32768 -B 4096 ${path}`,
      `e2fsck -f -b 32768 -B 4096 ${path}`,
    ]);
    expect(commands({ filesystem: 'ext4', content: other })).toEqual([`e2fsck -f -n ${path}`, `e2fsck -f ${path}`]);
  });

  it('is what the filesystem has for it', () => {
    expect(commands({ filesystem: 'xfs', content: other })).toEqual([`xfs_repair -n ${path}`, `xfs_repair ${path}`]);
    expect(commands({ filesystem: 'btrfs', content: other })[0]).toBe(`btrfs check --readonly ${path}`);
    expect(commands({ filesystem: undefined, content: other })).toEqual([`blkid -p ${path}`]);
  });
});
