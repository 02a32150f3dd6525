import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DescribeSnapshotsCommand } from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { requires } from '../support/requirements.ts';
import { eventually, hastyDaemon, type TestSandbox, tagsOf, testSandbox } from '../support/sandbox.ts';

const hourMs = 3_600_000;
const slots = 'docker-volume-ebs:snapshot-slots';

describe.skipIf(requires('root', 'loop').skip)('a schedule of snapshots', () => {
  let box: TestSandbox;
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp('/var/tmp/dve-test-');
    await writeFile(join(dir, 'ahead'), '0');
    const [node = '', ...program] = await hastyDaemon();
    const clock = join(import.meta.dirname, '../support/shifted-clock.mjs');
    box = await testSandbox({
      nodes: 1,
      daemonCommand: [node, '--import', clock, ...program],
      nodeEnv: { SHIFTED_CLOCK: join(dir, 'ahead'), DVE_LINGER: '0' },
    });
  });
  afterAll(async () => {
    await box?.close();
    await rm(dir, { recursive: true, force: true });
  });

  const end = async () => {
    const { pid, instanceId } = box.node(0);
    process.kill(pid, 'SIGKILL');
    await eventually(async () => !existsSync(`/proc/${pid}`));
    return instanceId;
  };
  /** The daemon after a kill, in the middle of the hour that is so many after this one. */
  const restartIn = async (hours: number) => {
    const instanceId = await end();
    const middle = (Math.floor(Date.now() / hourMs) + hours) * hourMs + hourMs / 2;
    await writeFile(join(dir, 'ahead'), String(middle - Date.now()));
    await box.sandbox.startDaemon(instanceId);
    return `hourly/${new Date(middle).toISOString().slice(0, 13)}`;
  };
  const taken = async () => {
    const { Snapshots = [] } = await box.ec2.send(new DescribeSnapshotsCommand({ OwnerIds: ['self'] }));
    return Snapshots.map(tagsOf).filter((tags) => slots in tags);
  };

  it('has one snapshot in each slot, through kills between its tag and EC2, and at the release', async () => {
    await box.ok(0, 'Create', { Name: 'db', Opts: { size: '1', snapshots: 'hourly:3' } });
    const { Mountpoint } = await box.ok(0, 'Mount', { Name: 'db', ID: 'writer' });
    await writeFile(join(Mountpoint, 'record'), 'written before', { flush: true });
    await box.fault({ kind: 'drop-request', action: 'CreateSnapshot' });
    const first = await restartIn(1);
    await eventually(async () => tagsOf((await box.volumes('db'))[0])['docker-volume-ebs:slots']?.startsWith(first));
    const instanceId = await end();
    await box.clearFaults();
    await box.sandbox.startDaemon(instanceId);
    const [snapshot] = await eventually(async () => {
      const all = await taken();
      return all[0]?.['docker-volume-ebs:snapshot-consistency'] === 'frozen' && all;
    });
    expect(snapshot?.[slots]).toBe(first);
    // Nothing stayed frozen.
    await writeFile(join(Mountpoint, 'record'), 'written after', { flush: true });
    const second = await restartIn(2);
    await box.ok(0, 'Unmount', { Name: 'db', ID: 'writer' });
    await box.detached('db');
    const all = await eventually(async () => {
      const now = await taken();
      return now.every((tags) => tags['docker-volume-ebs:snapshot-consistency'] !== 'crash') && now;
    });
    expect(all.map((tags) => tags[slots]).sort()).toEqual([first, second]);
    await box.ok(0, 'Create', { Name: 'copy', Opts: { from: 'db', fromSnapshot: 'latest' } });
    const copy = await box.ok(0, 'Mount', { Name: 'copy', ID: 'reader' });
    expect(await readFile(join(copy.Mountpoint, 'record'), 'utf8')).toBe('written after');
    await box.ok(0, 'Unmount', { Name: 'copy', ID: 'reader' });
  }, 120_000);
});
