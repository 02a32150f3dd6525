import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { tagKeys } from '../../src/ebs/tags.ts';
import type { Taken, Verification, VolumeSnapshot } from '../../src/volumes/types.ts';
import { dvdi } from '../support/dvdi-client.ts';
import { eventually, tagsOf } from '../support/sandbox.ts';
import { type Bench, heldBy } from './bench.ts';
import { checkData, id, inUse, leave } from './calls.ts';
import type { Scenario } from './scenarios.ts';

const snapshotIds = new Map<string, string>();
const snapshotOf = (name: string): string => snapshotIds.get(name) ?? '';

async function operator<T>(bench: Bench, endpoint: string, asked: object): Promise<T> {
  const { status, body } = await dvdi(bench.box.node(bench.instanceId).socket).call(`Ebs.${endpoint}`, asked);
  if (status !== 200) throw new Error(`${endpoint} answered ${status}: ${JSON.stringify(body)}`);
  return body as T;
}

/** In use, and with a snapshot that is complete. */
async function withSnapshot(bench: Bench, name: string): Promise<void> {
  await inUse(bench, name);
  const { snapshotId } = await operator<Taken>(bench, 'SnapshotTake', { name, snapshot: 'one' });
  snapshotIds.set(name, snapshotId);
  await eventually(async () => {
    const { snapshots } = await operator<{ snapshots: VolumeSnapshot[] }>(bench, 'Snapshots', { name });
    return snapshots.some(({ state }) => state === 'completed');
  });
}

/** Until its end, which must be a proof. */
async function verify(bench: Bench, name: string): Promise<void> {
  const snapshotId = snapshotOf(name);
  let now = await operator<Verification>(bench, 'Verify', { snapshot: snapshotId });
  for (; now.step !== 'ended'; now = await operator<Verification>(bench, 'Verification', { snapshotId }))
    await sleep(50);
  if (now.verdict?.ok !== true) throw new Error(`it is not proven: ${now.error ?? now.verdict?.words}`);
}

/** What this node has left of its scratch volumes. */
async function leftovers({ box, instanceId, root }: Bench): Promise<string[]> {
  const volumes = await box.volumes();
  const scratch = volumes.filter((volume) => tagsOf(volume)[tagKeys.scratch]?.includes(` ${instanceId} `));
  const mounts = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n');
  return [
    ...scratch.map(({ VolumeId }) => `volume ${VolumeId}`),
    ...mounts.filter((line) => line.includes(join(root, 'scratch/'))),
    ...(await readdir(join(root, 'scratch')).catch(() => [])),
    ...(JSON.parse(await readFile(join(root, 'state/scratch.json'), 'utf8')) as { mark: string }[]).map(
      ({ mark }) => mark,
    ),
  ];
}

export const verifies: readonly Scenario[] = [
  {
    title: 'verify a snapshot of a volume in use',
    main: false,
    // What the steps between two of these do, the next start does again.
    only: /^(ec2\.(createVolume|attachVolume|detachVolume|deleteVolume|createTags)|host\.(replayJournal|mount|unmount)|journal\.saveScratch|exec\.(unshare|e2fsck)):/,
    prepare: withSnapshot,
    also: async (_, name) => [snapshotOf(name)],
    act: verify,
    end: heldBy(id),
    rest: heldBy(id),
    after: async (bench, name) => {
      await eventually(async () => (await leftovers(bench)).length === 0).catch(async () => {
        throw new Error(`this is left: ${(await leftovers(bench)).join(', ')}`);
      });
      await checkData(bench, name);
      await leave(bench, name);
    },
  },
];
