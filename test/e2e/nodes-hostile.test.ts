import { chmod, copyFile, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { CreateTagsCommand } from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tagKeys } from '../../src/ebs/tags.ts';
import { requires } from '../support/requirements.ts';
import { run } from '../support/run.ts';
import { mountedAt, type TestSandbox, testSandbox } from '../support/sandbox.ts';

const main = join(import.meta.dirname, '../../src/cli/main.ts');
const { skip } = requires('root', 'loop', 'mkfs.xfs', 'mkfs.btrfs');

describe.skipIf(skip)('volumes of people who have no root here', () => {
  let box: TestSandbox;
  beforeAll(async () => {
    box = await testSandbox({ nodes: 2, nodeEnv: { DVE_SIZE: '1', DVE_LINGER: '0.2' } });
  });
  afterAll(() => box?.close());

  const create = (name: string, Opts: Record<string, string> = {}) => box.ok(0, 'Create', { Name: name, Opts });
  const mount = async (name: string): Promise<string> =>
    (await box.ok(0, 'Mount', { Name: name, ID: 'test' })).Mountpoint;
  const unmount = (name: string) => box.ok(0, 'Unmount', { Name: name, ID: 'test' });
  const mountpoint = (name: string) => join(box.node(0).root, 'volumes', name);
  const cli = async (...args: string[]) => {
    const { code, stdout, stderr } = await run(process.execPath, [main, ...args, '--socket', box.node(0).socket]);
    expect([code, stderr]).toEqual([0, '']);
    return stdout;
  };
  const tag = async (name: string, Key: string, Value: string) => {
    const [volume] = await box.volumes(name);
    await box.ec2.send(new CreateTagsCommand({ Resources: [volume?.VolumeId ?? ''], Tags: [{ Key, Value }] }));
  };

  it.each([
    ['ext4', 'errors=remount-ro'],
    ['xfs', 'rw'],
    ['btrfs', 'rw'],
  ])('%s is mounted nosuid,nodev and stops writing after an error, whatever options it has', async (fsType, option) => {
    await create(`safe-${fsType}`, { fsType, mountOptions: 'noatime' });
    await mount(`safe-${fsType}`);
    const entry = await mountedAt(mountpoint(`safe-${fsType}`));
    expect(entry?.options).toEqual(expect.arrayContaining(['nosuid', 'nodev', 'noatime']));
    expect(entry?.superOptions).toContain(option);
    await unmount(`safe-${fsType}`);
  });

  it('a set-user-ID program in a volume gives nobody root on the host', async () => {
    await create('programs');
    const directory = await mount('programs');
    await mkdir(join(directory, 'bin'));
    const program = join(directory, 'bin/id');
    await copyFile('/usr/bin/id', program);
    await chmod(program, 0o4755);
    const asNobody = ['--reuid=65534', '--regid=65534', '--clear-groups'];
    const seen = await run('setpriv', [...asNobody, program, '-u']);
    expect(`${seen.code} ${seen.stdout}`).not.toContain('0 0\n');
    await unmount('programs');
  });

  it.each([
    [tagKeys.mkfsOptions, '-d etc', /holds "-d"/],
    [tagKeys.mkfsOptions, '-b 65536', /has -b, which takes one of/],
    [tagKeys.mountOptions, 'errors=panic', /errors takes only remount-ro/],
    [tagKeys.mountOptions, 'suid,dev', /"suid", which is for the owner of the host to allow/],
    [tagKeys.uid, '99999999999', /takes a whole number from 0 to 4294967294/],
    [tagKeys.subdirectory, '../..', /cannot leave the volume/],
  ])(
    'what somebody wrote into the tag %s (%j) reaches no tool, until the command that the error names corrects it',
    async (key, value, why) => {
      const name = `tagged-${key.replace(/.*:/, '')}-${value.length}`;
      await create(name);
      await tag(name, key, value);
      const message = await box.refused(0, 'Mount', { Name: name, ID: 'test' });
      expect(message).toContain(`volume "${name}": cannot use its tag ${key}`);
      expect(message).toMatch(why);
      expect(await mountedAt(mountpoint(name))).toBeUndefined();
      const [, flag = ''] = /docker-volume-ebs set \S+ (--\S+=)'…'/.exec(message) ?? [];
      await cli('set', name, flag);
      expect(await mount(name)).toMatch(mountpoint(name));
      await unmount(name);
    },
  );

  it('a full volume without its directory says how to get into it, and that works', async () => {
    await create('full', { subdirectory: '/', mkfsOptions: '-N 16' });
    const root = await mount('full');
    await run('sh', ['-c', 'i=0; while : > "$0/log$i"; do i=$((i+1)); done', root]);
    await unmount('full');
    await cli('set', 'full', '--subdirectory', 'app/data');
    const message = await box.refused(0, 'Mount', { Name: 'full', ID: 'test' });
    expect(message).toContain('there is no room on the filesystem to make it');
    const [, command = ''] = /Run docker-volume-ebs (set full --subdirectory \/)/.exec(message) ?? [];
    await cli(...command.split(' '));
    expect(await mount('full')).toBe(root);
    for (const log of await readdir(root)) if (log.startsWith('log')) await rm(join(root, log));
    await unmount('full');
    await cli('set', 'full', '--subdirectory', 'app/data');
    expect(await mount('full')).toBe(join(root, 'app/data'));
    await unmount('full');
  });
});
