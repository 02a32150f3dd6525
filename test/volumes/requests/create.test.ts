import { beforeEach, describe, expect, it, vi } from 'vitest';
import { tagKeys } from '../../../src/ebs/tags.ts';
import { createVolume } from '../../../src/volumes/requests/create.ts';
import { removeVolume } from '../../../src/volumes/requests/remove.ts';
import { FakeEc2 } from '../../support/fake-ec2.ts';
import { fakeNode, verbs } from '../../support/fake-node.ts';
import { failure, pass, played, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

const ids = (ec2: FakeEc2) => [...ec2.volumes.keys()];
const generationOf = (ec2: FakeEc2, id: string) => ec2.volumes.get(id)?.tags[tagKeys.generation];

describe('createVolume', () => {
  it('makes the volume as asked, with its name and options in tags', async () => {
    const ec2 = new FakeEc2();
    await played(createVolume(await fakeNode(ec2), 'a/b', { size: '20', fsType: 'xfs' }));
    expect([...ec2.volumes.values()]).toMatchObject([
      {
        zone: 'eu-west-1a',
        sizeGib: 20,
        state: 'available',
        tags: { Name: 'a/b', [tagKeys.name]: 'a=2Fb', [tagKeys.fsType]: 'xfs', [tagKeys.generation]: '0' },
      },
    ]);
    expect(ec2.calls.length).toBeLessThanOrEqual(3);
  });

  it('adds the tags of the settings, with or without space between them', async () => {
    const ec2 = new FakeEc2();
    await played(createVolume(await fakeNode(ec2, { settings: { tags: 'a=1, b=2' } }), 'a', {}));
    expect(ec2.volumes.get('vol-1')?.tags).toMatchObject({ a: '1', b: '2' });
  });

  it('is content with the volume that is there as asked', async () => {
    const ec2 = new FakeEc2();
    const node = await fakeNode(ec2);
    await played(createVolume(node, 'a', { size: '20' }));
    await played(createVolume(node, 'a', { size: '20' }));
    await played(createVolume(node, 'a', {}));
    expect(ids(ec2)).toEqual(['vol-1']);
    expect(ec2.count('createVolume')).toBe(1);
  });

  it('refuses a volume that is there and differs, naming the difference', async () => {
    const ec2 = new FakeEc2();
    const node = await fakeNode(ec2);
    await played(createVolume(node, 'a', { size: '20' }));
    const error = await failure(createVolume(node, 'a', { size: '30', type: 'gp2' }));
    expect(error).toMatchObject({ code: 'EXISTS_DIFFERENT' });
    expect(String(error)).toContain(
      'vol-1 has this name already, and differs: size in GiB is 20, asked 30; type is gp3',
    );
    expect(ids(ec2)).toEqual(['vol-1']);
  });

  it('agrees with itself about encrypted=false, also where the account encrypts all the same', async () => {
    const ec2 = new FakeEc2();
    ec2.encryptsByDefault = true;
    const node = await fakeNode(ec2);
    const warn = vi.spyOn(node.log, 'warn');
    for (const _ of ['first', 'again']) await played(createVolume(node, 'a', { encrypted: 'false' }));
    expect(warn.mock.calls.map(([, text]) => text)).toEqual([
      'encrypted all the same: the account encrypts by default, or the snapshot is',
    ]);
    expect([...ec2.volumes.values()]).toMatchObject([{ encrypted: true }]);
  });

  it('still tells apart encrypted=true from a volume that is not', async () => {
    const ec2 = new FakeEc2();
    const node = await fakeNode(ec2);
    await played(createVolume(node, 'a', { encrypted: 'false' }));
    expect(await failure(createVolume(node, 'a', { encrypted: 'true' }))).toMatchObject({ code: 'EXISTS_DIFFERENT' });
  });

  it('asks EC2 for more than this version knows to be possible, with a warning', async () => {
    const ec2 = new FakeEc2();
    const node = await fakeNode(ec2);
    const warn = vi.spyOn(node.log, 'warn');
    await played(createVolume(node, 'a', { size: '70000', iops: '90000' }));
    expect(warn).toHaveBeenCalledWith(
      { volume: 'a', beyond: [expect.stringMatching(/^size 70000/), expect.stringMatching(/^iops 90000/)] },
      expect.stringContaining('EC2 decides'),
    );
    expect([...ec2.volumes.values()]).toMatchObject([{ sizeGib: 70000, iops: 90000 }]);
  });

  it('makes no second volume of a name that is in another zone', async () => {
    const ec2 = new FakeEc2();
    await played(createVolume(await fakeNode(ec2, { instanceId: 'i-2', zone: 'eu-west-1b' }), 'a', {}));
    const error = await failure(createVolume(await fakeNode(ec2), 'a', {}));
    expect(error).toMatchObject({ code: 'WRONG_ZONE' });
    expect(String(error)).toContain('it is in eu-west-1b and this node is in eu-west-1a');
    expect(ids(ec2)).toEqual(['vol-1']);
  });

  it('asks EC2 nothing when the options are wrong', async () => {
    const ec2 = new FakeEc2();
    expect(await failure(createVolume(await fakeNode(ec2), 'a', { type: 'io1' }))).toMatchObject({
      code: 'INVALID_OPTION',
    });
    expect(ec2.calls).toEqual([]);
  });

  it('makes nothing when EC2 cannot say whether the name is taken', async () => {
    const ec2 = new FakeEc2();
    ec2.failNext('findVolumes', 'EC2_THROTTLED');
    expect(await failure(createVolume(await fakeNode(ec2), 'a', {}))).toMatchObject({ code: 'EC2_THROTTLED' });
    expect(ec2.count('createVolume')).toBe(0);
  });

  it('an answer that was lost costs no second volume', async () => {
    const ec2 = new FakeEc2();
    ec2.listedAfterMs = 10_000;
    ec2.failNext('createVolume', 'EC2_UNAVAILABLE', 'after');
    const node = await fakeNode(ec2);
    expect(await failure(createVolume(node, 'a', {}))).toMatchObject({ code: 'EC2_UNAVAILABLE' });
    await played(createVolume(node, 'a', {}));
    expect(ids(ec2)).toEqual(['vol-1']);
  });

  it('says so when EC2 drops what it accepted', async () => {
    const ec2 = new FakeEc2();
    const node = await fakeNode(ec2);
    const creating = createVolume(node, 'a', { encrypted: 'true' });
    queueMicrotask(() => setTimeout(() => ec2.volumes.clear(), 100));
    const error = await failure(creating);
    expect(error).toMatchObject({ code: 'CREATE_VANISHED' });
    expect(String(error)).toContain('KMS key');
    await played(createVolume(node, 'a', {}));
    expect(ids(ec2).map((id) => generationOf(ec2, id))).toEqual(['1']);
  });

  it('says meanwhile what it waits for', async () => {
    const ec2 = new FakeEc2();
    const node = await fakeNode(ec2);
    const creating = createVolume(node, 'a', {});
    await vi.advanceTimersByTimeAsync(100);
    expect(node.waits.get('a')).toBe('EC2 to make vol-1');
    await played(creating);
    expect(node.waits.get('a')).toBeUndefined();
  });
});

describe('mkfs options that cannot work for the size of the disk', () => {
  it('are refused before there is a disk, naming the option; a volume without any is not tried', async () => {
    const ec2 = new FakeEc2();
    const node = await fakeNode(ec2);
    const { create } = verbs(node);
    node.host.refusedOptions = { option: '-J size=4096', words: 'Total journal size too big for filesystem' };
    await expect(create('a', { size: '2', mkfsOptions: '-L data -J size=4096' })).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringMatching(
        /mkfs\.ext4 takes mkfsOptions "-J size=4096" for no disk of 2 GiB: Total journal size too big for filesystem\. Correct it/,
      ),
    });
    expect(ec2.volumes.size).toBe(0);
    const tried = () => node.host.calls.filter(({ method }) => method === 'tryFormat').map(({ args }) => args);
    expect(tried()).toEqual([['ext4', ['-L', 'data', '-J', 'size=4096'], 2 * 2 ** 30]]);
    await create('b', { size: '2' });
    await create('c', { snapshotId: 'snap-0a', mkfsOptions: '-J size=4096' }).catch(() => undefined);
    expect(tried()).toHaveLength(1);
  });
});

