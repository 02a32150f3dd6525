import { beforeEach, expect, test, vi } from 'vitest';
import { scratchMark, tagKeys } from '../../../src/ebs/tags.ts';
import type { ErrorCode } from '../../../src/errors.ts';
import { listSnapshots } from '../../../src/volumes/copies/find.ts';
import { snapshotTags } from '../../../src/volumes/copies/snapshot-tags.ts';
import { readProof, readVerdict } from '../../../src/volumes/copies/verdict.ts';
import { createVerifications, type Verifications } from '../../../src/volumes/copies/verifications.ts';
import { createVerifyOperator } from '../../../src/volumes/operator/verify.ts';
import type { FakeEc2 } from '../../support/fake-ec2.ts';
import { type FakeNode, fakeNode, nodeWithVolume } from '../../support/fake-node.ts';
import { pass, played, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

let node: FakeNode;
let ec2: FakeEc2;
let snapshotId: string;
let verifications: Verifications;
const ext4 = { kind: 'filesystem', type: 'ext4', uuid: undefined } as const;

beforeEach(async () => {
  useVirtualTime();
  const made = await nodeWithVolume();
  ({ node, ec2 } = made);
  await made.mount('a', 'id-1');
  const tags = snapshotTags('default', 'a', ec2.volumes.get('vol-1') as never, { request: 'r', name: 'nightly' });
  snapshotId = ec2.addSnapshot('vol-1', { tags: { ...tags } }).id;
  ec2.contents.set('vol-2', ext4);
  ec2.calls.length = 0;
  verifications = createVerifications(node);
});

const theSnapshot = async (id = snapshotId) => {
  const found = (await listSnapshots(node)).find((each) => each.id === id);
  if (found === undefined) throw new Error('no snapshot');
  return found;
};
const verify = async () => played(verifications.run(await theSnapshot()));
const scratches = () => [...ec2.volumes.values()].filter(({ tags }) => tagKeys.scratch in tags);
/** Lets time pass until something is so. */
async function until(isSo: () => boolean): Promise<void> {
  for (let spent = 0; !isSo(); spent += 1) {
    if (spent > 6000) throw new Error('it does not come to be so');
    await pass(50);
  }
}
const refused = (work: Promise<unknown>): Promise<ErrorCode> =>
  played(work).then(
    () => Promise.reject(new Error('it was not refused')),
    ({ code }) => code,
  );

test('a scratch volume proves a snapshot and is gone; snapshot, volume and record say so', async () => {
  const verdict = await verify();
  expect(verdict).toMatchObject({ ok: true, words: 'ext4 in order' });
  const [[spec]] = ec2.calls.filter(({ method }) => method === 'createVolume').map(({ args }) => args) as [[never]];
  expect(spec).toMatchObject({
    snapshotId,
    type: 'gp3',
    tags: { [tagKeys.cluster]: 'default', [tagKeys.scratch]: expect.stringMatching(`^verify ${snapshotId} i-1 2026-`) },
  });
  expect(Object.keys((spec as { tags: object }).tags)).toHaveLength(2);
  const steps = node.host.calls
    .map(({ method }) => method)
    .filter((each) => ['replayJournal', 'checkReadOnly', 'mount', 'unmount'].includes(each));
  expect(steps.slice(-4)).toEqual(['replayJournal', 'checkReadOnly', 'mount', 'unmount']);
  expect(scratches()).toEqual([]);
  expect(node.journal.scratch).toEqual([]);
  expect([...node.host.mounted.values()].map(({ volumeId }) => volumeId)).toEqual(['vol-1']);
  expect(readVerdict(ec2.snapshots[0]?.tags[tagKeys.verified])).toEqual(verdict);
  const proof = { ...verdict, provenAt: verdict.at, snapshotId };
  expect(readProof(ec2.volumes.get('vol-1')?.tags[tagKeys.proof])).toEqual(proof);
  expect(readProof(node.held.get('a')?.volume.tags[tagKeys.proof])).toEqual(proof);
});

test('a check that finds something is a verdict: the last proof keeps its time', async () => {
  const first = await verify();
  node.host.findings = 'e2fsck says: Inode 12 is bad';
  ec2.contents.set('vol-3', ext4);
  const second = await verify();
  expect(second).toMatchObject({ ok: false, words: 'e2fsck says: Inode 12 is bad' });
  expect(readProof(node.held.get('a')?.volume.tags[tagKeys.proof])).toMatchObject({
    ok: false,
    provenAt: first.at,
    at: second.at,
  });
  expect(scratches()).toEqual([]);
});

test.each([
  [
    'the kernel does not mount it',
    () => Object.assign(node.host, { unmountable: 'bad geometry' }),
    /does not mount .*bad geometry/,
  ],
  [
    'its filesystem is not there',
    () => ec2.contents.set('vol-1', { kind: 'blank' }),
    /should hold a filesystem \(ext4\), and holds nothing/,
  ],
])('a snapshot fails where %s', async (_, arrange, words) => {
  arrange();
  expect((await verify()).words).toMatch(words);
  expect(scratches()).toEqual([]);
});

test('what EC2 refuses is no verdict, and leaves nothing', async () => {
  ec2.failNext('createVolume', 'EC2_DENIED');
  expect(await refused(verifications.run(await theSnapshot()))).toBe('EC2_DENIED');
  expect(node.journal.scratch).toEqual([]);
  expect(ec2.snapshots[0]?.tags[tagKeys.verified]).toBeUndefined();
  expect(verifications.look(snapshotId)).toMatchObject({ step: 'ended', verdict: undefined });
});

test('a snapshot of another tool whose tags may not be written is judged all the same', async () => {
  ec2.failNext('createTags', 'EC2_DENIED');
  expect((await verify()).ok).toBe(true);
  expect(verifications.look(snapshotId)?.notes).toEqual([
    expect.stringContaining(`could not be written on ${snapshotId}`),
  ]);
});

test('one at a time: another waits for its turn, the same one again joins', async () => {
  const other = ec2.addSnapshot('vol-1', { tags: { ...ec2.snapshots[0]?.tags } }).id;
  ec2.contents.set('vol-3', ext4);
  const [one, two] = [await theSnapshot(), await theSnapshot(other)];
  const first = verifications.run(one);
  const second = verifications.run(two);
  expect(verifications.run(one)).toBe(first);
  expect(verifications.look(other)).toMatchObject({ step: 'waiting', waitingFor: expect.stringContaining('its turn') });
  expect((await played(Promise.all([first, second]))).map(({ ok }) => ok)).toEqual([true, true]);
  const changes = ec2.calls.map(({ method }) => method).filter((each) => /^(create|delete)Volume$/.test(each));
  expect(changes).toEqual(['createVolume', 'deleteVolume', 'createVolume', 'deleteVolume']);
});

test('a command runs while it is mounted, and its failure is the verdict; one whose caller has gone is none', async () => {
  const operator = createVerifyOperator(node, verifications);
  await operator.begin('a/nightly', { command: true });
  const isMounted = () => verifications.look(snapshotId)?.mountpoint !== undefined;
  await until(isMounted);
  expect(verifications.look(snapshotId)?.mountpoint).toMatch(/^\/ebs\/scratch\/vol-/);
  await operator.commandEnded(snapshotId, 'it has ended with exit status 3');
  await until(() => verifications.look(snapshotId)?.step === 'ended');
  expect(verifications.look(snapshotId)?.verdict).toMatchObject({
    ok: false,
    words: 'it has ended with exit status 3',
  });

  ec2.contents.set('vol-3', ext4);
  await operator.begin(snapshotId, { command: true });
  await until(isMounted);
  await pass(60_000);
  expect(verifications.all().at(-1)).toMatchObject({
    step: 'ended',
    verdict: undefined,
    error: expect.stringContaining('has gone'),
  });
  expect(scratches()).toEqual([]);
});

test('a drained node begins none', async () => {
  node.drain.now = { reason: 'maintenance', by: 'operator', since: '2026-12-01T03:00:00Z' };
  expect(await refused(verifications.run(await theSnapshot()))).toBe('DRAINING');
  expect(scratches()).toEqual([]);
});

test('killed anywhere, the next daemon takes away what is left', async () => {
  const kinds = ['createVolume', 'attachVolume', 'replayJournal', 'mount', 'detachVolume', 'deleteVolume'];
  let volumes = 1;
  for (const method of kinds) {
    volumes += 1;
    ec2.contents.set(`vol-${volumes}`, ext4);
    const all = [...ec2.calls, ...node.host.calls].filter((each) => each.method === method).length;
    const running = createVerifications(node).run(await theSnapshot());
    running.catch(() => undefined);
    const count = () => [...ec2.calls, ...node.host.calls].filter((each) => each.method === method).length;
    while (count() === all) await pass(50);
    node.kill();
    node = await fakeNode(ec2, node.machine);
    await until(() => scratches().length + node.journal.scratch.length === 0);
    expect([...node.host.mounted.values()].map(({ volumeId }) => volumeId)).toEqual(['vol-1']);
  }
  expect(ec2.volumes.get('vol-1')?.attachments).toHaveLength(1);
});

test('what is left over without a record is found in the listing: ours at once, of others what is free for hours', async () => {
  const made = (instanceId: string, hours: number, extra: Record<string, string> = {}) =>
    ec2.addVolume({
      tags: {
        [tagKeys.cluster]: 'default',
        [tagKeys.scratch]: scratchMark({
          purpose: 'verify snap-9',
          instanceId,
          since: new Date(Date.now() - hours * 3_600_000).toISOString(),
        }),
        ...extra,
      },
    }).id;
  const gone = [made('i-1', 0), made('i-2', 4)];
  const kept = [made('i-2', 1), made('i-1', 9, { [tagKeys.name]: 'adopted' })];
  node.kill();
  node = await fakeNode(ec2, node.machine);
  await until(() => scratches().length === kept.length);
  expect(scratches().map(({ id }) => id)).toEqual(kept);
  expect(gone.some((id) => ec2.volumes.has(id))).toBe(false);
});

test('the plan says what it takes and costs, and what the role lacks', async () => {
  const operator = createVerifyOperator(node, verifications);
  const plan = await played(operator.plan(snapshotId, { initializationRate: 200 }));
  expect(plan).toMatchObject({ snapshotId, volume: 'a', sizeGiB: 16, type: 'gp3', denied: undefined });
  expect(plan.dollarsPerHour).toBeCloseTo((16 * 0.08) / 730, 6);
  expect(plan.initializationSeconds).toBe(Math.ceil((16 * 1024) / 200));
  expect(scratches()).toEqual([]);
  expect(await refused(operator.begin('snap-404', {}))).toBe('INVALID_REQUEST');
});
