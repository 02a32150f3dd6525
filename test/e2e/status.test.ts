import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CreateVolumeCommand, StopInstancesCommand } from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Cluster } from '../../src/cli/ls/view.ts';
import type { Status } from '../../src/cli/status/view.ts';
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
      const status = await ask<Status>('Status');
      return status.Volumes.some(({ Name, Phase }) => Name === 'late' && Phase === 'waiting') && status;
    });
    box.sandbox.resetCalls();
    await ask('Status');
    expect(box.sandbox.calls()).toEqual({});
    const [data] = await box.volumes('data');
    expect(seen).toMatchObject({
      InstanceId: first,
      Zone: 'us-east-1a',
      Cluster: 'default',
      Unready: '',
      Slots: { Used: expect.any(Number), Limit: expect.any(Number) },
      Takeovers: [],
    });
    expect(seen.Volumes).toMatchObject([
      {
        Name: 'data',
        VolumeId: data?.VolumeId,
        Phase: 'mounted',
        Device: data?.Attachments?.[0]?.Device,
        Mountpoint: join(box.node(first).root, 'volumes/data/data'),
        Holders: [{ Id: 'id-data' }],
        WaitingFor: '',
        Ghost: false,
      },
      { Name: 'idle', Phase: 'attached', Holders: [], WaitingFor: '', Mountpoint: '' },
      { Name: 'late', VolumeId: '', Phase: 'waiting', WaitingFor: expect.stringMatching(/EC2/) },
    ]);
    const { Total = 0, Used = 0 } = seen.Volumes[0]?.Usage?.Bytes ?? {};
    expect(Total).toBeLessThanOrEqual(2 ** 30);
    expect(Used).toBeGreaterThanOrEqual(32 * 2 ** 20);
    expect(seen.Volumes[1]).not.toHaveProperty('Usage');
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
    const stopped = (cluster: Cluster) =>
      cluster.Volumes.some(({ Name, Owner }) => Name === 'far' && Owner?.InstanceState === 'stopped') && cluster;
    const { Volumes } = await eventually(async () => stopped(await ask<Cluster>('Volumes')));
    const [far] = await box.volumes('far');
    expect(Volumes.map(({ Name, Duplicate, Owner }) => [Name, Duplicate, Owner?.InstanceId])).toEqual(
      expect.arrayContaining([
        ['data', true, first],
        ['data', true, undefined],
        ['far', false, second],
        ['idle', false, first],
      ]),
    );
    expect(Volumes.find(({ VolumeId }) => VolumeId === behind.VolumeId)).toMatchObject({ SizeGiB: 2, Duplicate: true });
    expect(Volumes.find(({ Name }) => Name === 'far')).toMatchObject({
      VolumeId: far?.VolumeId,
      Type: 'gp3',
      SizeGiB: 1,
      State: 'attached',
      Owner: { Device: far?.Attachments?.[0]?.Device, InstanceState: 'stopped' },
    });
  });
});
