import { createHash } from 'node:crypto';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { filesystemTypes } from '../../src/host/types.ts';
import type { Taken, VolumeSnapshot } from '../../src/volumes/types.ts';
import { requires } from '../support/requirements.ts';
import { run } from '../support/run.ts';
import { bundledDaemon, eventually, type TestSandbox, testSandbox } from '../support/sandbox.ts';

/** Snapshots of each filesystem under its writer; EC2 takes one of a volume in 15 s, so that each has a volume of its own. */
const each = Number(process.env['SNAPSHOT_ROUNDS'] ?? 1);

let box: TestSandbox;
let program: string[];

async function cli(which: number, ...args: string[]) {
  const [command = '', ...own] = [...program, 'snapshot', ...args, '--socket', box.node(which).socket];
  return run(command, own);
}
async function json<T>(which: number, ...args: string[]): Promise<T> {
  const { code, stdout, stderr } = await cli(which, ...args, '--json');
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}

const lineOf = (number: number) => `${number} ${createHash('sha256').update(String(number)).digest('hex')}\n`;

/** Appends numbered records, each of which is on the disk before it counts. */
function writeRecords(file: string) {
  let written = 0;
  let stopped = false;
  const done = (async () => {
    const handle = await open(file, 'a');
    while (!stopped) {
      await handle.write(lineOf(written + 1));
      await handle.datasync();
      written += 1;
    }
    await handle.close();
  })();
  const stop = () => {
    stopped = true;
    return done;
  };
  return { count: () => written, stop };
}

/** A snapshot of a volume that is written to all the time, and what it holds once it is a volume on another node. */
async function snapshotUnderWriter(name: string, fsType: string) {
  await box.ok(0, 'Create', { Name: name, Opts: { size: '1', fsType } });
  const { Mountpoint } = await box.ok(0, 'Mount', { Name: name, ID: 'writer' });
  const writer = writeRecords(join(Mountpoint, 'records'));
  await eventually(async () => writer.count() > 5);
  const before = writer.count();
  const taken = await json<Taken>(0, 'take', name, 'first');
  await eventually(async () => writer.count() > before + 5);
  await writer.stop();
  const listed = await eventually(async () => {
    const { snapshots } = await json<{ snapshots: VolumeSnapshot[] }>(1, 'ls', name);
    return snapshots.find(({ state }) => state === 'completed');
  });
  await box.ok(1, 'Create', { Name: `${name}-copy`, Opts: { snapshotId: taken.snapshotId } });
  const copy = await box.ok(1, 'Mount', { Name: `${name}-copy`, ID: 'reader' });
  const text = await readFile(join(copy.Mountpoint, 'records'), 'utf8');
  await box.ok(1, 'Unmount', { Name: `${name}-copy`, ID: 'reader' });
  await box.ok(0, 'Unmount', { Name: name, ID: 'writer' });
  return { before, taken, listed, text };
}

