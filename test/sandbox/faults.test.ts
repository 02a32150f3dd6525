import {
  AttachVolumeCommand,
  CreateVolumeCommand,
  DescribeVolumesCommand,
  DetachVolumeCommand,
} from '@aws-sdk/client-ec2';
import { describe, expect, test, vi } from 'vitest';
import type { Sandbox } from '../../src/sandbox/sandbox.ts';
import { requires } from '../support/requirements.ts';
import { becomes, gp3, newVolume, openCloud, refusal, volumeOf } from './support.ts';

describe.skipIf(requires('root', 'loop').skip)('the fault switchboard', () => {
  const set = (sandbox: Sandbox, fault: object) =>
    fetch(sandbox.faults, { method: 'POST', body: JSON.stringify(fault) });

  test('throttles, fails, denies, drops and delays, and counts it all', async () => {
    const { sandbox, ec2 } = await openCloud(0);
    const create = () => ec2.send(new CreateVolumeCommand({ ...gp3, ClientToken: 't' }));
    const list = () => ec2.send(new DescribeVolumesCommand({}));
    await set(sandbox, { kind: 'throttle', action: 'CreateVolume', times: 1 });
    await expect(create()).rejects.toEqual(refusal('RequestLimitExceeded'));
    await set(sandbox, {
      kind: 'error',
      action: 'Describe*',
      code: 'Unavailable',
      status: 503,
      message: 'gone',
      times: 1,
    });
    await expect(list()).rejects.toEqual(refusal('Unavailable', /gone/));
    await set(sandbox, { kind: 'deny', action: 'CreateVolume', times: 1 });
    await expect(create()).rejects.toEqual(refusal('UnauthorizedOperation'));
    await set(sandbox, { kind: 'drop-request', action: 'CreateVolume', times: 1 });
    await expect(create()).rejects.toThrow();
    expect((await list()).Volumes).toEqual([]);
    await set(sandbox, { kind: 'drop-reply', action: 'CreateVolume', times: 1 });
    await expect(create()).rejects.toThrow();
    expect((await list()).Volumes).toHaveLength(1);
    await set(sandbox, { kind: 'delay', ms: 200, times: 1 });
    const before = Date.now();
    await create();
    expect(Date.now() - before).toBeGreaterThanOrEqual(199);
    expect(sandbox.calls()).toEqual({ CreateVolume: 5, DescribeVolumes: 3 });
    const { calls } = (await (await fetch(`${sandbox.faults}/calls`)).json()) as { calls: { result: string }[] };
    expect(calls.map(({ result }) => result)).toEqual([
      ...['RequestLimitExceeded', 'Unavailable', 'UnauthorizedOperation', 'dropped', 'OK', 'dropped', 'OK', 'OK'],
    ]);
    await fetch(`${sandbox.faults}/calls`, { method: 'DELETE' });
    expect(sandbox.calls()).toEqual({});
    expect(await (await fetch(sandbox.faults)).json()).toHaveLength(6);
    await fetch(sandbox.faults, { method: 'DELETE' });
    expect(await (await fetch(sandbox.faults)).json()).toEqual([]);
    expect((await set(sandbox, { kind: 'nonsense' })).status).toBe(400);
  });

  test('a volume vanishes, an attachment and a detachment stick, reads are stale', async () => {
    const { sandbox, ec2 } = await openCloud(1);
    const [node] = sandbox.nodes();
    await set(sandbox, { kind: 'create-vanishes', times: 1 });
    const ghost = await ec2.send(new CreateVolumeCommand(gp3));
    await vi.waitFor(() => expect(volumeOf(ec2, ghost.VolumeId!)).rejects.toEqual(refusal('InvalidVolume.NotFound')), {
      timeout: 60_000,
    });
    const id = await newVolume(ec2);
    await set(sandbox, { kind: 'stuck-attaching', volume: id });
    await ec2.send(new AttachVolumeCommand({ VolumeId: id, InstanceId: node!.instanceId, Device: '/dev/xvdba' }));
    await new Promise((resolve) => setTimeout(resolve, 300));
    await becomes(ec2, id, 'attaching');
    await fetch(sandbox.faults, { method: 'DELETE' });
    await becomes(ec2, id, 'attached');
    await set(sandbox, { kind: 'stuck-detaching', volume: id, busy: true });
    await ec2.send(new DetachVolumeCommand({ VolumeId: id }));
    await new Promise((resolve) => setTimeout(resolve, 300));
    await becomes(ec2, id, 'busy');
    await ec2.send(new DetachVolumeCommand({ VolumeId: id, Force: true }));
    await becomes(ec2, id, 'available');
    await set(sandbox, { kind: 'stale-reads', ms: 60_000 });
    expect((await ec2.send(new DescribeVolumesCommand({}))).Volumes).toEqual([]);
  });
});
