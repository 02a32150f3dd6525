import { beforeEach, describe, expect, it, vi } from 'vitest';
import { tagKeys } from '../../../src/ebs/tags.ts';
import type { DriverError } from '../../../src/errors.ts';
import { FakeEc2 } from '../../support/fake-ec2.ts';
import { fakeNode, verbs } from '../../support/fake-node.ts';
import { failure, pass, played, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

/** What somebody leaves who takes tags off. */
const strippings: Record<string, (tags: Record<string, string>) => Record<string, string>> = {
  'our name tag': ({ [tagKeys.name]: _, ...rest }) => rest,
  'our cluster tag': ({ [tagKeys.cluster]: _, ...rest }) => rest,
  'all tags of ours': ({ Name = '' }) => ({ Name }),
  'all tags': () => ({}),
  'all tags, for its own Name': () => ({ Name: 'web-1' }),
};

/** A volume with data that one node has made and another knows not of, its tags as they are left. */
async function stripped(what: string) {
  const ec2 = new FakeEc2();
  const maker = await fakeNode(ec2);
  const stranger = await fakeNode(ec2, { instanceId: 'i-2' });
  const { create, mount, unmount } = verbs(maker);
  await create('db', { size: '20', subdirectory: '/' });
  await mount('db', 'id-1');
  await unmount('db', 'id-1');
  await pass(60_000);
  const volume = ec2.volumes.get('vol-1');
  if (volume === undefined) throw new Error('no volume');
  const before = volume.tags;
  volume.tags = strippings[what]?.(before) ?? {};
  return { ec2, volume, before, maker, stranger };
}

/** Runs the first command of the AWS CLI in an error's advice. */
function obey(ec2: FakeEc2, error: unknown): void {
  const [, id = '', list = ''] =
    /create-tags --resources (\S+) --tags (.*?)\. If/.exec((error as DriverError).parts.todo) ?? [];
  const tags = list.split(' ').map((each) => /^Key=(.+?),Value=(.+)$/.exec(each)?.slice(1) ?? []);
  Object.assign(ec2.volumes.get(id)?.tags ?? {}, Object.fromEntries(tags));
}

describe.each(Object.keys(strippings))('a volume that has lost %s', (what) => {
  it('is not made anew by a node that knew it, nor mounted or removed: the advice puts it back', async () => {
    const { ec2, before, maker } = await stripped(what);
    const { create, mount, remove } = verbs(maker);
    const calls = [
      () => create('db'),
      () => create('db', { size: '30' }),
      () => mount('db', 'id-2'),
      () => remove('db'),
    ];
    for (const call of calls) {
      const error = await failure(call());
      expect(error).toMatchObject({ code: 'TAGS_LOST' });
      expect(String(error)).toContain('vol-1 is its EBS volume (this node knows it by that name) and has lost ');
    }
    expect(ec2.volumes.size).toBe(1);
    obey(ec2, await failure(create('db')));
    const passing: readonly string[] = [tagKeys.owner, tagKeys.clean, tagKeys.formatting, 'Name'];
    const lasting = Object.entries(before).filter(([key]) => !passing.includes(key));
    expect(ec2.volumes.get('vol-1')?.tags).toMatchObject(Object.fromEntries(lasting));
    await create('db');
    expect(await mount('db', 'id-2')).toBe('/ebs/volumes/db');
  });

  it('is not forgotten by a node that knew it, over restarts too, while Get tells of it what it had', async () => {
    const { maker, ec2 } = await stripped(what);
    maker.kill();
    const again = await fakeNode(ec2, maker.machine);
    expect(await played(again.lookup.look('db'))).toMatchObject({
      value: { id: 'vol-1' },
      stale: expect.stringContaining('has lost '),
    });
    expect(await failure(verbs(again).create('db'))).toMatchObject({ code: 'TAGS_LOST' });
  });

  it('is not made anew by a node that never heard of it: EC2 repeats its id for the token', async () => {
    const { ec2, stranger } = await stripped(what);
    const error = await failure(verbs(stranger).create('db', { size: '20', subdirectory: '/' }));
    expect(error).toMatchObject({ code: 'TAGS_LOST' });
    expect(String(error)).toContain('EC2 made it for this name, and answers so again');
    expect(ec2.volumes.size).toBe(1);
    obey(ec2, error);
    await verbs(stranger).create('db');
    await verbs(stranger).mount('db', 'id-2');
    expect(stranger.held.get('db')).toMatchObject({ volume: { id: 'vol-1' }, phase: 'mounted' });
  });

  it('begins anew once its user says that it may', async () => {
    const { volume, maker, ec2 } = await stripped(what);
    volume.tags[tagKeys.retained] = 'db';
    await verbs(maker).create('db');
    expect(ec2.volumes.size).toBe(2);
  });
});

describe('a volume of the cluster that has lost its name tag, long after EC2 has forgotten its token', () => {
  it('is not replaced by an empty disk on a node that never heard of it: nothing is formatted', async () => {
    const { ec2, stranger, before } = await stripped('our name tag');
    const { create, mount } = verbs(stranger);
    vi.spyOn(ec2, 'createVolume').mockImplementationOnce((spec) =>
      ec2.createVolume({ ...spec, clientToken: 'forgotten' }),
    );
    await create('db');
    const error = await failure(mount('db', 'id-2'));
    expect(error).toMatchObject({ code: 'TAGS_LOST' });
    expect(String(error)).toContain('vol-1 is its EBS volume (its tags Name and cluster still say so)');
    expect((error as DriverError).parts.todo).toBe(
      `Put them back: aws ec2 create-tags --resources vol-2 --tags Key=${tagKeys.retained},Value=db && aws ec2 delete-tags --resources vol-2 --tags Key=${tagKeys.name} && aws ec2 create-tags --resources vol-1 --tags Key=${tagKeys.name},Value=db. If the name is to begin anew with an empty volume and this one is to be kept without a name, say so instead: aws ec2 create-tags --resources vol-1 --tags Key=${tagKeys.retained},Value=db`,
    );
    expect(ec2.volumes.get('vol-2')?.tags).not.toHaveProperty([tagKeys.formatting]);
    Object.assign(ec2.volumes.get('vol-2')?.tags ?? {}, { [tagKeys.retained]: 'db' });
    delete ec2.volumes.get('vol-2')?.tags[tagKeys.name];
    Object.assign(ec2.volumes.get('vol-1')?.tags ?? {}, before);
    await pass(30_000);
    await mount('db', 'id-2');
    expect(stranger.held.get('db')).toMatchObject({ volume: { id: 'vol-1' } });
  });

  it('is not passed over where EC2 refuses the token for other options', async () => {
    const { ec2, stranger } = await stripped('our name tag');
    expect(await failure(verbs(stranger).create('db', { size: '30' }))).toMatchObject({ code: 'TAGS_LOST' });
    expect(ec2.volumes.size).toBe(1);
  });
});

describe('a volume that was given another name, or another cluster, by somebody who knows the tags', () => {
  it('is none of the name any more', async () => {
    const { ec2, volume, before, maker } = await stripped('all tags');
    volume.tags = { ...before, [tagKeys.name]: 'db-old' };
    await verbs(maker).create('db');
    expect(ec2.volumes.size).toBe(2);
  });
});