describe.skipIf(requires('root', 'loop', 'mkfs.xfs', 'mkfs.btrfs').skip)('snapshots', () => {
  beforeAll(async () => {
    box = await testSandbox({ nodes: 2, nodeEnv: { DVE_LINGER: '0', DVE_SIZE: '1' } });
    program = (await bundledDaemon()).slice(0, -1);
  });
  afterAll(() => box?.close());

  it('of volumes under their writers hold every record that was acknowledged before, and none by half', {
    timeout: 60_000 + each * 10_000,
  }, async () => {
    const rounds = filesystemTypes.flatMap((type) =>
      Array.from({ length: each }, (_, round) => [type, round] as const),
    );
    const all = [];
    for (let at = 0; at < rounds.length; at += 3) {
      const some = rounds.slice(at, at + 3);
      all.push(...(await Promise.all(some.map(([type, round]) => snapshotUnderWriter(`${type}-${round}`, type)))));
    }
    for (const { before, taken, listed, text } of all) {
      const lines = text.split('\n').slice(0, -1);
      expect(text).toBe(lines.map((_, index) => lineOf(index + 1)).join(''));
      expect(lines.length).toBeGreaterThanOrEqual(before);
      expect([taken.consistency, listed.consistency, listed.kind]).toEqual(['frozen', 'frozen', 'manual']);
      expect(listed.tags).toMatchObject({ 'docker-volume-ebs:subdirectory': 'data' });
    }
    const [ext4] = all;
    const image = join(box.dir, 'snapshots', `${ext4?.taken.snapshotId}.img`);
    expect((await run('dumpe2fs', ['-h', image])).stdout).not.toContain('needs_recovery');
    if (each > 1) {
      const pauses = all.map(({ taken }) => (taken.frozenSeconds ?? 0) * 1000).sort((a, b) => a - b);
      const part = (share: number) => Math.round(pauses[Math.floor((pauses.length - 1) * share)] ?? 0);
      const figures = `${pauses.length} snapshots; writers stood still ${part(0.5)} ms (median), ${part(0.95)} ms (p95), ${part(1)} ms (most)`;
      process.stdout.write(`${figures}\n`);
    }
  });

  it('are taken between two commands, of which the second is run whatever happens', async () => {
    await box.ok(0, 'Create', { Name: 'db' });
    await box.ok(0, 'Mount', { Name: 'db', ID: 'one' });
    const log = join(box.dir, 'commands');
    const hooks = ['--before', `echo before >> ${log}`, '--after', `echo after >> ${log}`];
    expect((await cli(0, 'take', 'db', 'a', ...hooks)).stdout).toMatch(
      /^snap-\w+ \(a\) of db: its writers stood still for \d+ ms\. /,
    );
    await box.ok(0, 'Create', { Name: 'db2' });
    const failed = await cli(0, 'take', 'db2', 'a', '--before', `echo fails >> ${log}; exit 3`, ...hooks.slice(2));
    expect([failed.code, failed.stderr]).toEqual([1, expect.stringContaining('exit status 3')]);
    const elsewhere = await cli(1, 'take', 'db', 'b', ...hooks);
    expect([elsewhere.code, elsewhere.stderr]).toEqual([1, expect.stringContaining('Run this command on that node')]);
    expect(await readFile(log, 'utf8')).toBe('before\nafter\nfails\nafter\n');
  });

  it('of other tools are listed as theirs, and are not ours to delete', async () => {
    const [volume] = await box.volumes('db');
    const tags = (volume?.Tags ?? []).map(({ Key, Value }) => `{Key=${Key},Value=${Value}}`).join(',');
    const copied = `ResourceType=snapshot,Tags=[${tags}]`;
    const made = await box.aws(
      'create-snapshot',
      '--volume-id',
      volume?.VolumeId ?? '',
      '--tag-specifications',
      copied,
    );
    const { SnapshotId } = made as { SnapshotId: string };
    const { snapshots } = await json<{ snapshots: VolumeSnapshot[] }>(1, 'ls', 'db');
    expect(snapshots.map(({ id, kind }) => [id === SnapshotId, kind])).toEqual([
      [true, 'foreign'],
      [false, 'manual'],
    ]);
    expect((await cli(1, 'rm', 'db', SnapshotId)).stderr).toContain('another tool took it');
    expect((await cli(1, 'rm', 'db', 'a')).stdout).toMatch(/^snap-\w+, taken of db at .*, is deleted/);
    expect((await cli(1, 'ls')).stdout).toContain('another tool');
    expect((await json<{ snapshots: VolumeSnapshot[] }>(1, 'ls', 'db')).snapshots).toHaveLength(1);
  });

  it('are refused where another node has the volume, unless they may be as after a crash', async () => {
    await box.ok(0, 'Mount', { Name: 'db2', ID: 'one' });
    const message = (await cli(1, 'take', 'db2')).stderr;
    expect(message).toContain(box.node(0).instanceId);
    expect((await cli(1, 'take', 'db2', '--crash-consistent')).stdout).toContain('as after a power failure');
  });
});
