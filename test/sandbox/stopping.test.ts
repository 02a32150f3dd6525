import {
  DescribeInstancesCommand,
  DetachVolumeCommand,
  type EC2Client,
  ModifyInstanceAttributeCommand,
  StartInstancesCommand,
  StopInstancesCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { describe, expect, test, vi } from 'vitest';
import type { Sandbox } from '../../src/sandbox/sandbox.ts';
import { requires } from '../support/requirements.ts';
import {
  attach,
  filesOn,
  instanceBecomes,
  mounted,
  newVolume,
  onNode,
  openCloud,
  openTwo,
  refusal,
  volumeOf,
} from './support.ts';

const set = (sandbox: Sandbox, fault: object) => fetch(sandbox.faults, { method: 'POST', body: JSON.stringify(fault) });
const instanceOf = async (ec2: EC2Client, id: string) =>
  (await ec2.send(new DescribeInstancesCommand({ InstanceIds: [id] }))).Reservations![0]!.Instances![0]!;

describe.skipIf(requires('root', 'loop').skip)('stopping an instance', () => {
  test('lets the guest shut down: its daemon is asked to end, and what it wrote is there', async () => {
    const { ec2, a, b } = await openTwo();
    const id = await newVolume(ec2);
    const mountpoint = await mounted(a, await attach(ec2, id, a));
    await onNode(a, `echo y > ${mountpoint}/unsynced`);
    await ec2.send(new StopInstancesCommand({ InstanceIds: [a.instanceId] }));
    await instanceBecomes(ec2, a.instanceId, 'stopped');
    expect(() => process.kill(a.pid, 0)).toThrow('ESRCH');
    expect(await instanceOf(ec2, a.instanceId)).toMatchObject({
      StateReason: { Code: 'Client.UserInitiatedShutdown' },
      StateTransitionReason: expect.stringMatching(/^User initiated \(\d{4}-.* GMT\)$/),
    });
    await ec2.send(new DetachVolumeCommand({ VolumeId: id }));
    await vi.waitFor(async () => expect((await volumeOf(ec2, id)).State).toBe('available'), { timeout: 60_000 });
    expect(await filesOn(ec2, id, b)).toEqual(['unsynced']);
  });

  test('may get stuck while the guest runs on, until it is forced or freed', async () => {
    const { sandbox, ec2 } = await openCloud(2);
    const [a, b] = sandbox.nodes();
    await set(sandbox, { kind: 'stuck-stopping', times: 2 });
    const InstanceIds = [a!.instanceId, b!.instanceId];
    for (const id of InstanceIds) await ec2.send(new StopInstancesCommand({ InstanceIds: [id] }));
    expect(await onNode(a!, 'echo alive')).toMatchObject({ stdout: 'alive\n' });
    expect((await instanceOf(ec2, a!.instanceId)).State?.Name).toBe('stopping');
    await ec2.send(new StopInstancesCommand({ InstanceIds: [a!.instanceId], Force: true, SkipOsShutdown: true }));
    await instanceBecomes(ec2, a!.instanceId, 'stopped');
    expect((await instanceOf(ec2, b!.instanceId)).State?.Name).toBe('stopping');
    await fetch(sandbox.faults, { method: 'DELETE' });
    await instanceBecomes(ec2, b!.instanceId, 'stopped');
    await ec2.send(new StartInstancesCommand({ InstanceIds }));
    await instanceBecomes(ec2, a!.instanceId, 'running');
  });

  test('is refused under stop protection, and says what else has stopped it', async () => {
    const { sandbox, ec2 } = await openCloud(1);
    const InstanceId = sandbox.nodes()[0]!.instanceId;
    const stop = () => ec2.send(new StopInstancesCommand({ InstanceIds: [InstanceId] }));
    await ec2.send(new ModifyInstanceAttributeCommand({ InstanceId, DisableApiStop: { Value: true } }));
    await expect(stop()).rejects.toEqual(refusal('OperationNotPermitted', /disableApiStop/));
    await ec2.send(new ModifyInstanceAttributeCommand({ InstanceId, DisableApiStop: { Value: false } }));
    await set(sandbox, { kind: 'stop-reason', instance: InstanceId, code: 'Server.ScheduledStop', message: 'Stopped' });
    await stop();
    expect(await instanceOf(ec2, InstanceId)).toMatchObject({
      StateReason: { Code: 'Server.ScheduledStop', Message: 'Stopped' },
      StateTransitionReason: expect.stringMatching(/^Server.ScheduledStop/),
    });
    await instanceBecomes(ec2, InstanceId, 'stopped');
  });

  test('an instance takes a volume along that is to be deleted with it', async () => {
    const { sandbox, ec2 } = await openCloud(1);
    const [node] = sandbox.nodes();
    const InstanceId = node!.instanceId;
    const id = await newVolume(ec2);
    await attach(ec2, id, node!, '/dev/xvdba');
    const deletes = (DeviceName: string) =>
      ec2.send(
        new ModifyInstanceAttributeCommand({
          InstanceId,
          BlockDeviceMappings: [{ DeviceName, Ebs: { DeleteOnTermination: true } }],
        }),
      );
    await expect(deletes('/dev/xvdbz')).rejects.toEqual(refusal('InvalidInstanceAttributeValue'));
    await deletes('/dev/xvdba');
    expect((await volumeOf(ec2, id)).Attachments).toMatchObject([{ DeleteOnTermination: true }]);
    await ec2.send(new TerminateInstancesCommand({ InstanceIds: [InstanceId] }));
    await instanceBecomes(ec2, InstanceId, 'terminated');
    await expect(volumeOf(ec2, id)).rejects.toEqual(refusal('InvalidVolume.NotFound'));
  });
});
