import { open, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  AttachVolumeCommand,
  CreateVolumeCommand,
  DescribeSnapshotsCommand,
  DetachVolumeCommand,
} from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { requires } from '../support/requirements.ts';
import { run } from '../support/run.ts';
import { eventually, hastyDaemon, mountedAt, type TestSandbox, tagsOf, testSandbox } from '../support/sandbox.ts';

const { skip } = requires('root', 'loop');
const settings = { delete: {}, snapshot: { DVE_ON_REMOVE: 'snapshot' }, retain: { DVE_ON_REMOVE: 'retain' } };

let box: TestSandbox;
const create = (name: string, Opts = {}) => box.ok(0, 'Create', { Name: name, Opts: { size: '1', ...Opts } });
const mount = async (name: string, which = 0): Promise<string> =>
  (await box.ok(which, 'Mount', { Name: name, ID: 'one' })).Mountpoint;
const unmount = (name: string, which = 0) => box.ok(which, 'Unmount', { Name: name, ID: 'one' });
const remove = (name: string, which = 0) => box.ok(which, 'Remove', { Name: name });
const names = async (which = 0): Promise<string[]> =>
  (await box.ok(which, 'List')).Volumes.map(({ Name }: { Name: string }) => Name);
const withData = async (name: string) => {
  await create(name);
  await writeFile(join(await mount(name), 'kept'), `data of ${name}`);
  await unmount(name);
};
const start = (onRemove: keyof typeof settings, nodes: number) => {
  beforeAll(async () => {
    box = await testSandbox({ nodes, nodeEnv: settings[onRemove], daemonCommand: await hastyDaemon() });
  });
  afterAll(() => box?.close());
};

describe.skipIf(skip)('removing a volume', () => {
  start('delete', 2);

  it('is refused while it is held, saying by whom, and changes nothing', async () => {
    await create('held');
    const directory = await mount('held');
    const { instanceId } = box.node(0);
    const message = await box.refused(0, 'Remove', { Name: 'held' });
    expect(message).toMatch(
      /it is mounted on this node for mount one, and nothing is seen to use it\. Wait a moment .* type docker-volume-ebs unmount held --holder one on /,
    );
    expect(message).toContain(instanceId);
    expect(await box.refused(1, 'Remove', { Name: 'held' })).toMatch(
      new RegExp(`attached to ${instanceId} .*Stop the container that uses it on ${instanceId}, or wait a moment`),
    );
    await writeFile(join(directory, 'still'), 'there');
    expect(await names(1)).toContain('held');
    await unmount('held');
    await remove('held');
  });

  it('works within the linger, detaching it first', async () => {
    await withData('lingering');
    await remove('lingering');
    expect(await box.volumes('lingering')).toEqual([]);
    expect(await names()).not.toContain('lingering');
    expect(await readdir(join(box.node(0).root, 'state/volumes'))).not.toContain('lingering.json');
  });

  it('succeeds for one that is not there, and a second time', async () => {
    await remove('never-made');
    await create('twice');
    await remove('twice');
    await remove('twice');
    await remove('twice', 1);
    expect(await box.refused(1, 'Get', { Name: 'twice' })).toMatch(/no such volume/);
  });

  it('makes room for an empty one of the same name, time and again, from any node', async () => {
    const ids = new Set<string | undefined>();
    for (const which of [0, 1, 0]) {
      await box.ok(which, 'Create', { Name: 'phoenix', Opts: { size: '1' } });
      const [volume, ...more] = await box.volumes('phoenix');
      expect(more).toEqual([]);
      ids.add(volume?.VolumeId);
      const directory = await mount('phoenix', which);
      expect(await readdir(directory)).toEqual([]);
      await writeFile(join(directory, 'old'), 'content');
      await unmount('phoenix', which);
      await remove('phoenix', which);
    }
    expect(ids.size).toBe(3);
  });

  it('on another node is noticed by the node that has just made it', async () => {
    await create('brief');
    await remove('brief', 1);
    await create('brief');
    expect(await box.volumes('brief')).toHaveLength(1);
    await mount('brief');
    await unmount('brief');
    await remove('brief');
  });

  describe('leaves disks alone that this driver did not fill', () => {
    /** Makes a volume as an operator does who copies our tags, and writes to it on the first node. */
    const written = async (name: string, bytes: Buffer, offset: number): Promise<string> => {
      const { VolumeId = '' } = await box.ec2.send(
        new CreateVolumeCommand({
          AvailabilityZone: box.node(0).availabilityZone,
          Size: 1,
          TagSpecifications: [
            {
              ResourceType: 'volume',
              Tags: [
                { Key: 'Name', Value: name },
                { Key: 'docker-volume-ebs:cluster', Value: 'default' },
                { Key: 'docker-volume-ebs:name', Value: name },
              ],
            },
          ],
        }),
      );
      await box.detached(name);
      const devices = join(dirname(box.node(0).root), 'dev');
      const before = await readdir(devices);
      const key = { VolumeId, InstanceId: box.node(0).instanceId, Device: '/dev/sdf' };
      await box.ec2.send(new AttachVolumeCommand(key));
      const disk = await eventually(async () => (await readdir(devices)).find((entry) => !before.includes(entry)));
      const file = await open(join(devices, disk), 'r+');
      await file.write(bytes, 0, bytes.length, offset);
      await file.sync();
      await file.close();
      await box.ec2.send(new DetachVolumeCommand(key));
      await box.detached(name);
      return VolumeId;
    };
    /** Of all bytes and of where there are none: tar reads no holes. */
    const digest = async (volumeId: string): Promise<string> => {
      const file = box.sandbox.volumeFile(volumeId) ?? '';
      const script = 'tar --create --sparse --absolute-names --mtime=@0 "$1" | sha256sum';
      const { code, stdout, stderr } = await run('sh', ['-c', script, 'sh', file]);
      expect([code, stderr]).toEqual([0, '']);
      return stdout;
    };

    it.each([
      ['a partition table', Buffer.from('55aa', 'hex'), 510],
      ['a few bytes in its middle', Buffer.from('a database without a header'), 305 * 1024 ** 2],
    ])('such as one that holds %s: mounting is refused and not a byte changes', async (what, bytes, offset) => {
      const name = what.replaceAll(' ', '-');
      const id = await written(name, bytes, offset);
      const before = await digest(id);
      const message = await box.refused(0, 'Mount', { Name: name, ID: 'one' });
      expect(message).toMatch(/the disk holds .*only a blank disk is formatted.*nothing was written to it\./);
      expect(message).toContain(
        `Run docker-volume-ebs rescue ${name} on ${box.node(0).instanceId}: it takes a snapshot`,
      );
      expect(await mountedAt(join(box.node(0).root, 'volumes', name))).toBeUndefined();
      await box.detached(name);
      expect(await digest(id)).toBe(before);
      expect(await box.volumes(name)).toHaveLength(1);
    });
  });
});

