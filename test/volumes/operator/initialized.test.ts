import { beforeEach, expect, it, vi } from 'vitest';
import { tagKeys } from '../../../src/ebs/tags.ts';
import { createInitializedReader } from '../../../src/volumes/operator/initialized.ts';
import { nodeWithVolume } from '../../support/fake-node.ts';
import { played, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

const inOrder = { status: 'ok', ioDisabled: false, findings: [] };

it('asks how far a volume from another is until it is complete, and never for one that was made empty', async () => {
  const { node, ec2, mount } = await nodeWithVolume();
  await mount('a', 'id-1');
  const read = createInitializedReader();
  const told = async () => [...(await played(read(node)))];
  const asked = () => ec2.count('describeVolumeStatus');
  expect([await told(), asked()]).toEqual([[], 0]);
  const held = node.held.get('a');
  if (held === undefined) throw new Error('not held');
  node.held.set('a', { ...held, volume: { ...held.volume, tags: { ...held.volume.tags, [tagKeys.from]: 'b -' } } });
  ec2.volumeStatus.set('vol-1', { ...inOrder, initialized: { share: 0.4, secondsLeft: 240 } });
  expect([await told(), asked()]).toEqual([[['a', { share: 0.4, secondsLeft: 240 }]], 1]);
  ec2.failNext('describeVolumeStatus', 'EC2_DENIED');
  expect([await told(), asked()]).toEqual([[], 2]);
  ec2.volumeStatus.set('vol-1', { ...inOrder, initialized: { share: 1, secondsLeft: 0 } });
  expect([await told(), asked()]).toEqual([[], 3]);
  expect([await told(), asked()]).toEqual([[], 3]);
});
