import { pino } from 'pino';
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { loadSettings } from '../../src/config.ts';
import { tagKeys } from '../../src/ebs/tags.ts';
import { openDriver } from '../../src/volumes/driver.ts';
import type { World } from '../../src/volumes/state/local.ts';
import { FakeAudit } from '../support/fake-audit.ts';
import { FakeEc2 } from '../support/fake-ec2.ts';
import { FakeHost } from '../support/fake-host.ts';
import { FakeJournal } from '../support/fake-node.ts';
import { volumeWith } from '../support/fake-volume.ts';
import { failure, pass, played, useVirtualTime } from '../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../support/virtual-time.ts'));

beforeEach(useVirtualTime);

const identity = { instanceId: 'i-1', availabilityZone: 'eu-west-1a', region: 'eu-west-1' };

async function bench(readIdentity = async () => identity, world: Partial<World> = {}) {
  const ec2 = new FakeEc2();
  ec2.addInstance('i-1');
  const driver = await openDriver(loadSettings(['--root', '/ebs'], {}), pino({ level: 'silent' }), {
    uptime: () => 3600,
    openHost: async () => new FakeHost(ec2, 'i-1'),
    openJournal: async () => new FakeJournal(),
    openAudit: () => new FakeAudit().audit,
    openEc2: () => ec2,
    readIdentity,
    ...world,
  });
  onTestFinished(async () => {
    void driver.close();
  });
  await pass(0);
  ec2.calls.length = 0;
  return { ec2, driver };
}

describe('a volume that is held here', () => {
  it('is shown, listed and located without EC2, whatever EC2 says', async () => {
    const { ec2, driver } = await bench();
    await played(driver.create('a', {}));
    const directory = await played(driver.mount('a', 'id-1'));
    ec2.calls.length = 0;
    const info = await driver.get('a');
    expect(info).toMatchObject({ name: 'a', mountpoint: directory, status: { state: 'mounted', owner: 'i-1' } });
    expect(await driver.path('a')).toBe(directory);
    expect(ec2.calls).toEqual([]);
    ec2.volumes.clear();
    expect(await driver.get('a')).toMatchObject({ mountpoint: directory });
    expect(await played(driver.list())).toEqual([{ name: 'a', mountpoint: directory }]);
  });

  it('has no path while it is not mounted', async () => {
    const { driver } = await bench();
    await played(driver.create('a', {}));
    expect(await played(driver.path('a'))).toBe('');
    await played(driver.mount('a', 'id-1'));
    await played(driver.unmount('a', 'id-1'));
    expect(await played(driver.path('a'))).toBe('');
  });
});

