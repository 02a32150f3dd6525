import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir, uptime } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { loadSettings, type Settings } from '../../../src/config.ts';
import { tagKeys } from '../../../src/ebs/tags.ts';
import type { DriverError } from '../../../src/errors.ts';
import { openAudit } from '../../../src/fencing/audit.ts';
import type { Notice, NoticeListener } from '../../../src/host/notices.ts';
import { openDriver } from '../../../src/volumes/driver.ts';
import { openJournal } from '../../../src/volumes/state/journal.ts';
import { FakeAudit } from '../../support/fake-audit.ts';
import { ec2Error, FakeEc2 } from '../../support/fake-ec2.ts';
import { FakeHost } from '../../support/fake-host.ts';
import { FakeJournal } from '../../support/fake-node.ts';
import { failure, pass, setTimeout as pause, played, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

const identity = { instanceId: 'i-1', availabilityZone: 'eu-west-1a', region: 'eu-west-1' };

/** A driver on i-1, which takes `maximum` volumes; another instance, i-2, that runs; and what IMDS announces to i-1. */
async function bench(given: Partial<Settings> = {}, { maximum }: { maximum?: number } = {}) {
  const ec2 = new FakeEc2();
  if (maximum !== undefined) ec2.attachmentLimits.set('m5.large', { maximum, kind: 'dedicated' });
  ec2.addInstance('i-1');
  const host = new FakeHost(ec2, 'i-1');
  const audit = new FakeAudit();
  const journal = new FakeJournal();
  let announce: NoticeListener['onNotices'] | undefined;
  const settings = { ...loadSettings(['--root', '/ebs'], {}), ...given };
  const lines: Record<string, unknown>[] = [];
  const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line)) });
  const driver = await openDriver(settings, log, {
    openHost: async () => host,
    openJournal: async () => journal,
    openAudit: () => audit.audit,
    openEc2: () => ec2,
    readIdentity: async () => identity,
    watchNotices: ({ onNotices }) => {
      announce = onNotices;
      return { close: () => undefined };
    },
  });
  onTestFinished(async () => {
    void driver.close();
  });
  await pass(0);
  const { operator } = driver;
  /** A volume that another instance has. */
  const elsewhere = async (name = 'a', owner = 'i-2') => {
    await played(driver.create(name, {}));
    const volume = [...ec2.volumes.values()].at(-1);
    if (volume === undefined) throw new Error('not created');
    if (!ec2.instances.has(owner)) ec2.addInstance(owner);
    return { volume, attachment: ec2.addAttachment(volume, owner) };
  };
  return {
    ec2,
    host,
    audit,
    journal,
    driver,
    operator,
    fence: operator.fence,
    elsewhere,
    lines,
    announced: () => announce,
  };
}

