import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { StopInstancesCommand } from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { tagKeys } from '../../src/ebs/tags.ts';
import { readFenceLog } from '../../src/fencing/records.ts';
import { openPage } from '../docs/page.ts';
import { type Registry, startRegistry } from '../support/registry.ts';
import { requires } from '../support/requirements.ts';
import { eventually, type TestSandbox, tagsOf, testSandbox } from '../support/sandbox.ts';
import { becomeNode, createLeanPlugin, sandboxedConfig } from '../support/sandboxed-plugin.ts';
import { type Host, type Swarm, startSwarm } from '../support/swarm.ts';

const { skip } = requires('root', 'loop', 'dockerd', 'ip');

/** Adds a line to the task's volume, and goes on until it is told to end. */
const task = 'trap "exit 0" TERM; echo $SLOT $NODE >> /var/lib/data/tasks; sync -f /var/lib/data; sleep 1000 & wait';

/** A task's line: its slot, and the worker that it ran on. */
type Line = [slot: string, node: string];

const named = { SLOT: '{{.Task.Slot}}', NODE: '{{.Node.Hostname}}' };

/** In the place of an image's name: one whose tasks do that, on the machine's own network. */
const container = ({ serviceArguments }: Swarm): string =>
  [
    ...[...serviceArguments, ...Object.entries(named).flatMap(([name, value]) => ['--env', `${name}=${value}`])],
    ...['--restart-delay', '500ms', '--update-monitor', '500ms', 'busybox', 'sh', '-c', task],
  ]
    .map((word) => `'${word}'`)
    .join(' ');

