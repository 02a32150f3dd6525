import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { CallOptions } from '../../../src/ebs/types.ts';
import { listen } from '../../../src/events.ts';
import { FakeEc2 } from '../../support/fake-ec2.ts';
import { fakeNode, verbs } from '../../support/fake-node.ts';
import { pass, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

const target = '/ebs/volumes/a';
/** The process id of an engine in a PID namespace that is not ours. */
const unseen = 0;

/** A node whose volume "a" is mounted for one holder, behind which a container runs. */
async function bench(id: string | undefined = 'id-1', pid?: number) {
  const ec2 = new FakeEc2();
  const node = await fakeNode(ec2);
  const does = verbs(node);
  await does.create('a');
  await does.mount('a', id, undefined, pid);
  node.host.mountedElsewhere.add('vol-1');
  ec2.calls.length = 0;
  const volume = ec2.volumes.get('vol-1');
  const attachment = volume?.attachments[0];
  if (volume === undefined || attachment === undefined) throw new Error('not attached');
  return { ec2, node, host: node.host, volume, attachment, ...does };
}

describe('a release that fails', () => {
  it('is tried again until it succeeds, and says meanwhile why', async () => {
    const { unmount, ec2, host, node, volume } = await bench();
    host.mountedElsewhere.clear();
    for (let times = 0; times < 3; times++) ec2.failNext('detachVolume', 'EC2_THROTTLED');
    await unmount('a', 'id-1');
    await pass(3500);
    expect(volume.attachments).toHaveLength(1);
    expect(node.waits.get('a')).toContain('EC2 said EC2_THROTTLED');
    await pass(30_000);
    expect(ec2.count('detachVolume')).toBe(4);
    expect([volume.attachments.length, node.waits.size]).toEqual([0, 0]);
  });

  it('detaches all the same when the clean tag cannot be written', async () => {
    const { unmount, ec2, host, volume } = await bench();
    host.mountedElsewhere.clear();
    ec2.failNext('createTags', 'EC2_DENIED');
    await unmount('a', 'id-1');
    await pass(10_000);
    expect(volume.attachments).toEqual([]);
  });

  it('waits a while and no longer for a clean tag that EC2 keeps for later', async () => {
    const { unmount, ec2, host, volume } = await bench();
    host.mountedElsewhere.clear();
    ec2.createTags = (_, __, { signal }: CallOptions = {}) =>
      new Promise((_resolve, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));
    await unmount('a', 'id-1');
    await pass(15_000);
    expect(volume.attachments).toMatchObject([{ state: 'attached' }]);
    await pass(15_000);
    expect(volume.attachments).toEqual([]);
  });

  it('ends when the volume was detached by somebody else', async () => {
    const { unmount, ec2, host, node, volume, attachment } = await bench();
    host.mountedElsewhere.clear();
    await unmount('a', 'id-1');
    ec2.endAttachment(volume, attachment);
    await pass(10_000);
    expect([node.held.size, node.journal.records.size]).toEqual([0, 0]);
  });

  it('ends when the volume was deleted by somebody else', async () => {
    const { unmount, ec2, host, node, volume, attachment } = await bench();
    host.mountedElsewhere.clear();
    await unmount('a', 'id-1');
    ec2.endAttachment(volume, attachment);
    ec2.volumes.clear();
    await pass(10_000);
    expect([node.held.size, node.journal.records.size]).toEqual([0, 0]);
  });
});

describe('a holder that never says goodbye', () => {
  it('is ended once nothing uses the volume, and the volume released', async () => {
    const { host, node, volume } = await bench();
    await pass(120_000);
    expect(node.held.get('a')?.holders).toHaveLength(1);
    host.mountedElsewhere.clear();
    await pass(60_000);
    expect([volume.attachments.length, node.held.size]).toEqual([0, 0]);
  });

  it('is not judged while another volume is mounted, perhaps for the same container, nor just after', async () => {
    const { host, node, volume } = await bench();
    host.mountedElsewhere.clear();
    node.mountCalls.inHand = 1;
    await pass(120_000);
    expect(node.held.get('a')?.holders).toHaveLength(1);
    node.mountCalls.inHand = 0;
    node.mountCalls.lastEnd = performance.now();
    await pass(9_000);
    expect(node.held.get('a')?.holders).toHaveLength(1);
    await pass(51_000);
    expect(volume.attachments).toEqual([]);
  });

  it('is left alone without an id: it may use the directory at any time', async () => {
    const { host, node, ec2 } = await bench();
    await verbs(node).mount('a');
    host.mountedElsewhere.clear();
    ec2.calls.length = 0;
    await pass(120_000);
    expect(host.mounted.has(target)).toBe(true);
    expect(ec2.calls).toEqual([]);
  });

  it('is left alone while its container cannot be seen but has the disk', async () => {
    const { host, node, ec2 } = await bench('id-1', unseen);
    host.hidden.add('vol-1');
    await pass(120_000);
    expect(node.held.get('a')).toMatchObject({ phase: 'mounted', holders: [{ id: 'id-1' }] });
    expect(host.mounted.has(target)).toBe(true);
    expect(ec2.count('detachVolume')).toBe(0);
  });

  it('is left alone, and its volume mounted all the time, while the engine that asked for it runs', async () => {
    const { host, node } = await bench('id-1', 4711);
    host.mountedElsewhere.clear();
    host.processes.add(4711);
    host.calls.length = 0;
    await pass(600_000);
    expect(node.held.get('a')).toMatchObject({ phase: 'mounted', holders: [{ id: 'id-1' }] });
    expect([host.count('unmount'), host.count('lookElsewhere')]).toEqual([0, 0]);
    host.processes.delete(4711);
    await pass(30_000);
    expect(node.held.size).toBe(0);
  });

  it('is the holder of the engine that last asked for it, also after a restart of the daemon', async () => {
    const { ec2, node, mount } = await bench('id-1', 4711);
    node.host.mountedElsewhere.clear();
    await mount('a', 'id-1', undefined, 4712);
    node.host.processes.add(4712);
    node.kill();
    const next = await fakeNode(ec2, node.machine);
    await pass(120_000);
    expect(next.held.get('a')?.holders).toMatchObject([{ id: 'id-1', engine: { pid: 4712 } }]);
  });

  it('is taken for that of the engine that runs, where a record of an earlier version names none', async () => {
    const { ec2, node } = await bench();
    node.host.mountedElsewhere.clear();
    node.kill();
    node.host.engine = { pid: 99, startedAt: 1 };
    node.host.processes.add(99);
    const next = await fakeNode(ec2, node.machine);
    await pass(120_000);
    expect(next.held.get('a')?.holders).toMatchObject([{ id: 'id-1' }]);
    node.host.processes.clear();
    await pass(60_000);
    expect(next.held.size).toBe(0);
  });

  it('is judged by a clock that nobody sets, though its mount is dated ahead', async () => {
    const { host, node } = await bench();
    host.mountedElsewhere.clear();
    vi.setSystemTime(Date.now() - 30 * 24 * 3_600_000);
    await pass(60_000);
    expect(node.held.size).toBe(0);
  });

  it('costs one look at the processes, however many there are', async () => {
    const { host, node, create, mount } = await bench();
    for (const name of ['b', 'c', 'd']) {
      await create(name);
      await mount(name, `id-${name}`);
    }
    for (const { volume } of node.held.values()) host.mountedElsewhere.add(volume.id);
    await pass(60_000);
    host.calls.length = 0;
    await pass(15_000);
    expect([host.count('lookElsewhere'), host.count('unmount'), node.held.size]).toEqual([1, 0, 4]);
  });

  it('is ended within a minute though another volume is stuck', async () => {
    const { host, node, create, mount, ec2 } = await bench();
    await create('b');
    await mount('b', 'id-2');
    void node.queue.run('a', () => new Promise(() => undefined));
    await pass(60_000);
    expect(ec2.volumes.get('vol-2')?.attachments).toEqual([]);
    expect(host.mounted.has('/ebs/volumes/b')).toBe(false);
  });

  it('is not judged before its container had time to start', async () => {
    const { host, node } = await bench();
    host.mountedElsewhere.clear();
    await pass(25_000);
    expect(node.held.get('a')?.holders).toHaveLength(1);
  });
});

describe('after this machine has slept', () => {
  const sleepAnHour = () => vi.setSystemTime(Date.now() + 3_600_000);

  it('the look at EC2 is repeated until one succeeds, and then it was enough', async () => {
    const { ec2 } = await bench();
    sleepAnHour();
    ec2.failNext('listVolumes', 'EC2_UNAVAILABLE');
    ec2.failNext('listVolumes', 'EC2_THROTTLED');
    await pass(60_000);
    expect(ec2.count('listVolumes')).toBe(3);
    sleepAnHour();
    await pass(60_000);
    expect(ec2.count('listVolumes')).toBe(4);
  });

  it('holders are judged though EC2 cannot be asked, or does not answer', async () => {
    const { ec2, host, node } = await bench();
    host.mountedElsewhere.clear();
    sleepAnHour();
    ec2.listVolumes = () => new Promise(() => undefined);
    await pass(60_000);
    expect([host.mounted.size, node.held.size]).toEqual([0, 0]);
  });

  it('a look that hangs is not repeated for the same sleep, and is for the next', async () => {
    const { ec2 } = await bench();
    let looks = 0;
    ec2.listVolumes = () => {
      looks += 1;
      return new Promise(() => undefined);
    };
    sleepAnHour();
    await pass(60_000);
    expect(looks).toBe(1);
    sleepAnHour();
    await pass(60_000);
    expect(looks).toBe(2);
  });
});

describe('a disk that goes without us', () => {
  it('takes its mount and its holders along, at once', async () => {
    const { ec2, host, node, volume, attachment } = await bench();
    ec2.endAttachment(volume, attachment);
    await pass(1000);
    expect(host.count('abandonMount')).toBe(1);
    expect([host.mounted.size, node.held.size, node.journal.records.size]).toEqual([0, 0, 0]);
  });

  it('is told of once, however often it takes to take its mount away', async () => {
    const { ec2, host, node, volume, attachment } = await bench();
    const users = ['container 3f2a9c0b1d4e (process 4711, postgres)'];
    for (const target of host.mounted.keys()) host.usersAt.set(target, users);
    const told: string[] = [];
    listen('ghost', ({ volume: name }) => told.push(name));
    host.failNext('abandonMount', 'HOST_FAILED');
    ec2.endAttachment(volume, attachment);
    await pass(120_000);
    expect(host.count('abandonMount')).toBeGreaterThan(1);
    expect(node.held.size).toBe(0);
    expect(told).toHaveLength(1);
    expect(node.journal.ghosts).toMatchObject([{ name: told[0], volumeId: volume.id, users }]);
  });

  it('and is another node’s now is not taken back', async () => {
    const { ec2, node, volume, attachment } = await bench();
    ec2.endAttachment(volume, attachment);
    ec2.addInstance('i-2');
    const theirs = ec2.addAttachment(volume, 'i-2', attachment.device);
    await pass(30_000);
    expect(volume.attachments).toEqual([theirs]);
    expect(node.held.size).toBe(0);
  });
});

it('nothing is asked of EC2 while volumes are held', async () => {
  const { ec2 } = await bench();
  await pass(600_000);
  expect(ec2.calls).toEqual([]);
});