describe('a volume that is not', () => {
  it('that does not exist is said so by get and path', async () => {
    const { driver } = await bench();
    for (const call of [() => driver.get('b'), () => driver.path('b')]) {
      expect(await failure(call())).toMatchObject({ code: 'NO_SUCH_VOLUME', parts: { volume: 'b' } });
    }
  });

  it.each(['EC2_THROTTLED', 'EC2_UNAVAILABLE', 'EC2_CREDENTIALS'] as const)(
    'is shown as it was known while EC2 answers %s, and marked stale',
    async (code) => {
      const { ec2, driver } = await bench();
      await played(driver.create('a', {}));
      await pass(5000);
      ec2.failNext('findVolumes', code);
      expect((await played(driver.get('a'))).status).toMatchObject({
        volumeId: 'vol-1',
        stale: expect.stringMatching(/^EC2 cannot be asked: EC2 said EC2_\w+; this was seen [56] s ago$/),
      });
      expect((await played(driver.get('a'))).status).not.toHaveProperty('stale');
      ec2.failNext('findVolumes', code);
      expect(await failure(driver.get('b'))).toMatchObject({ code });
    },
  );

  it('is asked about once for a thousand callers, and again a second later', async () => {
    const { ec2, driver } = await bench();
    for (const name of ['a', 'b', 'c']) await played(driver.create(name, {}));
    await pass(5000);
    ec2.calls.length = 0;
    const storm = Array.from({ length: 1000 }, (_, index) => driver.get(['a', 'b', 'c'][index % 3] ?? ''));
    expect(await played(Promise.all(storm))).toHaveLength(1000);
    expect(ec2.count('findVolumes')).toBe(3);
    for (let call = 0; call < 100; call++) await played(driver.get('a'));
    expect(ec2.calls).toHaveLength(3);
    expect(ec2.calls.every(({ args }) => args.length > 0)).toBe(true);
    await pass(1000);
    await played(driver.get('a'));
    expect(ec2.calls).toHaveLength(4);
  });

  it('that another node has made is seen at once, whatever was asked before', async () => {
    const { ec2, driver } = await bench();
    expect(await failure(driver.get('a'))).toMatchObject({ code: 'NO_SUCH_VOLUME' });
    ec2.addVolume({ tags: { [tagKeys.cluster]: 'default', [tagKeys.name]: 'a' } });
    expect((await played(driver.get('a'))).status).toMatchObject({ volumeId: 'vol-1' });
  });

  it('is listed as before while EC2 cannot be asked, with what was made and removed here since', async () => {
    const { ec2, driver } = await bench();
    for (const name of ['a', 'b']) await played(driver.create(name, {}));
    ec2.failNext('listVolumes', 'EC2_THROTTLED');
    expect(await failure(driver.list())).toMatchObject({ code: 'EC2_THROTTLED' });
    await played(driver.list());
    await played(driver.remove('a'));
    await played(driver.create('c', {}));
    await pass(5000);
    ec2.failNext('listVolumes', 'EC2_THROTTLED');
    expect((await played(driver.list())).map(({ name }) => name)).toEqual(['b', 'c']);
  });

  it('is listed with the others, by name', async () => {
    const { driver } = await bench();
    for (const name of ['c', 'a', 'b/d']) await played(driver.create(name, {}));
    const directory = await played(driver.mount('c', 'id-1'));
    expect(await played(driver.list())).toEqual([
      { name: 'a', mountpoint: undefined },
      { name: 'b/d', mountpoint: undefined },
      { name: 'c', mountpoint: directory },
    ]);
  });
});

describe('errors', () => {
  it('name the volume, and a bad name costs no call', async () => {
    const { ec2, driver } = await bench();
    const calls = [
      () => driver.create('', {}),
      () => driver.mount('\ud800', 'x'),
      () => driver.remove('a'.repeat(300)),
    ];
    for (const call of calls) {
      expect(await failure(call())).toMatchObject({ code: 'INVALID_NAME' });
    }
    await driver.unmount('a'.repeat(300), undefined);
    expect(ec2.calls).toEqual([]);
    ec2.failNext('findVolumes', 'EC2_THROTTLED');
    expect(await failure(driver.mount('a', 'x'))).toMatchObject({ code: 'EC2_THROTTLED', parts: { volume: 'a' } });
  });

  it('tell who only wants to see at once, where it is known why: Get, List and the operator', async () => {
    const { driver } = await bench(() => Promise.reject(new Error('IMDS is silent')));
    await pass(2000);
    const asked = [
      driver.get('a'),
      driver.path('a'),
      driver.list(),
      driver.operator.volumes(),
      driver.operator.fence.explain('a'),
    ];
    const failures = asked.map(failure);
    await pass(0);
    for (const told of failures)
      expect(await told).toMatchObject({ code: 'STILL_WORKING', message: expect.stringContaining('IMDS is silent') });
    expect(driver.awaited(undefined)?.what).toContain('IMDS is silent');
  });

  it('before it is known which instance this is say so, in time for dockerd; later all works', async () => {
    const known = { yet: false };
    const { driver } = await bench(async () => {
      if (!known.yet) throw new Error('the metadata service does not answer');
      return identity;
    });
    for (const call of [() => driver.create('a', {}), () => driver.mount('a', 'x')]) {
      const before = Date.now();
      const error = await failure(call());
      expect(error).toMatchObject({ code: 'STILL_WORKING' });
      expect(String(error)).toContain('the metadata service does not answer');
      expect(Date.now() - before).toBeLessThanOrEqual(5000);
    }
    known.yet = true;
    await pass(10_000);
    await played(driver.create('a', {}));
  });

  it('are not told so soon while the machine boots: its network may be on its way, and a container is started once', async () => {
    const known = { yet: false };
    const silent = async () => {
      if (!known.yet) throw new Error('the metadata service does not answer');
      return identity;
    };
    const { driver } = await bench(silent, { uptime: () => 20 });
    const creating = driver.create('a', {});
    await pass(20_000);
    known.yet = true;
    await played(creating);
    const { driver: other } = await bench(() => Promise.reject(new Error('IMDS is silent')), { uptime: () => 20 });
    const before = Date.now();
    expect(await failure(other.mount('a', 'x'))).toMatchObject({ code: 'STILL_WORKING' });
    expect(Date.now() - before).toBeLessThan(60_000);
  });
});