describe('a name whose token is used up', () => {
  it('by a volume that was removed here: the next generation, at once', async () => {
    const ec2 = new FakeEc2();
    const node = await fakeNode(ec2);
    for (const generation of ['0', '1', '2']) {
      await played(createVolume(node, 'a', {}));
      expect(ids(ec2).map((id) => generationOf(ec2, id))).toEqual([generation]);
      await played(removeVolume(node, 'a'));
    }
    expect(ec2.count('createVolume')).toBe(3);
  });

  it('by a volume that another node removed: the next generation', async () => {
    const ec2 = new FakeEc2();
    const other = await fakeNode(ec2, { instanceId: 'i-2' });
    await played(createVolume(other, 'a', {}));
    await played(removeVolume(other, 'a'));
    await played(createVolume(await fakeNode(ec2), 'a', {}));
    expect(ids(ec2).map((id) => generationOf(ec2, id))).toEqual(['1']);
  });

  it('by a volume that this node knew and another removed: asked for otherwise it is made at once, also after a restart', async () => {
    const ec2 = new FakeEc2();
    const other = await fakeNode(ec2, { instanceId: 'i-2' });
    await played(createVolume(other, 'a', {}));
    const node = await fakeNode(ec2);
    await played(node.lookup.find('a'));
    await pass(60_000);
    await played(removeVolume(other, 'a'));
    for (const each of [node, await fakeNode(ec2, node.machine)]) {
      const before = Date.now();
      await played(createVolume(each, 'a', { size: '30' }));
      expect(Date.now() - before).toBeLessThan(1000);
      await pass(60_000);
      await played(removeVolume(other, 'a'));
    }
    expect(ec2.volumes.size).toBe(0);
  });

  it('by many volumes that another node removed: the first free generation, in seconds', async () => {
    const ec2 = new FakeEc2();
    const other = await fakeNode(ec2, { instanceId: 'i-2' });
    for (let round = 0; round < 20; round++) {
      await played(createVolume(other, 'a', {}));
      await played(removeVolume(other, 'a'));
    }
    const before = Date.now();
    await played(createVolume(await fakeNode(ec2), 'a', {}));
    expect(Date.now() - before).toBeLessThan(20_000);
    expect(ids(ec2).map((id) => generationOf(ec2, id))).toEqual(['20']);
  });

  it('by a volume that was retained, though EC2 repeats an answer from before that: not handed out again', async () => {
    const ec2 = new FakeEc2();
    const other = await fakeNode(ec2, { instanceId: 'i-2', settings: { onRemove: 'retain' } });
    await played(createVolume(other, 'a', {}));
    const earlier = structuredClone(ec2.volumes.get('vol-1')?.tags ?? {});
    await played(removeVolume(other, 'a'));
    const node = await fakeNode(ec2);
    const really = ec2.createVolume.bind(ec2);
    vi.spyOn(ec2, 'createVolume').mockImplementationOnce(async (spec) => ({ ...(await really(spec)), tags: earlier }));
    await played(createVolume(node, 'a', {}));
    expect((await node.lookup.find('a'))?.id).toBe('vol-2');
  });

  it('by a volume that was retained: that one is not handed out again', async () => {
    const ec2 = new FakeEc2();
    const other = await fakeNode(ec2, { instanceId: 'i-2', settings: { onRemove: 'retain' } });
    await played(createVolume(other, 'a', {}));
    await played(removeVolume(other, 'a'));
    const node = await fakeNode(ec2);
    await played(createVolume(node, 'a', {}));
    expect((await node.lookup.find('a'))?.id).toBe('vol-2');
    expect(ec2.volumes.get('vol-1')?.tags).toMatchObject({ [tagKeys.retained]: 'a' });
    expect(ec2.volumes.get('vol-1')?.tags).not.toHaveProperty([tagKeys.name]);
  });
});

describe('two nodes that race on one name', () => {
  it('get one volume', async () => {
    const ec2 = new FakeEc2();
    ec2.listedAfterMs = 1000;
    const nodes = [await fakeNode(ec2), await fakeNode(ec2, { instanceId: 'i-2' })];
    await played(Promise.all(nodes.map((node) => createVolume(node, 'a', { size: '20' }))));
    expect(ids(ec2)).toEqual(['vol-1']);
  });

  it.each([1000, 10_000])(
    'with different options: one volume, and the later is told, if seen after %i ms',
    async (ms) => {
      const ec2 = new FakeEc2();
      ec2.listedAfterMs = ms;
      const [first, second] = await played(
        Promise.allSettled([
          createVolume(await fakeNode(ec2), 'a', { size: '20' }),
          createVolume(await fakeNode(ec2, { instanceId: 'i-2' }), 'a', { size: '30' }),
        ]),
      );
      expect(first.status).toBe('fulfilled');
      expect(second).toMatchObject({ status: 'rejected', reason: { code: 'EXISTS_DIFFERENT' } });
      expect(ids(ec2)).toEqual(['vol-1']);
    },
  );
});
