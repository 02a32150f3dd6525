import { beforeEach, describe, expect, it, vi } from 'vitest';
import { cleanMark, tagKeys } from '../../../src/ebs/tags.ts';
import { FakeEc2 } from '../../support/fake-ec2.ts';
import { fakeNode, verbs } from '../../support/fake-node.ts';
import { pass, played, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

const ago = (ms: number) => new Date(Date.now() - ms).toISOString();
const killed = (ms: number) =>
  ({ state: 'terminated', stateReason: 'Client.UserInitiatedShutdown', stopAskedAt: ago(ms) }) as const;

/** The volume a, which i-1 had mounted until EC2 detached it: i-2 finds it free. */
async function bench() {
  const ec2 = new FakeEc2();
  const node = await fakeNode(ec2);
  await verbs(node).create('a');
  await verbs(node).mount('a', 'id-1');
  node.kill();
  const volume = ec2.volumes.get('vol-1');
  const attachment = volume?.attachments[0];
  if (volume === undefined || attachment === undefined) throw new Error('no volume');
  const mark = cleanMark({ ...attachment, instanceId: 'i-1' });
  ec2.endAttachment(volume, attachment);
  const parts = { instanceId: 'i-2' };
  const other = await fakeNode(ec2, parts);
  ec2.calls.length = 0;
  const looks = () => ec2.calls.filter(({ method }) => method === 'describeInstance').map(({ args }) => args[0]);
  return { ec2, other, there: verbs(other), volume, mark, looks };
}

/** How long it takes in virtual milliseconds. */
async function timeOf(work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await played(work());
  return performance.now() - begun;
}

describe('a volume that nobody has', () => {
  it('is mounted once writes of the owner that was terminated just now cannot arrive any more', async () => {
    const { ec2, other, there, looks } = await bench();
    ec2.setInstance('i-1', killed(20_000));
    const mounting = there.mount('a', 'id-2');
    await pass(30_000);
    expect([other.host.mounted.size, other.held.get('a')?.phase]).toEqual([0, 'attaching']);
    expect(other.waits.get('a')).toMatch(/^late writes of i-1, which had vol-1 and has ended \(within 4\d s\)$/);
    await pass(12_000);
    await mounting;
    expect([other.host.mounted.size, looks()]).toEqual([1, ['i-1']]);
  });

  it.each([
    ['has ended more than a minute ago', () => killed(61_000)],
    ['has shut itself down', () => ({ ...killed(1000), stateReason: 'Client.InstanceInitiatedShutdown' })],
    ['runs', () => ({ state: 'running' }) as const],
  ])('is mounted at once when its last owner %s', async (_, owner) => {
    const { ec2, there, looks } = await bench();
    ec2.setInstance('i-1', owner());
    expect(await timeOf(() => there.mount('a', 'id-2'))).toBeLessThan(5000);
    expect(looks()).toEqual(['i-1']);
  });

  it('costs no look where its last owner declared it finished', async () => {
    const { ec2, there, volume, mark, looks } = await bench();
    volume.tags[tagKeys.clean] = mark;
    ec2.setInstance('i-1', killed(1000));
    expect(await timeOf(() => there.mount('a', 'id-2'))).toBeLessThan(5000);
    expect(looks()).toEqual([]);
  });

  it.each([
    ['is being terminated', (ec2: FakeEc2) => ec2.setInstance('i-1', { state: 'shutting-down' })],
    ['cannot be looked up', (ec2: FakeEc2) => ec2.failNext('describeInstance', 'EC2_UNAVAILABLE')],
  ])('is left alone for the whole minute when its last owner %s', async (_, prepare) => {
    const { ec2, there } = await bench();
    prepare(ec2);
    expect(await timeOf(() => there.mount('a', 'id-2'))).toBeGreaterThan(60_000);
  });

  it('is still waited for after a restart in the middle', async () => {
    const { ec2, other, there } = await bench();
    ec2.setInstance('i-1', killed(20_000));
    void there.mount('a', 'id-2').catch(() => undefined);
    await pass(10_000);
    other.kill();
    const again = await fakeNode(ec2, { ...other.machine, instanceId: 'i-2' });
    const mounting = verbs(again).mount('a', 'id-2');
    await pass(25_000);
    expect(again.host.mounted.size).toBe(0);
    await played(mounting);
    expect(again.host.mounted.size).toBe(1);
  });
});
