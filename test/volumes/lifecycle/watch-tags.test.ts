import { beforeEach, describe, expect, it, vi } from 'vitest';
import { tagKeys } from '../../../src/ebs/tags.ts';
import { lastingTags } from '../../../src/volumes/state/lost-tags.ts';
import { waitOf } from '../../../src/volumes/state/waits.ts';
import { FakeEc2 } from '../../support/fake-ec2.ts';
import { type FakeNodeParts, fakeNode, verbs } from '../../support/fake-node.ts';
import { pass, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

const minuteMs = 60_000;

/** A volume mounted here for a quarter of an hour, whose tags somebody has then taken off. */
async function stripped(settings: FakeNodeParts['settings'] = {}) {
  const ec2 = new FakeEc2();
  const node = await fakeNode(ec2, { settings });
  const does = verbs(node);
  await does.create('db');
  await does.create('other');
  // A caller without an id: nobody judges whether it has gone.
  await does.mount('db');
  const volume = ec2.volumes.get('vol-1');
  if (volume === undefined) throw new Error('no volume');
  const before = { ...volume.tags };
  await pass(15 * minuteMs);
  volume.tags = { Name: 'web-1' };
  ec2.calls.length = 0;
  return { ec2, node, volume, before, ...does };
}

describe('tags that are taken off a volume in use', () => {
  it('cost no call while nothing happens', async () => {
    const { ec2 } = await stripped();
    await pass(60 * minuteMs);
    expect(ec2.calls).toEqual([]);
  });

  it('are put back when the node looks another volume up, to the last that tells what it is', async () => {
    const { mount, node, volume, before } = await stripped();
    await mount('other', 'id-2');
    expect(volume.tags).toMatchObject({ ...lastingTags(before), Name: 'web-1' });
    expect(node.tagLooks.get('db')?.lost).toBeUndefined();
  });

  it('are put back before it is detached, so that every node finds it', async () => {
    const { ec2, unmount, volume, before } = await stripped();
    await unmount('db');
    await pass(10_000);
    expect(volume.attachments).toEqual([]);
    expect(volume.tags[tagKeys.name]).toBe('db');
    expect(volume.tags[tagKeys.formatted]).toBe(before[tagKeys.formatted]);
    const other = await fakeNode(ec2, { instanceId: 'i-2' });
    await verbs(other).mount('db', 'id-2');
    expect(other.held.get('db')).toMatchObject({ volume: { id: 'vol-1' } });
  });

  it.each([
    ['the settings say not to', { restoreTags: 'off' as const }, undefined],
    ['EC2 does not let this role', {}, 'EC2_DENIED' as const],
  ])('are told of where %s', async (_, settings, code) => {
    const { ec2, mount, node, volume } = await stripped(settings);
    if (code !== undefined) ec2.failNext('createTags', code);
    await mount('other', 'id-2');
    expect(volume.tags).toEqual({ Name: 'web-1' });
    expect(waitOf(node, 'db')).toContain('aws ec2 create-tags --resources vol-1 --tags Key=');
  });

  it('are not put back where another volume has the name, or the volume was removed', async () => {
    for (const change of ['other', 'retained']) {
      const { ec2, mount, volume } = await stripped();
      if (change === 'other') ec2.addVolume({ tags: { [tagKeys.cluster]: 'default', [tagKeys.name]: 'db' } });
      else volume.tags[tagKeys.retained] = 'db';
      const left = { ...volume.tags };
      await mount('other', 'id-2');
      expect(volume.tags).toEqual(left);
    }
  });

  it('are not looked for again before ten minutes have passed', async () => {
    const { ec2, mount, unmount } = await stripped();
    await mount('other', 'id-2');
    ec2.calls.length = 0;
    await unmount('other', 'id-2');
    await pass(10_000);
    expect(ec2.calls.map(({ method }) => method)).toEqual(['createTags', 'detachVolume']);
  });
});
