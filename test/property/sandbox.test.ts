import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DescribeInstancesCommand, StartInstancesCommand, StopInstancesCommand } from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Bench, Container, released } from '../crash/bench.ts';
import { requires } from '../support/requirements.ts';
import { type TestSandbox, testSandbox } from '../support/sandbox.ts';
import { randomFrom } from './clock.ts';

const names = ['alpha', 'beta'];
const steps = 30;
const fixedSeed = 7;
const within = 30_000;

/** Somebody whose Mount succeeded. */
interface Holder {
  readonly bench: Bench;
  readonly name: string;
  readonly id: string;
  readonly directory: string;
  container: Container | undefined;
}

describe.skipIf(requires('root', 'loop').skip)('random days of real daemons', () => {
  let box: TestSandbox;
  beforeAll(async () => {
    const nodeEnv = { DVE_LINGER: '0.2', DVE_SIZE: '1', DVE_ATTACH_TIMEOUT: '6' };
    box = await testSandbox({ nodes: 2, nodeEnv });
  });
  afterAll(() => box?.close());

  test.each([fixedSeed, Number(process.env['PROPERTY_SEED'] ?? fixedSeed + 1)])(
    'seed %i: every synced record is there, and everything comes to rest',
    async (seed) => {
      const day = new Day(box, seed);
      await day.begin();
      for (let step = 0; step < steps; step++) await day.step();
      await day.end();
      process.stdout.write(`sandbox day ${seed}: ${steps} steps, ${day.records} records, ${day.kills} kills\n`);
    },
    180_000,
  );
});

/** One run: what was done, and what must be there. */
class Day {
  records = 0;
  kills = 0;
  readonly #box: TestSandbox;
  readonly #benches: readonly Bench[];
  readonly #random: () => number;
  readonly #synced = new Map<string, string[]>();
  readonly #story: string[] = [];
  readonly #names: readonly string[];
  #holders: Holder[] = [];
  #ids = 0;

  constructor(box: TestSandbox, seed: number) {
    this.#box = box;
    this.#random = randomFrom(seed);
    this.#benches = box.sandbox.nodes().map((_, index) => new Bench(box, index));
    this.#names = names.map((name) => `${name}-${seed}`);
    this.#story.push(`seed ${seed}`);
  }

