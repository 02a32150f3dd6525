import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { StartInstancesCommand, StopInstancesCommand, type Volume } from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { tagKeys } from '../../src/ebs/tags.ts';
import { readFenceLog } from '../../src/fencing/records.ts';
import { requires } from '../support/requirements.ts';
import { eventually, mountedAt, type TestSandbox, tagsOf, testSandbox } from '../support/sandbox.ts';
import { type Member, type Swarm, startSwarm } from '../support/swarm.ts';

const { skip } = requires('root', 'loop', 'dockerd', 'ip');

/** Goes on with the numbered records on a volume and acknowledges, outside of it, each that is on the disk. */
const writer = `
trap 'exit 0' TERM
touch /data/records
number=$(busybox wc -l < /data/records)
while :; do
  number=$((number + 1))
  record="$number $NODE $TASK"
  echo "$record" | dd of=/data/records oflag=append conv=notrunc,fsync 2> /dev/null || exit 1
  echo "$record" >> /acknowledged/records
  sleep 0.1
done`;

interface WrittenRecord {
  readonly number: number;
  readonly node: string;
  readonly task: string;
}

async function readRecords(directory: string): Promise<WrittenRecord[]> {
  const text = await readFile(join(directory, 'records'), 'utf8').catch(() => '');
  // What follows the last newline is being written.
  const lines = text.split('\n').slice(0, -1);
  return lines.map((line) => {
    const [number, node = '', task = ''] = line.split(' ');
    return { number: Number(number), node, task };
  });
}

