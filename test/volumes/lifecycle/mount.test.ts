import { beforeEach, describe, expect, it, vi } from 'vitest';
import { tagKeys } from '../../../src/ebs/tags.ts';
import type { DiskContent } from '../../../src/host/types.ts';
import { encodeName } from '../../../src/volumes/options/names.ts';
import { FakeEc2 } from '../../support/fake-ec2.ts';
import { fakeNode, verbs } from '../../support/fake-node.ts';
import { failure, pass, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

const target = '/ebs/volumes/a';
const filesystem = (type: string): DiskContent => ({ kind: 'filesystem', type, uuid: undefined });
const noise: DiskContent = { kind: 'other', what: 'random-looking bytes', noise: true };

async function bench(options: Record<string, string> = {}) {
  const ec2 = new FakeEc2();
  const node = await fakeNode(ec2);
  const does = verbs(node);
  await does.create('a', options);
  const volume = ec2.volumes.get('vol-1');
  if (volume === undefined) throw new Error('no volume');
  return { ec2, node, host: node.host, volume, ...does };
}

describe('a blank disk', () => {
  it('is formatted once, as asked, and tagged before it is mounted', async () => {
    const { mount, unmount, ec2, host, volume } = await bench({ fsType: 'xfs', mkfsOptions: '-i size=512' });
    await mount('a', 'id-1');
    expect(host.calls.filter(({ method }) => method === 'makeFilesystem').map(({ args }) => args)).toEqual([
      ['/dev/vol-1', 'xfs', ['-i', 'size=512'], 'nothing'],
    ]);
    expect(volume.tags[tagKeys.formatted]).toBe('xfs');
    await unmount('a', 'id-1');
    await mount('a', 'id-2');
    await unmount('a', 'id-2');
    await pass(10_000);
    await mount('a', 'id-3');
    expect(host.count('makeFilesystem')).toBe(1);
    expect(ec2.count('attachVolume')).toBe(2);
  });

  it('is not formatted before it is tagged that this begins', async () => {
    const { mount, ec2, host, volume } = await bench();
    // The first is about its owner, and only informs.
    ec2.failNext('createTags', 'EC2_THROTTLED');
    ec2.failNext('createTags', 'EC2_THROTTLED');
    expect(await failure(mount('a', 'id-1'))).toMatchObject({ code: 'EC2_THROTTLED' });
    expect([host.count('makeFilesystem'), host.count('mount')]).toEqual([0, 0]);
    await mount('a', 'id-1');
    expect(host.count('makeFilesystem')).toBe(1);
    expect(volume.tags).toMatchObject({ [tagKeys.formatting]: 'ext4', [tagKeys.formatted]: 'ext4' });
  });

  it('is not mounted while it cannot be tagged that it was formatted, and not formatted twice for that', async () => {
    const { mount, node, host, volume } = await bench();
    const { ec2 } = node;
    const createTags = vi.spyOn(ec2, 'createTags');
    const write = async (_: unknown, tags: object) => void Object.assign(volume.tags, tags);
    createTags.mockImplementationOnce(write).mockImplementationOnce(async (_, tags) => {
      await write(_, tags);
      ec2.failNext('createTags', 'EC2_THROTTLED');
    });
    expect(await failure(mount('a', 'id-1'))).toMatchObject({ code: 'EC2_THROTTLED' });
    expect([host.count('makeFilesystem'), host.count('mount')]).toEqual([1, 0]);
    expect(await mount('a', 'id-1')).toBe(`${target}/data`);
    expect(host.count('makeFilesystem')).toBe(1);
    expect(volume.tags[tagKeys.formatted]).toBe('ext4');
  });

  it.each<[string, DiskContent, boolean]>([
    [
      'a partition table, made by somebody meanwhile',
      { kind: 'other', what: 'a partition table (gpt)', signed: true },
      false,
    ],
    ['a damaged ext4 that somebody had mounted meanwhile', { kind: 'filesystem', type: 'ext4', uuid: undefined }, true],
  ])('whose formatting was cut off is not formatted over %s', async (_, content, everMounted) => {
    const { mount, ec2, host, volume } = await bench();
    volume.tags[tagKeys.formatting] = 'ext4';
    ec2.contents.set('vol-1', content);
    host.everMounted = everMounted;
    host.failNext('checkFilesystem', 'FILESYSTEM_DAMAGED');
    await failure(mount('a', 'id-1'));
    expect(host.count('makeFilesystem')).toBe(0);
  });

  it('whose formatting was cut off is formatted again, and only as long as it was never finished', async () => {
    const { mount, unmount, ec2, host, volume } = await bench();
    volume.tags[tagKeys.formatting] = 'ext4';
    ec2.contents.set('vol-1', { kind: 'other', what: 'half a filesystem' });
    await mount('a', 'id-1');
    expect(host.calls.find(({ method }) => method === 'makeFilesystem')?.args.at(-1)).toBe('unfinished');
    await unmount('a', 'id-1');
    await pass(10_000);
    ec2.contents.set('vol-1', { kind: 'other', what: 'half a filesystem' });
    expect(await failure(mount('a', 'id-1'))).toMatchObject({ code: 'NOT_BLANK' });
    expect(host.count('makeFilesystem')).toBe(1);
  });

  it('is refused when a filesystem was once made on it', async () => {
    const { mount, ec2, host, volume } = await bench();
    volume.tags[tagKeys.formatted] = 'ext4';
    const error = await failure(mount('a', 'id-1'));
    expect(error).toMatchObject({ code: 'NOT_BLANK' });
    expect(String(error)).toContain('the disk holds nothing, and its tag docker-volume-ebs:filesystem says that ext4');
    expect([host.count('makeFilesystem'), host.count('mount')]).toEqual([0, 0]);
    expect(ec2.contents.size).toBe(0);
  });

  it('is refused on the next node too, once this one has formatted it', async () => {
    const { mount, unmount, ec2 } = await bench();
    await mount('a', 'id-1');
    await unmount('a', 'id-1');
    await pass(10_000);
    ec2.contents.clear();
    const other = await fakeNode(ec2, { instanceId: 'i-2' });
    expect(await failure(verbs(other).mount('a', 'id-2'))).toMatchObject({ code: 'NOT_BLANK' });
    expect(other.host.count('makeFilesystem')).toBe(0);
  });
});

describe('a disk with something on it', () => {
  it.each<[string, DiskContent, string]>([
    ['a partition table', { kind: 'other', what: 'a GPT partition table' }, 'the disk holds a GPT partition table'],
    ['a filesystem we do not mount', filesystem('ntfs'), 'the disk holds a ntfs filesystem'],
    ['noise though it is not encrypted', noise, 'the disk holds random-looking bytes'],
  ])('is refused, never formatted: %s', async (_, content, what) => {
    const { mount, ec2, host, volume } = await bench();
    ec2.contents.set('vol-1', content);
    const error = await failure(mount('a', 'id-1'));
    expect(error).toMatchObject({ code: 'NOT_BLANK' });
    expect(String(error)).toContain(`volume "a"`);
    expect(String(error)).toContain(what);
    expect(String(error)).toContain('nothing was written to it');
    expect([host.count('makeFilesystem'), host.count('mount')]).toEqual([0, 0]);
    expect(volume.tags).not.toHaveProperty([tagKeys.formatted]);
  });

  it('a known filesystem other than the one that was made is refused', async () => {
    const { mount, ec2, host, volume } = await bench();
    volume.tags[tagKeys.formatted] = 'ext4';
    ec2.contents.set('vol-1', filesystem('xfs'));
    const error = await failure(mount('a', 'id-1'));
    expect(error).toMatchObject({ code: 'NOT_BLANK' });
    expect(String(error)).toContain('the disk holds a xfs filesystem, and its tag');
    expect(host.count('mount')).toBe(0);
  });

  it('a filesystem that is there is checked, mounted as what it is, and tagged', async () => {
    const { mount, ec2, host, volume } = await bench({ fsType: 'btrfs', mountOptions: 'noatime,discard' });
    ec2.contents.set('vol-1', filesystem('btrfs'));
    await mount('a', 'id-1');
    const order = host.calls.map(({ method }) => method).filter((each) => ['checkFilesystem', 'mount'].includes(each));
    expect(order).toEqual(['checkFilesystem', 'mount']);
    expect(host.mounted.get(target)).toMatchObject({
      type: 'btrfs',
      options: ['nosuid', 'nodev', 'noatime', 'discard'],
    });
    expect(volume.tags[tagKeys.formatted]).toBe('btrfs');
    expect(host.count('makeFilesystem')).toBe(0);
  });

  it('damaged: the error is told, nothing is mounted', async () => {
    const { mount, ec2, host } = await bench();
    ec2.contents.set('vol-1', filesystem('ext4'));
    host.failNext('checkFilesystem', 'FILESYSTEM_DAMAGED');
    expect(await failure(mount('a', 'id-1'))).toMatchObject({ code: 'FILESYSTEM_DAMAGED' });
    expect(host.mounted.size).toBe(0);
  });
});

describe('noise', () => {
  it('on an encrypted volume that we made and never formatted is an empty disk', async () => {
    const { mount, ec2, host } = await bench({ encrypted: 'true' });
    ec2.contents.set('vol-1', noise);
    expect(await mount('a', 'id-1')).toBe(`${target}/data`);
    expect(host.count('makeFilesystem')).toBe(1);
  });

  it.each<[string, (volume: { snapshotId: string | undefined; tags: Record<string, string> }) => void]>([
    [
      'that was formatted',
      ({ tags }) => {
        tags[tagKeys.formatted] = 'ext4';
      },
    ],
    [
      'that came from a snapshot',
      (volume) => {
        volume.snapshotId = 'snap-01234567';
      },
    ],
    [
      'that we did not make',
      ({ tags }) => {
        delete tags[tagKeys.generation];
      },
    ],
  ])('on an encrypted volume %s is data', async (_, change) => {
    const { mount, ec2, host, volume } = await bench({ encrypted: 'true' });
    ec2.contents.set('vol-1', noise);
    change(volume);
    expect(await failure(mount('a', 'id-1'))).toMatchObject({ code: 'NOT_BLANK' });
    expect(host.count('makeFilesystem')).toBe(0);
  });
});

describe('the directory', () => {
  it('is the one asked for, with its owner', async () => {
    const { mount, host } = await bench({ subdirectory: 'pg/data', uid: '999', gid: '998', mode: '0700' });
    expect(await mount('a', 'id-1')).toBe(`${target}/pg/data`);
    expect(host.calls.find(({ method }) => method === 'openSubdirectory')?.args).toEqual([
      target,
      'pg/data',
      { uid: 999, gid: 998, mode: 0o700 },
      'make',
    ]);
  });

  it.each<[string, (volume: { snapshotId: string | undefined; tags: Record<string, string> }) => void]>([
    ['made from a snapshot', (volume) => Object.assign(volume, { snapshotId: 'snap-1' })],
    ['adopted', ({ tags }) => Object.assign(tags, { [tagKeys.adopted]: '2026-11-01T00:00:00Z' })],
    ['not made by this driver', ({ tags }) => delete tags[tagKeys.generation]],
  ])('of a volume that was %s is made beside nothing, and its absence told with what to do', async (_, change) => {
    const { mount, host, ec2, volume } = await bench();
    ec2.contents.set('vol-1', filesystem('ext4'));
    change(volume);
    host.failNext('openSubdirectory', 'NO_SUBDIRECTORY');
    const error = await failure(mount('a', 'id-1'));
    expect(error).toMatchObject({ code: 'NO_SUBDIRECTORY' });
    expect(String(error)).toContain('docker-volume-ebs set a --subdirectory /');
    expect(host.calls.find(({ method }) => method === 'openSubdirectory')?.args.at(-1)).toBe('make in empty');
  });

  it('may be the root of the filesystem', async () => {
    const { mount } = await bench({ subdirectory: '/' });
    expect(await mount('a', 'id-1')).toBe(target);
  });

  it('of a hostile name stays below the root', async () => {
    const { volume, mount, node } = await bench();
    // Made by an earlier version: create refuses it.
    volume.tags[tagKeys.name] = encodeName('../../etc/x');
    expect(await mount('../../etc/x', 'id-1')).toBe('/ebs/volumes/=2E.=2F..=2Fetc=2Fx/data');
    expect(node.held.get('../../etc/x')?.phase).toBe('mounted');
  });

  it('that cannot be opened leaves nobody holding, and the volume is given back', async () => {
    const { mount, host, volume, node } = await bench();
    host.failNext('openSubdirectory', 'HOST_FAILED');
    expect(await failure(mount('a', 'id-1'))).toMatchObject({ code: 'HOST_FAILED' });
    await pass(20_000);
    expect([host.mounted.size, volume.attachments.length, node.held.size]).toEqual([0, 0, 0]);
  });
});
