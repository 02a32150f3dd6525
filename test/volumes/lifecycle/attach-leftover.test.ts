import { beforeEach, describe, expect, it, vi } from 'vitest';
import { tagKeys } from '../../../src/ebs/tags.ts';
import type { Attachment } from '../../../src/ebs/types.ts';
import { ownerTag } from '../../../src/fencing/records.ts';
import type { FakeHost } from '../../support/fake-host.ts';
import { nodeWithVolume as bench } from '../../support/fake-node.ts';
import { failure, pass, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

/** The owner tag, as this driver writes it for an attachment that it has made. */
function ours({ tags }: { tags: Record<string, string> }, { instanceId, device, attachTime }: Attachment): void {
  const owner = { instanceId: instanceId ?? '', device, attachTime, boot: 'boot-1', scheduler: undefined };
  tags[tagKeys.owner] = ownerTag(owner);
}

describe('a left-over attachment of this instance', () => {
  it('is released, never mounted, and the volume attached anew', async () => {
    const { mount, ec2, volume, node } = await bench();
    ours(volume, ec2.addAttachment(volume, 'i-1', '/dev/xvdbk'));
    await mount('a', 'id-1');
    expect(ec2.calls.find(({ method }) => method === 'detachVolume')?.args).toEqual([
      { volumeId: 'vol-1', instanceId: 'i-1', device: '/dev/xvdbk' },
    ]);
    expect(volume.attachments[0]).toMatchObject({ instanceId: 'i-1', state: 'attached' });
    expect(node.host.mounted.size).toBe(1);
  });

  it('keeps its device name out of use for the attachment that follows', async () => {
    const { mount, ec2, volume } = await bench();
    ours(volume, ec2.addAttachment(volume, 'i-1', '/dev/xvdba'));
    await mount('a', 'id-1');
    expect(volume.attachments).toMatchObject([{ instanceId: 'i-1', device: '/dev/xvdbb' }]);
  });

  it('that is on its way out is waited for, also when its disk has left already', async () => {
    const { mount, unmount, ec2, volume } = await bench();
    ec2.unplugMs = 100;
    ec2.detachMs = 4000;
    await mount('a', 'id-1');
    await unmount('a', 'id-1');
    await pass(2500);
    expect(volume.attachments).toMatchObject([{ state: 'detaching' }]);
    expect(await mount('a', 'id-2')).toBe('/ebs/volumes/a/data');
    expect(ec2.count('detachVolume')).toBe(1);
  });

  it('is not touched while something uses its disk', async () => {
    const { mount, ec2, volume, node } = await bench();
    ours(volume, ec2.addAttachment(volume, 'i-1', '/dev/xvdba'));
    node.host.mountedElsewhere.add('vol-1');
    const error = await failure(mount('a', 'id-1'));
    expect(error).toMatchObject({ code: 'IN_USE_HERE' });
    expect(String(error)).toContain('process 42 (of vol-1) still has vol-1 mounted');
    expect([ec2.count('detachVolume'), ec2.count('createTags')]).toEqual([0, 0]);
  });

  it('that nothing says is ours is released where its device name is one that this driver alone takes', async () => {
    const { mount, ec2, volume, node } = await bench();
    ec2.addAttachment(volume, 'i-1', '/dev/xvdbk');
    await mount('a', 'id-1');
    expect(ec2.count('detachVolume')).toBe(1);
    expect(volume.attachments).toMatchObject([{ instanceId: 'i-1', device: '/dev/xvdba' }]);
    expect(node.held.get('a')?.phase).toBe('mounted');
  });

  const mountedToo = ({ mountedElsewhere }: FakeHost) => mountedElsewhere.add('vol-1');
  it.each([
    ['/dev/sdf, a name that people use', () => undefined, 'Once nobody works on it, run'],
    [
      '/dev/sdf, and is mounted',
      mountedToo,
      /still has vol-1 mounted\. Once nobody works on it and it is unmounted, run/,
    ],
    ['/dev/xvdba, a name of ours, and is mounted', mountedToo, /still has vol-1 mounted\. Once nobody works on it and/],
    [
      '/dev/xvdba, a name of ours, and is read',
      ({ readers }) => readers.add('vol-1'),
      'process 43 (dd) has vol-1 open',
    ],
  ] satisfies [string, (host: FakeHost) => unknown, string | RegExp][])(
    'that nothing says is ours is not touched as %s, and the error says how to end it',
    async (as, use, says) => {
      const { mount, remove, ec2, volume, node } = await bench();
      const { device } = ec2.addAttachment(volume, 'i-1', as.split(',')[0]);
      use(node.host);
      for (const verb of [() => mount('a', 'id-1'), () => remove('a')]) {
        const error = await failure(verb());
        expect(error).toMatchObject({ code: 'IN_USE_HERE' });
        expect(String(error)).toMatch(says);
        expect(String(error)).toContain(
          `aws ec2 detach-volume --volume-id vol-1 --instance-id i-1 --device ${device}, and try again`,
        );
      }
      await pass(120_000);
      expect(ec2.count('detachVolume')).toBe(0);
      expect(volume.attachments).toMatchObject([{ state: 'attached' }]);
    },
  );
});
