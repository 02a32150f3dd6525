import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CreateVolumeCommand, StopInstancesCommand } from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ClusterVolumes, NodeStatus } from '../../src/volumes/types.ts';
import { dvdi } from '../support/dvdi-client.ts';
import { requires } from '../support/requirements.ts';
import { eventually, type TestSandbox, testSandbox } from '../support/sandbox.ts';

describe.skipIf(requires('root', 'loop').skip)('what a node and the cluster show', () => {
  let box: TestSandbox;
  let first: string;
  let second: string;
  beforeAll(async () => {
    box = await testSandbox({ nodes: 2, nodeEnv: { DVE_SIZE: '1', DVE_LINGER: '600' } });
    [first = '', second = ''] = box.sandbox.nodes().map(({ instanceId }) => instanceId);
  });
  afterAll(() => box?.close());

  const ask = async <T>(endpoint: string): Promise<T> => {
    const { status, body } = await dvdi(box.node(first).socket).call(`Ebs.${endpoint}`, {});
    expect(body.Err).toBe('');
    expect(status).toBe(200);
    return body as T;
  };
  const mount = async (which: string, name: string) => {
    await box.ok(which, 'Create', { Name: name });
    return String((await box.ok(which, 'Mount', { Name: name, ID: `id-${name}` }))['Mountpoint']);
  };

  it('status tells a mounted, a lingering and a waiting volume apart, and asks EC2 nothing', async () => {
    await writeFile(join(await mount(first, 'data'), 'file'), Buffer.alloc(32 * 2 ** 20));
    await mount(first, 'idle');
    await box.ok(first, 'Unmount', { Name: 'idle', ID: 'id-idle' });
    await box.ok(second, 'Create', { Name: 'late' });
    await box.fault({ kind: 'delay', action: 'DescribeVolumes', caller: first, times: 1, ms: 2000 });
    const late = mount(first, 'late');
    const seen = await eventually(async () => {
      const status = await ask<NodeStatus>('Status');
      return status.volumes.some(({ name, phase }) => name === 'late' && phase === 'waiting') && status;
    });
    box.sandbox.resetCalls();
    await ask('Status');
    expect(box.sandbox.calls()).toEqual({});
    const [data] = await box.volumes('data');
    expect(seen).toMatchObject({
      node: { instanceId: first, zone: 'us-east-1a', cluster: 'default' },
      slots: { used: expect.any(Number), limit: expect.any(Number) },
      takeovers: [],
    });
    expect(seen.unready).toBeUndefined();
    expect(seen.volumes).toMatchObject([
      {
        name: 'data',
        volumeId: data?.VolumeId,
        phase: 'mounted',
        device: data?.Attachments?.[0]?.Device,
        mountpoint: join(box.node(first).root, 'volumes/data/data'),
        holders: [{ id: 'id-data' }],
        ghost: false,
      },
      { name: 'idle', phase: 'attached', holders: [] },
      { name: 'late', phase: 'waiting', waitingFor: expect.stringMatching(/EC2/) },
    ]);
    const { total = 0, used = 0 } = seen.volumes[0]?.usage?.bytes ?? {};
    expect(total).toBeLessThanOrEqual(2 ** 30);
    expect(used).toBeGreaterThanOrEqual(32 * 2 ** 20);
    expect(seen.volumes[1]).not.toHaveProperty('usage');
    await late;
  });

  it('ls shows the volumes of all nodes, an owner that has stopped, and a name that two volumes carry', async () => {
    await mount(second, 'far');
    await box.ec2.send(new StopInstancesCommand({ InstanceIds: [second] }));
    const [data] = await box.volumes('data');
    const tags = data?.Tags?.filter(({ Key = '' }) => Key.startsWith('docker-volume-ebs:')) ?? [];
    const behind = await box.ec2.send(
      new CreateVolumeCommand({
        AvailabilityZone: 'us-east-1a',
        Size: 2,
        TagSpecifications: [{ ResourceType: 'volume', Tags: tags }],
      }),
    );
    const stopped = (cluster: ClusterVolumes) =>
      cluster.volumes.some(({ name, owner }) => name === 'far' && owner?.instanceState === 'stopped') && cluster;
    const { volumes } = await eventually(async () => stopped(await ask<ClusterVolumes>('Volumes')));
    const [far] = await box.volumes('far');
    expect(volumes.map(({ name, duplicate, owner }) => [name, duplicate, owner?.instanceId])).toEqual(
      expect.arrayContaining([
        ['data', true, first],
        ['data', true, undefined],
        ['far', false, second],
        ['idle', false, first],
      ]),
    );
    expect(volumes.find(({ volumeId }) => volumeId === behind.VolumeId)).toMatchObject({ sizeGiB: 2, duplicate: true });
    expect(volumes.find(({ name }) => name === 'far')).toMatchObject({
      volumeId: far?.VolumeId,
      type: 'gp3',
      sizeGiB: 1,
      state: 'attached',
      owner: { device: far?.Attachments?.[0]?.Device, instanceState: 'stopped' },
    });
  });
});
