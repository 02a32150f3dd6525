import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import type { Notice } from '../../../src/host/notices.ts';
import { createDrain } from '../../../src/volumes/lifecycle/drain.ts';
import { createHeed } from '../../../src/volumes/lifecycle/heed.ts';
import { FakeEc2 } from '../../support/fake-ec2.ts';
import { fakeNode, verbs } from '../../support/fake-node.ts';
import { failure, pass, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

/** A node with volumes of these names, each mounted for a holder "id-NAME", behind which no container runs. */
async function bench(...names: string[]) {
  return benchFor(undefined, ...names);
}

/** The same for an engine with this process id. */
async function benchFor(pid: number | undefined, ...names: string[]) {
  const ec2 = new FakeEc2();
  const node = await fakeNode(ec2);
  const does = verbs(node);
  for (const name of names) {
    await does.create(name);
    await does.mount(name, `id-${name}`, undefined, pid);
  }
  const drain = createDrain(node);
  onTestFinished(() => drain.close());
  const states = () => Object.fromEntries(drain.report().volumes.map(({ name, state }) => [name, state]));
  return { ec2, node, host: node.host, drain, states, ...does };
}

describe('a drain', () => {
  it('releases at once what nobody holds, lingering or not, with the clean tag written', async () => {
    const { ec2, node, drain, states, unmount } = await bench('a');
    await unmount('a', 'id-a');
    drain.start('maintenance', 'operator');
    // The linger alone is 2 s, and EC2 takes 2 s for the detach.
    await pass(2100);
    expect(states()).toEqual({ a: 'released' });
    expect(ec2.volumes.get('vol-1')?.attachments).toEqual([]);
    expect(ec2.volumes.get('vol-1')?.tags).toHaveProperty('docker-volume-ebs:clean');
    expect(node.held.size).toBe(0);
  });

  it('says once in the log when it begins, and once when all is released', async () => {
    const { node, drain, unmount } = await bench('a');
    const said: unknown[] = [];
    for (const level of ['info', 'warn'] as const)
      vi.spyOn(node.log, level).mockImplementation((about: unknown, text?: string) => {
        if (Object(about).op === 'drain') said.push(text);
      });
    drain.start('maintenance', 'operator');
    await pass(10_000);
    expect(said).toEqual(['draining: no new mounts here']);
    await unmount('a', 'id-a');
    await pass(60_000);
    expect(said).toEqual(['draining: no new mounts here', 'drained: all volumes are released']);
  });

  it('names what is in use, by whom and by what, and releases it as soon as its user goes', async () => {
    const { host, node, drain, unmount } = await bench('a');
    host.mountedElsewhere.add('vol-1');
    await pass(31_000);
    drain.start('maintenance', 'operator');
    await pass(100);
    expect(drain.report().volumes).toEqual([
      {
        name: 'a',
        volumeId: 'vol-1',
        state: 'in-use',
        holders: ['id-a'],
        why: expect.stringMatching(/^process 42.*vol-1 mounted/),
      },
    ]);
    await pass(60_000);
    expect(node.held.get('a')?.phase).toBe('mounted');
    host.mountedElsewhere.clear();
    await unmount('a', 'id-a');
    await pass(2100);
    expect(drain.report().volumes).toMatchObject([{ name: 'a', state: 'released', holders: [] }]);
  });

  it('releases what has holders but no user, though they never say goodbye and have no id', async () => {
    const { ec2, host, drain, states, mount, create } = await bench('a');
    await create('m');
    await mount('m');
    await pass(31_000);
    drain.start('maintenance', 'operator');
    await pass(2100);
    expect(states()).toEqual({ a: 'released', m: 'released' });
    expect([...ec2.volumes.values()].flatMap(({ attachments }) => attachments)).toEqual([]);
    expect(host.mounted.size).toBe(0);
  });

  it('gives a container that was mounted for just now the time to start', async () => {
    const { drain, node, states } = await bench('a');
    drain.start('maintenance', 'operator');
    await pass(20_000);
    expect(drain.report().volumes).toMatchObject([{ state: 'in-use', why: expect.stringContaining('about to start') }]);
    expect(node.held.get('a')?.phase).toBe('mounted');
    await pass(20_000);
    expect(states()).toEqual({ a: 'released' });
  });

  it('leaves what a program has open, or a container that cannot be seen has, mounted', async () => {
    const { host, drain, states, mount, create } = await bench('a');
    await create('b');
    await mount('b', 'id-b', undefined, 0);
    host.openTargets.add('/ebs/volumes/a');
    host.mountedElsewhere.add('vol-2');
    host.hidden.add('vol-2');
    await pass(31_000);
    drain.start('maintenance', 'operator');
    await pass(30_000);
    expect(states()).toEqual({ a: 'in-use', b: 'in-use' });
    expect([...host.mounted.keys()]).toEqual(['/ebs/volumes/a', '/ebs/volumes/b']);
  });

  it('leaves mounted what an engine that runs has asked for, and names it', async () => {
    const { host, drain } = await benchFor(4711, 'a');
    host.processes.add(4711);
    await pass(31_000);
    drain.start('maintenance', 'operator');
    await pass(60_000);
    expect(drain.report().volumes).toMatchObject([{ state: 'in-use', why: expect.stringContaining('process 4711') }]);
    expect(host.count('unmount')).toBe(0);
  });

  it('does not wait for a volume that is stuck', async () => {
    const { node, drain, states } = await bench('a', 'b');
    await pass(31_000);
    void node.queue.run('a', () => new Promise(() => undefined));
    drain.start('maintenance', 'operator');
    await pass(2100);
    expect(states()).toEqual({ a: 'releasing', b: 'released' });
  });

  it('tries a detach that fails again', async () => {
    const { ec2, drain, states } = await bench('a');
    await pass(31_000);
    ec2.failNext('detachVolume', 'EC2_THROTTLED');
    drain.start('maintenance', 'operator');
    await pass(500);
    expect(drain.report().volumes).toMatchObject([
      { state: 'releasing', why: expect.stringContaining('EC2_THROTTLED') },
    ]);
    await pass(5000);
    expect(states()).toEqual({ a: 'released' });
  });

  it('asks nothing of EC2 while what is left is in use', async () => {
    const { ec2, host, drain } = await bench('a');
    host.mountedElsewhere.add('vol-1');
    await pass(31_000);
    ec2.calls.length = 0;
    drain.start('maintenance', 'operator');
    await pass(600_000);
    expect(ec2.calls).toEqual([]);
  });
});

describe('a node that is drained', () => {
  it('refuses mounts, saying why and how to end it, and takes them again once it is cancelled', async () => {
    const { ec2, node, drain, create, mount } = await bench();
    await create('a');
    drain.start('the kernel is replaced', 'operator');
    const error = await failure(mount('a', 'id-1'));
    expect(error).toMatchObject({ code: 'DRAINING', parts: { volume: 'a' } });
    expect(String(error)).toMatch(/the kernel is replaced.*drain --cancel.*restart/);
    expect([ec2.count('attachVolume'), node.held.size]).toEqual([0, 0]);
    expect(drain.cancel()).toMatchObject({ reason: 'the kernel is replaced', by: 'operator' });
    expect(await mount('a', 'id-1')).toBe('/ebs/volumes/a/data');
  });

  it('releases what a Mount was bringing up when it began', async () => {
    const { ec2, drain, create, mount, states } = await bench();
    await create('a');
    const mounting = failure(mount('a', 'id-1'));
    await pass(500);
    drain.start('maintenance', 'operator');
    expect(await mounting).toMatchObject({ code: 'DRAINING' });
    await pass(5000);
    expect(states()).toEqual({ a: 'released' });
    expect(ec2.volumes.get('vol-1')?.attachments).toEqual([]);
  });

  it('60 does not keep what a caller who left has had brought here for the next one to come', async () => {
    const { drain, create, mount, states, node } = await bench();
    await create('a');
    const caller = new AbortController();
    const mounting = failure(mount('a', 'id-1', caller.signal));
    await pass(500);
    caller.abort();
    expect(await mounting).toMatchObject({ code: 'STILL_WORKING' });
    expect(node.held.get('a')?.phase).toBe('mounted');
    drain.start('maintenance', 'operator');
    await pass(2100);
    expect(states()).toEqual({ a: 'released' });
  });

  it('lets the container that has the volume mount it again (docker cp), and nobody else', async () => {
    const { host, drain, mount } = await bench('a');
    host.mountedElsewhere.add('vol-1');
    drain.start('maintenance', 'operator');
    expect(await mount('a', 'id-a')).toBe('/ebs/volumes/a/data');
    expect(await failure(mount('a', 'id-new'))).toMatchObject({ code: 'DRAINING' });
    expect(await failure(mount('a'))).toMatchObject({ code: 'DRAINING' });
    host.mountedElsewhere.clear();
    expect(await failure(mount('a', 'id-a'))).toMatchObject({ code: 'DRAINING' });
  });

  it('is not kept from releasing by Mounts that it refuses', async () => {
    const { drain, states, mount, create } = await bench('a');
    await create('b');
    drain.start('maintenance', 'operator');
    for (let tries = 0; tries < 8; tries++) {
      expect(await failure(mount('b', `id-${tries}`))).toMatchObject({ code: 'DRAINING' });
      await pass(5000);
    }
    expect(states()).toMatchObject({ a: 'released' });
  });
});

describe('a notice of EC2', () => {
  const minute = 60_000;
  const notice = (at: number, change: Partial<Notice> = {}): Notice => ({
    id: `n ${at}`,
    text: 'EC2 will terminate this spot instance',
    at,
    until: undefined,
    ...change,
  });
  async function heeding() {
    const { drain, node } = await bench();
    return { drain, heed: createHeed(drain, node.log), draining: () => drain.report().draining };
  }

  it('that is near drains the node, with its words for the reason', async () => {
    const { heed, draining } = await heeding();
    heed([]);
    expect(draining()).toBeUndefined();
    heed([notice(Date.now() + 2 * minute)]);
    expect(draining()).toMatchObject({ by: 'notice', reason: 'EC2 will terminate this spot instance' });
  });

  it('that is two weeks away drains it only in the last quarter of an hour', async () => {
    const { heed, draining } = await heeding();
    const far = notice(Date.now() + 20 * minute);
    heed([far]);
    expect(draining()).toBeUndefined();
    await pass(6 * minute);
    heed([far]);
    expect(draining()).toMatchObject({ by: 'notice' });
  });

  it('that is over, though EC2 still lists it, does not', async () => {
    const { heed, draining } = await heeding();
    heed([notice(Date.now() - 2 * minute, { until: Date.now() - minute })]);
    expect(draining()).toBeUndefined();
  });

  it('that is withdrawn ends its drain, but not that of an operator', async () => {
    const { drain, heed, draining } = await heeding();
    const near = notice(Date.now() + minute);
    heed([near]);
    heed([]);
    expect(draining()).toBeUndefined();
    heed([notice(Date.now() + minute, { id: 'another' })]);
    drain.start('by hand', 'operator');
    heed([]);
    expect(draining()).toMatchObject({ by: 'operator' });
  });

  it('does not drain again after an operator has ended its drain', async () => {
    const { drain, heed, draining } = await heeding();
    const near = notice(Date.now() + minute);
    heed([near]);
    drain.cancel();
    heed([near]);
    expect(draining()).toBeUndefined();
  });
});
