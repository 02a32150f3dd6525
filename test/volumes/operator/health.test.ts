import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, it, onTestFinished, vi } from 'vitest';
import { loadSettings } from '../../../src/config.ts';
import type { Outcome } from '../../../src/events.ts';
import { publish } from '../../../src/events.ts';
import type { Unanswered } from '../../../src/host/types.ts';
import type { Connection } from '../../../src/volumes/connect.ts';
import { createHealth, watchContact } from '../../../src/volumes/operator/health.ts';
import type { Node } from '../../../src/volumes/state/node.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'health-'));
  await mkdir(join(root, 'state'));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
});

/** A node of which only this is looked at. */
const nodeOf = (surveyed: boolean, silent: readonly Unanswered[] = []) => {
  const survey = { isDone: () => surveyed, failure: () => ' (not permitted)' };
  const settings = loadSettings(['--root', '/ebs'], {});
  const volume = { id: 'vol-0a', tags: {} };
  const held = new Map([['data', { name: 'data', volume }]]);
  const host = { unanswered: () => silent };
  return {
    instanceId: 'i-1',
    drain: { now: undefined },
    survey,
    settings,
    held,
    host,
    ec2Says: new Map(),
  } as unknown as Node;
};

const called = (outcome: Outcome | 'aborted') =>
  publish('ec2-call', { action: 'DescribeVolumes', outcome, seconds: 0, waitedSeconds: 0 });

let reserveUsed: string | undefined;
const localAt = (at: string) => ({ settings: { root: at }, journal: { reserveUsedSince: () => reserveUsed } });

async function reading(surveyed = true, silent: readonly Unanswered[] = []) {
  const connection: Pick<Connection, 'node' | 'reason'> = {
    node: Promise.resolve(nodeOf(surveyed, silent)),
    reason: () => '',
  };
  const read = createHealth(localAt(root), connection, watchContact());
  await connection.node;
  return read;
}

it('is well once the node is known, and leaves nothing in the journal', async () => {
  const read = await reading();
  expect(await read()).toEqual({
    ...{ problems: [], instanceId: 'i-1', draining: undefined },
    ec2: { answeredAt: undefined, answeredSecondsAgo: undefined, failing: undefined },
  });
  expect(await readdir(join(root, 'state'))).toEqual([]);
});

it('names the volumes whose disks or filesystems do not answer', async () => {
  const read = await reading(true, [
    { subject: 'the disk of vol-0a', doing: 'to read what it holds', seconds: 42 },
    { subject: '/ebs/volumes/data', doing: 'to be unmounted', seconds: 61 },
    { subject: 'the disk of vol-0b', doing: 'to open it', seconds: 7 },
  ]);
  expect((await read()).problems).toEqual([
    'the disk of volume "data" (vol-0a) does not answer: asked to read what it holds 42 s ago',
    'the disk of volume "data" (vol-0a) does not answer: asked to be unmounted 61 s ago',
    'the disk of vol-0b does not answer: asked to open it 7 s ago',
  ]);
});

it('is not while it is unknown which instance this is', async () => {
  const read = createHealth(
    localAt(root),
    { node: new Promise(() => undefined), reason: () => 'IMDS is silent' },
    watchContact(),
  );
  expect(await read()).toMatchObject({
    problems: ['this node does not know yet which instance it is (IMDS is silent)'],
    instanceId: undefined,
  });
});

it('is not while EC2 has not told what is attached here', async () => {
  const read = await reading(false);
  const problem = 'EC2 has not told yet what is attached to this instance (not permitted)';
  expect(await read()).toMatchObject({ problems: [problem], instanceId: 'i-1' });
});

it.each([
  ['EC2_UNAVAILABLE', 'EC2 is silent'],
  ['EC2_CREDENTIALS', 'this node has no credentials that EC2 takes'],
] as const)('is not while the last call of EC2 ended with %s', async (outcome, problem) => {
  const read = await reading();
  called('ok');
  called(outcome);
  called('aborted');
  const { problems, ec2 } = await read();
  expect(problems).toEqual([expect.stringMatching(new RegExp(`^${problem} \\(since `))]);
  expect(ec2).toEqual({
    answeredAt: expect.any(String),
    answeredSecondsAgo: 0,
    failing: { since: expect.any(String), code: outcome, why: '' },
  });
  // A refusal is an answer.
  called('EC2_THROTTLED');
  expect(await read()).toMatchObject({ problems: [], ec2: { failing: undefined } });
});

it('forgets a failure that nobody has had need to repeat', async () => {
  const read = await reading();
  called('EC2_UNAVAILABLE');
  const later = performance.now() + 301_000;
  vi.spyOn(performance, 'now').mockReturnValue(later);
  onTestFinished(() => void vi.restoreAllMocks());
  expect(await read()).toMatchObject({ problems: [], ec2: { failing: { code: 'EC2_UNAVAILABLE' } } });
});

it('is not while the journal cannot be written', async () => {
  const read = await reading();
  await rm(join(root, 'state'), { recursive: true });
  expect((await read()).problems).toEqual([expect.stringContaining(`the journal in ${root}/state cannot be written`)]);
  await mkdir(join(root, 'state'));
  expect((await read()).problems).toEqual([]);
});

it('tells ages by a clock that nobody sets', async () => {
  vi.useFakeTimers({ toFake: ['Date', 'performance'] });
  onTestFinished(() => void vi.useRealTimers());
  const read = await reading();
  called('ok');
  called('EC2_UNAVAILABLE');
  vi.setSystemTime(Date.now() - 3_600_000);
  vi.advanceTimersByTime(60_000);
  expect(await read()).toMatchObject({ problems: [expect.any(String)], ec2: { answeredSecondsAgo: 60 } });
  vi.advanceTimersByTime(241_000);
  expect(await read()).toMatchObject({ problems: [], ec2: { answeredSecondsAgo: 301 } });
});

it('says that the disk is full and volumes leave by the reserve', async () => {
  const read = await reading();
  reserveUsed = '2026-01-02T03:04:05Z';
  onTestFinished(() => {
    reserveUsed = undefined;
  });
  expect((await read()).problems).toEqual([
    `the disk of ${root} is full: since 2026-01-02T03:04:05Z volumes leave by a reserve, and none comes`,
  ]);
});
