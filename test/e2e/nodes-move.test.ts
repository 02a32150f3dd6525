import { open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  DescribeInstancesCommand,
  RebootInstancesCommand,
  RunInstancesCommand,
  StartInstancesCommand,
  StopInstancesCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { requires } from '../support/requirements.ts';
import { eventually, mountedAt, type TestSandbox, testSandbox } from '../support/sandbox.ts';

const { skip } = requires('root', 'loop');

describe.skipIf(skip)('a volume that moves between nodes', () => {
  let box: TestSandbox;
  beforeAll(async () => {
    box = await testSandbox({ nodes: 2 });
  });
  afterAll(() => box?.close());

  const mount = async (node: string, name: string): Promise<string> =>
    (await box.ok(node, 'Mount', { Name: name, ID: 'task' })).Mountpoint;
  const unmount = (node: string, name: string) => box.ok(node, 'Unmount', { Name: name, ID: 'task' });
  const target = (node: string, name: string) => join(box.node(node).root, 'volumes', name);
  const attachment = async (name: string) => (await box.volumes(name))[0]?.Attachments?.[0];
  /** Makes a volume with synced data in "kept", held on this node. */
  const heldOn = async (node: string, name: string): Promise<string> => {
    await box.ok(node, 'Create', { Name: name, Opts: { size: '1' } });
    const directory = await mount(node, name);
    await writeSynced(join(directory, 'kept'), `data of ${name}`);
    return directory;
  };
  const writeSynced = async (path: string, text: string): Promise<void> => {
    const file = await open(path, 'w');
    await file.writeFile(text);
    await file.sync();
    await file.close();
  };
  const kept = (directory: string) => readFile(join(directory, 'kept'), 'utf8');
  const instanceState = (node: string, state: string) =>
    eventually(async () => {
      const { Reservations } = await box.ec2.send(new DescribeInstancesCommand({ InstanceIds: [node] }));
      return Reservations?.[0]?.Instances?.[0]?.State?.Name === state;
    });
  const stop = async (node: string, options: { Hibernate?: boolean } = {}) => {
    await box.ec2.send(new StopInstancesCommand({ InstanceIds: [node], ...options }));
    await instanceState(node, 'stopped');
  };
  const answers = (node: string) =>
    eventually(async () => (await box.call(node, 'List').catch(() => undefined))?.status === 200);
  const start = async (node: string) => {
    await box.ec2.send(new StartInstancesCommand({ InstanceIds: [node] }));
    await instanceState(node, 'running');
    await answers(node);
  };
  const newNode = async (options: { hibernates?: boolean } = {}): Promise<string> => {
    const { Instances } = await box.ec2.send(
      new RunInstancesCommand({
        MinCount: 1,
        MaxCount: 1,
        ImageId: 'ami-0123456789abcdef0',
        HibernationOptions: { Configured: options.hibernates === true },
      }),
    );
    const id = Instances?.[0]?.InstanceId ?? '';
    await instanceState(id, 'running');
    await answers(id);
    return id;
  };
  const ids = (): [string, string] => {
    const [a, b] = box.sandbox.nodes();
    return [a?.instanceId ?? '', b?.instanceId ?? ''];
  };

  it('is mounted on the next node right after the last unmount, with its data', async () => {
    const [a, b] = ids();
    await heldOn(a, 'planned');
    await unmount(a, 'planned');
    expect(await kept(await mount(b, 'planned'))).toBe('data of planned');
    expect(await attachment('planned')).toMatchObject({ InstanceId: b, State: expect.stringMatching(/^attach/) });
    await unmount(b, 'planned');
    expect(await kept(await mount(a, 'planned'))).toBe('data of planned');
    await unmount(a, 'planned');
  });

  it('is refused while another node holds it, which is named and undisturbed', async () => {
    const [a, b] = ids();
    const directory = await heldOn(a, 'kept-back');
    const before = await attachment('kept-back');
    const asked = performance.now();
    const message = await box.refused(b, 'Mount', { Name: 'kept-back', ID: 'other' });
    expect(performance.now() - asked).toBeLessThan(15_000);
    expect(message).toMatch(
      new RegExp(
        `it is attached to ${a} \\(device ${before?.Device}.*which is running \\(.*EC2's checks of it are ok\\)\\.`,
      ),
    );
    expect(message).toMatch(
      /If i-\w+ has failed, type aws ec2 stop-instances --instance-ids i-\w+ and then aws ec2 wait instance-stopped/,
    );
    expect(await attachment('kept-back')).toEqual(before);
    await writeSynced(join(directory, 'after'), 'A goes on');
    expect(await box.refused(b, 'Remove', { Name: 'kept-back' })).toContain(a);
    expect((await box.ok(b, 'Get', { Name: 'kept-back' })).Volume).toMatchObject({
      Mountpoint: '',
      Status: { owner: a, state: 'attached', holders: [] },
    });
    await unmount(a, 'kept-back');
    const moved = await mount(b, 'kept-back');
    expect(await readFile(join(moved, 'after'), 'utf8')).toBe('A goes on');
    await unmount(b, 'kept-back');
  });

  it('is held by one of two nodes that mount it at once, and the other is told who has it', async () => {
    const nodes = ids();
    await box.ok(nodes[0], 'Create', { Name: 'contested', Opts: { size: '1' } });
    const answers = await Promise.all(nodes.map((node) => box.call(node, 'Mount', { Name: 'contested', ID: 'task' })));
    const winner = answers.findIndex(({ status }) => status === 200);
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(answers[1 - winner]?.body.Err).toContain(nodes[winner]);
    expect(await attachment('contested')).toMatchObject({
      InstanceId: nodes[winner],
      State: expect.stringMatching(/^attach/),
    });
    await unmount(nodes[winner] ?? '', 'contested');
  });

  it('is taken over from a stopped instance, which does not mount it when it runs again', async () => {
    const [a, b] = ids();
    await heldOn(a, 'failed-over');
    const before = await attachment('failed-over');
    await stop(a);
    expect(await attachment('failed-over')).toEqual(before);
    const directory = await mount(b, 'failed-over');
    expect(await kept(directory)).toBe('data of failed-over');
    const taken = await attachment('failed-over');
    expect(taken).toMatchObject({ InstanceId: b, State: expect.stringMatching(/^attach/) });

    await start(a);
    // Until A has found out that its attachment is over, its record speaks of that one.
    await eventually(async () => {
      const { Mountpoint, Status } = (await box.ok(a, 'Get', { Name: 'failed-over' })).Volume;
      expect(Mountpoint).toBe('');
      return Status.owner === b;
    });
    expect(await mountedAt(target(a, 'failed-over'))).toBeUndefined();
    expect(await box.refused(a, 'Mount', { Name: 'failed-over', ID: 'task' })).toContain(b);
    expect(await attachment('failed-over')).toEqual(taken);
    await writeFile(join(directory, 'kept'), 'B goes on');
    expect(await kept(directory)).toBe('B goes on');
    await unmount(b, 'failed-over');
  });

  it('is released by a stopped instance that starts again before anybody took it', async () => {
    const [a, b] = ids();
    await heldOn(a, 'returned');
    await stop(a);
    await start(a);
    await box.detached('returned');
    expect(await mountedAt(target(a, 'returned'))).toBeUndefined();
    expect(await kept(await mount(b, 'returned'))).toBe('data of returned');
    await unmount(b, 'returned');
  });

  it('is released after a reboot and mounted anew under another device name', async () => {
    const [a] = ids();
    await heldOn(a, 'rebooted');
    const before = await attachment('rebooted');
    const { pid } = box.node(a);
    await box.ec2.send(new RebootInstancesCommand({ InstanceIds: [a] }));
    await eventually(async () => ![0, pid].includes(box.node(a).pid));
    await answers(a);
    await box.detached('rebooted');
    expect(await mountedAt(target(a, 'rebooted'))).toBeUndefined();
    expect(await kept(await mount(a, 'rebooted'))).toBe('data of rebooted');
    const after = await attachment('rebooted');
    expect(after).toMatchObject({ InstanceId: a, State: expect.stringMatching(/^attach/) });
    expect(after?.Device).not.toBe(before?.Device);
    await unmount(a, 'rebooted');
  });

  it('is mounted elsewhere once its instance is terminated', async () => {
    const [, b] = ids();
    const doomed = await newNode();
    await heldOn(doomed, 'bereaved');
    await box.ec2.send(new TerminateInstancesCommand({ InstanceIds: [doomed] }));
    expect(await kept(await mount(b, 'bereaved'))).toBe('data of bereaved');
    expect(await attachment('bereaved')).toMatchObject({ InstanceId: b });
    await unmount(b, 'bereaved');
  });

  it('is not taken from a hibernated instance, which goes on with it when it wakes', async () => {
    const [, b] = ids();
    const sleeper = await newNode({ hibernates: true });
    const directory = await heldOn(sleeper, 'dormant');
    const before = await attachment('dormant');
    await stop(sleeper, { Hibernate: true });
    const message = await box.refused(b, 'Mount', { Name: 'dormant', ID: 'task' });
    expect(message).toContain(sleeper);
    expect(message).toMatch(
      /Client\.UserInitiatedHibernate.*hibernation.*Terminate .* fence confirm dormant --victim /,
    );
    expect(await attachment('dormant')).toEqual(before);
    await start(sleeper);
    expect((await box.ok(sleeper, 'Get', { Name: 'dormant' })).Volume).toMatchObject({
      Mountpoint: directory,
      Status: { state: 'mounted', holders: [{ id: 'task' }] },
    });
    await writeSynced(join(directory, 'after'), 'awake');
    await unmount(sleeper, 'dormant');
    await box.detached('dormant');
  });
});
