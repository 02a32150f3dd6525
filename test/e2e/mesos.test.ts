import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { StartInstancesCommand, StopInstancesCommand } from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tagKeys } from '../../src/ebs/tags.ts';
import { readEpoch, readFenceLog, readOwner } from '../../src/fencing/records.ts';
import { checkRecords, type Term } from '../support/checker.ts';
import { Isolator, ModuleIsolator } from '../support/isolator.ts';
import { type StandInMesos, startMesos } from '../support/mesos.ts';
import { requires } from '../support/requirements.ts';
import { bundledDaemon, eventually, mountedAt, type TestSandbox, tagsOf, testSandbox } from '../support/sandbox.ts';
import { RecordWriter, recordFile } from '../support/writer-of-records.ts';

/** Runs a node's daemon with the endpoint of that node's own agent. */
const besideItsAgent = 'export DVE_MESOS_AGENT="$DVE_MESOS_AGENT/$(basename "$(dirname "$DVE_ROOT")")"; exec "$@"';

describe.skipIf(requires('root', 'loop').skip)('volumes of Mesos tasks', () => {
  let box: TestSandbox;
  let mesos: StandInMesos;
  let agentIds: Map<string, string>;
  /** The first two for a volume that moves, the third for mounts that are killed. */
  let [a, b, c] = ['', '', ''];

  beforeAll(async () => {
    mesos = await startMesos();
    const agents = await mesos.agents();
    agentIds = agents.ids;
    const nodeEnv = { DVE_LINGER: '0', DVE_MESOS_MASTERS: mesos.leader.url, DVE_MESOS_AGENT: agents.url };
    const daemonCommand = ['sh', '-c', besideItsAgent, 'sh', ...(await bundledDaemon())];
    box = await testSandbox({ nodes: 3, nodeEnv, daemonCommand });
    [a = '', b = '', c = ''] = box.sandbox.nodes().map(({ instanceId }) => instanceId);
    register(a, 'S-a');
    register(b, 'S-b');
    register(c, 'S-c');
  });
  afterAll(async () => {
    await Promise.all(writers.map((writer) => writer.kill()));
    await box?.close();
    await mesos?.close();
  });

  const register = (node: string, agentId: string) => {
    agentIds.set(node, agentId);
    mesos.setAgent(agentId);
  };
  const isolatorOn = (node: string) => new Isolator(box.node(node));
  const volume = async (name: string) => {
    const [found, ...others] = await box.volumes(name);
    expect(others).toEqual([]);
    return found;
  };
  const attachments = async (name: string) => (await volume(name))?.Attachments;
  const record = async (name: string) => {
    const tags = Object(tagsOf(await volume(name)));
    const { instanceId, scheduler } = readOwner(tags) ?? {};
    return { owner: instanceId, scheduler, epoch: readEpoch(tags) };
  };
  /** Its takeovers, but for those of what its owner had declared finished and was about to detach. */
  const fencings = async (name: string) => {
    const { [tagKeys.fenceLog]: log = '' } = tagsOf(await volume(name));
    return readFenceLog({ [tagKeys.fenceLog]: log }).filter(({ evidence }) => evidence !== 'clean');
  };
  const get = async (node: string, name: string) => (await box.ok(node, 'Get', { Name: name })).Volume;
  const target = (node: string, name: string) => join(box.node(node).root, 'volumes', name);
  const calls = (action: string, name: string | undefined) =>
    box.sandbox.callList().filter((call) => call.action === action && call.volume === name);

  /** Not ended with their tests, which run side by side and would share the hook for that. */
  const writers: RecordWriter[] = [];
  /** A container with a volume, and what it has promised. */
  const run = async (node: string, directory: string, epoch: number) => {
    const mountedAt = Date.now();
    const writer = await RecordWriter.start({ node: box.node(node), directory, epoch, dir: box.dir });
    writers.push(writer);
    await writer.goesOn(10);
    const term = (): Term => ({
      ...{ epoch, node, mountedAt },
      acknowledged: writer.synced.map(({ number }) => number),
      lastAt: writer.synced.at(-1)?.at ?? 0,
    });
    return { writer, term };
  };
  type Task = Awaited<ReturnType<typeof run>>;
  /** That every record which these tasks acknowledged, one after another, is there. */
  const expectWhole = async (directory: string, tasks: readonly Task[]) => {
    const promised = tasks.map(({ term }) => term());
    const { checked, violations } = checkRecords(await readFile(join(directory, recordFile)), promised);
    expect(violations).toEqual([]);
    expect(checked).toBeGreaterThanOrEqual(tasks.length * 10);
  };
  /** As a framework does it: tries until a container has the volume; each failure must say whose it is. */
  const insist = async (isolator: Isolator, name: string, owner: string) => {
    for (let attempt = 1; ; attempt++) {
      const outcome = await isolator.launch(`attempt-${attempt}`, name).directory.catch((error: Error) => error);
      if (typeof outcome === 'string') return { directory: outcome, container: `attempt-${attempt}` };
      expect(outcome.message).toContain(owner);
    }
  };

  it.concurrent('stay with a lost agent that lives, follow a dead one’s task, and are not its own when it is back', async () => {
    const [onA, onB] = [isolatorOn(a), isolatorOn(b)];
    const first = await run(a, await onA.launch('first', 'moving').directory, 1);
    expect(await record('moving')).toEqual({ owner: a, scheduler: 'mesos:S-a', epoch: 1 });

    // The master hears no more of the agent, whose task lives; by default that is not even asked.
    mesos.setAgent('S-a', { state: 'unreachable', since: new Date().toISOString() });
    const before = await volume('moving');
    const { message } = await onB.launch('too-early', 'moving').directory.then(
      () => expect.fail(`${b} has mounted it`),
      (error: Error) => error,
    );
    expect(message).toMatch(new RegExp(`"moving".* to ${b}: it is attached to ${a} \\(device .*, which is running`));
    expect(message).toContain(`If ${a} has failed, type aws ec2 stop-instances --instance-ids ${a} and then`);
    expect(await attachments('moving')).toEqual(before?.Attachments);
    expect(calls('DetachVolume', before?.VolumeId)).toEqual([]);
    await first.writer.goesOn(10);

    // Its machine loses power.
    await box.ec2.send(new StopInstancesCommand({ InstanceIds: [a], Force: true }));
    const { directory, container } = await insist(onB, 'moving', a);
    await first.writer.ended;
    await expectWhole(directory, [first]);
    const second = await run(b, directory, 2);
    expect(await record('moving')).toEqual({ owner: b, scheduler: 'mesos:S-b', epoch: 2 });
    expect(await fencings('moving')).toMatchObject([{ victim: a, taker: b, evidence: 'stopped' }]);

    // It is back, under another id as after every boot, and undoes what its last boot left.
    const taken = await attachments('moving');
    agentIds.set(a, 'S-a2');
    await box.ec2.send(new StartInstancesCommand({ InstanceIds: [a] }));
    await eventually(async () => box.sandbox.nodes().some(({ instanceId, pid }) => instanceId === a && pid !== 0));
    await eventually(async () => (await box.call(a, 'List').catch(() => undefined))?.status === 200);
    mesos.setAgent('S-a2');
    const backOnA = isolatorOn(a);
    await backOnA.end('first', 'moving');
    await eventually(async () => {
      const { Mountpoint, Status } = await get(a, 'moving');
      expect(Mountpoint).toBe('');
      return Status.owner === b;
    });
    expect(await mountedAt(target(a, 'moving'))).toBeUndefined();
    await expect(backOnA.launch('third', 'moving').directory).rejects.toThrow(`it is attached to ${b} `);
    await backOnA.end('first', 'moving');
    expect(await attachments('moving')).toEqual(taken);
    await second.writer.goesOn(10);

    // The second task ends, and the next one is for the first machine.
    await second.writer.kill();
    await onB.end(container, 'moving');
    const again = await insist(backOnA, 'moving', b);
    await expectWhole(again.directory, [first, second]);
    const third = await run(a, again.directory, 3);
    expect(await record('moving')).toEqual({ owner: a, scheduler: 'mesos:S-a2', epoch: 3 });
    expect(await fencings('moving')).toHaveLength(1);
    await third.writer.kill();
    await expectWhole(again.directory, [first, second, third]);
    await backOnA.end(again.container, 'moving');
    await box.detached('moving');
  });

  it.concurrent('whose mount is killed half-way are nobody’s, there at once for the next try, and go back without one or at an unmount', async () => {
    const isolator = isolatorOn(c);
    const steady = await run(c, await isolator.launch('steady', 'steady').directory, 1);
    await box.fault({ kind: 'stuck-attaching', caller: c });
    const killed = isolator.launch('killed', 'cleaned-up');
    const dying = isolatorOn(c);
    const orphans = [dying.launch('orphan-1', 'tried-again'), dying.launch('orphan-2', 'given-up')];
    const [cleanedUp, ...left] = [killed, ...orphans].map(({ directory }) =>
      expect(directory).rejects.toThrow('ended with SIGKILL'),
    );
    const names = ['cleaned-up', 'tried-again', 'given-up'];
    for (const name of names) await eventually(async () => (await attachments(name))?.[0]?.State === 'attaching');
    await killed.kill();
    dying.die();
    await Promise.all(left);
    for (const name of names) {
      expect((await get(c, name)).Status).toMatchObject({ state: 'attaching', holders: [] });
    }
    await box.clearFaults();
    await cleanedUp;
    for (const name of ['tried-again', 'given-up']) {
      const { Status } = await eventually(async () => {
        const info = await get(c, name);
        return info.Status.state === 'mounted' && info;
      });
      expect(Status).toMatchObject({ holders: [] });
    }

    const fresh = await run(c, await isolator.launch('next', 'tried-again').directory, 1);
    const { VolumeId } = (await volume('tried-again')) ?? {};
    expect(calls('AttachVolume', VolumeId)).toHaveLength(1);
    await fresh.writer.kill();
    await expectWhole((await get(c, 'tried-again')).Mountpoint, [fresh]);
    await isolator.end('next', 'tried-again');

    await Promise.all(names.map((name) => box.detached(name)));
    // The clean-up's unmount says that nobody will come: its volume does not wait as the others do.
    const detaches = box.sandbox.callList().filter(({ action }) => action === 'DetachVolume');
    const detachOf = async (name: string) => {
      const { VolumeId: id } = (await volume(name)) ?? {};
      return detaches.findIndex((call) => call.volume === id);
    };
    const first = await detachOf('cleaned-up');
    expect(first).toBeGreaterThanOrEqual(0);
    expect(first).toBeLessThan(await detachOf('given-up'));
    for (const name of names) expect(await mountedAt(target(c, name))).toBeUndefined();
    // The driver hears a moment later that EC2 has detached them.
    const records = join(box.node(c).root, 'state/volumes');
    await eventually(async () => (await readdir(records)).join() === 'steady.json');
    await steady.writer.goesOn(10);
    await steady.writer.kill();
    await expectWhole((await get(c, 'steady')).Mountpoint, [steady]);
    await isolator.end('steady', 'steady');
  });

  it.concurrent('by mesos-module-dvdi are mounted for the first container of a volume and unmounted after its last', async () => {
    const module = new ModuleIsolator(box.node(b));
    const explicit = { explicit: true };
    await expect(module.launch('early', 'by-module', explicit)).rejects.toThrow(
      'has none of this name. Create it: dvdcli',
    );
    expect(await box.volumes('by-module')).toEqual([]);
    const directory = await module.launch('first', 'by-module', { explicit: false });
    expect(await module.launch('second', 'by-module', explicit)).toBe(directory);
    const task = await run(b, directory, 1);
    await module.end('first', 'by-module');
    await task.writer.goesOn(10);
    await task.writer.kill();
    await module.end('second', 'by-module');
    await box.detached('by-module');

    expect(await module.launch('third', 'by-module', explicit)).toBe(directory);
    await expectWhole(directory, [task]);
    await module.end('third', 'by-module');
    await box.detached('by-module');
  });

  it('come although the daemon is killed and started again under dvdcli', async () => {
    const isolator = isolatorOn(c);
    await box.fault({ kind: 'stuck-attaching', caller: c });
    const { directory } = isolator.launch('patient', 'interrupted');
    await eventually(async () => (await attachments('interrupted'))?.[0]?.State === 'attaching');
    const { pid } = box.node(c);
    process.kill(pid, 'SIGKILL');
    await eventually(async () => !existsSync(`/proc/${pid}`));
    await box.clearFaults();
    await box.sandbox.startDaemon(c);
    expect(await directory).toBe(join(target(c, 'interrupted'), 'data'));
    expect((await get(c, 'interrupted')).Status).toMatchObject({ state: 'mounted', holders: [{ id: 'anonymous' }] });
    expect(await box.volumes('interrupted')).toHaveLength(1);
    await isolator.end('patient', 'interrupted');
    await box.detached('interrupted');
  });
});
