import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { policies } from '../../scripts/iam-policies.ts';
import { tagKeys } from '../../src/ebs/tags.ts';
import { type FencePolicy, fencePolicies } from '../../src/fencing/types.ts';
import { allowing, type IamPolicy } from '../../src/sandbox/iam.ts';
import type { IamRequest } from '../../src/sandbox/iam-requests.ts';
import { accessKeyOf } from '../../src/sandbox/imds.ts';
import type { SandboxNode } from '../../src/sandbox/sandbox.ts';
import { dvdi } from '../support/dvdi-client.ts';
import { requires } from '../support/requirements.ts';
import { eventually, type TestSandbox, tagsOf, testSandbox } from '../support/sandbox.ts';

type PolicyName = keyof typeof policies;
const fileOf = (name: PolicyName) => readFileSync(new URL(`../../iam/${name}.json`, import.meta.url), 'utf8');
/** The policy as an operator of this cluster applies it. */
const policyFor = (name: PolicyName, cluster: string): IamPolicy =>
  JSON.parse(fileOf(name).replaceAll(`\${CLUSTER}`, cluster));

it.each(Object.keys(policies) as PolicyName[])('iam/%s.json is as the table has it (npm run docs)', (name) => {
  expect(JSON.parse(fileOf(name))).toEqual(policies[name]);
});

const cluster = 'blue';
const stop = (box: TestSandbox, owner: string) => box.aws('stop-instances', '--instance-ids', owner);

/** What removing a volume does on each policy's nodes, and how they come to take one from its owner. */
const scenarios: Readonly<
  Record<FencePolicy, { onRemove: string; lose: ((box: TestSandbox, owner: string) => Promise<unknown>) | undefined }>
> = {
  never: { onRemove: 'retain', lose: undefined },
  'instance-not-running': { onRemove: 'snapshot', lose: stop },
  stonith: {
    onRemove: 'delete',
    // Two hours on, by the clock in EC2's answers, the attachment is no young one.
    lose: (box, instance) =>
      box.fault({ kind: 'health', instance, system: 'impaired', guest: 'impaired', ms: 7_200_000 }),
  },
  preempt: { onRemove: 'delete', lose: stop },
};

async function ask(node: SandboxNode, endpoint: string, body: object = {}) {
  const answer = await dvdi(node.socket).call(`Ebs.${endpoint}`, body);
  if (answer.status !== 200) throw new Error(`${endpoint}: ${JSON.stringify(answer.body)}`);
  return answer.body;
}

/** What its role may not do, as the node says once it knows: `explain` itself waits 3 s for that. */
const deniedTo = (node: SandboxNode): Promise<string[]> =>
  eventually(async () => (await ask(node, 'FenceExplain', { name: 'a' })).denied);

/** All that a cluster does in its life, on two nodes whose role has this policy. */
async function live(name: FencePolicy) {
  const { onRemove, lose } = scenarios[name];
  const env = { DVE_CLUSTER: cluster, DVE_FENCE_POLICY: name, DVE_ON_REMOVE: onRemove, DVE_SIZE: '1', DVE_LINGER: '0' };
  const box = await testSandbox({ nodes: 2, nodeEnv: env, policy: policyFor(name, cluster) });
  try {
    await box.ok(0, 'Create', { Name: 'a', Opts: { tags: 'team=data' } });
    const denied = await deniedTo(box.node(0));
    await box.ok(0, 'Mount', { Name: 'a', ID: 'task' });
    await box.ok(0, 'Unmount', { Name: 'a', ID: 'task' });
    await box.ok(1, 'Mount', { Name: 'a', ID: 'task' });
    await box.ok(1, 'Unmount', { Name: 'a', ID: 'task' });
    await box.detached('a');
    await ask(box.node(1), 'SnapshotTake', { name: 'a', snapshot: 'first' });
    await ask(box.node(1), 'SnapshotRemove', { name: 'a', snapshot: 'first' });
    await ask(box.node(1), 'FencePause', { reason: 'a test' });
    await ask(box.node(1), 'FenceResume');
    if (lose !== undefined) await takeOver(box, lose);
    await box.ok(0, 'Create', { Name: 'copy', Opts: { from: 'a' } });
    await box.ok(0, 'Remove', { Name: 'a' });
    if (onRemove === 'snapshot') await restore(box);
    await ask(box.node(0), 'Drain', { reason: 'a test' });
    return { denied, calls: box.sandbox.callList(), requests: box.sandbox.iamRequests() };
  } finally {
    await box.close();
  }
}

/** The second node, which comes first once the owner has stopped, takes the volume, and gives it back. */
async function takeOver(box: TestSandbox, lose: (box: TestSandbox, owner: string) => Promise<unknown>) {
  const [owner, taker] = box.sandbox.nodes().map(({ instanceId }) => instanceId);
  await box.ok(owner!, 'Mount', { Name: 'a', ID: 'task' });
  await lose(box, owner!);
  await box.ok(taker!, 'Mount', { Name: 'a', ID: 'task' });
  await box.ok(taker!, 'Unmount', { Name: 'a', ID: 'task' });
  await box.detached('a');
}

