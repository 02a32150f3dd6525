import { setTimeout as sleep } from 'node:timers/promises';
import {
  CreateTagsCommand,
  CreateVolumeCommand,
  DescribeInstanceStatusCommand,
  DescribeInstancesCommand,
  DescribeVolumesCommand,
  DetachVolumeCommand,
  EC2Client,
  StopInstancesCommand,
} from '@aws-sdk/client-ec2';
import { describe, expect, test } from 'vitest';
import { accessKeyOf } from '../../src/sandbox/imds.ts';
import type { Sandbox, SandboxNode } from '../../src/sandbox/sandbox.ts';
import { requires } from '../support/requirements.ts';
import {
  attach,
  becomes,
  client,
  gp3,
  newVolume,
  onNode,
  open,
  openCloud,
  refusal,
  temporaryDirectory,
} from './support.ts';

const set = (sandbox: Sandbox, fault: object) => fetch(sandbox.faults, { method: 'POST', body: JSON.stringify(fault) });

/** Calls as an instance makes them, with its role's credentials. */
const callsOf = (sandbox: Sandbox, node: SandboxNode): EC2Client =>
  new EC2Client({
    endpoint: sandbox.endpoint,
    region: sandbox.region,
    credentials: { accessKeyId: accessKeyOf(node.instanceId), secretAccessKey: 'x' },
    maxAttempts: 1,
  });

