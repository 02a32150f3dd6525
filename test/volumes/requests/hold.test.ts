import { beforeEach, describe, expect, it, vi } from 'vitest';
import { cleanMark, tagKeys } from '../../../src/ebs/tags.ts';
import { failure, pass, useVirtualTime } from '../../support/virtual-time.ts';
import { bench, target } from './hold-bench.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

describe('mounting', () => {
  it('attaches, formats and mounts, and gives the directory', async () => {
    const { mount, ec2, node, host, volume, journal } = await bench();
    expect(await mount('a', 'id-1')).toBe(`${target}/data`);
    expect(volume.attachments).toMatchObject([{ instanceId: 'i-1', state: 'attached' }]);
    expect(host.mounted.get(target)).toMatchObject({ volumeId: 'vol-1', type: 'ext4' });
    expect(node.held.get('a')).toMatchObject({ phase: 'mounted', directory: `${target}/data`, bootId: 'boot-1' });
    expect(journal.records.get('a')).toEqual(node.held.get('a'));
    expect(ec2.calls.map(({ method }) => method)).toEqual([
      'attachVolume',
      'findVolumes',
      'createTags',
      'findDisplayed',
      'createTags',
      'createTags',
    ]);
  });

  it('takes three calls of EC2 once the volume has a filesystem, and giving it back two more', async () => {
    const { mount, unmount, ec2 } = await bench();
    await mount('a', 'id-1');
    await unmount('a', 'id-1');
    await pass(10_000);
    ec2.calls.length = 0;
    await mount('a', 'id-2');
    expect(ec2.calls.map(({ method }) => method)).toEqual(['attachVolume', 'findVolumes', 'createTags']);
    await unmount('a', 'id-2');
    await pass(10_000);
    expect(ec2.calls.map(({ method }) => method).slice(3)).toEqual(['createTags', 'detachVolume']);
  });

  it('journals each phase before the step it names', async () => {
    const { mount, unmount, journal, ec2, node } = await bench();
    await mount('a', 'id-1');
    await unmount('a', 'id-1');
    await pass(10_000);
    expect(ec2.count('detachVolume')).toBe(1);
    const phases = journal.history.map(({ phase }) => phase);
    expect(phases.filter((phase, index) => phase !== phases[index - 1])).toEqual([
      'attaching',
      'attached',
      'mounted',
      'attached',
      'detaching',
    ]);
    expect([journal.records.size, node.held.size, node.waits.size]).toEqual([0, 0, 0]);
  });

  it('a second holder costs nothing, and the last one to leave ends the mount', async () => {
    const { mount, unmount, ec2, host, holders, container } = await bench();
    const directory = await mount('a', 'id-1');
    container.start();
    ec2.calls.length = 0;
    expect(await mount('a', 'id-2')).toBe(directory);
    expect(await mount('a')).toBe(directory);
    expect(await mount('a', 'id-2')).toBe(directory);
    expect(ec2.calls).toEqual([]);
    expect(holders()).toEqual(['id-1', 'id-2', null]);
    expect(host.count('mount')).toBe(1);
    await unmount('a', 'id-2');
    await unmount('a', 'id-1');
    await pass(60_000);
    expect(host.mounted.has(target)).toBe(true);
    container.end();
    await unmount('a');
    expect(host.mounted.has(target)).toBe(false);
    await pass(60_000);
    expect(ec2.count('detachVolume')).toBe(1);
  });

  it('many at once on one volume attach it once', async () => {
    const { mount, ec2, holders } = await bench();
    const paths = await Promise.all(['x', 'y', 'z'].map((id) => mount('a', id)));
    expect(new Set(paths)).toEqual(new Set([`${target}/data`]));
    expect(ec2.count('attachVolume')).toBe(1);
    expect(holders()).toEqual(['x', 'y', 'z']);
  });

  it('of a volume that does not exist says so and leaves nothing behind', async () => {
    const { mount, node } = await bench();
    expect(await failure(mount('nothing', 'id-1'))).toMatchObject({ code: 'NO_SUCH_VOLUME' });
    expect(node.held.size).toBe(0);
  });

  it('a volume that exists is not "absent" because EC2 cannot be asked', async () => {
    const { mount, ec2 } = await bench();
    ec2.failNext('findVolumes', 'EC2_UNAVAILABLE');
    expect(await failure(mount('a', 'id-1'))).toMatchObject({ code: 'EC2_UNAVAILABLE' });
    expect(await mount('a', 'id-1')).toBe(`${target}/data`);
  });

  it('again after the mount has vanished from the kernel: mounts again, holders kept', async () => {
    const { mount, ec2, host, holders } = await bench();
    await mount('a', 'id-1');
    host.mounted.clear();
    expect(await mount('a', 'id-2')).toBe(`${target}/data`);
    expect(host.mounted.has(target)).toBe(true);
    expect(holders()).toEqual(['id-1', 'id-2']);
    expect(ec2.count('attachVolume')).toBe(1);
  });

  it('after the disk was taken away behind our back: attaches anew under another name', async () => {
    const { mount, unmount, ec2, volume } = await bench();
    await mount('a', 'id-1');
    await unmount('a', 'id-1');
    const first = volume.attachments[0];
    if (first === undefined) throw new Error('not attached');
    ec2.endAttachment(volume, first);
    expect(await mount('a', 'id-2')).toBe(`${target}/data`);
    expect(volume.attachments).toMatchObject([{ instanceId: 'i-1', state: 'attached' }]);
    expect(volume.attachments[0]?.device).not.toBe(first.device);
  });
});

