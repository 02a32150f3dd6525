import { uptime } from 'node:os';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { tagKeys } from '../../../src/ebs/tags.ts';
import { FakeEc2 } from '../../support/fake-ec2.ts';
import { pass, played, useVirtualTime } from '../../support/virtual-time.ts';
import { addAskable, bench, onFiles } from './driven.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

describe('the permissions of the role', () => {
  it('are asked for some minutes after the start', async () => {
    const { ec2, elsewhere } = await bench();
    await elsewhere();
    addAskable(ec2);
    await pass(100_000);
    expect(ec2.count('denied')).toBe(0);
    await pass(12 * 60_000);
    const asked = ec2.calls.flatMap(({ method, args }) => (method === 'denied' ? [args[0] as { action: string }] : []));
    expect(asked.map(({ action }) => action)).toEqual([
      'DeleteTags',
      'CreateTags',
      'CreateVolume',
      'DetachVolume',
      'AttachVolume',
      'DeleteVolume',
    ]);
  });

  it('are not asked for again the same day once nothing was missing', async () => {
    const { ec2, fence, elsewhere, journal } = await bench();
    await elsewhere();
    addAskable(ec2);
    await played(fence.explain('a'));
    expect(journal.allowance).toMatchObject({ bootId: 'boot-1' });
    ec2.calls.length = 0;
    await pass(15 * 60_000);
    expect(ec2.count('denied')).toBe(0);
  });

  it('are asked for again after a day, whatever was done to the clock on the wall', async () => {
    const { ec2, fence, elsewhere, journal } = await bench();
    await elsewhere();
    addAskable(ec2);
    await played(fence.explain('a'));
    const { allowance } = journal;
    ec2.calls.length = 0;
    vi.setSystemTime('2036-01-02');
    await played(fence.explain('a'));
    expect(ec2.count('denied')).toBe(0);
    journal.allowance = { bootId: '', asked: '', ...allowance, uptime: uptime() - 86_401 };
    await played(fence.explain('a'));
    expect(ec2.count('denied')).toBeGreaterThan(0);
  });

  it('to take snapshots are asked for anew once a volume with a schedule is here', async () => {
    const { ec2, fence, elsewhere, journal, driver } = await bench();
    await elsewhere();
    addAskable(ec2);
    await played(fence.explain('a'));
    await played(driver.create('db', { snapshots: 'daily:7', autoGrow: '80%', autoGrowMax: '100' }));
    await played(driver.mount('db', 'id'));
    ec2.calls.length = 0;
    await played(fence.explain('a'));
    const asked = ec2.calls.flatMap(({ method, args }) => (method === 'denied' ? args : []));
    expect(asked).toContainEqual(expect.objectContaining({ action: 'CreateSnapshot' }));
    expect(journal.allowance?.asked).toMatch(/ grow snapshots$/);
    ec2.calls.length = 0;
    await played(fence.explain('a'));
    expect(ec2.count('denied')).toBe(0);
  });

  it('to grow volumes are asked for where one is to grow by itself, and it runs on without them', async () => {
    const { ec2, fence, elsewhere, lines, journal, driver } = await bench();
    await elsewhere();
    addAskable(ec2);
    await played(fence.explain('a'));
    expect(journal.allowance?.asked).not.toMatch(/grow/);
    await played(driver.create('grows', { autoGrow: '80%', autoGrowMax: '100' }));
    await played(driver.mount('grows', 'id'));
    ec2.calls.length = 0;
    ec2.denials.set('ModifyVolume', 'You are not authorized to perform this operation.');
    expect((await played(fence.explain('a'))).denied).toEqual([
      'ModifyVolume: You are not authorized to perform this operation. (so that no volume grows by itself, as the option autoGrow of some asks (iam/grow.json))',
    ]);
    expect(lines.filter(({ level }) => level === 50)).toMatchObject([{ action: 'ModifyVolume' }]);
    const grows = [...ec2.volumes.values()].at(-1);
    const asked = ec2.calls.flatMap(({ method, args }) => (method === 'denied' ? args : []));
    expect(asked.slice(-2)).toEqual([
      { action: 'DescribeVolumesModifications' },
      { action: 'ModifyVolume', volumeId: grows?.id, change: { sizeGib: 17 } },
    ]);
    ec2.denials.clear();
    journal.allowance = undefined;
    await pass(4 * 60_000);
    expect((await played(fence.explain('a'))).denied).toEqual([]);
    expect(journal.allowance).toMatchObject({ asked: expect.stringMatching(/ grow$/) });
    ec2.calls.length = 0;
    await played(fence.explain('a'));
    expect(ec2.count('denied')).toBe(0);
  });

  it('are asked for a volume that is still there', async () => {
    const { ec2, fence, elsewhere } = await bench();
    ec2.addVolume({ state: 'deleting', tags: { [tagKeys.cluster]: 'default' } });
    const { volume } = await elsewhere();
    await played(fence.explain('a'));
    const about = ec2.calls.find(({ method }) => method === 'denied')?.args[0];
    expect(about).toMatchObject({ action: 'DeleteTags', resourceId: volume.id });
  });

  it('are asked for a volume of this zone, rather than one that could not be attached anyway', async () => {
    const { ec2, fence, elsewhere } = await bench();
    ec2.addVolume({ zone: 'eu-west-1b', tags: { [tagKeys.cluster]: 'default' } });
    const { volume } = await elsewhere();
    await played(fence.explain('a'));
    expect(ec2.calls.find(({ method }) => method === 'denied')?.args[0]).toMatchObject({ resourceId: volume.id });
  });

  it('are asked for without a volume as far as that goes, and for all of them once there is one', async () => {
    const { ec2, lines, elsewhere, fence } = await bench();
    const asked = () => ec2.calls.flatMap(({ method, args }) => (method === 'denied' ? args : []));
    ec2.denials.set('CreateVolume', 'You are not authorized to perform this operation.');
    await pass(15 * 60_000);
    expect(asked()).toMatchObject([{ action: 'DescribeVolumes' }, { action: 'CreateVolume' }]);
    expect(lines.filter(({ level }) => level === 50)).toMatchObject([{ action: 'CreateVolume' }]);
    ec2.denials.clear();
    await elsewhere();
    addAskable(ec2);
    expect(await played(fence.explain('a'))).toMatchObject({ denied: [] });
    expect(asked().at(-1)).toMatchObject({ action: 'DeleteVolume' });
  });

  it('are asked for only as EC2 would do it: with a free volume to attach, and an attachment of ours to end', async () => {
    const { ec2, fence, elsewhere, lines, journal } = await bench();
    await elsewhere();
    const asked = () =>
      ec2.calls.flatMap(({ method, args }) => (method === 'denied' ? [args[0] as { action: string }] : []));
    expect((await played(fence.explain('a'))).denied).toEqual([]);
    expect(asked().map(({ action }) => action)).toEqual(['DeleteTags', 'CreateTags', 'CreateVolume']);
    expect(lines.find(({ later }) => later !== undefined)?.['later']).toEqual([
      'AttachVolume: once a volume in eu-west-1a is free',
      'DetachVolume: once a volume is attached to this instance',
    ]);
    expect(journal.allowance).toBeUndefined();
    addAskable(ec2);
    await pass(4 * 60_000);
    await played(fence.explain('a'));
    const [free, here] = [...ec2.volumes.values()].slice(-2);
    const attach = { action: 'AttachVolume', key: { volumeId: free?.id, instanceId: 'i-1', device: '/dev/xvdba' } };
    expect(asked()).toContainEqual(attach);
    const detach = { action: 'DetachVolume', key: { volumeId: here?.id, instanceId: 'i-1', device: '/dev/xvdcz' } };
    expect(asked()).toContainEqual(detach);
  });

  it('are asked for as the daemon will call, with its tags, which a policy may look at', async () => {
    const { ec2, fence, elsewhere } = await bench({ onRemove: 'snapshot', fencePolicy: 'preempt' });
    const { volume } = await elsewhere();
    await played(fence.explain('a'));
    const asked = ec2.calls.flatMap(({ method, args }) => (method === 'denied' ? args : []));
    const tags = { [tagKeys.cluster]: 'default' };
    expect(asked[0]).toEqual({ action: 'DescribeInstanceStatus' });
    expect(asked).toContainEqual({ action: 'CreateSnapshot', volumeId: volume.id, tags });
    expect(asked).toContainEqual({ action: 'CreateVolume', spec: expect.objectContaining({ tags }) });
  });

  it('to stop instances cannot be judged by one without the tag that the others have', async () => {
    const { ec2, fence, elsewhere, lines } = await bench({ fencePolicy: 'stonith' });
    await elsewhere();
    ec2.denials.set('StopInstances', 'You are not authorized to perform this operation.');
    expect((await played(fence.explain('a'))).denied).toBeUndefined();
    const [warning] = lines.filter(({ unknown }) => unknown !== undefined);
    expect(warning?.['unknown']).toEqual([
      expect.stringContaining('i-1 lacks the tag docker-volume-ebs:cluster = default'),
    ]);
    expect(lines.filter(({ level }) => level === 50)).toEqual([]);
  });

  it('are not asked for by an endpoint that does not know dry runs', async () => {
    const { ec2, fence, elsewhere } = await bench();
    await elsewhere();
    ec2.failNext('denied', 'EC2_REJECTED');
    expect((await played(fence.explain('a'))).denied).toBeUndefined();
    expect(ec2.count('denied')).toBe(1);
  });
});

it('a daemon that starts again knows that the role suffices', async () => {
  const ec2 = new FakeEc2();
  ec2.addInstance('i-1');
  ec2.addVolume({ tags: { [tagKeys.cluster]: 'default', [tagKeys.name]: 'a' } });
  addAskable(ec2);
  const { driver, again } = await onFiles(ec2);
  expect(await driver.operator.fence.explain('a')).toMatchObject({ denied: [] });
  const asked = ec2.count('denied');
  expect(asked).toBeGreaterThan(0);
  expect(await (await again()).operator.fence.explain('a')).toMatchObject({ denied: [] });
  expect(ec2.count('denied')).toBe(asked);
});