describe.skipIf(requires('root', 'loop').skip)('what else may happen to an instance', () => {
  test('EC2 finds it impaired, and plans something for it', async () => {
    const { sandbox, ec2 } = await openCloud(2);
    const [sick, well] = sandbox.nodes();
    const since = '2026-01-02T03:04:05.000Z';
    await set(sandbox, {
      kind: 'health',
      instance: sick!.instanceId,
      system: 'impaired',
      guest: 'insufficient-data',
      since,
    });
    await set(sandbox, { kind: 'event', instance: sick!.instanceId, code: 'instance-retirement', at: since });
    const statusOf = async ({ instanceId }: SandboxNode) =>
      (await ec2.send(new DescribeInstanceStatusCommand({ InstanceIds: [instanceId] }))).InstanceStatuses![0]!;
    expect(await statusOf(sick!)).toMatchObject({
      SystemStatus: {
        Status: 'impaired',
        Details: [{ Name: 'reachability', Status: 'failed', ImpairedSince: new Date(since) }],
      },
      InstanceStatus: { Status: 'insufficient-data', Details: [{ Status: 'insufficient-data' }] },
      AttachedEbsStatus: { Status: 'ok', Details: [{ Status: 'passed' }] },
      Events: [{ Code: 'instance-retirement', NotBefore: new Date(since) }],
    });
    expect(await statusOf(well!)).toMatchObject({ SystemStatus: { Status: 'ok' }, InstanceStatus: { Status: 'ok' } });
    expect((await statusOf(well!)).Events ?? []).toEqual([]);
    await fetch(sandbox.faults, { method: 'DELETE' });
    expect(await statusOf(sick!)).toMatchObject({ SystemStatus: { Status: 'ok' } });
    const headers = { authorization: 'AWS4-HMAC-SHA256 Credential=x' };
    const answer = await fetch(`${sandbox.endpoint}/?Action=DescribeVolumes`, { headers });
    expect(Math.abs(Date.parse(answer.headers.get('date') ?? '') - Date.now())).toBeLessThan(60_000);
  });

  test('EC2 tells its health by a clock that can be set ahead, in these answers only', async () => {
    const { sandbox } = await openCloud(2);
    const [sick, well] = sandbox.nodes();
    await set(sandbox, { kind: 'health', instance: sick!.instanceId, system: 'impaired', ms: 900_000 });
    const headers = { authorization: 'AWS4-HMAC-SHA256 Credential=x' };
    const aheadBy = async (query: string) => {
      const answer = await fetch(`${sandbox.endpoint}/?Action=${query}`, { headers });
      expect(answer.status).toBe(200);
      return Math.round((Date.parse(answer.headers.get('date') ?? '') - Date.now()) / 60_000) || 0;
    };
    expect(await aheadBy(`DescribeInstanceStatus&InstanceId.1=${sick!.instanceId}`)).toBe(15);
    expect(await aheadBy(`DescribeInstanceStatus&InstanceId.1=${well!.instanceId}`)).toBe(0);
    expect(await aheadBy(`DescribeInstances&InstanceId.1=${sick!.instanceId}`)).toBe(0);
  });

  test('its metadata service tells of an end only once it is set', async () => {
    const { sandbox } = await openCloud(1);
    const [node] = sandbox.nodes();
    const { stdout: imds } = await onNode(node!, 'printf %s "$AWS_EC2_METADATA_SERVICE_ENDPOINT"');
    const headers = { 'X-aws-ec2-metadata-token-ttl-seconds': '60' };
    const token = await (await fetch(`${imds}/latest/api/token`, { method: 'PUT', headers })).text();
    const ask = async (path: string) => {
      const answer = await fetch(`${imds}/latest/meta-data/${path}`, {
        headers: { 'X-aws-ec2-metadata-token': token },
      });
      return answer.status === 200 ? await answer.text() : answer.status;
    };
    const paths = [
      'spot/instance-action',
      'spot/termination-time',
      'events/maintenance/scheduled',
      'events/recommendations/rebalance',
    ];
    expect(await Promise.all(paths.map(ask))).toEqual([404, 404, 404, 404]);
    const at = '2026-01-02T03:04:05.678Z';
    const instance = node!.instanceId;
    for (const kind of ['spot', 'event', 'rebalance']) await set(sandbox, { kind, instance, at });
    const [action, time, events, rebalance] = await Promise.all(paths.map(ask));
    expect(JSON.parse(String(action))).toEqual({ action: 'terminate', time: '2026-01-02T03:04:05Z' });
    expect(time).toBe('2026-01-02T03:04:05Z');
    expect(JSON.parse(String(events))).toMatchObject([
      { Code: 'instance-stop', NotBefore: '02 Jan 2026 03:04:05 GMT', State: 'active' },
    ]);
    expect(JSON.parse(String(rebalance))).toEqual({ noticeTime: '2026-01-02T03:04:05Z' });
    await set(sandbox, { kind: 'spot', instance, code: 'hibernate' });
    expect([await ask('spot/termination-time'), JSON.parse(String(await ask('spot/instance-action'))).action]).toEqual([
      404,
      'hibernate',
    ]);
    await set(sandbox, { kind: 'partition', instance });
    await expect(ask('spot/instance-action')).rejects.toThrow();
  });

  test('a partition cuts it off from EC2, not from its disks; a hanging machine does nothing until it goes on', async () => {
    const { sandbox, ec2 } = await openCloud(2);
    const [a, b] = sandbox.nodes();
    await set(sandbox, { kind: 'partition', instance: a!.instanceId });
    const list = (node: SandboxNode) => callsOf(sandbox, node).send(new DescribeVolumesCommand({}));
    await expect(list(a!)).rejects.toThrow();
    expect((await list(b!)).Volumes).toEqual([]);
    expect(sandbox.calls()).toEqual({ DescribeVolumes: 1 });
    expect(await onNode(a!, 'echo on')).toMatchObject({ stdout: 'on\n' });
    await fetch(sandbox.faults, { method: 'DELETE' });
    expect((await list(a!)).Volumes).toEqual([]);
    await sandbox.suspend(a!.instanceId);
    const late = onNode(a!, 'echo late');
    expect(await Promise.race([late, sleep(200, 'silent')])).toBe('silent');
    const { Reservations } = await ec2.send(new DescribeInstancesCommand({ InstanceIds: [a!.instanceId] }));
    expect(Reservations![0]!.Instances![0]!.State!.Name).toBe('running');
    await sandbox.resume(a!.instanceId);
    expect(await late).toMatchObject({ stdout: 'late\n' });
  });

  test('it carries the tag of its cluster, and others that are asked for', async () => {
    const options = { nodeEnv: { DVE_CLUSTER: 'blue' }, nodeTags: { team: 'x' } };
    const sandbox = await open(await temporaryDirectory(), options);
    const { Reservations } = await client(sandbox).send(new DescribeInstancesCommand({}));
    expect(Reservations![0]!.Instances![0]!.Tags).toEqual([
      { Key: 'docker-volume-ebs:cluster', Value: 'blue' },
      { Key: 'team', Value: 'x' },
    ]);
  });

  test('a detach arrives late, and ends only the attachment it names', async () => {
    const { sandbox, ec2 } = await openCloud(1);
    const [node] = sandbox.nodes();
    const id = await newVolume(ec2);
    await attach(ec2, id, node!, '/dev/xvdba');
    await set(sandbox, { kind: 'late', action: 'DetachVolume', times: 2 });
    const detach = (Device: string) =>
      ec2.send(new DetachVolumeCommand({ VolumeId: id, InstanceId: node!.instanceId, Device }));
    await expect(detach('/dev/xvdba')).rejects.toThrow();
    await expect(detach('/dev/xvdbb')).rejects.toThrow();
    await becomes(ec2, id, 'attached');
    await fetch(sandbox.faults, { method: 'DELETE' });
    await becomes(ec2, id, 'available');
    const { calls } = (await (await fetch(`${sandbox.faults}/calls`)).json()) as {
      calls: { action: string; result: string }[];
    };
    const results = calls.filter(({ action }) => action === 'DetachVolume').map(({ result }) => result);
    expect(results.slice(0, 2)).toEqual(['dropped', 'dropped']);
    expect(results.slice(2).sort()).toEqual(['InvalidAttachment.NotFound', 'OK'].sort());
  });

  test('a read answers as of a moment', async () => {
    const { sandbox, ec2 } = await openCloud(0);
    await newVolume(ec2);
    await sleep(2);
    const at = new Date().toISOString();
    await sleep(2);
    await ec2.send(new CreateVolumeCommand(gp3));
    const count = async () => (await ec2.send(new DescribeVolumesCommand({}))).Volumes!.length;
    expect(await count()).toBe(2);
    await set(sandbox, { kind: 'stale-reads', action: 'DescribeVolumes', at });
    expect(await count()).toBe(1);
    expect((await set(sandbox, { kind: 'stale-reads', at: 'yesterday' })).status).toBe(400);
  });

  test('a fault strikes calls that name it in a filter', async () => {
    const { sandbox, ec2 } = await openCloud(2);
    const [a, b] = sandbox.nodes();
    await set(sandbox, { kind: 'error', action: 'DescribeInstances', instance: a!.instanceId, code: 'Unavailable' });
    const look = ({ instanceId }: SandboxNode) =>
      ec2.send(new DescribeInstancesCommand({ Filters: [{ Name: 'instance-id', Values: [instanceId] }] }));
    await expect(look(a!)).rejects.toEqual(refusal('Unavailable'));
    expect((await look(b!)).Reservations).toHaveLength(1);
  });

  test('its role may be denied an action, which a dry run tells', async () => {
    const { sandbox } = await openCloud(1);
    const [node] = sandbox.nodes();
    const mine = callsOf(sandbox, node!);
    const InstanceIds = [node!.instanceId];
    await set(sandbox, { kind: 'deny', action: 'StopInstances', caller: node!.instanceId });
    const stop = (ec2: EC2Client, DryRun: boolean) => ec2.send(new StopInstancesCommand({ InstanceIds, DryRun }));
    await expect(stop(mine, true)).rejects.toEqual(refusal('UnauthorizedOperation'));
    await expect(stop(mine, false)).rejects.toEqual(refusal('UnauthorizedOperation', /ec2:StopInstances/));
    await expect(stop(client(sandbox), true)).rejects.toEqual(refusal('DryRunOperation'));
    const tag = new CreateTagsCommand({ Resources: InstanceIds, Tags: [{ Key: 'a', Value: 'b' }], DryRun: true });
    await expect(mine.send(tag)).rejects.toEqual(refusal('DryRunOperation'));
    expect(sandbox.nodes()).toHaveLength(1);
  });
});
