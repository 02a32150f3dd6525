import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  DescribeInstancesCommand,
  DetachVolumeCommand,
  StartInstancesCommand,
  StopInstancesCommand,
} from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dvdi } from '../../support/dvdi-client.ts';
import { requires } from '../../support/requirements.ts';
import { eventually, mountedAt, type TestSandbox, tagsOf, testSandbox } from '../../support/sandbox.ts';
import { startWriter, type Writer } from '../../support/writer.ts';

describe.skipIf(requires('root', 'loop').skip)('real daemons and disks', () => {
  let box: TestSandbox;
  const ids = { taker: '', pauses: '', cutOff: '', lives: '', dies: '', returns: '' };
  beforeAll(async () => {
    box = await testSandbox({ nodes: 6, nodeEnv: { DVE_LINGER: '0' } });
    const nodes = box.sandbox.nodes().map(({ instanceId }) => instanceId);
    const [taker = '', pauses = '', cutOff = '', lives = '', dies = '', returns = ''] = nodes;
    Object.assign(ids, { taker, pauses, cutOff, lives, dies, returns });
  });
  afterAll(async () => {
    for (const writer of writers) await writer.end();
    await box?.close();
  });
  /** Not ended with its test: tests that run side by side share the hook for that. */
  const writers: Writer[] = [];
  const writeIn = async (directory: string): Promise<Writer> => {
    const writer = await startWriter(directory);
    writers.push(writer);
    return writer;
  };

  const mount = async (node: string, name: string, ID = 'task'): Promise<string> =>
    (await box.ok(node, 'Mount', { Name: name, ID })).Mountpoint;
  const held = async (node: string, name: string) => {
    await box.ok(node, 'Create', { Name: name, Opts: { size: '1' } });
    return writeIn(await mount(node, name));
  };
  const volume = async (name: string) => (await box.volumes(name))[0];
  const attachment = async (name: string) => (await volume(name))?.Attachments?.[0];
  const lines = async (directory: string) =>
    (await readFile(join(directory, 'lines'), 'utf8')).trim().split('\n').map(Number);
  const detach = async (name: string, Force: boolean) =>
    box.ec2.send(new DetachVolumeCommand({ VolumeId: (await volume(name))?.VolumeId, Force }));
  const becomes = (id: string, state: string) =>
    eventually(async () => {
      const { Reservations } = await box.ec2.send(new DescribeInstancesCommand({ InstanceIds: [id] }));
      return Reservations?.[0]?.Instances?.[0]?.State?.Name === state;
    });
  const stop = async (id: string) => {
    await box.ec2.send(new StopInstancesCommand({ InstanceIds: [id] }));
    await becomes(id, 'stopped');
  };
  /** The volume is this node's alone, as its owner number `epoch`. */
  const expectOwner = async (name: string, id: string, epoch: number) => {
    const now = await volume(name);
    expect(now?.Attachments).toMatchObject([{ InstanceId: id, State: expect.stringMatching(/^attach/) }]);
    expect(tagsOf(now)['docker-volume-ebs:owner']).toMatch(new RegExp(`^1 ${id} `));
    expect(tagsOf(now)['docker-volume-ebs:epoch']).toBe(String(epoch));
  };
  const waitsFor = (node: string, name: string, words: RegExp) =>
    eventually(async () => words.test((await box.ok(node, 'Get', { Name: name })).Volume.Status.waitingFor ?? ''));
  const sent = (action: string, caller: string, name?: string) =>
    box.sandbox
      .callList()
      .filter((call) => call.action === action && call.caller === caller && [undefined, call.volume].includes(name));

  it.concurrent('15 a zombie whose partition heals: its disk was taken away, its mount is gone, and it does not get it back', async () => {
    const { cutOff, taker } = ids;
    const writer = await held(cutOff, 'partitioned');
    const place = join(box.node(cutOff).root, 'volumes', 'partitioned');
    const answer = await fetch(box.sandbox.faults, {
      method: 'POST',
      body: JSON.stringify({ kind: 'partition', instance: cutOff }),
    });
    const { id } = (await answer.json()) as { id: number };
    await detach('partitioned', true);
    await box.detached('partitioned');
    const directory = await mount(taker, 'partitioned');
    expect(await writer.failed).toMatch(/EIO|EROFS/);
    await eventually(async () => (await mountedAt(place)) === undefined);
    await fetch(`${box.sandbox.faults}/${id}`, { method: 'DELETE' });
    const goesOn = await writeIn(directory);
    const refusal = await eventually(async () => {
      const { body } = await box.call(cutOff, 'Mount', { Name: 'partitioned', ID: 'task' });
      return /attached to/.test(body.Err ?? '') && body.Err;
    });
    expect(refusal).toMatch(new RegExp(`attached to ${taker} .*which is running`));
    await goesOn.goesOn();
    expect(await mountedAt(place)).toBeUndefined();
    await expectOwner('partitioned', taker, 2);
  });

  it.concurrent('29 a taker that is stopped in the middle (SIGSTOP) and goes on when the owner is back finds that out first', async () => {
    const { pauses, returns } = ids;
    await (await held(returns, 'paused')).end();
    const name = (await volume('paused'))?.VolumeId;
    await stop(returns);
    const mounting = box.refused(pauses, 'Mount', { Name: 'paused', ID: 'task' });
    await eventually(async () => sent('DescribeInstances', pauses).some(({ instance }) => instance === returns));
    await box.sandbox.suspend(pauses);
    await box.ec2.send(new StartInstancesCommand({ InstanceIds: [returns] }));
    await becomes(returns, 'running');
    await eventually(async () => (await box.call(returns, 'List').catch(() => undefined))?.status === 200);
    const writer = await writeIn(await mount(returns, 'paused'));
    const before = await attachment('paused');
    await box.sandbox.resume(pauses);
    expect(await mounting).toMatch(new RegExp(`attached to ${returns} \\(device ${before?.Device}.*which is running`));
    await writer.goesOn();
    expect(sent('DetachVolume', pauses, name).filter(({ result }) => result === 'OK')).toEqual([]);
    expect(await attachment('paused')).toEqual(before);
    await expectOwner('paused', returns, 1);
  });

  it.concurrent('31 an operator’s detach under a live mount is waited for, and what the owner still wrote comes over', async () => {
    const { lives, taker } = ids;
    const writer = await held(lives, 'leaving');
    const id = (await volume('leaving'))?.VolumeId;
    await detach('leaving', false);
    const mounting = mount(taker, 'leaving');
    await waitsFor(taker, 'leaving', /EC2 is detaching it from/);
    await writer.goesOn();
    expect((await attachment('leaving'))?.InstanceId).toBe(lives);
    expect(sent('DetachVolume', taker, id)).toEqual([]);
    await writer.end();
    await box.ok(lives, 'Unmount', { Name: 'leaving', ID: 'task' });
    const written = await lines(await mounting);
    expect(written.length).toBeGreaterThanOrEqual(writer.last);
    expect(await box.refused(lives, 'Mount', { Name: 'leaving', ID: 'task' })).toContain(`attached to ${taker}`);
    await expectOwner('leaving', taker, 2);
  });

  it.concurrent('60 a caller that hangs up leaves its takeover behind; the next one has the volume, taken over once', async () => {
    const { dies, taker } = ids;
    const writer = await held(dies, 'impatient');
    await stop(dies);
    const caller = new AbortController();
    const { call } = dvdi(box.node(taker).socket);
    const first = call('VolumeDriver.Mount', { Name: 'impatient', ID: 'task' }, caller.signal);
    await waitsFor(taker, 'impatient', /^step 1 of 3 of takeover f-\w+: a second look/);
    caller.abort();
    await expect(first).rejects.toThrow();
    const written = await lines(await mount(taker, 'impatient'));
    expect(written.length).toBeGreaterThanOrEqual(writer.last);
    const id = (await volume('impatient'))?.VolumeId;
    expect(['DetachVolume', 'AttachVolume'].map((action) => sent(action, taker, id).length)).toEqual([1, 1]);
    await expectOwner('impatient', taker, 2);
  });
});
