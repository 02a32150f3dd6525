import { beforeEach, describe, expect, it, vi } from 'vitest';
import { tagKeys } from '../../../src/ebs/tags.ts';
import { modificationOf, modifyVolume } from '../../../src/volumes/operator/modify.ts';
import { createVolume } from '../../../src/volumes/requests/create.ts';
import { fakeNode, nodeWithVolume } from '../../support/fake-node.ts';
import { failure, pass, played, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

/** A volume "a" of 16 GiB, and another node of its cluster. */
async function bed() {
  const { node, ec2, mount, volume } = await nodeWithVolume();
  const other = await fakeNode(ec2, { instanceId: 'i-2' });
  const modify = (given: Record<string, string>, on = node, dryRun = false) =>
    played(modifyVolume(on, 'a', given, { dryRun }));
  ec2.calls.length = 0;
  return { node, other, ec2, volume, mount, modify };
}

describe('a modification', () => {
  it('is one call, and asked for again it is found under way, and done', async () => {
    const { ec2, modify, node } = await bed();
    const report = await modify({ size: '+34', type: 'gp3', iops: '4000' });
    expect(report).toMatchObject({
      volumeId: 'vol-1',
      before: { sizeGiB: 16, iops: 3000 },
      after: { sizeGiB: 50, iops: 4000 },
      sent: true,
      done: false,
      modification: { state: 'modifying' },
      changes: [
        { option: 'size', was: '16', is: '50' },
        { option: 'iops', was: '3000', is: '4000' },
      ],
      next: 'Its filesystem grows at the next mount',
    });
    expect(ec2.calls.find(({ method }) => method === 'modifyVolume')?.args).toEqual([
      'vol-1',
      { sizeGib: 50, iops: 4000 },
    ]);
    expect(await modify({ size: '50', iops: '4000' })).toMatchObject({
      sent: false,
      done: false,
      changes: [],
      modification: { state: 'modifying' },
    });
    await pass(1100);
    expect(await played(modificationOf(node, 'a'))).toMatchObject({
      done: true,
      modification: { state: 'optimizing' },
      before: { sizeGiB: 16 },
      after: { sizeGiB: 50 },
    });
    expect(ec2.count('modifyVolume')).toBe(1);
  });

  it('of a volume that is mounted here is done when its filesystem has followed', async () => {
    const { node, mount, modify } = await bed();
    node.host.processes.add(1);
    await mount('a', 'id', undefined, 1);
    node.host.filesystemSizes.set('vol-1', 16 * 2 ** 30);
    expect(await modify({ size: '20' })).toMatchObject({ done: false, filesystem: { diskBytes: 16 * 2 ** 30 } });
    await pass(1100);
    expect(await played(modificationOf(node, 'a'))).toMatchObject({ done: false });
    await pass(5000);
    expect(await played(modificationOf(node, 'a'))).toMatchObject({
      done: true,
      filesystem: { diskBytes: 20 * 2 ** 30, filesystemBytes: 20 * 2 ** 30, refused: undefined },
    });
    expect(node.held.get('a')?.volume.sizeGib).toBe(20);
  });

  it('whose answer is lost is settled by the list of modifications, and never sent again', async () => {
    const { ec2, modify } = await bed();
    ec2.failNext('modifyVolume', 'EC2_UNAVAILABLE', 'after');
    expect(await modify({ size: '50' })).toMatchObject({ sent: true, modification: { state: 'modifying' } });
    expect(ec2.count('modifyVolume')).toBe(1);
  });

  it('that never arrived is told as unknown, and the next try sends it', async () => {
    const { ec2, modify, node } = await bed();
    ec2.failNext('modifyVolume', 'EC2_UNAVAILABLE', 'instead');
    expect(await failure(modifyVolume(node, 'a', { size: '50' }, { dryRun: false }))).toMatchObject({
      code: 'EC2_UNAVAILABLE',
      message: expect.stringContaining('Ask for the same values again'),
    });
    expect(await modify({ size: '50' })).toMatchObject({ sent: true });
    expect(ec2.volumes.get('vol-1')?.sizeGib).toBe(50);
  });

  it('is repeated while EC2 throttles, which proves that it took no effect', async () => {
    const { ec2, modify } = await bed();
    ec2.failNext('modifyVolume', 'EC2_THROTTLED', 'instead');
    ec2.failNext('modifyVolume', 'EC2_THROTTLED', 'instead');
    expect(await modify({ size: '50' })).toMatchObject({ sent: true });
    expect(ec2.count('modifyVolume')).toBe(3);
  });

  it('is refused while another is optimized, and says how far that is', async () => {
    const { modify, node } = await bed();
    await modify({ size: '50' });
    await pass(2000);
    expect(await failure(modifyVolume(node, 'a', { size: '60' }, { dryRun: false }))).toMatchObject({
      code: 'EC2_VOLUME_MODIFYING',
      message: expect.stringMatching(/optimizing, 50% done/),
    });
  });

  it.each([
    [{ size: '10' }, /has 16 GiB, and no EBS volume becomes smaller\. Make a new volume of 10 GiB and copy/],
    [{ size: '+0.3' }, /size takes GiB, as 200, \+50 or 1T/],
    [{ iops: '100' }, /3000/],
    [{ type: 'gp2', throughput: '200' }, /volumes of type gp2 take no throughput/],
    [{ typo: 'gp3' }, /typo cannot be modified\. Did you mean type\?/],
    [{ autoGrow: '80%' }, /autoGrow needs a limit.*Give autoGrowMax/],
    [{ autoGrow: '80%', autoGrowMax: '10' }, /autoGrowMax 10 is below its size, 16 GiB/],
    [{ autoGrow: '5%', autoGrowMax: '100' }, /autoGrow takes 10% to 95%/],
  ])('of %o is refused', async (given, words) => {
    const { node, ec2 } = await bed();
    expect(await failure(modifyVolume(node, 'a', given as Record<string, string>, { dryRun: false }))).toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringMatching(words),
    });
    expect(ec2.count('modifyVolume') + ec2.count('createTags')).toBe(0);
  });

  it('to io2 begins with the IOPS that EC2 presets, and one to gp3 says what gets slower', async () => {
    const { modify, volume, ec2 } = await bed();
    expect((await modify({ type: 'io2' }, undefined, true)).changes).toEqual([
      { option: 'type', was: 'gp3', is: 'io2' },
    ]);
    Object.assign(volume, { type: 'gp2', iops: 9000, throughput: undefined, sizeGib: 3000 });
    expect((await modify({ type: 'gp3' }, undefined, true)).notes).toEqual([
      expect.stringMatching(/As gp2 it has 9000 IOPS, and as gp3 it gets 3000/),
    ]);
    expect(ec2.count('modifyVolume')).toBe(0);
  });

  it('of how it grows by itself is in its tags, and taken off again', async () => {
    const { modify, volume, node } = await bed();
    expect((await modify({ autoGrow: '80%', autoGrowMax: '1T' })).changes).toEqual([
      { option: 'autoGrow', was: undefined, is: '80%' },
      { option: 'autoGrowMax', was: undefined, is: '1024' },
    ]);
    expect(volume.tags).toMatchObject({ [tagKeys.autoGrow]: '80%', [tagKeys.autoGrowMax]: '1024' });
    await modify({ autoGrowBy: '50' });
    await modify({ autoGrow: 'off' });
    for (const key of [tagKeys.autoGrow, tagKeys.autoGrowBy, tagKeys.autoGrowMax])
      expect(volume.tags).not.toHaveProperty([key]);
    expect(node.ec2.count('modifyVolume')).toBe(0);
  });

  it('of how it grows by itself says where else that is to be told', async () => {
    const { modify, mount, other, node } = await bed();
    await mount('a', 'id');
    const given = { autoGrow: '80%', autoGrowMax: '100' };
    expect((await modify(given, other)).notes).toEqual([
      expect.stringMatching(/^i-1 .*has it: run the same there for how it grows by itself to count there before/),
    ]);
    expect(await modify(given)).toMatchObject({ notes: [], changes: [] });
    expect(node.held.get('a')?.volume.tags).toMatchObject({ [tagKeys.autoGrow]: '80%' });
  });
});