describe.skipIf(skip)('a service of Docker Swarm with a volume', () => {
  let box: TestSandbox;
  let swarm: Swarm;
  beforeAll(async () => {
    box = await testSandbox({ nodes: 2, nodeEnv: { DVE_LINGER: '0.5' } });
    swarm = await startSwarm(box.sandbox.nodes());
  });
  afterAll(async () => {
    await swarm?.close();
    await box?.close();
  });

  const acknowledged = (name: string) => readRecords(join(box.dir, name));
  /** Waits until this member has written a few more records, at first a few of any. */
  const writes = async (service: string, { name }: Pick<Member, 'name'>): Promise<void> => {
    const before = (await acknowledged(service)).length;
    const isTheirs = ({ node }: WrittenRecord) => node === name;
    await eventually(async () => (await acknowledged(service)).slice(before).filter(isTheirs).length >= 3);
  };
  /** Starts a writer with a volume of the same name; gives the member that runs it, and the other. */
  const create = async (name: string): Promise<[Member, Member]> => {
    await mkdir(join(box.dir, name));
    await swarm.manager.ok(
      ...['service', 'create', '--quiet', '--detach', '--name', name, ...swarm.serviceArguments],
      ...['--restart-delay', '500ms', '--env', 'NODE={{.Node.Hostname}}', '--env', 'TASK={{.Task.ID}}'],
      ...['--mount', `type=volume,source=${name},target=/data,volume-driver=ebs,volume-opt=size=1`],
      ...['--mount', `type=bind,source=${join(box.dir, name)},target=/acknowledged`],
      ...['busybox', 'sh', '-c', writer],
    );
    const first = await eventually(async () => (await acknowledged(name))[0]);
    const [a, b] = swarm.workers.toSorted((member) => (member.name === first.node ? -1 : 1));
    if (a === undefined || b === undefined) throw new Error('the Swarm has no two workers');
    await writes(name, a);
    return [a, b];
  };
  /** The first record of a task other than those that have written so far. */
  const anotherWrites = async (name: string): Promise<WrittenRecord> => {
    const tasks = new Set((await acknowledged(name)).map(({ task }) => task));
    return eventually(async () => (await acknowledged(name)).find(({ task }) => !tasks.has(task)));
  };
  const remove = (name: string) => swarm.manager.ok('service', 'rm', name);
  const errorsOf = (name: string) => swarm.manager.ok('service', 'ps', name, '--no-trunc', '--format', '{{.Error}}');
  /** The only EBS volume of this name. */
  const volumeOf = async (name: string): Promise<Volume> => {
    const volumes = await box.volumes(name);
    expect(volumes).toHaveLength(1);
    return volumes[0]!;
  };
  /** The takeovers that its tags tell of, but for those of what its owner had declared finished and was about to detach. */
  const fencings = async (name: string) => {
    const { [tagKeys.fenceLog]: log = '' } = tagsOf(await volumeOf(name));
    return readFenceLog({ [tagKeys.fenceLog]: log }).filter(({ evidence }) => evidence !== 'clean');
  };
  /** That no record is missing that was acknowledged, and that no two tasks wrote by turns; gives who wrote in turn. */
  const expectWhole = async (name: string): Promise<string[]> => {
    const known = await acknowledged(name);
    const owner = (await volumeOf(name)).Attachments?.[0]?.InstanceId ?? '';
    const records = await readRecords((await box.ok(owner, 'Get', { Name: name })).Volume.Mountpoint);
    expect(records.map(({ number }) => number)).toEqual(records.map((_, index) => index + 1));
    expect(known).toEqual(known.map(({ number }) => records[number - 1]));
    expect(new Set(known.map(({ number }) => number)).size).toBe(known.length);
    const turns = records.filter(({ task }, index) => task !== records[index - 1]?.task);
    expect(new Set(turns.map(({ task }) => task)).size).toBe(turns.length);
    return turns.map(({ node }) => node);
  };
  const seconds = (since: number) => ((performance.now() - since) / 1000).toFixed(1);

  it('has its records after updates and moves that are planned, and nobody is fenced', async () => {
    const [a, b] = await create('planned');
    box.sandbox.resetCalls();
    await swarm.manager.ok('service', 'update', '--quiet', '--detach', '--force', 'planned');
    const { node } = await anotherWrites('planned');
    await swarm.manager.ok('node', 'update', '--availability', 'drain', node);
    const target = node === a.name ? b : a;
    await writes('planned', target);
    await swarm.manager.ok('node', 'update', '--availability', 'active', node);

    expect(await expectWhole('planned')).toEqual([a.name, node, target.name]);
    expect(box.sandbox.calls()).not.toHaveProperty('StopInstances');
    expect(await fencings('planned')).toEqual([]);
    await remove('planned');
  });

  it('stays on a node that is only out of sight: the other is told who has the volume, until that one is back', async () => {
    const [a, b] = await create('unseen');
    const before = await volumeOf('unseen');
    box.sandbox.resetCalls();
    await a.cable('down');
    onTestFinished(() => a.cable('up'));
    await eventually(async () => (await swarm.stateOf(a.name)) === 'down');
    const errors = await eventually(async () => {
      const text = await errorsOf('unseen');
      return text.includes('VolumeDriver.Mount') && text;
    });
    expect(errors).toMatch(
      new RegExp(`"unseen".* to ${b.name}: it is attached to ${a.name} \\(device .*, which is running`),
    );
    expect(errors).toContain(`If ${a.name} has failed, type aws ec2 stop-instances --instance-ids ${a.name} and then`);

    await writes('unseen', a);
    expect((await volumeOf('unseen')).Attachments).toEqual(before.Attachments);
    expect(box.sandbox.calls()).not.toHaveProperty('StopInstances');
    const calls = box.sandbox.callList().filter(({ volume }) => volume === before.VolumeId);
    expect(calls.map(({ action }) => action)).not.toContain('DetachVolume');
    expect(await expectWhole('unseen')).toEqual([a.name]);

    await a.cable('up');
    // Swarm ends the old task, and places the new one where it likes.
    const { node } = await anotherWrites('unseen');
    expect(await expectWhole('unseen')).toEqual([a.name, node]);
    expect(await fencings('unseen')).toEqual([]);
    await eventually(async () => (await swarm.stateOf(a.name)) === 'ready');
    await remove('unseen');
  });

  it('comes back on the other node, with its records, when its node dies; the dead one returns without them', async () => {
    const [a, b] = await create('bereft');
    const { VolumeId } = await volumeOf('bereft');
    const died = performance.now();
    await box.ec2.send(new StopInstancesCommand({ InstanceIds: [a.name], Force: true }));
    await writes('bereft', b);
    process.stdout.write(`a Swarm service whose node died writes on another after ${seconds(died)} s\n`);

    expect(await expectWhole('bereft')).toEqual([a.name, b.name]);
    const taken = await volumeOf('bereft');
    expect(taken).toMatchObject({
      VolumeId,
      Attachments: [{ InstanceId: b.name, State: expect.stringMatching(/^attach/) }],
    });
    expect(await fencings('bereft')).toMatchObject([{ victim: a.name, taker: b.name, evidence: 'stopped' }]);
    expect((await b.volume('bereft')).Status).toMatchObject({ state: 'mounted', owner: b.name });

    await box.ec2.send(new StartInstancesCommand({ InstanceIds: [a.name] }));
    const { root } = await eventually(async () =>
      box.sandbox.nodes().find(({ instanceId, pid }) => instanceId === a.name && pid !== 0),
    );
    await a.boot();
    // Until its driver has found out that its attachment is over, its record speaks of that one.
    await eventually(async () => (await a.volume('bereft')).Status.owner === b.name);
    expect(await mountedAt(join(root, 'volumes', 'bereft'))).toBeUndefined();
    await writes('bereft', b);
    expect((await volumeOf('bereft')).Attachments).toEqual(taken.Attachments);
    expect(await expectWhole('bereft')).toEqual([a.name, b.name]);
    await remove('bereft');
  });
});
