import { beforeEach, describe, expect, it, vi } from 'vitest';
import { tagKeys } from '../../../src/ebs/tags.ts';
import { ec2Error } from '../../support/fake-ec2.ts';
import { failure, played, useVirtualTime } from '../../support/virtual-time.ts';
import { bench } from './driven.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

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
