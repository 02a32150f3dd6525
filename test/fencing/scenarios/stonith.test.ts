import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DescribeInstancesCommand } from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type StandInMesos, type StandInServer, startMesos } from '../../support/mesos.ts';
import { requires } from '../../support/requirements.ts';
import { eventually, type TestSandbox, tagsOf, testSandbox } from '../../support/sandbox.ts';
import { startWriter, type Writer } from '../../support/writer.ts';

/** EC2's clock by its checks: an attachment of now is older than ten minutes. */
const aheadMs = 900_000;

describe.skipIf(requires('root', 'loop').skip)('real daemons under stonith, Mesos at hand', () => {
  let box: TestSandbox;
  let mesos: StandInMesos;
  /** One agent answers for all nodes: its id is that of whom it is asked for at the time. */
  let agent: StandInServer & { id: string };
  let suspect: string;
  let vouched: string;
  let taker: string;

  beforeAll(async () => {
    mesos = await startMesos();
    agent = await mesos.agent('S-taker');
    const nodeEnv = {
      DVE_FENCE_POLICY: 'stonith',
      DVE_MESOS_MASTERS: mesos.leader.url,
      DVE_MESOS_AGENT: agent.url,
      DVE_LINGER: '0',
    };
    box = await testSandbox({ nodes: 3, nodeEnv });
    [suspect = '', vouched = '', taker = ''] = box.sandbox.nodes().map(({ instanceId }) => instanceId);
    for (const id of ['S-suspect', 'S-vouched', 'S-taker']) mesos.setAgent(id);
    await hold(suspect, 'failing', 'S-suspect');
    await hold(vouched, 'fine', 'S-vouched');
    agent.id = 'S-taker';
  });
  afterAll(async () => {
    for (const writer of writers) await writer.end();
    await box?.close();
    await mesos?.close();
  });

  const directories = new Map<string, string>();
  /** Not ended with its test: tests that run side by side share the hook for that. */
  const writers: Writer[] = [];
  const writeIn = async (name: string): Promise<Writer> => {
    const writer = await startWriter(directories.get(name) ?? '');
    writers.push(writer);
    return writer;
  };
  const hold = async (node: string, name: string, agentId: string) => {
    agent.id = agentId;
    await box.ok(node, 'Create', { Name: name, Opts: { size: '1' } });
    directories.set(name, (await box.ok(node, 'Mount', { Name: name, ID: 'task' })).Mountpoint);
  };
  const volume = async (name: string) => (await box.volumes(name))[0];
  /** All of EC2's checks of it fail, since just after it attached this volume, for almost a quarter of an hour. */
  const impair = async (instance: string, name: string) => {
    const attached = (await volume(name))?.Attachments?.[0]?.AttachTime?.getTime() ?? 0;
    const since = new Date(attached + 2000).toISOString();
    await box.fault({ kind: 'health', instance, system: 'impaired', guest: 'impaired', since, ms: aheadMs });
  };
  const instance = async (id: string) =>
    (await box.ec2.send(new DescribeInstancesCommand({ InstanceIds: [id] }))).Reservations?.[0]?.Instances?.[0];
  /** How the calls ended that were meant: dry runs only ask for permission. */
  const calls = (action: string, id: string) =>
    box.sandbox
      .callList()
      .filter((call) => call.action === action && call.instance === id && call.result !== 'DryRunOperation')
      .map(({ result }) => result);

  it.concurrent('21 an owner that EC2 finds impaired and Mesos has lost is stopped gracefully, and all it wrote comes over', async () => {
    const writer = await writeIn('failing');
    await impair(suspect, 'failing');
    mesos.setAgent('S-suspect', { state: 'unreachable', since: new Date(Date.now() + 5000).toISOString() });
    const before = (await volume('failing'))?.Attachments?.[0];
    const mounting = box.ok(taker, 'Mount', { Name: 'failing', ID: 'next' });
    await eventually(async () => Object.keys(tagsOf(await volume('failing'))).some((key) => key.includes(':fence.')));
    expect(calls('StopInstances', suspect)).toEqual([]);
    await writer.goesOn();
    const { Mountpoint } = await mounting;

    const lines = (await readFile(join(Mountpoint, 'lines'), 'utf8')).trim().split('\n').map(Number);
    expect(lines).toEqual(Array.from({ length: lines.length }, (_, n) => n + 1));
    expect(lines.length).toBeGreaterThanOrEqual(writer.last);
    expect(await instance(suspect)).toMatchObject({
      State: { Name: 'stopped' },
      StateReason: { Code: 'Client.UserInitiatedShutdown' },
    });
    expect([calls('StopInstances', suspect), calls('DetachVolume', suspect)]).toEqual([['OK'], ['OK']]);
    const now = await volume('failing');
    expect(now?.Attachments).toMatchObject([{ InstanceId: taker, State: expect.stringMatching(/^attach/) }]);
    const tags = tagsOf(now);
    expect(tags['docker-volume-ebs:epoch']).toBe('2');
    expect(tags['docker-volume-ebs:owner']).toMatch(new RegExp(`^1 ${taker} .* mesos:S-taker$`));
    expect(tags['docker-volume-ebs:fence-log']).toMatch(/ u$/);
    expect(Object.keys(tags).filter((key) => key.includes(':fence.'))).toEqual([]);
    const audit = (await readFile(join(box.node(taker).root, 'state', 'fencing.jsonl'), 'utf8')).split('\n');
    const made = audit.filter((line) => line.includes('"failing"') && line.includes('"event":"call"'));
    expect(made.map((line) => /"call":"(\w+)"/.exec(line)?.[1])).toEqual([
      'CreateTags',
      'StopInstances',
      'DetachVolume',
    ]);
    expect(made.every((line) => line.includes(String(before?.Device)))).toBe(true);
  });

  it.concurrent('20 an owner that is impaired, its daemon dead, but a registered agent of Mesos keeps its volume and writes on', async () => {
    const writer = await writeIn('fine');
    process.kill(box.node(vouched).pid, 'SIGKILL');
    await impair(vouched, 'fine');
    const before = (await volume('fine'))?.Attachments;
    const message = await box.refused(taker, 'Mount', { Name: 'fine', ID: 'next' });
    expect(message).toMatch(
      new RegExp(`attached to ${vouched} .*which is running.*lists agent S-vouched as registered`),
    );
    expect([calls('StopInstances', vouched), calls('DetachVolume', vouched)]).toEqual([[], []]);
    await writer.goesOn();
    expect((await volume('fine'))?.Attachments).toEqual(before);
    expect((await instance(vouched))?.State?.Name).toBe('running');
  });
});