  #pick<T>(list: readonly T[]): T | undefined {
    return list[Math.floor(this.#random() * list.length)];
  }

  async begin(): Promise<void> {
    for (const name of this.#names) await this.#benches[0]?.ok('Create', { Name: name });
  }

  async step(): Promise<void> {
    const choices = [
      ...Array<() => Promise<void>>(6).fill(() => this.#mount()),
      ...Array<() => Promise<void>>(3).fill(() => this.#unmount()),
      ...Array<() => Promise<void>>(3).fill(() => this.#kill()),
      ...Array<() => Promise<void>>(3).fill(() => this.#fault()),
      () => this.#container(),
      () => this.#get(),
      () => this.#powerCut(),
      () => this.#box.clearFaults(),
    ];
    await this.#pick(choices)?.();
    for (const holder of this.#holders) if (this.#random() < 0.7) await this.#write(holder);
    await sleep(this.#random() * 150);
  }

  /** Ends faults and holders, and looks whether all is given back and all records are there. */
  async end(): Promise<void> {
    this.#story.push('the end');
    await this.#box.clearFaults();
    for (const bench of this.#benches) await this.#up(bench);
    for (const holder of [...this.#holders]) await this.#leave(holder);
    for (const name of this.#names) {
      await this.#telling(() => this.#benches[0]!.reaches(name, released, within));
      const last = this.#pick(this.#benches)!;
      const { Mountpoint } = await this.#telling(() => last.ok('Mount', { Name: name, ID: 'last' }));
      await this.#check(name, Mountpoint);
      await last.ok('Unmount', { Name: name, ID: 'last' });
      await this.#telling(() => last.reaches(name, released, within));
    }
  }

  async #mount(): Promise<void> {
    const bench = this.#pick(this.#benches);
    const name = this.#pick(this.#names);
    if (bench === undefined || name === undefined || bench.pid === 0) return;
    this.#ids += 1;
    const id = `id-${this.#ids}`;
    const elsewhere = this.#holders.some((each) => each.name === name && each.bench !== bench);
    // Waiting for a running owner takes ten seconds: once in a while is enough.
    if (elsewhere && this.#random() < 0.9) return;
    const killed = this.#random() < 0.2;
    const answer = this.#box.call(bench.instanceId, 'Mount', { Name: name, ID: id }).catch(() => undefined);
    if (killed) {
      await sleep(this.#random() * 300);
      await this.#kill(bench);
    }
    const { status = 0, body } = (await answer) ?? {};
    this.#story.push(`mount ${name} ${id} on ${bench.instanceId}: ${status} ${body?.Err ?? ''}`);
    // Nobody knows whether a call without an answer has made a holder: dockerd would try again with its id.
    if (status === 0) await this.#retried(bench, name, id);
    if (status !== 200) return;
    expect(elsewhere, this.#story.join('\n')).toBe(false);
    await this.#check(name, body.Mountpoint);
    this.#holders.push({ bench, name, id, directory: body.Mountpoint, container: undefined });
  }

  async #retried(bench: Bench, name: string, id: string): Promise<void> {
    await this.#up(bench);
    const error = await bench.attempt('Unmount', { Name: name, ID: id });
    this.#story.push(`unmount ${name} ${id}: ${error ?? 'ok'}`);
  }

  async #write({ name, directory }: Holder): Promise<void> {
    this.records += 1;
    const record = `record ${this.records}`;
    const file = await open(join(directory, 'log'), 'a');
    try {
      await file.appendFile(`${record}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    this.#synced.set(name, [...(this.#synced.get(name) ?? []), record]);
  }

  async #check(name: string, directory: string): Promise<void> {
    const text = await readFile(join(directory, 'log'), 'utf8').catch(() => '');
    const missing = (this.#synced.get(name) ?? []).filter((record) => !text.split('\n').includes(record));
    expect(missing, `${name} has lost records\n${this.#story.join('\n')}`).toEqual([]);
  }

  async #unmount(): Promise<void> {
    const holder = this.#pick(this.#holders);
    if (holder !== undefined) await this.#leave(holder);
  }

  async #leave(holder: Holder): Promise<void> {
    const { bench, name, id, container } = holder;
    await container?.goesOn();
    await this.#up(bench);
    await container?.end();
    const error = await bench.attempt('Unmount', { Name: name, ID: id });
    this.#story.push(`unmount ${name} ${id} on ${bench.instanceId}: ${error ?? 'ok'}`);
    expect(error, this.#story.join('\n')).toBeUndefined();
    this.#holders = this.#holders.filter((each) => each !== holder);
  }

  async #container(): Promise<void> {
    const holder = this.#pick(
      this.#holders.filter(
        ({ name }) => !this.#holders.some((each) => each.name === name && each.container !== undefined),
      ),
    );
    if (holder === undefined) return;
    this.#story.push(`container on ${holder.name}`);
    holder.container = await Container.start(holder.bench, holder.name);
  }

  async #get(): Promise<void> {
    const holder = this.#pick(this.#holders);
    if (holder === undefined || holder.bench.pid === 0) return;
    await this.#telling(() => holder.bench.ok('Get', { Name: holder.name }));
  }

  async #kill(bench = this.#pick(this.#benches)): Promise<void> {
    if (bench === undefined || bench.pid === 0) return;
    this.kills += 1;
    this.#story.push(`kill ${bench.instanceId}`);
    await bench.kill();
    if (this.#random() < 0.7) await this.#up(bench);
  }

  async #up(bench: Bench): Promise<void> {
    if (bench.pid !== 0) return;
    this.#story.push(`start ${bench.instanceId}`);
    await bench.start();
  }

  async #fault(): Promise<void> {
    const fault = this.#pick([
      { kind: 'throttle', times: 6 },
      { kind: 'error', action: '*', code: 'InternalError', status: 500, times: 4 },
      { kind: 'drop-reply', action: 'AttachVolume', times: 1 },
      { kind: 'drop-reply', action: 'DetachVolume', times: 1 },
      { kind: 'drop-request', times: 1 },
      { kind: 'delay', ms: 400, times: 5 },
      { kind: 'stale-reads', action: 'DescribeVolumes', ms: 1500, nonMonotonic: true, times: 6 },
      { kind: 'stuck-attaching', times: 1 },
    ]);
    this.#story.push(`fault ${JSON.stringify(fault)}`);
    await this.#box.fault(fault ?? {});
  }

  /** The power of a machine goes; what ran there is gone, its attachments stay. */
  async #powerCut(): Promise<void> {
    const bench = this.#pick(this.#benches);
    if (bench === undefined) return;
    this.#story.push(`power cut of ${bench.instanceId}`);
    const gone = this.#holders.filter((each) => each.bench === bench);
    this.#holders = this.#holders.filter((each) => each.bench !== bench);
    const ids = { InstanceIds: [bench.instanceId] };
    await this.#box.clearFaults();
    await this.#box.ec2.send(new StopInstancesCommand({ ...ids, Force: true }));
    await this.#becomes(bench.instanceId, 'stopped');
    for (const { container } of gone) await container?.end();
    await this.#box.ec2.send(new StartInstancesCommand(ids));
    await this.#becomes(bench.instanceId, 'running');
    await this.#up(bench);
  }

  async #becomes(instanceId: string, state: string): Promise<void> {
    for (;;) {
      const { Reservations } = await this.#box.ec2.send(new DescribeInstancesCommand({ InstanceIds: [instanceId] }));
      if (Reservations?.[0]?.Instances?.[0]?.State?.Name === state) return;
      await sleep(50);
    }
  }

  /** Work whose failure is told with all that went before. */
  async #telling<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw new Error(`${error}\n${this.#story.join('\n')}`, { cause: error });
    }
  }
}
