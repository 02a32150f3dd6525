import { open, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { filesystemTypes } from '../../src/host/types.ts';
import type { Taken, Verification, VolumeSnapshot } from '../../src/volumes/types.ts';
import { requires } from '../support/requirements.ts';
import { run } from '../support/run.ts';
import { bundledDaemon, eventually, type TestSandbox, testSandbox } from '../support/sandbox.ts';

let box: TestSandbox;
let program: string[];

async function cli(...args: string[]) {
  const [command = '', ...own] = [...program, ...args, '--socket', box.node(0).socket];
  return run(command, own);
}
async function json<T>(...args: string[]): Promise<T> {
  const { stdout, stderr } = await cli(...args, '--json');
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout);
}

/** Rewrites a file for as long as it is not stopped. */
function keepWriting(file: string) {
  let written = 0;
  let stopped = false;
  const done = (async () => {
    const handle = await open(file, 'a');
    while (!stopped) {
      await handle.write(`${'x'.repeat(4000)}\n`);
      await handle.datasync();
      written += 1;
    }
    await handle.close();
  })();
  return {
    count: () => written,
    stop: () => {
      stopped = true;
      return done;
    },
  };
}

const snapshotsOf = async (name: string) =>
  (await json<{ snapshots: VolumeSnapshot[] }>('snapshot', 'ls', name)).snapshots;

/** What is left of verifications on the machine and in EC2. */
async function leftovers() {
  const mounts = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n');
  const root = box.node(0).root;
  return {
    volumes: (await box.volumes()).filter(({ Tags = [] }) =>
      Tags.some(({ Key }) => Key === 'docker-volume-ebs:scratch'),
    ),
    mounts: mounts.filter((line) => line.includes(`${root}/scratch`)),
    directories: await readdir(join(root, 'scratch')).catch(() => []),
    records: JSON.parse(await readFile(join(root, 'state', 'scratch.json'), 'utf8')),
  };
}
/** EC2's answers may lag behind a deletion. */
async function untilNothingIsLeft() {
  await eventually(async () => (await leftovers()).volumes.length === 0);
  expect(await leftovers()).toEqual(nothing);
}
const nothing = { volumes: [], mounts: [], directories: [], records: [] };

describe.skipIf(requires('root', 'loop', 'mkfs.xfs', 'mkfs.btrfs').skip)('snapshot verify', () => {
  beforeAll(async () => {
    box = await testSandbox({ nodes: 1, nodeEnv: { DVE_LINGER: '0', DVE_SIZE: '1', DVE_METRICS: '0' } });
    program = (await bundledDaemon()).slice(0, -1);
  });
  afterAll(() => box?.close());

  it('proves snapshots of each filesystem beside its volume, which is written to all the time', async () => {
    for (const type of filesystemTypes) {
      await box.ok(0, 'Create', { Name: type, Opts: { fsType: type } });
      const { Mountpoint } = await box.ok(0, 'Mount', { Name: type, ID: 'writer' });
      const writer = keepWriting(join(Mountpoint, 'file'));
      await eventually(async () => writer.count() > 2);
      const { snapshotId } = await json<Taken>('snapshot', 'take', type, 'one', '--crash-consistent');
      await eventually(async () => (await snapshotsOf(type)).find(({ state }) => state === 'completed'));
      const before = writer.count();
      const proven = await json<Verification>(
        'snapshot',
        'verify',
        snapshotId,
        '--run',
        'test -s "$DVE_MOUNTPOINT/data/file"',
      );
      expect(proven).toMatchObject({ volume: type, step: 'ended', notes: [], verdict: { ok: true } });
      expect(proven.verdict?.words).toBe(`${type} in order, and the command succeeded`);
      await eventually(async () => writer.count() > before);
      await writer.stop();
      await untilNothingIsLeft();
      const [listed] = await snapshotsOf(type);
      expect(listed?.verified).toEqual(proven.verdict);
      await box.ok(0, 'Unmount', { Name: type, ID: 'writer' });
    }
  });
});
