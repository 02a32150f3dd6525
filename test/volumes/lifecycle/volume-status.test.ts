import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { VolumeStatus } from '../../../src/ebs/types.ts';
import { DriverError } from '../../../src/errors.ts';
import { waitOf } from '../../../src/volumes/state/waits.ts';
import { FakeEc2 } from '../../support/fake-ec2.ts';
import { fakeNode, verbs } from '../../support/fake-node.ts';
import { failure, pass, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

const tickMs = 16_000;
const disabled: VolumeStatus = { status: 'impaired', ioDisabled: true, findings: ['io-enabled is failed'] };
const slow: VolumeStatus = { status: 'warning', ioDisabled: false, findings: ['io-performance is severely-degraded'] };
const enable = 'aws ec2 enable-volume-io --volume-id vol-1';

async function bench(status?: VolumeStatus) {
  const ec2 = new FakeEc2();
  if (status !== undefined) ec2.volumeStatus.set('vol-1', status);
  const node = await fakeNode(ec2);
  const does = verbs(node);
  await does.create('a');
  const asked = () => ec2.count('describeVolumeStatus');
  return { ec2, node, host: node.host, asked, ...does };
}

describe('a mount whose disk cannot be read', () => {
  const unreadable = (why: string) =>
    new DriverError('HOST_FAILED', { tried: 'read /dev/x', why, todo: 'Look at dmesg' });

  it('says that EC2 has disabled its I/O, and the command that enables it', async () => {
    const { host, mount, asked } = await bench(disabled);
    vi.spyOn(host, 'readContent').mockRejectedValue(unreadable('EIO: i/o error, read'));
    const message = String(await failure(mount('a', 'id-1')));
    expect(message).toContain('EIO: i/o error, read; EC2 shows it as impaired and serves no I/O of it');
    expect(message).toContain(`Have EC2 serve it again with ${enable}, then mount it again: its filesystem is checked`);
    expect(asked()).toBe(1);
  });

  it.each<[string, VolumeStatus | undefined, (ec2: FakeEc2) => void, RegExp]>([
    ['is in order', undefined, () => undefined, /EC2 shows it as ok\. Look at dmesg\.$/],
    [
      'is slow',
      slow,
      () => undefined,
      /EC2 shows it as warning \(io-performance is severely-degraded\)\. Look at dmesg/,
    ],
    [
      'may not be asked about',
      disabled,
      (ec2) => ec2.failNext('describeVolumeStatus', 'EC2_DENIED'),
      /could not be asked, since the role may not call ec2:DescribeVolumeStatus\. Look at dmesg/,
    ],
    [
      'is not told',
      disabled,
      (ec2) => ec2.failNext('describeVolumeStatus', 'EC2_UNAVAILABLE'),
      /Input\/output error\. Look at dmesg/,
    ],
  ])('says what is known where the volume %s', async (_, status, prepare, text) => {
    const { ec2, host, mount } = await bench(status);
    prepare(ec2);
    vi.spyOn(host, 'checkFilesystem').mockRejectedValue(unreadable('x'));
    vi.spyOn(host, 'readContent').mockRejectedValue(unreadable('dd: Input/output error'));
    expect(String(await failure(mount('a', 'id-1')))).toMatch(text);
  });

  it('asks nothing where it failed otherwise', async () => {
    const { host, mount, asked } = await bench(disabled);
    vi.spyOn(host, 'readContent').mockRejectedValue(unreadable('blkid is not installed'));
    await failure(mount('a', 'id-1'));
    expect(asked()).toBe(0);
  });
});

describe('a volume that fails while it is held', () => {
  it('is asked about once while its disk does not answer, and status says what EC2 sees', async () => {
    const { node, host, mount, asked } = await bench(disabled);
    await mount('a', 'id-1');
    host.mountedElsewhere.add('vol-1');
    const silent = vi.spyOn(host, 'unanswered').mockReturnValue([{ subject: 'vol-1', doing: 'to read', seconds: 60 }]);
    await pass(3 * tickMs);
    expect(asked()).toBe(1);
    expect(waitOf(node, 'a')).toMatch(/does not answer.*EC2 shows it as impaired.*enable-volume-io --volume-id vol-1/);
    silent.mockReturnValue([]);
    await pass(tickMs);
    expect(node.ec2Says.size).toBe(0);
  });

  it('is asked about when its filesystem fails, and the next mount says both', async () => {
    const { host, mount, asked } = await bench(disabled);
    await mount('a', 'id-1');
    host.mountedElsewhere.add('vol-1');
    host.faults.set('/ebs/volumes/a', 'shut down');
    await pass(2 * tickMs);
    expect(String(await failure(mount('a', 'id-2')))).toMatch(/has shut its filesystem down.*EC2 shows it as impaired/);
    expect(asked()).toBe(1);
  });
});