async function restore(box: TestSandbox) {
  const { Snapshots } = (await box.aws('describe-snapshots')) as { Snapshots: { SnapshotId: string }[] };
  await box.ok(0, 'Create', { Name: 'restored', Opts: { snapshotId: Snapshots[0]!.SnapshotId } });
}

describe.skipIf(requires('root', 'loop', 'aws').skip)('a role with the policy of', () => {
  type Life = Awaited<ReturnType<typeof live>>;
  const lives = new Map<string, Life>();
  beforeAll(async () => {
    await Promise.all(fencePolicies.map(async (name) => lives.set(name, await live(name))));
  });
  const lifeOf = (name: string): Life => lives.get(name)!;
  /** Asked of a volume whose disk fails: here none does. */
  const ofFailingDisks: IamRequest[][] = [[{ action: 'ec2:DescribeVolumeStatus', resource: '*', keys: {} }]];
  const calls = () => [...fencePolicies.flatMap((name) => lifeOf(name).requests), ...ofFailingDisks];

  it.each(fencePolicies)('%s suffices for all that its daemon does, and the daemon sees that', (name) => {
    const { calls, denied } = lifeOf(name);
    expect(calls.filter(({ result }) => result === 'UnauthorizedOperation')).toEqual([]);
    expect(denied).toEqual([]);
  });

  it.each(fencePolicies)('%s allows nothing that no daemon needs: without any of it a call is denied', (name) => {
    const policy = policyFor(name, cluster);
    const needed = [...lifeOf(name).requests, ...calls()].flat().filter((request) => allowing(policy, request));
    const idle = policy.Statement.flatMap((statement) =>
      [statement.Action].flat().filter((action) => {
        const less = [statement.Action].flat().filter((each) => each !== action);
        const rest = policy.Statement.map((each) => (each === statement ? { ...each, Action: less } : each));
        return needed.every((request) => allowing({ Statement: rest }, request) !== undefined);
      }),
    );
    expect(idle).toEqual([]);
  });

  it.each(fencePolicies)('%s allows the daemon of another cluster to change nothing of this one', (name) => {
    const foreign = policyFor(name, 'green');
    const changing = lifeOf(name).requests.filter(([first]) => !first?.action.startsWith('ec2:Describe'));
    expect(changing.length).toBeGreaterThan(10);
    expect(changing.filter((call) => call.every((request) => allowing(foreign, request)))).toEqual([]);
  });

  it('stonith alone may stop instances', () => {
    const stops = calls()
      .flat()
      .filter(({ action }) => action === 'ec2:StopInstances');
    expect(stops).toHaveLength(1);
    expect(fencePolicies.filter((name) => allowing(policyFor(name, cluster), stops[0]!))).toEqual(['stonith']);
  });
});

describe.skipIf(requires('root', 'loop', 'aws').skip)('a role that lacks something', () => {
  let box: TestSandbox;
  beforeAll(async () => {
    const { Statement } = policyFor('instance-not-running', cluster);
    const policy = { Statement: Statement.filter(({ Sid }) => Sid !== 'DeleteVolumes') };
    box = await testSandbox({ nodes: 1, nodeEnv: { DVE_CLUSTER: cluster, DVE_SIZE: '1' }, policy });
  });
  afterAll(() => box?.close());

  it('is told what, before and when it matters', async () => {
    await box.ok(0, 'Create', { Name: 'a' });
    expect(await deniedTo(box.node(0))).toEqual([expect.stringMatching(/^DeleteVolume: .*no volume can be removed/)]);
    expect(await box.refused(0, 'Remove', { Name: 'a' })).toMatch(/ec2:DeleteVolume on resource: arn:aws:ec2:.*vol-/);
  });
});

it.skipIf(requires('root', 'loop', 'aws').skip)("adopt suffices for an operator's adopt, there and back", async () => {
  const policy = policyFor('adopt', cluster);
  const box = await testSandbox({ nodes: 1, nodeEnv: { DVE_CLUSTER: cluster }, policy });
  onTestFinished(() => box.close());
  const { availabilityZone: zone, instanceId } = box.node(0);
  const tags = 'ResourceType=volume,Tags=[{Key=Name,Value=old}]';
  await box.aws('create-volume', '--availability-zone', zone, '--size', '1', '--tag-specifications', tags);
  const env = {
    AWS_ENDPOINT_URL_EC2: box.sandbox.endpoint,
    AWS_REGION: box.sandbox.region,
    AWS_SECRET_ACCESS_KEY: 'x',
  };
  const adopt = (...args: string[]) =>
    promisify(execFile)(
      process.execPath,
      ['src/cli/main.ts', 'adopt', 'old', '--apply', '--cluster', cluster, ...args],
      {
        env: { ...process.env, ...env, AWS_ACCESS_KEY_ID: accessKeyOf(instanceId) },
      },
    );
  await adopt();
  expect(tagsOf((await box.volumes('old'))[0])).toMatchObject({ [tagKeys.cluster]: cluster });
  await adopt('--undo');
  expect(tagsOf((await box.volumes('old'))[0])).toEqual({ Name: 'old' });
  const requests = box.sandbox.iamRequests().flat();
  const idle = policy.Statement.filter(
    (statement) => !requests.some((request) => allowing({ Statement: [statement] }, request)),
  );
  expect(idle).toEqual([]);
});