describe('unmounting', () => {
  it('unmounts at once and detaches after the linger', async () => {
    const { mount, unmount, ec2, host, volume, node } = await bench();
    await mount('a', 'id-1');
    const { device = '', attachTime = '' } = volume.attachments[0] ?? {};
    const mark = cleanMark({ instanceId: 'i-1', device, attachTime });
    const before = Date.now();
    await unmount('a', 'id-1');
    expect(Date.now() - before).toBeLessThan(100);
    expect(host.mounted.has(target)).toBe(false);
    await pass(1900);
    expect(ec2.count('detachVolume')).toBe(0);
    await pass(5000);
    expect(volume).toMatchObject({ state: 'available', attachments: [], tags: { [tagKeys.clean]: mark } });
    expect(node.held.has('a')).toBe(false);
  });

  it('a mount within the linger needs no EC2 and keeps the volume', async () => {
    const { mount, unmount, ec2, volume, container } = await bench();
    await mount('a', 'id-1');
    await unmount('a', 'id-1');
    await pass(1000);
    ec2.calls.length = 0;
    expect(await mount('a', 'id-2')).toBe(`${target}/data`);
    container.start();
    await pass(60_000);
    expect(ec2.calls).toEqual([]);
    expect(volume.attachments).toMatchObject([{ state: 'attached' }]);
  });

  it('by an unknown holder, or of an unknown volume, changes nothing', async () => {
    const { mount, unmount, ec2, host, holders, node, container } = await bench();
    await unmount('nothing', 'id-1');
    await mount('a', 'id-1');
    container.start();
    ec2.calls.length = 0;
    await unmount('a', 'never-mounted');
    await unmount('a');
    await pass(60_000);
    expect(holders()).toEqual(['id-1']);
    expect(host.mounted.has(target)).toBe(true);
    expect(ec2.calls).toEqual([]);
    expect(node.held.size).toBe(1);
  });

  it('lingers anew after a mount that came while the detach was due', async () => {
    const { mount, unmount, node, ec2 } = await bench();
    await mount('a', 'id-1');
    await unmount('a', 'id-1');
    await pass(1990);
    const gate = Promise.withResolvers<void>();
    const busy = node.queue.run('a', () => gate.promise);
    const turns = [mount('a', 'id-2'), unmount('a', 'id-2')];
    await pass(100);
    gate.resolve();
    await Promise.all([busy, ...turns]);
    await pass(1500);
    expect(ec2.count('detachVolume')).toBe(0);
    await pass(1000);
    expect(ec2.count('detachVolume')).toBe(1);
  });

  it('twice is once', async () => {
    const { mount, unmount, ec2 } = await bench();
    await mount('a', 'id-1');
    await unmount('a', 'id-1');
    await unmount('a', 'id-1');
    await pass(60_000);
    await unmount('a', 'id-1');
    expect(ec2.count('detachVolume')).toBe(1);
  });

  it('under a program that uses it: answers, and tries again until it may', async () => {
    const { mount, unmount, ec2, host, node } = await bench();
    await mount('a', 'id-1');
    host.openTargets.add(target);
    await unmount('a', 'id-1');
    await pass(30_000);
    expect(host.mounted.has(target)).toBe(true);
    expect(ec2.count('detachVolume')).toBe(0);
    expect(node.waits.get('a')).toContain(`a program still uses ${target}`);
    host.openTargets.clear();
    await pass(30_000);
    expect(ec2.count('detachVolume')).toBe(1);
    expect(node.waits.size).toBe(0);
  });

  it('while a container still has it mounted elsewhere: no detach, no clean tag; a new mount joins without a check', async () => {
    const { mount, unmount, ec2, host, volume, node } = await bench();
    await mount('a', 'live');
    // docker cp: mounts and unmounts with the id of the live mount.
    await mount('a', 'live');
    host.mountedElsewhere.add('vol-1');
    await unmount('a', 'live');
    await pass(60_000);
    expect(ec2.count('detachVolume')).toBe(0);
    expect(volume.tags).not.toHaveProperty([tagKeys.clean]);
    expect(node.waits.get('a')).toContain('process 42 (of vol-1) still has vol-1 mounted');
    const checks = host.count('checkFilesystem');
    expect(await mount('a', 'next')).toBe(`${target}/data`);
    expect([host.count('checkFilesystem'), host.count('makeFilesystem')]).toEqual([checks, 1]);
    await unmount('a', 'next');
    host.mountedElsewhere.clear();
    await pass(60_000);
    expect(ec2.count('detachVolume')).toBe(1);
  });
});

it('one stuck volume delays no other', async () => {
  const { mount, create, ec2 } = await bench();
  await create('b');
  ec2.neverPlugged.add('vol-1');
  const stuck = mount('a', 'id-1').catch(() => undefined);
  const before = Date.now();
  expect(await mount('b', 'id-1')).toBe('/ebs/volumes/b/data');
  expect(Date.now() - before).toBeLessThan(5000);
  await stuck;
});