describe('a create after a modification', () => {
  it('agrees with the new values on every node, and says of the old how they differ', async () => {
    const { node, other, mount, modify } = await bed();
    await mount('a', 'id');
    await modify({ size: '50', iops: '4000' }, other);
    for (const each of [node, other]) {
      await played(createVolume(each, 'a', { size: '50', iops: '4000' }));
      expect(await failure(createVolume(each, 'a', { size: '16', iops: '3000' }))).toMatchObject({
        code: 'EXISTS_DIFFERENT',
        message: expect.stringMatching(/size in GiB is 50, asked 16; iops is 4000, asked 3000/),
      });
    }
  });

  it('agrees with the size that it began with where it grows by itself', async () => {
    const { node, modify } = await bed();
    await modify({ autoGrow: '80%', autoGrowMax: '100', size: '50' });
    const growing = { autoGrow: '80%', autoGrowMax: '100' };
    await played(createVolume(node, 'a', { size: '16', ...growing }));
    expect(await failure(createVolume(node, 'a', { size: '60', ...growing }))).toMatchObject({
      code: 'EXISTS_DIFFERENT',
    });
    expect(await failure(createVolume(node, 'a', { autoGrow: '70%', autoGrowMax: '100' }))).toMatchObject({
      message: expect.stringContaining('autoGrow is 80%, asked 70%'),
    });
  });
});
