import { beforeEach, expect, it, vi } from 'vitest';
import { adoptVolume, giveBack } from '../../src/cli/adopt/apply.ts';
import { judge, type Region } from '../../src/cli/adopt/judge.ts';
import { planAdoption, planGivingBack, type Step } from '../../src/cli/adopt/plan.ts';
import { tagKeys } from '../../src/ebs/tags.ts';
import { createVolume } from '../../src/volumes/requests/create.ts';
import { ec2Error, FakeEc2 } from '../support/fake-ec2.ts';
import { fakeNode } from '../support/fake-node.ts';
import { failure, played, useVirtualTime } from '../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../support/virtual-time.ts'));

beforeEach(useVirtualTime);

const wishes = {
  words: ['data'],
  all: false,
  as: undefined,
  zone: undefined,
  subdirectory: 'data',
  insists: false,
  now: 'then',
};

const lookedAt = async (ec2: FakeEc2): Promise<Region> => ({
  cluster: 'default',
  named: structuredClone([...ec2.volumes.values()]),
  ours: await ec2.listVolumes(),
  rootDevices: new Map(),
});

const step = <K extends Step['kind']>(steps: readonly Step[], kind: K): Extract<Step, { kind: K }> => {
  const [first] = steps;
  if (first?.kind !== kind) throw new Error(`no step to ${kind}: ${JSON.stringify(first)}`);
  return first as Extract<Step, { kind: K }>;
};
const adoption = async (ec2: FakeEc2) => step(planAdoption(await lookedAt(ec2), wishes), 'adopt');

it('gives a volume its name for every node of the cluster', async () => {
  const ec2 = new FakeEc2();
  const { id } = ec2.addVolume({ tags: { Name: 'data', team: 'db' } });
  await played(adoptVolume(ec2, await adoption(ec2)));
  expect(ec2.volumes.get(id)?.tags).toMatchObject({ Name: 'data', team: 'db', [tagKeys.name]: 'data' });
  // As dvdcli 0.1 asks before each mount, with the options that made the volume under REX-Ray.
  await played(createVolume(await fakeNode(ec2), 'data', { size: '16', newfstype: 'xfs', overwritefs: 'true' }));
  expect([...ec2.volumes.keys()]).toEqual([id]);
  expect(judge(await lookedAt(ec2))).toEqual([]);
});

it('done again, after an end at any moment, comes to the same', async () => {
  const ec2 = new FakeEc2();
  const { id } = ec2.addVolume({ tags: { Name: 'data' } });
  const first = await adoption(ec2);
  await played(adoptVolume(ec2, first));
  const tags = { ...ec2.volumes.get(id)?.tags };
  await played(adoptVolume(ec2, first));
  expect(ec2.volumes.get(id)?.tags).toEqual(tags);
  expect(planAdoption(await lookedAt(ec2), wishes)).toMatchObject([{ kind: 'done' }]);
});

it('is undone when a node makes a volume of the name at the same moment, and says which', async () => {
  const ec2 = new FakeEc2();
  const { id } = ec2.addVolume({ tags: { Name: 'data' } });
  const plan = await adoption(ec2);
  const node = await fakeNode(ec2);
  // The node looks before the tags are written, and its volume is seen after them.
  ec2.listedAfterMs = 1000;
  const [outcome] = await played(
    Promise.all([failure(adoptVolume(ec2, plan)), createVolume(node, 'data', {}).catch(() => undefined)]),
  );
  const made = [...ec2.volumes.keys()].find((each) => each !== id);
  expect(outcome).toMatchObject({ code: 'AMBIGUOUS_NAME', message: expect.stringContaining(`${made} got this name`) });
  expect(ec2.volumes.get(id)?.tags).toEqual({ Name: 'data' });
});

it('is not undone under somebody who has attached the volume meanwhile', async () => {
  const ec2 = new FakeEc2();
  const volume = ec2.addVolume({ tags: { Name: 'data' } });
  const plan = await adoption(ec2);
  ec2.addVolume({ tags: { [tagKeys.cluster]: 'default', [tagKeys.name]: 'data' } });
  ec2.addAttachment(volume, 'i-2');
  const outcome = await played(failure(adoptVolume(ec2, plan)));
  expect(outcome).toMatchObject({ code: 'AMBIGUOUS_NAME', message: expect.stringContaining('i-2 has attached') });
  expect(volume.tags).toMatchObject({ [tagKeys.name]: 'data' });
});