describe.skipIf(skip)('a service of Docker Swarm with the managed plugin on every node', () => {
  const page = openPage('docs/swarm.md');
  let box: TestSandbox;
  let registry: Registry;
  let swarm: Swarm;
  beforeAll(async () => {
    [box, registry] = await Promise.all([testSandbox({ nodes: 2 }), startRegistry()]);
    const nodes = box.sandbox.nodes();
    const settings = await Promise.all(
      nodes.map(async ({ instanceId, root }) => [...(await becomeNode(box, instanceId)), `DVE_ROOT=${root}`]),
    );
    const urls = settings.flat().flatMap((each) => /^AWS_.*=(http:.*)/.exec(each)?.[1] ?? []);
    const ports = new Set([...urls, `http://${registry.host}`].map((url) => Number(new URL(url).port)));
    const config = await sandboxedConfig();
    // By its root the sandbox knows a process of an instance, to cut its power.
    config.env.push({ name: 'DVE_ROOT', settable: ['value'] });
    config.propagatedMount = box.dir;
    const installOn = ({ host }: Host, more: readonly string[]) =>
      page.run('docker plugin install', {
        env: { DOCKER_HOST: host },
        replace: {
          REGISTRY: registry.host,
          'DVE_CLUSTER=production': [
            'DVE_CLUSTER=production',
            `run.source=${dirname(host.slice('unix://'.length))}`,
            ...more,
          ].join(' '),
        },
      });
    swarm = await startSwarm(nodes, {
      drivers: false,
      ports: [...ports],
      async beforeJoin(manager, workers) {
        const name = `${registry.host}/ebs:0.1.0-amd64`;
        await createLeanPlugin(manager, box.dir, name, config);
        await manager.ok('plugin', 'push', name);
        await manager.ok('plugin', 'rm', name);
        await Promise.all(workers.map((worker, n) => installOn(worker, settings[n] ?? [])));
      },
    });
  });
  afterAll(async () => {
    await swarm?.close();
    await registry?.close();
    await box?.close();
  });

  const run = (start: string, replace: Record<string, string> = {}, { host }: Host = swarm.manager) =>
    page.run(start, { env: { DOCKER_HOST: host }, cwd: box.dir, replace });
  /** What stands in the volumes of a service's running tasks: the tasks that each slot has had. */
  const running = async (service = 'db'): Promise<Line[][]> => {
    const found = await Promise.all(
      swarm.workers.map(async ({ docker }) => {
        const ids = await docker('ps', '-q', '--filter', `label=com.docker.swarm.service.name=${service}`);
        const read = (id: string) => docker('exec', id, 'cat', '/var/lib/data/tasks');
        return await Promise.all(ids.stdout.split('\n').flatMap((id) => (id === '' ? [] : [read(id)])));
      }),
    );
    const texts = found.flat().map(({ stdout }) => stdout.trim().split('\n'));
    return texts
      .map((lines) => lines.map((line) => line.split(' ') as Line))
      .sort(([a], [b]) => Number(a?.[0]) - Number(b?.[0]));
  };
  /** Waits until both slots have had this many tasks, and nobody else anything in their volumes; gives their nodes. */
  const eventuallyHad = async (first: number, second: number): Promise<[string[], string[]]> => {
    const wanted = JSON.stringify([Array(first).fill('1'), Array(second).fill('2')]);
    const slots = await eventually(async () => {
      const lines = await running();
      return JSON.stringify(lines.map((each) => each.map(([slot]) => slot))) === wanted && lines;
    });
    return slots.map((each) => each.map(([, node]) => node)) as [string[], string[]];
  };
  /** Those that have their names: what was removed is in the trash. */
  const names = async () => (await box.volumes()).flatMap((each) => tagsOf(each)[tagKeys.name] ?? []).sort();
  const fencings = async (name: string) => {
    const { [tagKeys.fenceLog]: log = '' } = tagsOf((await box.volumes(name))[0]);
    return readFenceLog({ [tagKeys.fenceLog]: log }).filter(({ evidence }) => evidence !== 'clean');
  };
  const whyNot = (service: string) =>
    swarm.manager.ok('service', 'ps', '--no-trunc', '--format', '{{.Error}}', service);

  it('gives each task a volume of its own', async () => {
    for (const { name } of [swarm.manager, ...swarm.workers])
      await run('docker node update --label-add', { NODE: name });
    await run('docker service create', { IMAGE: container(swarm), 'size=20': 'size=1' });
    const [[first], [second]] = await eventuallyHad(1, 1);
    expect(first).not.toBe(second);
    for (const { ok } of swarm.workers) expect(await ok('volume', 'ls', '-q')).toBe('db-1\ndb-2');
    expect(await names()).toEqual(['db-1', 'db-2']);
  });

  it('runs only where the plugin is', async () => {
    await swarm.manager.ok('node', 'update', '--availability', 'active', 'manager');
    const mount = ['--mount', 'type=volume,source=lost,target=/v,volume-driver=ebs'];
    const there = ['--constraint', 'node.hostname==manager', '--no-resolve-image', 'busybox', 'true'];
    await swarm.manager.ok('service', 'create', '--quiet', '--detach', '--name', 'lost', ...mount, ...there);
    const error = await eventually(async () => (await whyNot('lost')) || undefined);
    expect(error).toMatch(/no suitable node .*missing plugin on 1 node/);
    await swarm.manager.ok('service', 'rm', 'lost');
  });

  it('is the same as a stack', async () => {
    const stack = parse(page.definition('yaml', 'services:').replace('IMAGE', 'busybox'));
    // A stack's own interpolation takes one of two dollar signs.
    const command = ['sh', '-c', task.replaceAll('$', '$$$$')];
    Object.assign(stack.services.db, { environment: named, command, networks: ['machine'] });
    stack.networks = { machine: { external: true, name: 'host' } };
    stack.volumes.data.driver_opts.size = '1';
    await writeFile(join(box.dir, 'stack.yaml'), stringify({ version: '3.8', ...stack }));
    await run('docker stack deploy');
    await eventually(async () => (await running('shop_db')).length === 2);
    expect(await names()).toEqual(['db-1', 'db-2', 'shop_db-1', 'shop_db-2']);
    await swarm.manager.ok('stack', 'rm', 'shop');
    await Promise.all(['shop_db-1', 'shop_db-2'].map((name) => box.detached(name)));
  });

  it('keeps slots and their data through an update', async () => {
    for (const { ok } of swarm.workers) await ok('tag', 'busybox', 'busybox:next');
    await run('docker service update --image', { IMAGE: 'busybox:next --no-resolve-image' });
    await eventuallyHad(2, 2);
  });

  it('moves with its data from a node that is drained, and back', async () => {
    const [[, drained = '']] = await eventuallyHad(2, 2);
    await run('docker node update --availability drain', { NODE: drained });
    const [first, second] = await eventuallyHad(3, 2);
    expect(first[2]).toBe(second[1]);
    await run('docker node update --availability active', { NODE: drained });
    const [[, , , back], [, , other]] = await eventuallyHad(4, 3);
    expect(back).not.toBe(other);
    expect(await fencings('db-1')).toEqual([]);
  });

  it('waits for the volume of a node that is lost until EC2 says that it is off, and then has its data', async () => {
    const [[, , , lost = ''], [, , other]] = await eventuallyHad(4, 3);
    await swarm.workers.find(({ name }) => name === lost)?.powerOff();
    const refused = await eventually(async () => {
      const { stdout } = await run('docker service ps');
      return stdout.includes('VolumeDriver.Mount') && stdout;
    });
    expect(refused).toContain(`it is attached to ${lost}`);
    expect(refused).toContain(`type aws ec2 stop-instances --instance-ids ${lost} and then`);
    await box.ec2.send(new StopInstancesCommand({ InstanceIds: [lost], Force: true }));
    const [first] = await eventuallyHad(5, 3);
    expect(first.slice(3)).toEqual([lost, other]);
    expect(await fencings('db-1')).toMatchObject([{ victim: lost, taker: other, evidence: 'stopped' }]);
    expect(await fencings('db-2')).toEqual([]);
  });

  it('has one volume for each slot after all that, scaled down and up too, until somebody removes them', async () => {
    const scale = (to: number) => swarm.manager.ok('service', 'scale', '--detach', `db=${to}`);
    await scale(1);
    await box.detached('db-2');
    await scale(2);
    await eventuallyHad(5, 4);
    expect(await names()).toEqual(['db-1', 'db-2', 'shop_db-1', 'shop_db-2']);
    const states = await Promise.all(swarm.workers.map(({ name }) => swarm.stateOf(name)));
    const alive = swarm.workers[states.indexOf('ready')];
    await run('docker service rm');
    await eventually(async () => (await alive?.ok('ps', '-aq')) === '');
    await run('docker volume rm', {}, alive);
    expect(await names()).toEqual(['shop_db-1', 'shop_db-2']);
  });
});
