import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { loadSettings, type Settings } from '../../src/config.ts';
import { tagKeys } from '../../src/ebs/tags.ts';
import { openAudit } from '../../src/fencing/audit.ts';
import type { Notice, NoticeListener } from '../../src/host/notices.ts';
import { openDriver } from '../../src/volumes/driver.ts';
import { openJournal } from '../../src/volumes/journal.ts';
import { FakeAudit } from '../support/fake-audit.ts';
import { FakeEc2 } from '../support/fake-ec2.ts';
import { FakeHost } from '../support/fake-host.ts';
import { FakeJournal } from '../support/fake-node.ts';
import { failure, pass, played, useVirtualTime } from '../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../support/virtual-time.ts'));

beforeEach(useVirtualTime);

const identity = { instanceId: 'i-1', availabilityZone: 'eu-west-1a', region: 'eu-west-1' };

/** A driver on i-1; another instance, i-2, that runs; and what IMDS announces to i-1. */
async function bench(given: Partial<Settings> = {}) {
  const ec2 = new FakeEc2();
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

  it('names the calls that the policy needs and this role may not make', async () => {
    const { ec2, fence, elsewhere, lines } = await bench({ fencePolicy: 'stonith' });
    await elsewhere();
    ec2.denials.set('StopInstances', 'You are not authorized to perform this operation.');
    const { denied } = await played(fence.explain('a'));
    expect(denied).toEqual([
      expect.stringMatching(/^StopInstances: You are not authorized.*no suspect owner is stopped/),
    ]);
    expect(lines.filter(({ level }) => level === 50)).toMatchObject([{ action: 'StopInstances' }]);
    ec2.denials.clear();
    expect((await played(fence.explain('a'))).denied).toEqual([]);
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
    const { fence, elsewhere, audit, driver } = await bench();
    const { volume, attachment } = await elsewhere();
    const answer = await played(fence.confirm('a', 'i-2', 'it burnt'));
    expect(answer).toMatch(/The next mount takes it over.*i-2 as running: stop or terminate it/);
    const about = { volumeId: 'vol-1', instanceId: 'i-2', attachTime: attachment.attachTime };
    expect(audit.entries).toMatchObject([{ event: 'operator', act: 'confirm', reason: 'it burnt', about }]);
    expect(volume.tags[tagKeys.confirmed]).toContain(attachment.attachTime);
    expect(await played(fence.explain('a'))).toMatchObject({ outcome: 'take' });
    await played(driver.mount('a', 'id-1'));
    expect(volume.attachments).toMatchObject([{ instanceId: 'i-1' }]);
  });

  it('is refused for whoever is not the owner, naming the one that is', async () => {
    const { fence, elsewhere, audit, driver } = await bench();
    const { volume } = await elsewhere();
    const error = await failure(fence.confirm('a', 'i-3', 'it burnt'));
    expect(error).toMatchObject({ code: 'INVALID_REQUEST' });
    expect(String(error)).toContain('its owner is i-2');
    expect(await failure(fence.confirm('a', 'i-2', '  '))).toMatchObject({ code: 'INVALID_REQUEST' });
    expect([volume.tags[tagKeys.confirmed], audit.entries]).toEqual([undefined, []]);
    await played(driver.create('free', {}));
    expect(String(await failure(fence.confirm('free', 'i-2', 'x')))).toContain('nobody has it');
    await played(driver.mount('free', 'id-1'));
    expect(String(await failure(fence.confirm('free', 'i-1', 'x')))).toContain('this node itself');
  });

  it('is not written where the audit cannot be, and says when it does not count', async () => {
    const { fence, elsewhere, audit } = await bench({ fencePolicy: 'never' });
    const { volume } = await elsewhere();
    audit.isFull = () => true;
    expect(await failure(fence.confirm('a', 'i-2', 'it burnt'))).toMatchObject({ code: 'JOURNAL_FAILED' });
    expect(volume.tags[tagKeys.confirmed]).toBeUndefined();
    audit.isFull = () => false;
    expect(await played(fence.confirm('a', 'i-2', 'it burnt'))).toContain('your word does not count');
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
  expect(await driver.operator.fence.history(10)).toEqual([]);
  await driver.operator.fence.pause('the network is maintained');
  await driver.operator.fence.resume();
  const { fence } = (await again()).operator;
  expect(await fence.history(10)).toMatchObject([
    { text: 'an operator resumes fencing, on 1 volume', entry: { event: 'operator', act: 'resume' } },
    { text: 'an operator pauses fencing, on 1 volume: the network is maintained' },
  ]);
  expect(await fence.history(1)).toMatchObject([{ entry: { act: 'resume' } }]);
});