const volume = 'arn:aws:ec2:eu-west-1:123456789012:volume/vol-1';
const instance = 'arn:aws:ec2:eu-west-1:123456789012:instance/i-1';
const inCluster = (name: string) => ({ [`aws:ResourceTag/${tagKeys.cluster}`]: [name] });
const into = (name: string) => ({ [`aws:RequestTag/${tagKeys.cluster}`]: [name], 'aws:TagKeys': [tagKeys.cluster] });
const keys = (...names: string[]) => ({ ...inCluster(cluster), 'aws:TagKeys': names });

describe('what the policies forbid', () => {
  const asked: readonly [string, PolicyName, IamRequest, boolean][] = [
    ['a tag of ours', 'stonith', { action: 'ec2:CreateTags', resource: volume, keys: keys(tagKeys.clean) }, true],
    [
      'to give a volume to another cluster',
      'stonith',
      { action: 'ec2:CreateTags', resource: volume, keys: { ...inCluster(cluster), ...into('green') } },
      false,
    ],
    [
      'the same in other letters',
      'stonith',
      { action: 'ec2:CreateTags', resource: volume, keys: keys('docker-volume-ebs:Cluster') },
      false,
    ],
    [
      'to take it out of the cluster',
      'stonith',
      { action: 'ec2:DeleteTags', resource: volume, keys: keys(tagKeys.clean, tagKeys.cluster) },
      false,
    ],
    ['a tag of others', 'stonith', { action: 'ec2:DeleteTags', resource: volume, keys: keys('Backup') }, false],
    ['all tags at once', 'stonith', { action: 'ec2:DeleteTags', resource: volume, keys: inCluster(cluster) }, false],
    [
      'tags of an instance',
      'stonith',
      { action: 'ec2:CreateTags', resource: instance, keys: keys(tagKeys.clean) },
      false,
    ],
    [
      'to tag what exists as if it were new',
      'stonith',
      { action: 'ec2:CreateTags', resource: volume, keys: into(cluster) },
      false,
    ],
    ['a volume without a cluster', 'stonith', { action: 'ec2:DeleteVolume', resource: volume, keys: {} }, false],
    ['a new volume without a cluster', 'stonith', { action: 'ec2:CreateVolume', resource: volume, keys: {} }, false],
    ['an untagged instance', 'stonith', { action: 'ec2:StopInstances', resource: instance, keys: {} }, false],
    [
      'to terminate',
      'stonith',
      { action: 'ec2:TerminateInstances', resource: instance, keys: inCluster(cluster) },
      false,
    ],
    [
      'a volume of the cluster',
      'grow',
      { action: 'ec2:ModifyVolume', resource: volume, keys: inCluster(cluster) },
      true,
    ],
    [
      "to grow another cluster's",
      'grow',
      { action: 'ec2:ModifyVolume', resource: volume, keys: inCluster('green') },
      false,
    ],
    ['to look at modifications', 'grow', { action: 'ec2:DescribeVolumesModifications', resource: '*', keys: {} }, true],
    [
      'to modify without iam/grow.json',
      'stonith',
      { action: 'ec2:ModifyVolume', resource: volume, keys: inCluster(cluster) },
      false,
    ],
    ['a volume of no cluster', 'adopt', { action: 'ec2:CreateTags', resource: volume, keys: into(cluster) }, true],
    [
      'a tag of others, on such a volume',
      'adopt',
      { action: 'ec2:DeleteTags', resource: volume, keys: { 'aws:TagKeys': ['Name'] } },
      false,
    ],
    ['all tags of it', 'adopt', { action: 'ec2:DeleteTags', resource: volume, keys: {} }, false],
    [
      'to give back a volume of another',
      'adopt',
      { action: 'ec2:DeleteTags', resource: volume, keys: { ...inCluster('green'), 'aws:TagKeys': [tagKeys.cluster] } },
      false,
    ],
    [
      'a volume of no cluster, for another',
      'adopt',
      { action: 'ec2:CreateTags', resource: volume, keys: into('green') },
      false,
    ],
    [
      "a volume of another's",
      'adopt',
      { action: 'ec2:CreateTags', resource: volume, keys: { ...into(cluster), ...inCluster('green') } },
      false,
    ],
  ];
  it.each(asked)('%s (%s)', (_what, name, request, allowed) => {
    expect(allowing(policyFor(name, cluster), request) !== undefined).toBe(allowed);
  });
});
