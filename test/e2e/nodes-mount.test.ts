import { existsSync } from 'node:fs';
import { open, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CreateTagsCommand, CreateVolumeCommand } from '@aws-sdk/client-ec2';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { requires } from '../support/requirements.ts';
import { eventually, hastyDaemon, mountedAt, type TestSandbox, testSandbox } from '../support/sandbox.ts';

const { skip } = requires('root', 'loop');

describe.skipIf(skip)('mounting, looking and listing on two nodes', () => {
  let box: TestSandbox;
  /** In two zones. */
  const [here, elsewhere] = [0, 1];
  beforeAll(async () => {
    box = await testSandbox({ nodes: 2, zones: 2, daemonCommand: await hastyDaemon() });
  });
  afterAll(() => box?.close());
  afterEach(() => box.clearFaults());

  const create = (name: string, which = here) => box.ok(which, 'Create', { Name: name, Opts: { size: '1' } });
  const mount = async (name: string, ID?: string): Promise<string> =>
    (await box.ok(here, 'Mount', { Name: name, ID })).Mountpoint;
  const unmount = (name: string, ID?: string) => box.ok(here, 'Unmount', { Name: name, ID });
  const target = (name: string) => join(box.node(here).root, 'volumes', name);
  const get = async (name: string, which = here) => (await box.ok(which, 'Get', { Name: name })).Volume;
  const holders = async (name: string) =>
    (await get(name)).Status.holders.map(({ id }: { id: string }) => id) as string[];
  /** Waits until nothing of earlier tests is left that would still call EC2. */
  const quiet = () =>
    eventually(async () => (await box.volumes()).every(({ Attachments = [] }) => Attachments.length === 0));

  describe('holders', () => {
    it('keep a volume mounted until the last of two has gone', async () => {
      await create('two');
      const directory = await mount('two', 'a');
      expect(await mount('two', 'b')).toBe(directory);
      expect(await holders('two')).toEqual(['a', 'b']);
      await unmount('two', 'a');
      expect(await holders('two')).toEqual(['b']);
      expect(await mountedAt(target('two'))).toBeDefined();
      await writeFile(join(directory, 'still'), 'there');
      await unmount('two', 'b');
      expect(await mountedAt(target('two'))).toBeUndefined();
      await box.detached('two');
    });

    it('count once for one ID', async () => {
      await create('same');
      await mount('same', 'a');
      await mount('same', 'a');
      expect(await holders('same')).toEqual(['a']);
      await unmount('same', 'a');
      expect(await mountedAt(target('same'))).toBeUndefined();
    });

    it('without an ID are one, whatever their number', async () => {
      await create('nameless');
      for (let times = 0; times < 3; times += 1) await mount('nameless');
      expect(await holders('nameless')).toEqual(['anonymous']);
      await unmount('nameless');
      expect(await mountedAt(target('nameless'))).toBeUndefined();
    });

    it('with an ID and without one do not end each other', async () => {
      await create('mixed');
      await mount('mixed', 'a');
      await mount('mixed');
      await unmount('mixed');
      expect(await holders('mixed')).toEqual(['a']);
      expect(await mountedAt(target('mixed'))).toBeDefined();
      await unmount('mixed', 'a');
    });

    it('stay when an unknown one is unmounted, which succeeds', async () => {
      await create('known');
      await mount('known', 'a');
      await unmount('known', 'nobody');
      await unmount('known');
      expect(await holders('known')).toEqual(['a']);
      expect(await mountedAt(target('known'))).toBeDefined();
      await unmount('known', 'a');
      await unmount('known', 'a');
    });

    it('need not exist for an unmount: of a volume never mounted, and of one that does not exist', async () => {
      await create('untouched');
      await unmount('untouched', 'a');
      await unmount('never-made', 'a');
      expect(await box.volumes('untouched')).toMatchObject([{ State: 'available', Attachments: [] }]);
    });
  });

  describe('the disk', () => {
    it('is attached once by ten mounts at once', async () => {
      await quiet();
      await create('rushed');
      box.sandbox.resetCalls();
      const directories = await Promise.all(Array.from({ length: 10 }, (_, index) => mount('rushed', `id-${index}`)));
      expect(new Set(directories)).toEqual(new Set([join(target('rushed'), 'data')]));
      expect(box.sandbox.calls()['AttachVolume']).toBe(1);
      expect(await holders('rushed')).toHaveLength(10);
      await Promise.all(Array.from({ length: 10 }, (_, index) => unmount('rushed', `id-${index}`)));
      expect(await mountedAt(target('rushed'))).toBeUndefined();
      await box.detached('rushed');
    });

    it('of each of two volumes mounted at once is its own', async () => {
      await Promise.all([create('left'), create('right')]);
      const [left, right] = await Promise.all([mount('left', 'a'), mount('right', 'a')]);
      await Promise.all([writeFile(join(left, 'side'), 'left'), writeFile(join(right, 'side'), 'right')]);
      const [one, other] = await Promise.all([mountedAt(target('left')), mountedAt(target('right'))]);
      expect(one?.source).not.toBe(other?.source);
      await Promise.all([unmount('left', 'a'), unmount('right', 'a')]);
      await Promise.all([box.detached('left'), box.detached('right')]);
      expect(await readFile(join(await mount('left', 'a'), 'side'), 'utf8')).toBe('left');
      expect(await readFile(join(await mount('right', 'a'), 'side'), 'utf8')).toBe('right');
      await Promise.all([unmount('left', 'a'), unmount('right', 'a')]);
    });

    it('stays for the linger, in which a mount asks EC2 nothing, and is detached after it', async () => {
      await quiet();
      await create('lingers');
      await writeFile(join(await mount('lingers', 'a'), 'kept'), 'data');
      box.sandbox.resetCalls();
      await unmount('lingers', 'a');
      expect(existsSync(target('lingers'))).toBe(false);
      expect(await get('lingers')).toMatchObject({ Mountpoint: '', Status: { state: 'attached', holders: [] } });
      const directory = await mount('lingers', 'b');
      expect(await readFile(join(directory, 'kept'), 'utf8')).toBe('data');
      expect(box.sandbox.calls()).toEqual({});
      await unmount('lingers', 'b');
      await box.detached('lingers');
      expect(existsSync(target('lingers'))).toBe(false);
      expect(box.sandbox.calls()).toMatchObject({ DetachVolume: 1 });
      expect(box.sandbox.calls()).not.toHaveProperty('AttachVolume');
      const records = join(box.node(here).root, 'state/volumes');
      await eventually(async () => !(await readdir(records)).includes('lingers.json'));
      expect(await readFile(join(await mount('lingers', 'c'), 'kept'), 'utf8')).toBe('data');
      await unmount('lingers', 'c');
    });

    it('is not taken from a program that still uses it after the last unmount', async () => {
      await create('open');
      const directory = await mount('open', 'a');
      const file = await open(join(directory, 'log'), 'w');
      try {
        await unmount('open', 'a');
        const { waitingFor } = await eventually(async () => {
          const { Status } = await get('open');
          return Status.waitingFor !== undefined && Status;
        });
        expect(waitingFor).toMatch(/still uses/);
        await file.writeFile('still writing');
        await file.sync();
        expect(await box.volumes('open')).toMatchObject([
          { Attachments: [{ State: expect.stringMatching(/^attach/) }] },
        ]);
        expect(await box.refused(here, 'Remove', { Name: 'open' })).toMatch(/still uses/);
      } finally {
        await file.close();
      }
      await box.detached('open');
      expect(await readFile(join(await mount('open', 'b'), 'log'), 'utf8')).toBe('still writing');
      await unmount('open', 'b');
    });
  });

  describe('get, path and list', () => {
    it.each(['throttle', 'error', 'drop-request'])(
      'answer for a held volume while EC2 answers with %s',
      async (kind) => {
        const name = `held-${kind}`;
        await quiet();
        await create(name);
        const directory = await mount(name, 'a');
        await box.fault({ kind, action: 'Describe*' });
        box.sandbox.resetCalls();
        expect(await get(name)).toMatchObject({ Mountpoint: directory, Status: { state: 'mounted' } });
        expect((await box.ok(here, 'Path', { Name: name })).Mountpoint).toBe(directory);
        expect(await mount(name, 'b')).toBe(directory);
        await unmount(name, 'b');
        expect(box.sandbox.calls()).toEqual({});
        await box.clearFaults();
        await unmount(name, 'a');
      },
    );

    it('give the last known answer, marked as such, when EC2 fails', async () => {
      await create('seen');
      const known = await get('seen', elsewhere);
      expect(known.Status).not.toHaveProperty('stale');
      await box.fault({ kind: 'error', action: 'Describe*' });
      // What was read within the last second is given again.
      const { Status, ...rest } = await eventually(async () => {
        const volume = await get('seen', elsewhere);
        return 'stale' in volume.Status ? volume : undefined;
      });
      const { stale, ...same } = Status;
      expect({ ...rest, Status: same }).toEqual(known);
      expect(stale).toMatch(/EC2 cannot be asked: .*InternalError/);
    });

    it.each(['Get', 'Path', 'Mount', 'Create'])('%s never says "no such volume" when EC2 fails', async (verb) => {
      await create(`unseen-${verb.toLowerCase()}`);
      await box.fault({ kind: 'error', action: 'Describe*' });
      const message = await box.refused(elsewhere, verb, { Name: `unseen-${verb.toLowerCase()}`, ID: 'a' });
      expect(message).not.toMatch(/no such volume/i);
      expect(message).toMatch(/An internal error has occurred.*Try again/);
    });

    it('say that there is no such volume, and what to do, when EC2 says so', async () => {
      for (const verb of ['Get', 'Path', 'Mount']) {
        const { status, body } = await box.call(here, verb, { Name: 'absent', ID: 'a' });
        expect(status).toBe(404);
        expect(body.Err).toMatch(/^volume "absent": .*no such volume in this cluster\. Check the name/);
      }
    });

    it('give an empty path for a volume that is not mounted', async () => {
      await create('unmounted');
      expect(await box.ok(here, 'Path', { Name: 'unmounted' })).toEqual({ Mountpoint: '', Err: '' });
    });

    it('show the volumes of both zones on both nodes, and those of no other cluster', async () => {
      await create('zone-a', here);
      await create('zone-b', elsewhere);
      const tags = (cluster: string, name: string) => [
        { Key: 'Name', Value: name },
        { Key: 'docker-volume-ebs:cluster', Value: cluster },
        { Key: 'docker-volume-ebs:name', Value: name },
      ];
      const foreign = await Promise.all(
        [tags('other', 'foreign'), tags('other', 'zone-a'), [{ Key: 'Name', Value: 'bare' }]].map((Tags) =>
          box.ec2.send(
            new CreateVolumeCommand({
              AvailabilityZone: 'us-east-1a',
              Size: 1,
              TagSpecifications: [{ ResourceType: 'volume', Tags }],
            }),
          ),
        ),
      );
      const ids = foreign.map(({ VolumeId }) => VolumeId);
      const directory = await mount('zone-a', 'a');
      for (const which of [here, elsewhere]) {
        const { Volumes } = await box.ok(which, 'List');
        const names = Volumes.map(({ Name }: { Name: string }) => Name);
        expect(names).toEqual(expect.arrayContaining(['zone-a', 'zone-b']));
        expect(names).not.toContain('foreign');
        expect(names).not.toContain('bare');
        expect(names.filter((name: string) => name === 'zone-a')).toHaveLength(1);
        const mountpoint = Volumes.find(({ Name }: { Name: string }) => Name === 'zone-a').Mountpoint;
        expect(mountpoint).toBe(which === here ? directory : '');
      }
      await unmount('zone-a', 'a');
      for (const name of ['foreign', 'bare']) {
        expect(await box.refused(here, 'Get', { Name: name })).toMatch(/no such volume/);
        expect(await box.refused(here, 'Mount', { Name: name, ID: 'a' })).toMatch(/no such volume/);
        await box.ok(here, 'Remove', { Name: name });
      }
      await box.ok(here, 'Remove', { Name: 'zone-a' });
      const left = (await box.volumes()).filter(({ VolumeId }) => ids.includes(VolumeId));
      expect(left.map(({ State }) => State)).toEqual(['available', 'available', 'available']);
    });

    it('name both volumes when two carry one name, and touch neither', async () => {
      await create('twin');
      const { VolumeId: other = '' } = await box.ec2.send(
        new CreateVolumeCommand({ AvailabilityZone: 'us-east-1a', Size: 1 }),
      );
      const [original] = await box.volumes('twin');
      await box.ec2.send(new CreateTagsCommand({ Resources: [other], Tags: original?.Tags }));
      for (const verb of ['Get', 'Mount', 'Remove', 'Create']) {
        const message = await box.refused(here, verb, { Name: 'twin', ID: 'a' });
        expect(message).toContain(other);
        expect(message).toContain(original?.VolumeId);
        expect(message).toMatch(/take the name from/);
      }
      expect(await box.volumes('twin')).toMatchObject([{ State: 'available' }, { State: 'available' }]);
    });
  });
});