it('of two that adopt two volumes under one name neither wins', async () => {
  const ec2 = new FakeEc2();
  const tags = { Name: 'data' };
  ec2.addVolume({ tags: { ...tags } });
  ec2.addVolume({ tags: { ...tags }, zone: 'eu-west-1b' });
  const [one, other] = judge(await lookedAt(ec2));
  const template = { [tagKeys.cluster]: 'default', [tagKeys.name]: 'data' };
  const outcomes = await played(
    Promise.all(
      [one, other].map((candidate) => {
        if (candidate === undefined) throw new Error('there are two');
        return failure(adoptVolume(ec2, { kind: 'adopt', candidate, tags: template, clear: [] }));
      }),
    ),
  );
  expect(outcomes).toMatchObject([{ code: 'AMBIGUOUS_NAME' }, { code: 'AMBIGUOUS_NAME' }]);
  for (const volume of ec2.volumes.values()) expect(volume.tags).toEqual(tags);
});

it('takes an unreadable answer for no answer', async () => {
  const ec2 = new FakeEc2();
  ec2.addVolume({ tags: { Name: 'data' } });
  const plan = await adoption(ec2);
  vi.spyOn(ec2, 'findVolumes').mockRejectedValue(ec2Error('EC2_UNAVAILABLE'));
  expect(await played(failure(adoptVolume(ec2, plan)))).toMatchObject({ code: 'EC2_UNAVAILABLE' });
});

it('is not called done before the look-up of the nodes finds it', async () => {
  const ec2 = new FakeEc2();
  ec2.addVolume({ tags: { Name: 'data' } });
  const plan = await adoption(ec2);
  const find = vi.spyOn(ec2, 'findVolumes').mockResolvedValue([]);
  const outcome = await played(failure(adoptVolume(ec2, plan)));
  expect(outcome).toMatchObject({ code: 'EC2_UNAVAILABLE', message: expect.stringMatching(/does not show them/) });
  find.mockRestore();
  await played(adoptVolume(ec2, plan));
});

it('can be given back, and then REX-Ray and everybody else has it as it was', async () => {
  const ec2 = new FakeEc2();
  const { tags } = ec2.addVolume({ tags: { Name: 'data', team: 'db' } });
  await played(adoptVolume(ec2, await adoption(ec2)));
  tags[tagKeys.epoch] = '3';
  await played(giveBack(ec2, step(planGivingBack(await lookedAt(ec2), ['data']), 'give-back')));
  expect(tags).toEqual({ Name: 'data', team: 'db' });
  expect(planAdoption(await lookedAt(ec2), wishes)).toMatchObject([{ kind: 'adopt' }]);
});

it('is not given back from under a node that attaches it at that moment', async () => {
  const ec2 = new FakeEc2();
  const volume = ec2.addVolume({ tags: { Name: 'data' } });
  await played(adoptVolume(ec2, await adoption(ec2)));
  volume.tags[tagKeys.formatted] = 'ext4';
  const tags = { ...volume.tags };
  const plan = step(planGivingBack(await lookedAt(ec2), ['data']), 'give-back');
  const deleteTags = ec2.deleteTags.bind(ec2);
  vi.spyOn(ec2, 'deleteTags').mockImplementation(async (...given) => {
    await deleteTags(...given);
    setTimeout(() => ec2.addAttachment(volume, 'i-2'), 1000);
  });
  const outcome = await played(failure(giveBack(ec2, plan)));
  expect(outcome).toMatchObject({ code: 'ATTACHED_ELSEWHERE', message: expect.stringContaining('i-2 has attached') });
  expect(volume.tags).toEqual(tags);
});

it.each([1, 2])('is given back by the same command again, after an end at change %i', async (last) => {
  const ec2 = new FakeEc2();
  const { tags } = ec2.addVolume({ tags: { Name: 'data' } });
  await played(adoptVolume(ec2, await adoption(ec2)));
  const plan = async () => step(planGivingBack(await lookedAt(ec2), ['data']), 'give-back');
  const deleteTags = ec2.deleteTags.bind(ec2);
  let changes = 0;
  const killed = vi.spyOn(ec2, 'deleteTags').mockImplementation(async (...given) => {
    if (++changes === last) throw ec2Error('EC2_UNAVAILABLE');
    await deleteTags(...given);
  });
  expect(await played(failure(giveBack(ec2, await plan())))).toMatchObject({ code: 'EC2_UNAVAILABLE' });
  killed.mockRestore();
  await played(giveBack(ec2, await plan()));
  expect(tags).toEqual({ Name: 'data' });
});