it('while another daemon serves the cluster on this instance nothing is done, and it is said; then all works', async () => {
  const other = { runs: true };
  const { ec2, driver } = await bench(undefined, {
    lockInstance: async () => {
      if (other.runs) throw new Error('another daemon serves it here');
    },
  });
  expect(String(await failure(driver.mount('a', 'x')))).toContain('another daemon serves it here');
  expect(ec2.calls).toEqual([]);
  other.runs = false;
  await played(driver.create('a', {}));
});

it('closing waits for what is under way', async () => {
  const { ec2, driver } = await bench();
  const creating = driver.create('a', {});
  await pass(100);
  const closing = driver.close();
  await played(closing);
  await creating;
  expect(ec2.volumes.get('vol-1')?.state).toBe('available');
});

describe('before this node knows which instance it is', () => {
  const known = () => {
    const journal = new FakeJournal();
    journal.known.set('a', volumeWith({ tags: { [tagKeys.cluster]: 'default', [tagKeys.name]: 'a' } }));
    return { openJournal: async () => journal };
  };
  const silent = async () => {
    throw new Error('IMDS is silent');
  };

  it('Get, Path and List answer of the volumes that it knew, marked stale, so that dockerd forgets none', async () => {
    const { driver } = await bench(silent, known());
    const before = Date.now();
    expect(await played(driver.get('a'))).toMatchObject({
      name: 'a',
      mountpoint: undefined,
      status: { volumeId: 'vol-1', stale: 'IMDS is silent; this was seen before the daemon started' },
    });
    expect(Date.now() - before).toBeLessThan(5000);
    expect(await driver.path('a')).toBe('');
    expect(await driver.list()).toEqual([{ name: 'a', mountpoint: undefined }]);
    expect(await failure(driver.get('never'))).toMatchObject({ code: 'STILL_WORKING' });
  });

  it('they wait for EC2 where it comes in a moment', async () => {
    const { ec2, driver } = await bench(async () => {
      await new Promise((resolve) => setTimeout(resolve, 1000));
      return identity;
    }, known());
    ec2.addVolume({ id: 'vol-now', tags: { [tagKeys.cluster]: 'default', [tagKeys.name]: 'a' } } as object);
    expect((await played(driver.get('a'))).status).not.toHaveProperty('stale');
  });
});

describe('at the start', () => {
  it('the names of the cluster are learnt by the look that is made anyway, and told of while EC2 is away', async () => {
    const ec2 = new FakeEc2();
    ec2.addInstance('i-1');
    ec2.addVolume({ tags: { [tagKeys.cluster]: 'default', [tagKeys.name]: 'never-asked-for' } });
    const journal = new FakeJournal();
    const { driver } = await bench(undefined, { openEc2: () => ec2, openJournal: async () => journal });
    await pass(1000);
    expect(ec2.count('listVolumes')).toBe(1);
    expect([...journal.known.keys()]).toEqual(['never-asked-for']);
    ec2.failNext('findVolumes', 'EC2_UNAVAILABLE');
    expect((await played(driver.get('never-asked-for'))).status).toMatchObject({ volumeId: 'vol-1' });
  });
});

describe('a driver that is closed while nobody knows yet which instance this is', () => {
  it('answers what is in hand with that, not as a defect', async () => {
    const { driver } = await bench(() => Promise.reject(new Error('no metadata service')));
    const calls = [
      driver.mount('a', 'id-1'),
      driver.unmount('a', 'id-1'),
      driver.create('b', {}),
      driver.list(),
      driver.operator.volumes(),
      driver.operator.fence.explain('a'),
    ];
    const ended = Promise.allSettled(calls);
    await pass(1000);
    await driver.close();
    for (const outcome of await ended) {
      const { reason } = outcome as PromiseRejectedResult;
      expect(reason).toMatchObject({ code: 'STILL_WORKING' });
      expect(String(reason)).toMatch(/: this daemon is being stopped\. Try again once it runs again\.$/);
    }
  });
});
