import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { CreateVolumeCommand } from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tagKeys } from '../../src/ebs/tags.ts';
import { displayName, encodeName } from '../../src/volumes/options/names.ts';
import { requires } from '../support/requirements.ts';
import { eventually, type TestSandbox, tagsOf, testSandbox } from '../support/sandbox.ts';

const { skip } = requires('root', 'loop');

/** dockerd checks no name of a plugin's volume: each of these reaches the driver as it is. */
const removable = [
  'a/b',
  '-x',
  ' sp ace ',
  'a@b',
  'ünï',
  'tab\tnew\nline',
  'quo"te\'s',
  '$(touch here)',
  '*',
  '%2e%2e',
  '=2E',
  'nul\0byte',
  'CaSe',
  'case',
  'x'.repeat(240),
];

/** Docker could not remove these; somebody may have made them with an earlier version. */
const unremovable = ['../../etc/x', '/abs', '..', '.', './data', 'Ünï/../日本', 'a//b'];

const hostile = [...removable, ...unremovable];

describe.skipIf(skip)('names that mean harm', () => {
  let box: TestSandbox;
  beforeAll(async () => {
    box = await testSandbox({ nodes: 1 });
  });
  afterAll(() => box?.close());

  const listed = async () => (await box.ok(0, 'List')).Volumes as { Name: string; Mountpoint: string }[];
  const madeEarlier = async (name: string) => {
    const tags = { Name: displayName(name), [tagKeys.cluster]: 'default', [tagKeys.name]: encodeName(name) };
    const Tags = Object.entries({ ...tags, [tagKeys.generation]: '0' }).map(([Key, Value]) => ({ Key, Value }));
    const specification = [{ ResourceType: 'volume' as const, Tags }];
    const zone = box.node(0).availabilityZone;
    await box.ec2.send(new CreateVolumeCommand({ AvailabilityZone: zone, Size: 1, TagSpecifications: specification }));
    await eventually(async () => (await listed()).some(({ Name }) => Name === name));
  };
  const everything = async () =>
    (await readdir(box.dir, { recursive: true }))
      .sort()
      .filter((path) => !/(^|\/)(dev|sys|volumes|state)\/|\.new$/.test(path));

  it('are volumes of their own, inside the root, and gone without a trace', async () => {
    const { root } = box.node(0);
    // The first mount makes the directory that mountpoints are in.
    await box.ok(0, 'Create', { Name: 'first', Opts: { size: '1' } });
    await box.ok(0, 'Mount', { Name: 'first', ID: 'one' });
    await box.ok(0, 'Unmount', { Name: 'first', ID: 'one' });
    await box.ok(0, 'Remove', { Name: 'first' });
    const outside = { sandbox: await everything(), top: await readdir('/'), etc: await readdir('/etc') };

    await Promise.all(removable.map((Name) => box.ok(0, 'Create', { Name, Opts: { size: '1' } })));
    for (const Name of unremovable) {
      expect(await box.refused(0, 'Create', { Name })).toMatch(/cannot use this name: Docker could not remove it/);
      await madeEarlier(Name);
      await box.ok(0, 'Create', { Name });
    }
    expect((await listed()).map(({ Name }) => Name).sort()).toEqual([...hostile].sort());
    expect(new Set((await box.volumes()).map((volume) => tagsOf(volume)['docker-volume-ebs:name'])).size).toBe(
      hostile.length,
    );

    const directories = new Map<string, string>();
    for (const Name of hostile) {
      const { Mountpoint } = await box.ok(0, 'Mount', { Name, ID: 'one' });
      directories.set(Name, Mountpoint);
      expect(Mountpoint.split(sep)).not.toContain('..');
      expect(join(Mountpoint, '../..')).toBe(join(root, 'volumes'));
      await writeFile(join(Mountpoint, 'name'), Name);
    }
    expect(new Set(directories.values()).size).toBe(hostile.length);
    for (const { Name, Mountpoint } of await listed()) expect(Mountpoint).toBe(directories.get(Name));
    for (const Name of hostile) {
      expect(await readFile(join(directories.get(Name) ?? '', 'name'), 'utf8')).toBe(Name);
      expect((await box.ok(0, 'Get', { Name })).Volume).toMatchObject({ Name, Mountpoint: directories.get(Name) });
      expect((await box.ok(0, 'Path', { Name })).Mountpoint).toBe(directories.get(Name));
    }
    expect({ sandbox: await everything(), top: await readdir('/'), etc: await readdir('/etc') }).toEqual(outside);

    for (const Name of hostile) await box.ok(0, 'Unmount', { Name, ID: 'one' });
    await Promise.all(hostile.map((Name) => box.ok(0, 'Remove', { Name })));
    expect(await listed()).toEqual([]);
    expect(await box.volumes()).toHaveLength(0);
    expect(await readdir(join(root, 'volumes'))).toEqual([]);
    expect(await readdir(join(root, 'state/volumes'))).toEqual([]);
  });

  it.each([
    ['', /Name/],
    ['y'.repeat(241), /cannot use this name: its encoded form has 241 characters and at most 240 fit.*Choose another/],
    ['é'.repeat(100), /its encoded form has 600 characters/],
  ])('refuses %j in every verb that makes something', async (Name, why) => {
    for (const verb of ['Create', 'Mount']) {
      const message = await box.refused(0, verb, { Name, ID: 'one' });
      expect(message).toMatch(why);
      expect(message.length).toBeLessThan(400);
    }
    expect(await box.volumes()).toHaveLength(0);
  });
});