describe.skipIf(skip)('removing a volume with onRemove=snapshot', () => {
  start('snapshot', 1);

  it('leaves a snapshot that names it and has its data', async () => {
    await withData('saved');
    const [volume] = await box.volumes('saved');
    await remove('saved');
    await eventually(async () => (await box.volumes('saved')).length === 0);
    const { Snapshots = [] } = await box.ec2.send(new DescribeSnapshotsCommand({ OwnerIds: ['self'] }));
    expect(Snapshots).toMatchObject([{ VolumeId: volume?.VolumeId, Description: expect.stringContaining('saved') }]);
    expect(tagsOf(Snapshots[0])).toMatchObject({
      Name: 'saved',
      'docker-volume-ebs:cluster': 'default',
      'docker-volume-ebs:retained': 'saved',
    });

    await create('saved');
    expect(await readdir(await mount('saved'))).toEqual([]);
    await unmount('saved');
    await create('restored', { snapshotId: Snapshots[0]?.SnapshotId ?? '' });
    expect(await readFile(join(await mount('restored'), 'kept'), 'utf8')).toBe('data of saved');
    await unmount('restored');
  });
});

describe.skipIf(skip)('a removed volume whose snapshot is pending', () => {
  start('snapshot', 1);

  it('stays until it is complete, over a restart of the daemon, and its name is free meanwhile', async () => {
    await withData('slow');
    const [volume] = await box.volumes('slow');
    await box.fault({ kind: 'stuck-snapshot', volume: volume?.VolumeId ?? '' });
    await remove('slow');
    await remove('slow');
    const [kept] = await box.volumes('slow');
    expect(kept?.VolumeId).toBe(volume?.VolumeId);
    expect(tagsOf(kept)).not.toHaveProperty('docker-volume-ebs:name');
    await create('slow');
    expect(await readdir(await mount('slow'))).toEqual([]);
    await unmount('slow');
    const { instanceId, pid } = box.node(0);
    process.kill(pid, 'SIGKILL');
    await eventually(async () => box.node(0).pid === 0);
    await box.sandbox.startDaemon(instanceId);
    await box.clearFaults();
    await eventually(async () => (await box.volumes('slow')).length === 1);
    const { Snapshots = [] } = await box.ec2.send(new DescribeSnapshotsCommand({ OwnerIds: ['self'] }));
    expect(Snapshots).toMatchObject([{ VolumeId: volume?.VolumeId, State: 'completed' }]);
  });

  it('stays for good where the snapshot fails, and the log says so', async () => {
    await withData('failing');
    const [volume] = await box.volumes('failing');
    await box.fault({ kind: 'snapshot-fails', volume: volume?.VolumeId ?? '' });
    await remove('failing');
    const log = await eventually(async () => {
      const lines = (await readFile(box.node(0).log, 'utf8')).split('\n');
      return lines.find((line) => line.includes('has failed') && line.includes(volume?.VolumeId ?? ''));
    });
    expect(log).toContain('Given key ID is not accessible');
    expect(await box.volumes('failing')).toMatchObject([{ VolumeId: volume?.VolumeId }]);
  });
});

describe.skipIf(skip)('removing a volume with onRemove=retain', () => {
  start('retain', 2);

  it('keeps the EBS volume under another tag, and never hands it out again', async () => {
    await withData('retired');
    const [retired] = await box.volumes('retired');
    await remove('retired');
    expect(await names()).toEqual([]);
    expect(await box.refused(1, 'Get', { Name: 'retired' })).toMatch(/no such volume/);
    const [kept, ...more] = await box.volumes('retired');
    expect(more).toEqual([]);
    // It is given back once no read shows its name any more.
    expect(kept).toMatchObject({ VolumeId: retired?.VolumeId });
    expect(tagsOf(kept)['docker-volume-ebs:retained']).toBe('retired');
    expect(tagsOf(kept)).not.toHaveProperty('docker-volume-ebs:name');

    for (const which of [0, 1]) {
      await box.ok(which, 'Create', { Name: 'retired', Opts: { size: '1' } });
      expect(await readdir(await mount('retired', which))).toEqual([]);
      await unmount('retired', which);
      await remove('retired', which);
    }
    const all = await box.volumes('retired');
    expect(all).toHaveLength(3);
    expect(all.every((volume) => tagsOf(volume)['docker-volume-ebs:retained'] === 'retired')).toBe(true);
    expect(await names(1)).toEqual([]);
  });
});
