import { beforeEach, describe, expect, it, vi } from 'vitest';
import { cleanMark, tagKeys } from '../../../src/ebs/tags.ts';
import { confirmationTag, intentKey, intentTag, pauseTag } from '../../../src/fencing/records.ts';
import { clusterVolumes } from '../../../src/volumes/operator/cluster.ts';
import { FakeEc2 } from '../../support/fake-ec2.ts';
import { fakeNode, verbs } from '../../support/fake-node.ts';
import { failure, pass, played, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

async function bench() {
  const ec2 = new FakeEc2();
  const node = await fakeNode(ec2);
  await pass(1000);
  ec2.calls.length = 0;
  const add = (name: string | undefined, tags: Record<string, string> = {}) =>
    ec2.addVolume({
      tags: { [tagKeys.cluster]: 'default', ...(name === undefined ? {} : { [tagKeys.name]: name }), ...tags },
    });
  return { ec2, node, add, list: () => played(clusterVolumes(node)) };
}

describe("the cluster's volumes", () => {
  it('are listed by name, with who has them and how that instance is', async () => {
    const { ec2, add, list } = await bench();
    for (const [name, owner] of [
      ['stuck', 'i-2'],
      ['here', 'i-1'],
      ['lost', 'i-9'],
    ] as const) {
      ec2.addAttachment(add(name), owner, '/dev/xvdbq');
    }
    ec2.addAttachment(add('managed'), undefined);
    add('free');
    ec2.addInstance('i-2', 'eu-west-1a', 'stopped');
    const { volumes, stale, paused, cluster } = await list();
    expect([cluster, stale, paused]).toEqual(['default', undefined, undefined]);
    expect(volumes.map(({ name, state, owner }) => [name, state, owner?.instanceId, owner?.instanceState])).toEqual([
      ['free', 'available', undefined, undefined],
      ['here', 'attached', 'i-1', 'running'],
      ['lost', 'attached', 'i-9', 'not listed'],
      ['managed', 'attached', undefined, undefined],
      ['stuck', 'attached', 'i-2', 'stopped'],
    ]);
    expect(volumes.at(-1)).toMatchObject({
      zone: 'eu-west-1a',
      type: 'gp3',
      sizeGiB: 16,
      owner: { device: '/dev/xvdbq', since: new Date().toISOString() },
      duplicate: false,
      retained: false,
      notes: [],
    });
    expect(ec2.calls.map(({ method, args }) => [method, ...args])).toEqual([
      ['listVolumes'],
      ['describeInstance', 'i-2'],
      ['describeInstance', 'i-9'],
    ]);
  });

  it('that share a name are marked, and those without one are last', async () => {
    const { add, list } = await bench();
    add('twice');
    add(undefined, { [tagKeys.retained]: 'twice' });
    add('twice').zone = 'eu-west-1b';
    add(undefined);
    add('once');
    const { volumes } = await list();
    expect(volumes.map(({ name, volumeId, duplicate, retained }) => [name, volumeId, duplicate, retained])).toEqual([
      ['once', 'vol-5', false, false],
      ['twice', 'vol-1', true, false],
      ['twice', 'vol-2', false, true],
      ['twice', 'vol-3', true, false],
      [undefined, 'vol-4', false, false],
    ]);
  });

  it('tell what is written on them about the attachment that they have now, and no other', async () => {
    const { ec2, node, add, list } = await bench();
    const volume = add('a', { [tagKeys.fencePolicy]: 'never', [tagKeys.paused]: pauseTag('network', 'noon') });
    const { device, attachTime } = ec2.addAttachment(volume, 'i-2');
    const about = { device, attachTime, victim: 'i-2', launchTime: undefined };
    const intent = { ...about, taker: 'i-3', policy: 'preempt', evidence: 'preempted' } as const;
    volume.tags[intentKey('i-3', 'f-1')] = intentTag({ ...intent, fenceId: 'f-1' });
    volume.tags[intentKey('i-3', 'f-0')] = intentTag({ ...intent, fenceId: 'f-0', attachTime: '2020-01-01T00:00:00Z' });
    volume.tags[tagKeys.confirmed] = confirmationTag({ ...about, reason: 'it burnt' });
    volume.tags[tagKeys.clean] = cleanMark({ instanceId: 'i-2', device, attachTime });
    const { volumes, paused } = await list();
    expect(volumes[0]?.notes).toEqual([
      'it has a fence policy of its own: never',
      'i-3 is taking it over (f-1, evidence: preempted)',
      'i-2 is finished with it, and about to detach it',
      'an operator has confirmed that i-2 is finished with it: it burnt',
    ]);
    expect(paused).toBe('network (since noon)');
    expect(node.fencing.audit.paused()).toMatchObject({ reason: paused });
    delete volume.tags[tagKeys.paused];
    await pass(2000);
    await list();
    expect(node.fencing.audit.paused()).toBeUndefined();
  });

  it('are an earlier answer with its age while EC2 cannot be asked, and an error where there is none', async () => {
    const { ec2, add, list, node } = await bench();
    ec2.addAttachment(add('a'), 'i-2');
    ec2.failNext('listVolumes', 'EC2_DENIED');
    expect(await failure(clusterVolumes(node))).toMatchObject({ code: 'EC2_DENIED' });
    await list();
    await pass(90_000);
    ec2.calls.length = 0;
    ec2.failNext('listVolumes', 'EC2_UNAVAILABLE');
    const { volumes, stale } = await list();
    expect(stale).toMatch(/^EC2 cannot be asked: .* 9\d s ago$/);
    expect(volumes).toMatchObject([{ name: 'a', owner: { instanceId: 'i-2', instanceState: undefined } }]);
    expect(ec2.count('describeInstance')).toBe(0);
  });

  it('that this node holds are told from its own memory where the answer is an earlier one', async () => {
    const { ec2, add, list, node } = await bench();
    add('a');
    await list();
    await verbs(node).mount('a', 'id-1');
    await pass(5000);
    ec2.failNext('listVolumes', 'EC2_UNAVAILABLE');
    const { volumes, stale } = await list();
    expect(stale).toBeDefined();
    expect(volumes).toMatchObject([
      { name: 'a', state: 'attached', owner: { instanceId: 'i-1', instanceState: 'running' } },
    ]);
  });

  it('are told without the state of an instance that EC2 does not tell', async () => {
    const { ec2, add, list } = await bench();
    ec2.addAttachment(add('a'), 'i-2');
    ec2.failNext('describeInstance', 'EC2_THROTTLED');
    expect((await list()).volumes).toMatchObject([{ owner: { instanceId: 'i-2', instanceState: undefined } }]);
  });
});
