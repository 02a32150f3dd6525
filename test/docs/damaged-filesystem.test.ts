import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { mkdir, open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { DescribeSnapshotsCommand } from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { requires } from '../support/requirements.ts';
import { eventually, type TestSandbox, tagsOf, testSandbox } from '../support/sandbox.ts';
import { nodeShell } from './node-shell.ts';
import { openPage } from './page.ts';

const page = openPage('docs/damaged-filesystem.md');

describe.skipIf(requires('root', 'loop', 'aws').skip)('from a damaged superblock to the data back', () => {
  let box: TestSandbox;
  let env: Record<string, string>;
  let printed: string;
  let path: string;
  const replace = { VOLUME: 'pgdata' };
  const commands = () => [...printed.matchAll(/^ {2}(e2fsck .*?) +# /gm)].map(([, command = '']) => command);
  /** As a person at a terminal, who says yes to all. */
  const atTerminal = (command: string) =>
    promisify(execFile)('bash', ['-c', `yes a | script -qec ${JSON.stringify(command)} /dev/null; true`]);
  const status = async () =>
    (await promisify(execFile)('docker-volume-ebs', ['status'], { env: { ...process.env, ...env } })).stdout;

  beforeAll(async () => {
    box = await testSandbox({ nodes: 1, nodeEnv: { DVE_SIZE: '1', DVE_LINGER: '0.2' } });
    env = await nodeShell(box, 0);
    await box.ok(0, 'Create', { Name: 'pgdata' });
    const { Mountpoint = '' } = await box.ok(0, 'Mount', { Name: 'pgdata', ID: 'a' });
    await writeFile(join(Mountpoint, 'marker'), 'here', { flush: true });
    await box.ok(0, 'Unmount', { Name: 'pgdata', ID: 'a' });
    await box.detached('pgdata');
    const [volume] = await box.volumes('pgdata');
    const files = readdirSync(join(box.dir, 'volumes'));
    const name = files.find((each) => each.startsWith(volume?.VolumeId ?? '?')) ?? '';
    const file = await open(join(box.dir, 'volumes', name), 'r+');
    await file.write(Buffer.alloc(1024, 0x5a), 0, 1024, 1024);
    await file.close();
    path = join(box.node(0).root, 'rescue/pgdata');
  });
  afterAll(() => box?.close());

  it('the mount is refused as what it is, and names the command', async () => {
    const message = await box.refused(0, 'Mount', { Name: 'pgdata', ID: 'a' });
    expect(message).toMatch(/superblock of its ext4 filesystem is damaged.*block 32768 of 4096 bytes/);
    expect(message).toContain(`Run docker-volume-ebs rescue pgdata on ${box.node(0).instanceId}`);
    await box.detached('pgdata');
  });

  it('the rescue holds it, with a snapshot and a path of its own', async () => {
    printed = (await page.run('docker-volume-ebs rescue VOLUME\n', { env, replace })).stdout;
    expect(printed).toContain(`Disk: ${path}\n`);
    const snapshotId = /Snapshot: (snap-\w+)\./.exec(printed)?.[1] ?? '';
    const { Snapshots = [] } = await box.ec2.send(new DescribeSnapshotsCommand({ SnapshotIds: [snapshotId] }));
    expect(tagsOf(Snapshots[0])).toMatchObject({
      'docker-volume-ebs:cluster': 'default',
      'docker-volume-ebs:rescued': 'pgdata',
    });
    expect(commands()).toEqual([`e2fsck -f -n -b 32768 -B 4096 ${path}`, `e2fsck -f -b 32768 -B 4096 ${path}`]);
    expect(await status()).toMatch(/pgdata +vol-\w+ +rescue [\s\S]*its disk is .*rescue\/pgdata/);
    for (const verb of ['Mount', 'Remove']) {
      const message = await box.refused(0, verb, { Name: 'pgdata', ID: 'a' });
      expect(message).toMatch(/it is being rescued on i-\w+ since .*docker-volume-ebs rescue pgdata --end/);
    }
  });

  it('it comes to the same again, also after kill -9 of the daemon', async () => {
    const { pid, instanceId } = box.node(0);
    process.kill(pid, 'SIGKILL');
    await eventually(async () => box.node(instanceId).pid === 0);
    await box.sandbox.startDaemon(instanceId);
    const again = (
      await promisify(execFile)('docker-volume-ebs', ['rescue', 'pgdata'], { env: { ...process.env, ...env } })
    ).stdout;
    expect(again).toBe(printed);
  });

  it('what was printed, run as it was printed, repairs it', async () => {
    const [look = '', repair = ''] = commands();
    const looked = await atTerminal(look);
    expect(looked.stdout).not.toContain('FILE SYSTEM WAS MODIFIED');
    const repaired = await atTerminal(repair);
    expect(repaired.stdout).toContain('FILE SYSTEM WAS MODIFIED');
    const place = join(box.dir, 'looked-at');
    await mkdir(place);
    const script = page.take('mount -o ro').replaceAll('PATH', path).replaceAll('/mnt', place);
    expect((await promisify(execFile)('bash', ['-euc', script])).stdout).toContain('data');
  });

  it('it is not given back under a check', async () => {
    const exclusive = await open(path, 0o200);
    const failed = await page
      .run('docker-volume-ebs rescue VOLUME --end', { env, replace })
      .catch((error: Error) => error);
    await exclusive.close();
    expect(String(failed)).toContain('a program has its disk for itself');
  });

  it('given back, it is mounted with its data', async () => {
    await page.run('docker-volume-ebs rescue VOLUME --end', { env, replace });
    expect(existsSync(path)).toBe(false);
    await box.detached('pgdata');
    const { Mountpoint = '' } = await box.ok(0, 'Mount', { Name: 'pgdata', ID: 'a' });
    expect(await readFile(join(Mountpoint, 'marker'), 'utf8')).toBe('here');
    await box.ok(0, 'Unmount', { Name: 'pgdata', ID: 'a' });
  });
});
