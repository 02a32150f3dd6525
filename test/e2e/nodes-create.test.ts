import { chown, mkdir, readdir, readFile, stat, statfs, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CreateSnapshotCommand, DescribeSnapshotsCommand } from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { requires } from '../support/requirements.ts';
import { eventually, mountedAt, type TestSandbox, tagsOf, testSandbox } from '../support/sandbox.ts';

const { skip } = requires('root', 'loop', 'mkfs.xfs', 'mkfs.btrfs');

describe.skipIf(skip)('creating volumes on nodes in two zones', () => {
  let box: TestSandbox;
  /** Two nodes share a zone, the third is in another. */
  const [first, elsewhere, second] = [0, 1, 2];
  beforeAll(async () => {
    box = await testSandbox({ nodes: 3, zones: 2 });
    expect(box.sandbox.nodes().map(({ availabilityZone }) => availabilityZone)).toEqual([
      'us-east-1a',
      'us-east-1b',
      'us-east-1a',
    ]);
  });
  afterAll(() => box?.close());

  const create = (name: string, Opts?: Record<string, string>, which = first) =>
    box.ok(which, 'Create', { Name: name, Opts });
  const refused = (name: string, Opts?: Record<string, string>, which = first) =>
    box.refused(which, 'Create', { Name: name, Opts });
  const mount = async (name: string, which = first): Promise<string> =>
    (await box.ok(which, 'Mount', { Name: name, ID: 'test' })).Mountpoint;
  const unmount = (name: string, which = first) => box.ok(which, 'Unmount', { Name: name, ID: 'test' });
  const mountpoint = (name: string, which = first) => join(box.node(which).root, 'volumes', name);

  describe('what reaches EC2', () => {
    it('makes 16 GiB of gp3 with tags that tell whose it is', async () => {
      await create('plain');
      const [volume, ...more] = await box.volumes('plain');
      expect(more).toEqual([]);
      expect(volume).toMatchObject({
        Size: 16,
        VolumeType: 'gp3',
        Encrypted: false,
        State: 'available',
        AvailabilityZone: 'us-east-1a',
      });
      expect(tagsOf(volume)).toMatchObject({
        Name: 'plain',
        'docker-volume-ebs:cluster': 'default',
        'docker-volume-ebs:name': 'plain',
        'docker-volume-ebs:fs-type': 'ext4',
        'docker-volume-ebs:subdirectory': 'data',
      });
      expect(tagsOf(volume)).not.toHaveProperty('docker-volume-ebs:filesystem');
    });

    it('makes volumes in its own zone', async () => {
      await create('zoned', { availabilityZone: 'us-east-1b' }, elsewhere);
      expect(await box.volumes('zoned')).toMatchObject([{ AvailabilityZone: 'us-east-1b' }]);
    });

    it.each([
      [
        { size: '7', type: 'gp3', iops: '3500', throughput: '200' },
        { Size: 7, VolumeType: 'gp3', Iops: 3500, Throughput: 200 },
      ],
      [
        { SIZE: '8GiB', VolumeType: 'io1', IOPS: '150' },
        { Size: 8, VolumeType: 'io1', Iops: 150 },
      ],
      [
        { size: '1', volumetype: 'gp2' },
        { Size: 1, VolumeType: 'gp2' },
      ],
      [
        { size: '1', encrypted: 'true' },
        { Encrypted: true, KmsKeyId: expect.stringMatching(/^arn:aws:kms:/) },
      ],
      [
        { size: '1', Encrypted: 'TRUE', encryptionkey: 'alias/disks' },
        { Encrypted: true, KmsKeyId: expect.stringContaining('alias/disks') },
      ],
      [
        { size: '1', kmsKeyId: '1234abcd-12ab-34cd-56ef-1234567890ab' },
        { Encrypted: true, KmsKeyId: expect.stringMatching(/key\/1234abcd-12ab-34cd-56ef-1234567890ab$/) },
      ],
    ])('passes on %j, and again without making a second', async (options: Record<string, string>, made) => {
      const name = `opts-${Object.values(options).join('-').replaceAll('/', '-')}`;
      await create(name, options);
      expect(await box.volumes(name)).toMatchObject([made]);
      await create(name, options);
      await create(name, options, second);
      expect(await box.volumes(name)).toHaveLength(1);
    });

    it('puts tags on the volume besides its own', async () => {
      await create('tagged', { size: '1', tags: 'team=data, cost-centre=42,note=a=b' });
      const [volume] = await box.volumes('tagged');
      expect(tagsOf(volume)).toMatchObject({ team: 'data', 'cost-centre': '42', note: 'a=b', Name: 'tagged' });
    });
  });

  describe('what reaches the disk', () => {
    it.each([
      ['ext4', {}],
      ['xfs', { fsType: 'xfs' }],
      ['btrfs', { newfstype: 'btrfs' }],
    ])('formats and mounts %s', async (type, options) => {
      const name = `on-${type}`;
      await create(name, { size: '1', ...options });
      const directory = await mount(name);
      expect(directory).toBe(join(mountpoint(name), 'data'));
      expect(await mountedAt(mountpoint(name))).toMatchObject({ type });
      await writeFile(join(directory, 'kept'), type);
      const [volume] = await box.volumes(name);
      expect(tagsOf(volume)['docker-volume-ebs:filesystem']).toBe(type);
      await unmount(name);
      await box.detached(name);
      expect(await readFile(join(await mount(name, second), 'kept'), 'utf8')).toBe(type);
      expect(await mountedAt(mountpoint(name, second))).toMatchObject({ type });
      await unmount(name, second);
    });

    it('formats and mounts an encrypted volume', async () => {
      await create('secret', { size: '1', encrypted: 'yes' });
      await mount('secret');
      expect(await mountedAt(mountpoint('secret'))).toMatchObject({ type: 'ext4' });
      await unmount('secret');
    });

    it('mounts with the mount options, on every node', async () => {
      await create('noexec', { size: '1', mountOptions: 'noatime, noexec,commit=11' });
      for (const which of [first, second]) {
        await mount('noexec', which);
        const entry = await mountedAt(mountpoint('noexec', which));
        expect(entry?.options).toEqual(expect.arrayContaining(['noatime', 'noexec']));
        expect(entry?.superOptions).toContain('commit=11');
        await unmount('noexec', which);
        await box.detached('noexec');
      }
    });

    it('formats with the mkfs options', async () => {
      await create('small-blocks', { size: '1', mkfsOptions: '-b 1024 -N 512 -E stride=16' });
      const directory = await mount('small-blocks');
      const { bsize, files } = await statfs(directory);
      expect(bsize).toBe(1024);
      expect(files).toBeLessThan(2000);
      await unmount('small-blocks');
    });

    it('hands out a nested subdirectory with its owner and mode', async () => {
      await create('nested', { size: '1', subdirectory: '/srv/db/', uid: '999', gid: '998', mode: '2750' });
      const directory = await mount('nested');
      expect(directory).toBe(join(mountpoint('nested'), 'srv/db'));
      expect(await readdir(directory)).toEqual([]);
      const { uid, gid, mode } = await stat(directory);
      expect({ uid, gid, mode: mode & 0o7777 }).toEqual({ uid: 999, gid: 998, mode: 0o2750 });
      expect(await stat(dirname(directory))).toMatchObject({ uid: 0, gid: 0 });
      await unmount('nested');
    });

    it('hands out the root of the filesystem when asked, with its owner and mode', async () => {
      await create('whole', { size: '1', subdirectory: '/', uid: '1000', mode: '0777' });
      const directory = await mount('whole');
      expect(directory).toBe(mountpoint('whole'));
      expect(await readdir(directory)).toEqual(['lost+found']);
      const { uid, gid, mode } = await stat(directory);
      expect({ uid, gid, mode: mode & 0o7777 }).toEqual({ uid: 1000, gid: 0, mode: 0o777 });
      await unmount('whole');
    });

    it('leaves the owner and mode of a directory that is there', async () => {
      await create('owned', { size: '1', uid: '999' });
      const directory = await mount('owned');
      await mkdir(join(directory, 'child'));
      await chown(directory, 1234, 1234);
      await unmount('owned');
      expect(await stat(await mount('owned'))).toMatchObject({ uid: 1234, gid: 1234 });
      await unmount('owned');
    });

    it('makes a volume of a snapshot, with its size and data', async () => {
      // XFS: growing a mounted ext4 needs CAP_SYS_RESOURCE, which root in a container may lack.
      await create('origin', { size: '2', fsType: 'xfs' });
      await writeFile(join(await mount('origin'), 'kept'), 'from the snapshot');
      await unmount('origin');
      await box.detached('origin');
      const [origin] = await box.volumes('origin');
      const { SnapshotId = '' } = await box.ec2.send(new CreateSnapshotCommand({ VolumeId: origin?.VolumeId }));
      await eventually(async () => {
        const { Snapshots } = await box.ec2.send(new DescribeSnapshotsCommand({ SnapshotIds: [SnapshotId] }));
        return Snapshots?.[0]?.State === 'completed';
      });
      await create('copy', { snapshot: SnapshotId });
      expect(await box.volumes('copy')).toMatchObject([{ Size: 2, SnapshotId }]);
      expect(await readFile(join(await mount('copy'), 'kept'), 'utf8')).toBe('from the snapshot');
      await unmount('copy');

      await create('larger-copy', { snapshotID: SnapshotId, size: '3' });
      const directory = await mount('larger-copy');
      expect(await readFile(join(directory, 'kept'), 'utf8')).toBe('from the snapshot');
      const { blocks, bsize } = await statfs(directory);
      expect(blocks * bsize).toBeGreaterThan(2.5 * 1024 ** 3);
      await unmount('larger-copy');
    });
  });

  describe('what is refused', () => {
    it.each([
      [{ sise: '2' }, /no option "sise".*Did you mean size\?/],
      [{ size: '0' }, /size takes a whole number of GiB, 1 to 2147483647, .*not "0"/],
      [{ size: '4', SIZE: '5' }, /size=4 and SIZE=5 contradict each other/],
      [{ type: 'io2', size: '4' }, /type io2 needs iops/],
      [{ type: 'gp9' }, /type takes one of gp3, .*not "gp9"/],
      [{ iops: '100' }, /iops 100 is too low: type gp3 takes 3000 to 80000 IOPS/],
      [{ size: '70000' }, /Volume of 70000GiB is too large|70000.*maximum is 65536/],
      [{ type: 'gp2', throughput: '200' }, /gp2 take no throughput/],
      [{ encrypted: 'false', kmsKeyId: 'k' }, /contradict each other/],
      [{ fsType: 'ntfs' }, /fsType takes one of ext4, xfs, btrfs/],
      [{ mountOptions: 'bind' }, /mountOptions holds "bind": there is no "bind" here/],
      [{ mountOptions: 'noatim' }, /did you mean noatime\?/],
      [{ mountOptions: 'errors=panic' }, /errors takes only remount-ro/],
      [{ mountOptions: 'ro' }, /a new disk has nothing to read/],
      [{ mkfsOptions: '-F' }, /mkfsOptions holds "-F"/],
      [{ mkfsOptions: '/dev/sda' }, /mkfsOptions holds "\/dev\/sda", which is neither a flag nor a flag's value/],
      [{ mkfsOptions: '-d etc' }, /mkfsOptions holds "-d"/],
      [{ mkfsOptions: '-b 65536' }, /mkfsOptions has -b, which takes one of 1024, 2048, 4096/],
      [{ mkfsOptions: '--rootdir etc', fsType: 'btrfs' }, /mkfsOptions holds "--rootdir"/],
      [{ mkfsOptions: 'etc', fsType: 'btrfs' }, /mkfsOptions holds "etc"/],
      [{ subdirectory: '../..' }, /subdirectory cannot leave the volume/],
      [{ mode: '999' }, /mode takes octal permission bits/],
      [{ tags: 'docker-volume-ebs:name=other' }, /reserved key "docker-volume-ebs:name"/],
      [{ availabilityZone: 'us-east-1b' }, /us-east-1b and this node is in us-east-1a.*from a node in us-east-1b/],
      [{ snapshotId: 'snap-0123456789abcdef0' }, /The snapshot 'snap-0123456789abcdef0' does not exist/],
    ])('refuses %j, saying why, and leaves nothing behind', async (options: Record<string, string>, why) => {
      const message = await refused('unmade', options);
      expect(message).toMatch(/^volume "unmade": /);
      expect(message).toMatch(why);
      expect(await box.volumes('unmade')).toEqual([]);
      expect(await box.refused(first, 'Get', { Name: 'unmade' })).toMatch(/no such volume/);
    });
  });

  describe('a name that exists', () => {
    it('says how the volume differs from what is asked', async () => {
      await create('taken', { size: '2', fsType: 'xfs', tags: 'team=data' });
      const message = await refused('taken', { size: '3', fsType: 'ext4', tags: 'team=web' }, second);
      const [volume] = await box.volumes('taken');
      expect(message).toContain(volume?.VolumeId);
      expect(message).toContain(
        'size in GiB is 2, asked 3; filesystem is xfs, asked ext4; tag team is data, asked web',
      );
      await create('taken', undefined, second);
      await create('taken', { size: '2' }, second);
      expect(await box.volumes('taken')).toHaveLength(1);
    });

    it('is reported from another zone, and not made there a second time', async () => {
      await create('far', { size: '1' });
      const message = await refused('far', { size: '1' }, elsewhere);
      expect(message).toContain('it is in us-east-1a and this node is in us-east-1b');
      expect(await box.refused(elsewhere, 'Mount', { Name: 'far', ID: 'x' })).toMatch(
        /Run the container on a node in us-east-1a/,
      );
      expect(await box.volumes('far')).toMatchObject([{ AvailabilityZone: 'us-east-1a', State: 'available' }]);
    });

    it('is made once by ten creates at once on two nodes', async () => {
      box.sandbox.resetCalls();
      await Promise.all(
        [first, second].flatMap((which) => Array.from({ length: 5 }, () => create('raced', { size: '1' }, which))),
      );
      expect(await box.volumes('raced')).toHaveLength(1);
      for (const which of [first, second]) {
        expect((await box.ok(which, 'Get', { Name: 'raced' })).Volume.Status.state).toBe('available');
      }
      expect(box.sandbox.calls()['CreateVolume']).toBeLessThanOrEqual(2);
    });

    it('is made once by ten creates at once in two zones, and the other zone is told', async () => {
      const calls = [first, elsewhere].flatMap((which) =>
        Array.from({ length: 5 }, async () => ({
          which,
          answer: await box.call(which, 'Create', { Name: 'split', Opts: { size: '1' } }),
        })),
      );
      const outcomes = await Promise.all(calls);
      const [volume, ...more] = await box.volumes('split');
      expect(more).toEqual([]);
      const winner = volume?.AvailabilityZone === 'us-east-1a' ? first : elsewhere;
      for (const { which, answer } of outcomes) {
        if (which === winner) expect(answer.body).toEqual({ Err: '' });
        else expect(answer.body.Err).toMatch(/it is in us-east-1. and this node is in us-east-1./);
      }
    });
  });
});
