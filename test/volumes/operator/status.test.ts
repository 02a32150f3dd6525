import { pino } from 'pino';
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import about from '../../../package.json' with { type: 'json' };
import { loadSettings } from '../../../src/config.ts';
import { tagKeys } from '../../../src/ebs/tags.ts';
import { DriverError } from '../../../src/errors.ts';
import type { NoticeListener } from '../../../src/host/notices.ts';
import { openDriver } from '../../../src/volumes/driver.ts';
import type { World } from '../../../src/volumes/state/local.ts';
import { FakeAudit } from '../../support/fake-audit.ts';
import { FakeEc2 } from '../../support/fake-ec2.ts';
import { FakeHost } from '../../support/fake-host.ts';
import { FakeJournal } from '../../support/fake-node.ts';
import { stopped } from '../../support/fake-takeover.ts';
import { pass, played, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

/** A driver on i-1, which takes 27 disks and heeds what `announce` tells it; changed where `own` says. */
async function bench(own: Partial<World> = {}) {
  const ec2 = new FakeEc2();
  ec2.attachmentLimits.set('m5.large', { maximum: 27, kind: 'dedicated' });
  ec2.addInstance('i-1');
  const host = new FakeHost(ec2, 'i-1');
  const journal = new FakeJournal();
  let announce: NoticeListener['onNotices'] = () => undefined;
  const world: World = {
    openHost: async () => host,
    openJournal: async () => journal,
    openAudit: () => new FakeAudit().audit,
    openEc2: () => ec2,
    readIdentity: async () => ({ instanceId: 'i-1', availabilityZone: 'eu-west-1a', region: 'eu-west-1' }),
    watchNotices: ({ onNotices }) => {
      announce = onNotices;
      return { close: () => undefined };
    },
    ...own,
  };
  const open = async () => {
    const driver = await openDriver(loadSettings(['--root', '/ebs'], {}), pino({ level: 'silent' }), world);
    onTestFinished(async () => {
      void driver.close();
    });
    await pass(0);
    return driver;
  };
  const driver = await open();
  const status = () => played(driver.operator.status());
  /** The volume of that name as status shows it. */
  const shown = async (name: string) => (await status()).volumes.find((each) => each.name === name);
  /** Makes a volume and mounts it; a container has it from then on. */
  const mounted = async (name: string, id: string) => {
    await played(driver.create(name, {}));
    await played(driver.mount(name, id));
    for (const volumeId of ec2.volumes.keys()) host.mountedElsewhere.add(volumeId);
  };
  return {
    ec2,
    host,
    journal,
    driver,
    status,
    shown,
    mounted,
    open,
    announce: (...given: Parameters<typeof announce>) => announce(...given),
  };
}

describe('the status of a node', () => {
  it('tells what it is and holds, and asks EC2 nothing', async () => {
    const { ec2, driver, status, mounted } = await bench();
    const started = new Date().toISOString();
    await mounted('b', 'id-1');
    await mounted('a', 'id-2');
    const mountedAt = new Date().toISOString();
    await pass(60_000);
    await played(driver.mount('a', undefined));
    ec2.calls.length = 0;
    const now = await status();
    expect(ec2.calls).toEqual([]);
    expect(now).toMatchObject({
      node: {
        instanceId: 'i-1',
        zone: 'eu-west-1a',
        cluster: 'default',
        fencePolicy: 'instance-not-running',
        version: about.version,
      },
      since: started,
      unready: undefined,
      reserveUsedSince: undefined,
      draining: undefined,
      slots: { used: 2, limit: 27 },
      takeovers: [],
      paused: undefined,
      fencesDone: { decisions: {} },
      notices: [],
    });
    expect(now.volumes.map(({ name }) => name)).toEqual(['a', 'b']);
    expect(now.volumes[0]).toEqual({
      name: 'a',
      volumeId: 'vol-2',
      phase: 'mounted',
      device: expect.stringMatching(/^\/dev\//),
      mountpoint: '/ebs/volumes/a/data',
      holders: [
        { id: 'id-2', since: mountedAt },
        { id: 'anonymous', since: new Date().toISOString() },
      ],
      since: mountedAt,
      users: [],
      waitingFor: undefined,
      ghost: false,
      fault: undefined,
      size: { diskBytes: 2 ** 34, filesystemBytes: 2 ** 34, refused: undefined },
      autoGrow: undefined,
      snapshots: undefined,
      usage: { bytes: { total: 100, used: 40, available: 55 }, inodes: { total: 10, used: 3 } },
    });
  });

  it('counts a phase from its beginning, over a restart of the daemon too', async () => {
    const { host, mounted, driver, open, shown } = await bench();
    await mounted('a', 'id-1');
    const since = (await shown('a'))?.since;
    await pass(60_000);
    void driver.close();
    const again = await open();
    expect((await played(again.operator.status())).volumes).toMatchObject([{ phase: 'mounted', since }]);
    host.mountedElsewhere.clear();
    await played(again.unmount('a', 'id-1'));
    expect((await played(again.operator.status())).volumes).toMatchObject([
      { phase: 'attached', since: new Date().toISOString(), holders: [], usage: undefined },
    ]);
  });

  it('shows a name whose mount waits, for what, and the takeover it waits in', async () => {
    const { ec2, driver, status, shown } = await bench();
    await played(driver.create('a', {}));
    const [volume] = ec2.volumes.values();
    if (volume === undefined) throw new Error('not created');
    ec2.addInstance('i-2');
    ec2.setInstance('i-2', stopped);
    ec2.addAttachment(volume, 'i-2', '/dev/xvdbq');
    const since = new Date().toISOString();
    const mount = driver.mount('a', 'id-1');
    await pass(1000);
    const { volumes, takeovers } = await status();
    expect(volumes).toEqual([
      {
        name: 'a',
        volumeId: 'vol-1',
        phase: 'waiting',
        ...{ device: undefined, mountpoint: undefined, size: undefined, users: [], holders: [] },
        since,
        waitingFor: expect.stringMatching(/^step 1 of 3 of takeover f-\w+: a second look/),
        ghost: false,
        fault: undefined,
        usage: undefined,
      },
    ]);
    expect(takeovers).toMatchObject([
      { volume: 'a', volumeId: 'vol-1', instanceId: 'i-2', device: '/dev/xvdbq', since },
    ]);
    expect(volumes[0]?.waitingFor).toContain(takeovers[0]?.fenceId);
    await played(mount);
    expect(await status()).toMatchObject({
      volumes: [{ phase: 'mounted', waitingFor: undefined }],
      takeovers: [],
      fencesDone: { decisions: { 'instance-not-running stopped take': expect.any(Number) } },
    });
    expect(await shown('b')).toBeUndefined();
  });

  it('says how the filesystem of a volume has failed', async () => {
    const { mounted, shown, host } = await bench();
    await mounted('a', 'id-1');
    expect((await shown('a'))?.fault).toBeUndefined();
    host.faults.set('/ebs/volumes/a', 'shut down');
    await pass(16_000);
    expect((await shown('a'))?.fault).toMatch(/shut its filesystem down/);
  });

  it('calls a volume a ghost whose disk is gone, or another one', async () => {
    const { ec2, host, mounted, shown } = await bench();
    await mounted('a', 'id-1');
    ec2.plugged.delete('vol-1 i-1');
    expect(await shown('a')).toMatchObject({ phase: 'mounted', ghost: true, usage: undefined });
    ec2.plugged.set('vol-1 i-1', '/dev/xvdba');
    expect(await shown('a')).toMatchObject({ ghost: false });
    host.failNext('findDevice', 'WRONG_DEVICE');
    expect(await shown('a')).toMatchObject({ ghost: true });
    // A machine that cannot be read proves nothing.
    host.failNext('findDevice', 'HOST_FAILED');
    expect(await shown('a')).toMatchObject({ ghost: false, usage: undefined });
  });

  it('does not call a volume a ghost whose disk is not seen for a moment', async () => {
    const { ec2, host, mounted, shown } = await bench();
    await mounted('a', 'id-1');
    host.unseen.add('vol-1');
    const looking = shown('a');
    await pass(400);
    host.unseen.clear();
    ec2.changed();
    expect(await looking).toMatchObject({ phase: 'mounted', ghost: false });
  });

  it('is not held up by a filesystem that does not answer, and tells of the others', async () => {
    const { host, mounted, driver } = await bench();
    for (const name of ['a', 'b', 'c', 'd']) await mounted(name, 'id-1');
    host.hung.add('/ebs/volumes/b');
    const begun = Date.now();
    const { volumes } = await played(driver.operator.status());
    expect(volumes.map(({ name, usage }) => [name, usage?.bytes.used])).toEqual([
      ['a', 40],
      ['b', undefined],
      ['c', 40],
      ['d', 40],
    ]);
    expect(Date.now() - begun).toBeLessThanOrEqual(2000);
  });

  it('does not miss a volume that comes while a filesystem is waited for', async () => {
    const { ec2, host, mounted, driver } = await bench();
    await mounted('a', 'id-1');
    host.hung.add('/ebs/volumes/a');
    ec2.addVolume({ tags: { [tagKeys.cluster]: 'default', [tagKeys.name]: 'b' } });
    const looking = Promise.withResolvers<void>();
    const find = ec2.findVolumes.bind(ec2);
    ec2.findVolumes = async (...given) => {
      await looking.promise;
      return find(...given);
    };
    const mounting = driver.mount('b', 'id-1');
    await pass(0);
    const status = driver.operator.status();
    looking.resolve();
    const { volumes } = await played(status);
    expect(volumes.map(({ name, phase }) => [name, phase])).toEqual([
      ['a', 'mounted'],
      ['b', 'waiting'],
    ]);
    await played(mounting);
  });

  it('tells no size of what lies under a mount that is gone', async () => {
    const { host, mounted, shown } = await bench();
    await mounted('a', 'id-1');
    host.mounted.delete('/ebs/volumes/a');
    expect(await shown('a')).toMatchObject({ phase: 'mounted', usage: undefined });
    expect(host.count('filesystemUsage')).toBe(0);
  });

  it('says that it is drained, what EC2 announces, and that fencing was paused when it was last seen', async () => {
    const { driver, status, announce, mounted } = await bench();
    await mounted('a', 'id-1');
    await driver.operator.fence.pause('the network is maintained');
    const seenAt = new Date().toISOString();
    announce([{ id: 'n', text: 'EC2 will stop this instance', at: Date.now() + 60_000, until: undefined }]);
    await pass(1000);
    expect(await status()).toMatchObject({
      draining: { reason: 'EC2 will stop this instance', by: 'notice' },
      notices: ['EC2 will stop this instance'],
      paused: { reason: 'the network is maintained', seenAt },
    });
    await driver.operator.fence.resume();
    expect(await status()).toMatchObject({ paused: undefined });
  });

  it('answers while it is not known which instance this is, or what is attached to it, and says why', async () => {
    const failed = new DriverError('HOST_FAILED', { tried: 'ask', why: 'IMDS is silent', todo: 'Wait' });
    let silent = true;
    const { status, ec2 } = await bench({
      readIdentity: async () => {
        if (silent) throw failed;
        return { instanceId: 'i-1', availabilityZone: 'eu-west-1a', region: 'eu-west-1' };
      },
    });
    expect(await status()).toMatchObject({
      node: { instanceId: undefined },
      unready: expect.stringContaining('IMDS is silent'),
      slots: { used: 0, limit: undefined },
    });
    silent = false;
    ec2.failNext('describeInstance', 'EC2_DENIED');
    await pass(600);
    expect(await status()).toMatchObject({
      node: { instanceId: 'i-1' },
      unready: expect.stringMatching(/^EC2 has not told yet what is attached .*EC2_DENIED/),
    });
    await pass(5000);
    expect(await status()).toMatchObject({ unready: undefined, slots: { limit: 27 } });
  });
});
