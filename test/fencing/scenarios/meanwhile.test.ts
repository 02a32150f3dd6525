import { beforeEach, describe, expect, it, vi } from 'vitest';
import { tagKeys } from '../../../src/ebs/tags.ts';
import { failureWithin, within } from '../../support/fake-takeover.ts';
import { fleet, ownedBy } from '../../support/fleet.ts';
import { pass, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

describe('clocks', () => {
  it('30 of the taker are set a day back or ahead: only those of EC2 tell how old an attachment is', async () => {
    for (const days of [-1, 1]) {
      const all = await fleet({ policy: 'stonith', others: ['i-b'] });
      all.impair('i-a');
      const answeredAt = new Date().toISOString();
      const checks = all.ec2.health.get('i-a');
      all.ec2.health.set('i-a', { ...checks, answeredAt });
      const taking = all.mount('i-b');
      await pass(2000);
      vi.setSystemTime(Date.now() + days * 86_400_000);
      await within(200_000, taking);
      expect(all.destructive()).toEqual(['stop i-a', `detach i-a ${all.first.device}`]);
      expect(all.state()).toMatchObject({ attachedTo: ['i-b attached'], mountedOn: ['i-b'] });
    }
  });

  it('30 of the taker a day ahead do not make a young attachment old', async () => {
    const all = await fleet({ policy: 'stonith' });
    const attached = Date.parse(all.first.attachTime);
    const impaired = { status: 'impaired', impairedSince: new Date(attached + 1000).toISOString() };
    const answeredAt = new Date(attached + 300_000).toISOString();
    all.ec2.health.set('i-a', { system: impaired, instance: impaired, answeredAt });
    vi.setSystemTime(Date.now() + 86_400_000);
    const error = await failureWithin(700_000, all.mount('i-b'));
    expect(String(error)).toMatch(/attached to i-a .*no attachment younger than ten minutes is taken without proof/);
    expect(all.destructive()).toEqual([]);
  });
});

describe('an operator meanwhile', () => {
  it('31 detaches it from its live owner: that is waited for, and the owner does not have it back', async () => {
    const all = await fleet();
    Object.assign(all.ec2, { detachMs: 20_000, unplugMs: 20_000 });
    await all.ec2.detachVolume({ volumeId: all.volume.id, instanceId: 'i-a', device: all.first.device });
    all.ec2.calls.length = 0;
    const taking = all.mount('i-b');
    await pass(10_000);
    expect(all.nodeOf('i-b').waits.get('data')).toContain('EC2 is detaching it from i-a');
    await within(30_000, taking);
    expect(all.destructive().filter((call) => !call.startsWith('detach i-a'))).toEqual([]);
    await pass(5000);
    expect(all.nodeOf('i-a').host.count('abandonMount')).toBe(1);
    expect(all.state()).toEqual(ownedBy('i-b', 2));
    expect(String(await failureWithin(60_000, all.mount('i-a')))).toMatch(/attached to i-b .*which is running/);
  });

  it('32 attaches it to another instance between detach and attach: judged anew, and that one is named', async () => {
    const all = await fleet({ others: ['i-b'] });
    all.ec2.addInstance('i-x');
    all.powerOff('i-a');
    const attach = all.ec2.attachVolume.bind(all.ec2);
    vi.spyOn(all.ec2, 'attachVolume').mockImplementationOnce(async (key) => {
      await attach({ ...key, instanceId: 'i-x' });
      return attach(key);
    });
    expect(String(await failureWithin(60_000, all.mount('i-b')))).toMatch(/attached to i-x .*which is running/);
    expect(all.destructive()).toEqual([`detach i-a ${all.first.device}`]);
    expect(all.volume.attachments).toMatchObject([{ instanceId: 'i-x' }]);
    expect(all.auditOf('i-b').told()).toContain('outcome lost');
    expect(all.auditOf('i-b').audit.counters.lostRaces).toBe(1);
  });

  it('33 starts the stopped owner: it gives the volume back by itself, and is never robbed', async () => {
    const all = await fleet();
    all.powerOff('i-a');
    const taking = all.mount('i-b');
    await pass(2000);
    const a = await all.powerOn('i-a');
    await within(60_000, taking);
    expect(a.host.count('mount')).toBe(1);
    expect(all.state()).toEqual(ownedBy('i-b', 2));
  });

  it('33 restarts an owner that is about to be stopped: its launch time is another, and it is not', async () => {
    const all = await fleet({ policy: 'stonith' });
    all.impair('i-a');
    const taking = all.mount('i-b');
    await pass(10_000);
    expect(all.state().intents).toEqual(['i-b']);
    all.powerOff('i-a');
    await all.powerOn('i-a');
    await within(60_000, taking);
    expect(all.destructive().filter((call) => call.startsWith('stop'))).toEqual([]);
    expect(all.state()).toEqual(ownedBy('i-b', 2));
  });

  it.each([
    ['deletes all tags of fencing', undefined],
    ['writes nonsense into them', 'x'],
  ])('34 %s: they only inform, and are written anew', async (_, text) => {
    const all = await fleet();
    for (const key of [tagKeys.epoch, tagKeys.owner, tagKeys.clean, tagKeys.fenceLog, `${tagKeys.intentPrefix}i-c`]) {
      if (text === undefined) delete all.volume.tags[key];
      else all.volume.tags[key] = text;
    }
    expect(await failureWithin(60_000, all.mount('i-b'))).toMatchObject({ code: 'ATTACHED_ELSEWHERE' });
    expect(all.destructive()).toEqual([]);
    all.powerOff('i-a');
    await within(60_000, all.mount('i-b'));
    expect(all.destructive()).toEqual([`detach i-a ${all.first.device}`]);
    expect(all.state()).toEqual(ownedBy('i-b', 1));
    expect(all.volume.tags[tagKeys.fenceLog]).toMatch(/ a b s$/);
  });

  it('35 terminates the owner while it is about to be stopped: nothing is stopped, EC2 detaches by itself', async () => {
    const all = await fleet({ policy: 'stonith' });
    all.impair('i-a');
    const taking = all.mount('i-b');
    await pass(10_000);
    all.terminate('i-a');
    all.ec2.endAttachment(all.volume, all.volume.attachments[0]!);
    await within(60_000, taking);
    expect(all.destructive()).toEqual([]);
    expect(all.state()).toEqual(ownedBy('i-b', 2));
  });

  it('36 lets EC2 delete the volume with its instance: that one is never stopped for it', async () => {
    const all = await fleet({ policy: 'stonith' });
    all.impair('i-a');
    all.volume.attachments[0]!.deleteOnTermination = true;
    const error = await failureWithin(60_000, all.mount('i-b'));
    expect(String(error)).toMatch(/EC2 would delete the volume with i-a.*Turn DeleteOnTermination off for \/dev\//);
    expect(all.destructive()).toEqual([]);
    expect(all.state()).toEqual(ownedBy('i-a', 1));
  });

  it('40 has forbidden to stop the owner (DisableApiStop): nothing of the announcement stays', async () => {
    const all = await fleet({ policy: 'stonith' });
    all.impair('i-a');
    all.ec2.failNext('stopInstance', 'EC2_REJECTED');
    const error = await failureWithin(60_000, all.mount('i-b'));
    expect(String(error)).toMatch(/i-a is to be stopped, but EC2 refuses that: .*Let i-a be stopped/);
    expect(all.state()).toEqual(ownedBy('i-a', 1));
  });
});

describe('a taker that is paused', () => {
  it('29 while the answers to its second look are on their way: they are too old by then, and the owner has recovered', async () => {
    const all = await fleet({ policy: 'stonith' });
    all.impair('i-a');
    const look = all.ec2.describeHealth.bind(all.ec2);
    const taking = all.mount('i-b');
    await pass(10_000);
    vi.spyOn(all.ec2, 'describeHealth').mockImplementationOnce(async (id) => {
      const answer = await look(id);
      all.ec2.health.clear();
      await pass(60_000);
      return answer;
    });
    expect(String(await failureWithin(100_000, taking))).toMatch(/attached to i-a .*which is running/);
    expect(all.destructive()).toEqual([]);
    expect(all.state()).toEqual(ownedBy('i-a', 1));
    expect(all.auditOf('i-b').told()).toContain('outcome aborted');
  });

  it('29 between its last look and the detach, for minutes: it looks again before it sends anything', async () => {
    const all = await fleet();
    all.powerOff('i-a');
    const audit = all.auditOf('i-b').audit;
    const calling = audit.calling.bind(audit);
    vi.spyOn(audit, 'calling').mockImplementationOnce(async (...args) => {
      await calling(...args);
      await pass(300_000);
    });
    await within(400_000, all.mount('i-b'));
    const methods = all.ec2.calls.map(({ method }) => method);
    const looks = methods.slice(0, methods.indexOf('detachVolume')).filter((method) => method === 'describeInstance');
    expect(looks).toHaveLength(3);
    expect(all.destructive()).toEqual([`detach i-a ${all.first.device}`]);
    expect(all.state()).toEqual(ownedBy('i-b', 2));
  });
});

describe('two at once', () => {
  it('26 take a stopped owner’s volume: one has it, the other is told who, and one detach took effect', async () => {
    const all = await fleet();
    all.powerOff('i-a');
    const outcomes = await within(120_000, Promise.allSettled(['i-b', 'i-c'].map((id) => all.mount(id))));
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    const [winner, loser] = outcomes[0]?.status === 'fulfilled' ? ['i-b', 'i-c'] : ['i-c', 'i-b'];
    const lost = outcomes.find((each) => each.status === 'rejected');
    expect(String(lost?.reason)).toMatch(new RegExp(`to ${loser}: it is attached to ${winner} .*running`));
    expect(new Set(all.destructive())).toEqual(new Set([`detach i-a ${all.first.device}`]));
    expect(all.state()).toEqual(ownedBy(winner!, 2));
  });

  it('26 stop one suspect: it is stopped, one has its volume, the other is told who', async () => {
    const all = await fleet({ policy: 'stonith' });
    all.impair('i-a');
    const outcomes = await within(300_000, Promise.allSettled(['i-b', 'i-c'].map((id) => all.mount(id))));
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    const winner = outcomes[0]?.status === 'fulfilled' ? 'i-b' : 'i-c';
    expect(new Set(all.destructive())).toEqual(new Set(['stop i-a', `detach i-a ${all.first.device}`]));
    expect(['i-b', 'i-c'].map((id) => all.ec2.instances.get(id)?.state)).toEqual(['running', 'running']);
    expect(all.state()).toEqual(ownedBy(winner, 2));
  });

  it('27 nodes that suspect each other: one of them is stopped, never both, though EC2 shows no stop for a while', async () => {
    const all = await fleet({ policy: 'stonith', others: ['i-b'] });
    const second = await all.hold('i-b', 'second');
    const { device } = second.attachments[0]!;
    await pass(660_000);
    all.ec2.calls.length = 0;
    all.impair('i-a');
    all.impair('i-b');
    all.hideStopping();
    const losing = failureWithin(400_000, all.mount('i-b', 'task', 'data'));
    const taking = all.mount('i-a', 'task', 'second');
    expect(String(await losing)).toMatch(/i-a is about to take a volume from this node/);
    await within(400_000, taking);
    expect(all.destructive()).toEqual(['stop i-b', `detach i-b ${device}`]);
    expect(second.attachments).toMatchObject([{ instanceId: 'i-a', state: 'attached' }]);
    expect(all.volume.attachments).toEqual([all.first]);
  });

  it('59 mounts of one node: one takeover, and both have it', async () => {
    const all = await fleet();
    all.powerOff('i-a');
    const mounting = Promise.all([all.mount('i-b', 'one'), all.mount('i-b', 'two')]);
    expect(await within(60_000, mounting)).toEqual(['/ebs/volumes/data/data', '/ebs/volumes/data/data']);
    expect(all.destructive()).toEqual([`detach i-a ${all.first.device}`]);
    expect(all.ec2.count('attachVolume')).toBe(1);
    expect(all.nodeOf('i-b').held.get('data')?.holders).toMatchObject([{ id: 'one' }, { id: 'two' }]);
  });
});

describe('a caller that leaves', () => {
  it('60 leaves the takeover behind, which goes on; the next Mount has its result', async () => {
    const all = await fleet({ policy: 'stonith' });
    all.impair('i-a');
    const caller = new AbortController();
    const mounting = all.mount('i-b', 'task', 'data', caller.signal);
    await pass(30_000);
    caller.abort();
    expect(all.nodeOf('i-b').waits.get('data')).toMatch(/^step 2 of 6 of takeover f-\w+: .* \(within \d+ minutes\)/);
    expect(await failureWithin(100_000, mounting)).toMatchObject({ code: 'STILL_WORKING' });
    await pass(15_000);
    expect(await within(5000, all.mount('i-b'))).toBe('/ebs/volumes/data/data');
    expect(all.destructive()).toEqual(['stop i-a', `detach i-a ${all.first.device}`]);
    expect(all.state()).toEqual(ownedBy('i-b', 2));
  });

  it('60 for good: nobody comes, and the volume is given back for others', async () => {
    const all = await fleet();
    all.powerOff('i-a');
    const caller = new AbortController();
    const mounting = all.mount('i-b', 'task', 'data', caller.signal);
    await pass(3000);
    caller.abort();
    expect(await failureWithin(60_000, mounting)).toMatchObject({ code: 'STILL_WORKING' });
    await pass(60_000);
    expect(all.volume.attachments).toEqual([]);
    await within(20_000, all.mount('i-c'));
    expect(all.state()).toEqual(ownedBy('i-c', 3));
  });
});
