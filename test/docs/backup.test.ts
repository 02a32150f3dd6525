import { open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { policies } from '../../scripts/iam-policies.ts';
import type { IamPolicy } from '../../src/sandbox/iam.ts';
import { parseOptions } from '../../src/volumes/options/options.ts';
import type { Taken } from '../../src/volumes/types.ts';
import { requires } from '../support/requirements.ts';
import { run } from '../support/run.ts';
import { eventually, type TestSandbox, tagsOf, testSandbox } from '../support/sandbox.ts';
import { nodeShell } from './node-shell.ts';
import { openPage, projectRoot } from './page.ts';

const page = openPage('docs/backup.md');

it('docs/backup.md makes a volume with a schedule that the driver reads', () => {
  const [, schedule = ''] = /-o snapshots=(\S+)/.exec(page.take('docker volume create')) ?? [];
  expect(parseOptions('data', { snapshots: schedule })).toMatchObject({ snapshots: schedule });
});

describe.skipIf(requires('root', 'loop').skip)('snapshots of a volume, as docs/backup.md has them', () => {
  let box: TestSandbox;
  beforeAll(async () => {
    box = await testSandbox({ nodes: 1, nodeEnv: { DVE_SIZE: '1', DVE_LINGER: '60' } });
  });
  afterAll(() => box?.close());

  it('are taken, listed and scheduled while it is in use, and tell afterwards what a rollback would do', async () => {
    const env = await nodeShell(box, 0);
    const replace = { VOLUME: 'data' };
    await box.ok(0, 'Create', { Name: 'data' });
    await box.ok(0, 'Mount', { Name: 'data', ID: 'one' });
    const taken = await page.run('docker-volume-ebs snapshot take', { env, replace });
    expect(taken.stdout).toMatch(
      /^snap-\w+ \(\S+\) of data: its writers stood still for \d+ ms\. EC2 completes it by itself\.\n$/,
    );
    const { stdout: listed } = await page.run('docker-volume-ebs snapshot ls', { env, replace });
    expect(listed.match(/^data +snap-\w+ .* frozen /gm)).toHaveLength(2);
    const set = await page.run('docker-volume-ebs set', { env, replace });
    expect(set.stdout).toContain('snapshots: not set -> hourly:24,daily:7\nThe next one is taken at ');

    await box.ok(0, 'Unmount', { Name: 'data', ID: 'one' });
    const told = await page.run('docker-volume-ebs rollback', { env, replace: { ...replace, SNAPSHOT: 'latest' } });
    expect(told.stdout).toMatch(/snap-\w+/);
    expect(page.take('docker-volume-ebs rollback VOLUME SNAPSHOT\n')).toBe(
      'docker-volume-ebs rollback VOLUME SNAPSHOT\n',
    );
  });
});

/** What every daemon may do, for the cluster of the test. */
const role: IamPolicy = JSON.parse(JSON.stringify(policies.never).replaceAll(`\${CLUSTER}`, 'default'));

describe.skipIf(requires('root', 'loop').skip)('the proof of snapshots, as docs/backup.md has it', () => {
  let box: TestSandbox;
  let env: Record<string, string>;
  let directory: string;
  let nightly: string;

  const cli = (...args: string[]) =>
    run(process.execPath, [join(projectRoot, 'src/cli/main.ts'), ...args, '--socket', box.node(0).socket]);
  const take = async (name: string): Promise<string> => {
    const { stdout, stderr } = await cli('snapshot', 'take', 'db', name, '--json');
    if (stdout === '') throw new Error(stderr);
    const { snapshotId }: Taken = JSON.parse(stdout);
    await eventually(async () => (await cli('snapshot', 'ls', 'db', '--json')).stdout.includes('"completed"'));
    return snapshotId;
  };

  beforeAll(async () => {
    box = await testSandbox({ nodes: 1, policy: role, nodeEnv: { DVE_SIZE: '1', DVE_METRICS: '0' } });
    env = await nodeShell(box, 0);
    await box.ok(0, 'Create', { Name: 'db' });
    ({ Mountpoint: directory } = await box.ok(0, 'Mount', { Name: 'db', ID: 'one' }));
    for (let file = 0; file < 60; file += 1) await writeFile(join(directory, `file${file}`), `${file}`);
    await writeFile(join(directory, 'PG_VERSION'), '17\n');
    nightly = await take('nightly');
  });
  afterAll(() => box?.close());

  it('the plan says what it takes and costs', async () => {
    const plan = await cli('snapshot', 'verify', 'db/nightly', '--dry-run');
    expect(plan.stdout).toMatch(
      new RegExp(
        `^${nightly} of db would be verified by a scratch volume of 1 GiB \\(gp3\\) in us-east-1a, about \\$0\\.0001 an hour`,
      ),
    );
    expect([plan.code, plan.stdout]).toEqual([0, expect.stringMatching(/\nNothing was done\.\n$/)]);
  });

  it('a snapshot is proven, and a command of the user is part of the proof', async () => {
    const plain = await page.run('docker-volume-ebs snapshot verify db/nightly\n', { env });
    expect(plain.stdout).toMatch(
      new RegExp(`^${nightly} of db is proven: ext4 in order, in [\\d.]+ s\\. A volume can be restored from it\\.\n$`),
    );
    const withCommand = await page.run('docker-volume-ebs snapshot verify db/nightly --run', { env });
    expect(withCommand.stdout).toContain('ext4 in order, and the command succeeded');
    const fails = await cli(
      'snapshot',
      'verify',
      'db/nightly',
      '--run',
      'echo "no $DVE_MOUNTPOINT" | cut -c1-4; exit 3',
    );
    expect([fails.code, fails.stdout, fails.stderr]).toEqual([
      1,
      expect.stringContaining('FAILED: the command of --run has ended with exit status 3.\nVerify an earlier one'),
      expect.stringContaining('no /'),
    ]);
  });

  it('the drill gives back what was there then, beside what is there now', async () => {
    const [create = '', compare = ''] = page.take('docker volume create -d ebs -o from=db').trim().split('\n');
    const pairs = [...create.matchAll(/-o (\w+)=(\S+)/g)].map(([, key = '', value = '']) => [key, value]);
    const Name = create.split(' ').at(-1);
    await box.ok(0, 'Create', { Name, Opts: Object.fromEntries(pairs) });
    const copy = await box.ok(0, 'Mount', { Name, ID: 'drill' });
    await writeFile(join(directory, 'new'), 'since then', { flush: true });
    expect(compare).toMatch(/ -v db:\/now:ro -v db-drill:\/then:ro alpine diff -rq \/now \/then$/);
    const { stdout } = await run('diff', ['-rq', directory, copy.Mountpoint]);
    expect(stdout).toBe(`Only in ${directory}: new\n`);
    await box.ok(0, 'Unmount', { Name, ID: 'drill' });
  });

  it('a damaged snapshot fails: the words of the check, the tag, the metric and status agree', async () => {
    const image = join(box.dir, 'snapshots', `${nightly}.img`);
    const { stdout: layout } = await run('dumpe2fs', [image]);
    const table = Number(/Inode table at (\d+)/.exec(layout)?.[1]);
    const handle = await open(image, 'r+');
    // The second block of inodes: those of the files.
    await handle.write(Buffer.alloc(4096, 0x5a), 0, 4096, (table + 1) * 4096);
    await handle.close();
    const failed = await cli('snapshot', 'verify', 'db/nightly');
    const [first = '', todo] = failed.stdout.split('\n');
    expect(failed.code).toBe(1);
    expect(first).toMatch(new RegExp(`^${nightly} of db FAILED: e2fsck says: .*[Ii]node`));
    expect(todo).toMatch(/^Verify an earlier one .* then take a new one and verify that: /);
    const words = first.slice(first.indexOf('e2fsck'), first.indexOf('e2fsck') + 40);
    const { Snapshots } = (await box.aws('describe-snapshots', '--snapshot-ids', nightly)) as {
      Snapshots: { Tags: { Key: string; Value: string }[] }[];
    };
    const tag = Snapshots[0]?.Tags.find(({ Key }) => Key === 'docker-volume-ebs:verified')?.Value;
    expect(tag).toMatch(/^\S+Z failed e2fsck says: /);
    const [volume] = await box.volumes('db');
    expect(tagsOf(volume)['docker-volume-ebs:proof']).toMatch(new RegExp(`^\\S+Z ${nightly} \\S+Z failed e2fsck`));
    expect((await cli('snapshot', 'ls', 'db')).stdout).toMatch(/ FAILED .*\n +not to be restored from, as of /);
    const { stdout: status } = await cli('status');
    expect(status.indexOf(`RESTORE FAILED: ${nightly} of db`)).toBeLessThan(status.indexOf('NAME'));
    expect(status.replaceAll(/\s+/g, ' ')).toContain(words);
    const log = await readFile(box.node(0).log, 'utf8');
    const { host, port } = JSON.parse(log.split('\n').find((line) => line.includes('metrics are')) ?? '{}');
    const metrics = await (await fetch(`http://${host}:${port}/metrics`)).text();
    expect(metrics).toMatch(/docker_volume_ebs_verification_failed\{volume="db",volume_id="vol-\w+"\} 1\n/);
    expect(metrics).toMatch(
      /docker_volume_ebs_last_proven_restore_timestamp_seconds\{volume="db",volume_id="vol-\w+"\} \d+/,
    );
  });
});