describe('fence explain', () => {
  it('says what stands against an owner that runs, and changes nothing', async () => {
    const { ec2, fence, elsewhere, audit } = await bench();
    const { attachment } = await elsewhere();
    ec2.calls.length = 0;
    expect(await played(fence.explain('a'))).toMatchObject({
      volumeId: 'vol-1',
      outcome: 'refuse',
      policy: expect.stringContaining('instance-not-running'),
      owner: { instanceId: 'i-2', device: attachment.device, attachTime: attachment.attachTime },
      evidenceFor: [],
      evidenceAgainst: ['EC2 shows i-2 as running'],
      todo: expect.stringContaining('fence confirm'),
      denied: [],
    });
    expect(ec2.calls.filter(({ method }) => !/^(find|list|describe|denied)/.test(method))).toEqual([]);
    expect(audit.entries).toEqual([]);
  });

  it('tells the steps of a takeover, from its proof on', async () => {
    const { ec2, fence, elsewhere } = await bench();
    await elsewhere();
    ec2.setInstance('i-2', { state: 'stopped', stateReason: 'Client.UserInitiatedShutdown' });
    const { outcome, evidenceFor, steps, todo } = await played(fence.explain('a'));
    expect([outcome, todo]).toEqual(['take', undefined]);
    expect(evidenceFor).toEqual([expect.stringMatching(/^proof: i-2 has been stopped/)]);
    expect(steps).toEqual([
      expect.stringContaining('second time'),
      expect.stringContaining('detach vol-1 from i-2'),
      expect.stringContaining('attach it here'),
      'check its filesystem',
      'mount it',
    ]);
  });

  it('shows the stricter policy of the volume, and suspicions beside what forbids to act on them', async () => {
    const { ec2, fence, elsewhere } = await bench({ fencePolicy: 'stonith' });
    const { volume } = await elsewhere();
    await pass(20 * 60_000);
    const impaired = { status: 'impaired', impairedSince: new Date(Date.now() - 400_000).toISOString() };
    ec2.health.set('i-2', { system: impaired, instance: impaired });
    const seen = await played(fence.explain('a'));
    expect(seen.outcome).toBe('refuse');
    expect(seen.evidenceFor).toEqual([
      expect.stringMatching(/^suspicion: EC2's system check is impaired/),
      expect.stringMatching(/^suspicion: EC2's instance check is impaired/),
    ]);
    expect(seen.evidenceAgainst.join('\n')).toContain(`does not carry the tag ${tagKeys.cluster}=default`);
    volume.tags[tagKeys.fencePolicy] = 'never';
    expect(await played(fence.explain('a'))).toMatchObject({
      policy: "never (the volume's own; this daemon's is stonith)",
      outcome: 'refuse',
    });
  });

  it('says so where nothing needs to be taken over', async () => {
    const { fence, driver } = await bench();
    await played(driver.create('a', {}));
    expect(await played(fence.explain('a'))).toMatchObject({ outcome: 'free', owner: undefined });
    await played(driver.mount('a', 'id-1'));
    expect(await played(fence.explain('a'))).toMatchObject({ outcome: 'here', reason: 'this node has it (mounted)' });
    expect(await failure(fence.explain('nothing'))).toMatchObject({ code: 'NO_SUCH_VOLUME' });
    await played(driver.create('b', {}));
    await played(driver.operator.drain('maintenance'));
    expect(await played(fence.explain('b'))).toMatchObject({
      outcome: 'refuse',
      reason: expect.stringMatching(/being drained since .*maintenance/),
    });
  });

  it('refuses what a mount would refuse before it looks at the owner, in the same words', async () => {
    const { fence, elsewhere, driver } = await bench({}, { maximum: 0 });
    const { volume } = await elsewhere();
    volume.multiAttach = true;
    const expectTheSame = async (name: string, why: string) => {
      const error = await failure(driver.mount(name, 'id-1'));
      expect(error).toMatchObject({ parts: { why: expect.stringContaining(why) } });
      const { why: reason, todo } = (error as DriverError).parts;
      expect(await played(fence.explain(name))).toMatchObject({ outcome: 'refuse', reason, todo, steps: [] });
    };
    await expectTheSame('a', 'Multi-Attach volume, attached to i-2');
    volume.attachments = [];
    await expectTheSame('a', 'Multi-Attach volume, attached to no instance now');
    await elsewhere('b');
    await played(driver.create('c', {}));
    await expectTheSame('b', 'this node is full');
    await expectTheSame('c', 'this node is full');
    expect(driver.waitingFor('c')).toBeUndefined();
  });

  it('names the calls that the policy needs and this role may not make', async () => {
    const { ec2, fence, elsewhere, lines } = await bench({ fencePolicy: 'stonith' });
    await elsewhere();
    ec2.setInstance('i-1', { tags: { [tagKeys.cluster]: 'default' } });
    ec2.denials.set('StopInstances', 'You are not authorized to perform this operation.');
    const { denied } = await played(fence.explain('a'));
    expect(denied).toEqual([
      expect.stringMatching(/^StopInstances: You are not authorized.*no suspect owner is stopped/),
    ]);
    expect(lines.filter(({ level }) => level === 50)).toMatchObject([{ action: 'StopInstances' }]);
    ec2.denials.clear();
    await pass(3 * 60_000);
    expect((await played(fence.explain('a'))).denied).toEqual([]);
  });

  it('does not wait for the permissions, and what is missing is not asked for at each call', async () => {
    const { ec2, fence, elsewhere } = await bench();
    await elsewhere();
    ec2.denials.set('AttachVolume', 'You are not authorized to perform this operation.');
    const denied = ec2.denied.bind(ec2);
    vi.spyOn(ec2, 'denied').mockImplementation(async (permission) => {
      await pause(20_000);
      return denied(permission);
    });
    const began = Date.now();
    expect(await played(fence.explain('a'))).toMatchObject({ outcome: 'refuse', denied: undefined });
    expect(Date.now() - began).toBeLessThan(5000);
    await pass(10 * 20_000);
    const asked = ec2.count('denied');
    expect((await played(fence.explain('a'))).denied).toEqual([expect.stringContaining('AttachVolume')]);
    await pass(60_000);
    expect(ec2.count('denied')).toBe(asked);
  });
});

describe('the permissions of the role', () => {
  it('are asked for some minutes after the start', async () => {
    const { ec2, elsewhere } = await bench();
    await elsewhere();
    await pass(100_000);
    expect(ec2.count('denied')).toBe(0);
    await pass(12 * 60_000);
    const asked = ec2.calls.flatMap(({ method, args }) => (method === 'denied' ? [args[0] as { action: string }] : []));
    expect(asked.map(({ action }) => action)).toEqual([
      'DeleteTags',
      'CreateTags',
      'DetachVolume',
      'AttachVolume',
      'CreateVolume',
      'DeleteVolume',
    ]);
  });

  it('are not asked for again the same day once nothing was missing', async () => {
    const { ec2, fence, elsewhere, journal } = await bench();
    await elsewhere();
    await played(fence.explain('a'));
    expect(journal.allowance).toMatchObject({ bootId: 'boot-1' });
    ec2.calls.length = 0;
    await pass(15 * 60_000);
    expect(ec2.count('denied')).toBe(0);
  });

  it('are asked for again after a day, whatever was done to the clock on the wall', async () => {
    const { ec2, fence, elsewhere, journal } = await bench();
    await elsewhere();
    await played(fence.explain('a'));
    const { allowance } = journal;
    ec2.calls.length = 0;
    vi.setSystemTime('2036-01-02');
    await played(fence.explain('a'));
    expect(ec2.count('denied')).toBe(0);
    journal.allowance = { bootId: '', asked: '', ...allowance, uptime: uptime() - 86_401 };
    await played(fence.explain('a'));
    expect(ec2.count('denied')).toBeGreaterThan(0);
  });

  it('are asked for a volume that is still there', async () => {
    const { ec2, fence, elsewhere } = await bench();
    ec2.addVolume({ state: 'deleting', tags: { [tagKeys.cluster]: 'default' } });
    const { volume } = await elsewhere();
    await played(fence.explain('a'));
    const about = ec2.calls.find(({ method }) => method === 'denied')?.args[0];
    expect(about).toMatchObject({ action: 'DeleteTags', resourceId: volume.id });
  });

  it('are asked for a volume of this zone, rather than one that could not be attached anyway', async () => {
    const { ec2, fence, elsewhere } = await bench();
    ec2.addVolume({ zone: 'eu-west-1b', tags: { [tagKeys.cluster]: 'default' } });
    const { volume } = await elsewhere();
    await played(fence.explain('a'));
    expect(ec2.calls.find(({ method }) => method === 'denied')?.args[0]).toMatchObject({ resourceId: volume.id });
  });

  it('are asked for without a volume as far as that goes, and for all of them once there is one', async () => {
    const { ec2, lines, elsewhere, fence } = await bench();
    const asked = () => ec2.calls.flatMap(({ method, args }) => (method === 'denied' ? args : []));
    ec2.denials.set('CreateVolume', 'You are not authorized to perform this operation.');
    await pass(15 * 60_000);
    expect(asked()).toMatchObject([{ action: 'DescribeVolumes' }, { action: 'CreateVolume' }]);
    expect(lines.filter(({ level }) => level === 50)).toMatchObject([{ action: 'CreateVolume' }]);
    ec2.denials.clear();
    await elsewhere();
    expect(await played(fence.explain('a'))).toMatchObject({ denied: [] });
    expect(asked().at(-1)).toMatchObject({ action: 'DeleteVolume' });
  });

  it('are asked for as the daemon will call, with its tags, which a policy may look at', async () => {
    const { ec2, fence, elsewhere } = await bench({ onRemove: 'snapshot', fencePolicy: 'preempt' });
    const { volume } = await elsewhere();
    await played(fence.explain('a'));
    const asked = ec2.calls.flatMap(({ method, args }) => (method === 'denied' ? args : []));
    const tags = { [tagKeys.cluster]: 'default' };
    expect(asked[0]).toEqual({ action: 'DescribeInstanceStatus' });
    expect(asked).toContainEqual({ action: 'CreateSnapshot', volumeId: volume.id, tags });
    expect(asked).toContainEqual({ action: 'CreateVolume', spec: expect.objectContaining({ tags }) });
  });

  it('to stop instances cannot be judged by one without the tag that the others have', async () => {
    const { ec2, fence, elsewhere, lines } = await bench({ fencePolicy: 'stonith' });
    await elsewhere();
    ec2.denials.set('StopInstances', 'You are not authorized to perform this operation.');
    expect((await played(fence.explain('a'))).denied).toBeUndefined();
    const [warning] = lines.filter(({ unknown }) => unknown !== undefined);
    expect(warning?.['unknown']).toEqual([
      expect.stringContaining('i-1 lacks the tag docker-volume-ebs:cluster = default'),
    ]);
    expect(lines.filter(({ level }) => level === 50)).toEqual([]);
  });

  it('are not asked for by an endpoint that does not know dry runs', async () => {
    const { ec2, fence, elsewhere } = await bench();
    await elsewhere();
    ec2.failNext('denied', 'EC2_REJECTED');
    expect((await played(fence.explain('a'))).denied).toBeUndefined();
    expect(ec2.count('denied')).toBe(1);
  });
});

describe('fence confirm', () => {
  it('is written for this very attachment, after the audit, and the next mount takes the volume', async () => {
    const { ec2, fence, elsewhere, audit, driver } = await bench();
    const { volume, attachment } = await elsewhere();
    ec2.setInstance('i-2', { state: 'stopped', stateReason: 'Client.UserInitiatedHibernate' });
    const answer = await played(fence.confirm('a', 'i-2', 'it burnt', { evenIfRunning: false }));
    expect(answer).toMatch(/The next mount takes it over; one that waits for it now goes on by itself\.$/);
    const about = { volumeId: 'vol-1', instanceId: 'i-2', attachTime: attachment.attachTime };
    expect(audit.entries).toMatchObject([
      { event: 'operator', act: 'confirm', reason: 'it burnt', about, ownerState: 'stopped' },
    ]);
    expect(volume.tags[tagKeys.confirmed]).toContain(attachment.attachTime);
    expect(await played(fence.explain('a'))).toMatchObject({ outcome: 'take' });
    await played(driver.mount('a', 'id-1'));
    expect(volume.attachments).toMatchObject([{ instanceId: 'i-1' }]);
  });

  it.each([
    ['running', /i-2 as running: .*Stop or terminate i-2, and mount it then.*--even-if-running/],
    ['pending', /i-2 as pending: .*Stop or terminate i-2.*--even-if-running/],
    ['stopping', /i-2 as stopping: .*Wait until i-2 is stopped.*--even-if-running/],
    ['shutting-down', /i-2 as shutting-down: .*Wait until i-2 is terminated.*--even-if-running/],
  ] as const)('is refused while EC2 shows the owner as %s, before anything is written', async (state, words) => {
    const { ec2, fence, elsewhere, audit } = await bench();
    const { volume } = await elsewhere();
    ec2.setInstance('i-2', { state });
    const error = await failure(fence.confirm('a', 'i-2', 'it burnt', { evenIfRunning: false }));
    expect(error).toMatchObject({ code: 'INVALID_REQUEST' });
    expect(String(error)).toMatch(words);
    expect([volume.tags[tagKeys.confirmed], audit.entries]).toEqual([undefined, []]);
  });

  it('is taken of a running owner from whoever insists, who is told what that costs', async () => {
    const { fence, elsewhere, audit, driver } = await bench();
    const { volume } = await elsewhere();
    const answer = await played(fence.confirm('a', 'i-2', 'its rack burnt', { evenIfRunning: true }));
    expect(answer).toMatch(/The next mount takes it over.*EC2 shows i-2 as running: what it still writes/);
    expect(audit.entries).toMatchObject([{ act: 'confirm', ownerState: 'running' }]);
    await played(driver.mount('a', 'id-1'));
    expect(volume.attachments).toMatchObject([{ instanceId: 'i-1' }]);
  });

  it('is taken of an owner that EC2 does not list, and never where EC2 does not tell', async () => {
    const { ec2, fence, elsewhere, audit } = await bench();
    const { volume } = await elsewhere();
    ec2.instances.delete('i-2');
    const confirm = () => fence.confirm('a', 'i-2', 'it burnt', { evenIfRunning: false });
    ec2.failNext('describeInstance', 'EC2_THROTTLED');
    expect(await failure(confirm())).toMatchObject({ code: 'EC2_THROTTLED' });
    ec2.failNext('findTagged', 'EC2_THROTTLED');
    expect(await failure(confirm())).toMatchObject({ code: 'EC2_THROTTLED' });
    expect([volume.tags[tagKeys.confirmed], audit.entries]).toEqual([undefined, []]);
    expect(await played(confirm())).toContain('The next mount takes it over');
    expect(audit.entries).toMatchObject([{ ownerState: 'not listed' }]);
  });

  it('is refused for whoever is not the owner, naming the one that is', async () => {
    const { fence, elsewhere, audit, driver } = await bench();
    const { volume } = await elsewhere();
    const error = await failure(fence.confirm('a', 'i-3', 'it burnt', { evenIfRunning: true }));
    expect(error).toMatchObject({ code: 'INVALID_REQUEST' });
    expect(String(error)).toContain('its owner is i-2');
    const silent = fence.confirm('a', 'i-2', '  ', { evenIfRunning: true });
    expect(await failure(silent)).toMatchObject({ code: 'INVALID_REQUEST' });
    expect([volume.tags[tagKeys.confirmed], audit.entries]).toEqual([undefined, []]);
    await played(driver.create('free', {}));
    const refused = async (victim: string) =>
      String(await failure(fence.confirm('free', victim, 'x', { evenIfRunning: true })));
    expect(await refused('i-2')).toContain('nobody has it');
    await played(driver.mount('free', 'id-1'));
    expect(await refused('i-1')).toContain('this node itself');
  });

  it('is not written where the audit cannot be, and says when it does not count', async () => {
    const { ec2, fence, elsewhere, audit } = await bench({ fencePolicy: 'never' });
    const { volume } = await elsewhere();
    ec2.setInstance('i-2', { state: 'terminated' });
    const confirm = () => fence.confirm('a', 'i-2', 'it burnt', { evenIfRunning: false });
    audit.isFull = () => true;
    expect(await failure(confirm())).toMatchObject({ code: 'JOURNAL_FAILED' });
    expect(volume.tags[tagKeys.confirmed]).toBeUndefined();
    audit.isFull = () => false;
    expect(await played(confirm())).toContain('your word does not count');
  });
});

describe('fence pause and resume', () => {
  it('hold for the whole cluster, however often they are said', async () => {
    const { ec2, fence, elsewhere, audit } = await bench();
    await elsewhere();
    await elsewhere('b', 'i-3');
    expect(await played(fence.pause('the network is maintained'))).toBe(2);
    const first = ec2.volumes.get('vol-1')?.tags[tagKeys.paused];
    expect(first).toMatch(/^the network is maintained, by i-1 \(since /);
    expect(await played(fence.explain('a'))).toMatchObject({ outcome: 'refuse', paused: first });
    const count = ec2.count('createTags');
    expect(await played(fence.pause('again'))).toBe(2);
    expect(ec2.count('createTags')).toBe(count);
    expect(await played(fence.resume())).toBe(2);
    expect(await played(fence.resume())).toBe(0);
    expect((await played(fence.explain('a'))).paused).toBeUndefined();
    expect(audit.entries.map(({ act }) => act)).toEqual(['pause', 'resume']);
  });

  it('tags in batches of 200, with values that EC2 takes', async () => {
    const { ec2, fence } = await bench();
    for (let n = 0; n < 450; n++) ec2.addVolume({ tags: { [tagKeys.cluster]: 'default' } });
    expect(await played(fence.pause('x'.repeat(900)))).toBe(450);
    const sizes = ec2.calls
      .filter(({ method }) => method === 'createTags')
      .map(({ args }) => (args[0] as string[]).length);
    expect(sizes).toEqual([200, 200, 50]);
    expect(ec2.volumes.get('vol-450')?.tags[tagKeys.paused]?.length).toBeLessThanOrEqual(256);
    expect(await played(fence.resume())).toBe(450);
  });

  it('go before mounts and lists, and pass over volumes that are being deleted', async () => {
    const { ec2, fence } = await bench();
    const tags = { [tagKeys.cluster]: 'default' };
    ec2.addVolume({ state: 'deleted', tags });
    const { id } = ec2.addVolume({ tags });
    ec2.addVolume({ state: 'deleting', tags });
    const [list, create] = [vi.spyOn(ec2, 'listVolumes'), vi.spyOn(ec2, 'createTags')];
    expect(await played(fence.pause('the network is maintained'))).toBe(1);
    expect(list).toHaveBeenCalledExactlyOnceWith({ lane: 'takeover' });
    expect(create).toHaveBeenCalledExactlyOnceWith([id], expect.anything(), { lane: 'takeover' });
  });

  it.each(['EC2_NO_SUCH_VOLUME', 'EC2_LIMIT'] as const)(
    'a volume that takes no tag (%s) does not keep the others from it',
    async (code) => {
      const { ec2, fence, lines } = await bench();
      for (let n = 0; n < 9; n++) ec2.addVolume({ tags: { [tagKeys.cluster]: 'default' } });
      const untaggable = 'vol-4';
      const createTags = ec2.createTags.bind(ec2);
      vi.spyOn(ec2, 'createTags').mockImplementation(async (ids, tags) => {
        if (ids.includes(untaggable)) throw ec2Error(code);
        await createTags(ids, tags);
      });
      expect(await played(fence.pause('the network is maintained'))).toBe(8);
      const paused = [...ec2.volumes.values()].filter(({ tags }) => tagKeys.paused in tags).map(({ id }) => id);
      expect(paused).toHaveLength(8);
      expect(paused).not.toContain(untaggable);
      expect(lines).toContainEqual(expect.objectContaining({ level: 40, volumeIds: [untaggable] }));
    },
  );

  it('a call that fails does not keep the next from being made; resuming needs them all, pausing one', async () => {
    const { ec2, fence } = await bench();
    for (let n = 0; n < 450; n++) ec2.addVolume({ tags: { [tagKeys.cluster]: 'default' } });
    ec2.failNext('createTags', 'EC2_UNAVAILABLE');
    expect(await played(fence.pause('the network is maintained'))).toBe(250);
    ec2.failNext('deleteTags', 'EC2_UNAVAILABLE');
    expect(await failure(fence.resume())).toMatchObject({ code: 'EC2_UNAVAILABLE' });
    expect(await played(fence.resume())).toBe(200);
    ec2.calls.length = 0;
    for (let n = 0; n < 3; n++) ec2.failNext('createTags', 'EC2_DENIED');
    expect(await failure(fence.pause('the network is maintained'))).toMatchObject({ code: 'EC2_DENIED' });
    expect(ec2.count('createTags')).toBe(3);
  });

  it('a volume that goes while a pause ends is no failure', async () => {
    const { ec2, fence } = await bench();
    for (let n = 0; n < 3; n++) ec2.addVolume({ tags: { [tagKeys.cluster]: 'default' } });
    await played(fence.pause('the network is maintained'));
    const listed = await ec2.findTagged(tagKeys.paused);
    ec2.volumes.delete('vol-2');
    vi.spyOn(ec2, 'findTagged').mockResolvedValueOnce(listed);
    expect(await played(fence.resume())).toBe(2);
    expect(await played(fence.resume())).toBe(0);
  });

  it('have nothing to say it on in a cluster without volumes', async () => {
    const { fence } = await bench();
    expect([await played(fence.pause('x')), await played(fence.resume())]).toEqual([0, 0]);
  });
});

describe('draining by the operator', () => {
  it('begins, shows and ends, and Mounts that are refused meanwhile do not hold it up', async () => {
    const { driver, operator } = await bench();
    await played(driver.create('a', {}));
    await played(driver.create('b', {}));
    await played(driver.mount('a', 'id-1'));
    expect(await played(operator.drain('maintenance'))).toMatchObject({
      draining: { reason: 'maintenance', by: 'operator' },
      volumes: [{ name: 'a' }],
    });
    // A scheduler that keeps trying: each refusal must not make a container seem about to start.
    for (let tries = 0; tries < 9; tries++) {
      expect(await failure(driver.mount('b', `id-${tries}`))).toMatchObject({ code: 'DRAINING' });
      await pass(5000);
    }
    expect((await played(operator.drainStatus())).volumes).toMatchObject([{ name: 'a', state: 'released' }]);
    expect(await played(operator.cancelDrain())).toMatchObject({ reason: 'maintenance' });
    expect(await played(operator.cancelDrain())).toBeUndefined();
    await played(driver.mount('b', 'id-b'));
  });

  it('ends a takeover that has not touched the owner yet', async () => {
    const { driver, operator, elsewhere, ec2 } = await bench();
    const { volume } = await elsewhere();
    ec2.setInstance('i-2', { state: 'stopped', stateReason: 'Client.UserInitiatedShutdown' });
    const mounting = failure(driver.mount('a', 'id-1'));
    await pass(1000);
    await operator.drain('maintenance');
    expect(await mounting).toMatchObject({ code: 'DRAINING' });
    expect(volume.attachments).toMatchObject([{ instanceId: 'i-2', state: 'attached' }]);
    expect(ec2.count('detachVolume')).toBe(0);
  });

  it('is not needed where EC2 gives notice, unless the notices are off', async () => {
    const notice: Notice = { id: 'n', text: 'EC2 will stop this instance', at: Date.now() + 60_000, until: undefined };
    const { driver, announced } = await bench();
    await played(driver.create('a', {}));
    announced()?.([notice]);
    expect(String(await failure(driver.mount('a', 'id-1')))).toContain('EC2 will stop this instance');
    announced()?.([]);
    await played(driver.mount('a', 'id-1'));
    expect((await bench({ notices: 'off' })).announced()).toBeUndefined();
  });
});

/** A driver on i-1 whose journal and audit are files, in real time; `again` is another one on the same files. */
async function onFiles(ec2: FakeEc2, root?: string): Promise<{ driver: OpenDriver; again(): Promise<OpenDriver> }> {
  vi.useRealTimers();
  const directory = root ?? (await mkdtemp(join(tmpdir(), 'operator-')));
  if (root === undefined) onTestFinished(() => rm(directory, { recursive: true }));
  const driver = await openDriver(loadSettings(['--root', directory], {}), pino({ level: 'silent' }), {
    openHost: async () => new FakeHost(ec2, 'i-1'),
    openJournal,
    openAudit,
    openEc2: () => ec2,
    readIdentity: async () => identity,
  });
  onTestFinished(() => driver.close());
  return { driver, again: async () => (await onFiles(ec2, directory)).driver };
}

type OpenDriver = Awaited<ReturnType<typeof openDriver>>;

it('a daemon that starts again knows that the role suffices', async () => {
  const ec2 = new FakeEc2();
  ec2.addInstance('i-1');
  ec2.addVolume({ tags: { [tagKeys.cluster]: 'default', [tagKeys.name]: 'a' } });
  const { driver, again } = await onFiles(ec2);
  expect(await driver.operator.fence.explain('a')).toMatchObject({ denied: [] });
  const asked = ec2.count('denied');
  expect(asked).toBeGreaterThan(0);
  expect(await (await again()).operator.fence.explain('a')).toMatchObject({ denied: [] });
  expect(ec2.count('denied')).toBe(asked);
});

it('fence history tells what was written, newest first, also by an earlier daemon', async () => {
  const ec2 = new FakeEc2();
  ec2.addInstance('i-1');
  ec2.addVolume({ tags: { [tagKeys.cluster]: 'default' } });
  const { driver, again } = await onFiles(ec2);
  expect(await driver.operator.fence.history(10)).toMatchObject({
    entries: [],
    counters: { decisions: {}, aborted: 0 },
  });
  await driver.operator.fence.pause('the network is maintained');
  await driver.operator.fence.resume();
  const volume = ec2.addVolume({ tags: { [tagKeys.cluster]: 'default', [tagKeys.name]: 'a' } });
  ec2.addInstance('i-2', 'eu-west-1a', 'stopped');
  ec2.addAttachment(volume, 'i-2');
  await driver.operator.fence.confirm('a', 'i-2', 'it burnt', { evenIfRunning: false });
  const { fence } = (await again()).operator;
  expect((await fence.history(10)).entries).toMatchObject([
    { text: 'an operator confirms that i-2 (stopped) is finished with a (vol-2, /dev/xvdba): it burnt' },
    { text: 'an operator resumes fencing, on 1 volume', entry: { event: 'operator', act: 'resume' } },
    { text: 'an operator pauses fencing, on 1 volume: the network is maintained' },
  ]);
  expect((await fence.history(1)).entries).toMatchObject([{ entry: { act: 'confirm' } }]);
});
