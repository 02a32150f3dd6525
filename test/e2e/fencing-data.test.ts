import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, onTestFailed, onTestFinished } from 'vitest';
import { randomFrom } from '../property/clock.ts';
import { ContestedVolume } from '../support/contested-volume.ts';
import { dealRound, type Ending, Nemeses, type Plan, type Trouble } from '../support/nemeses.ts';
import { requires } from '../support/requirements.ts';
import { type TestSandbox, testSandbox } from '../support/sandbox.ts';

const rounds = Number(process.env['FENCING_ROUNDS'] ?? 4);
const seed = Number(process.env['FENCING_SEED'] ?? 1_426_121);
/** A long run tells its story while it goes on. */
const isHunt = process.env['FENCING_ROUNDS'] !== undefined;
/** Records that each writer syncs before the next thing happens. */
const warmUp = 20;

describe.skipIf(requires('root', 'loop', 'mkfs.xfs').skip)('volumes whose owners fail', () => {
  let box: TestSandbox;
  beforeAll(async () => {
    box = await testSandbox({ nodes: 0, nodeEnv: { DVE_LINGER: '0', DVE_FENCE_POLICY: 'stonith', DVE_SIZE: '1' } });
  });
  afterAll(() => box?.close());

  it(
    `seed ${seed}, ${rounds} rounds: keep every acknowledged record and have one writer at a time`,
    async () => {
      const trial = new Trial(box, seed);
      onTestFailed(() => void process.stderr.write(`${trial.story.join('\n')}\n`));
      onTestFinished(() => trial.close());
      await trial.begin();
      for (let round = 1; round <= rounds; round++) await trial.round(round);
      await trial.end();
      expect(trial.takeovers).toBeGreaterThan(0);
      process.stdout.write(`fencing data, seed ${seed}: ${trial.summary}\n`);
    },
    120_000 + rounds * 90_000,
  );
});

/** Three nodes, two volumes, and a nemesis that the seed guides. */
class Trial {
  readonly story: string[] = [];
  takeovers = 0;
  readonly #violations: string[] = [];
  #zombies = 0;
  readonly #box: TestSandbox;
  readonly #nemeses: Nemeses;
  readonly #random: () => number;
  readonly #begun = Date.now();
  #rounds = 0;
  #nodes: string[] = [];
  #volumes: readonly ContestedVolume[] = [];

  constructor(box: TestSandbox, from: number) {
    this.#box = box;
    this.#nemeses = new Nemeses(box);
    this.#random = randomFrom(from);
  }

  get summary(): string {
    const records = this.#volumes.reduce((sum, { checked }) => sum + checked, 0);
    const refusals = this.#volumes.reduce((sum, volume) => sum + volume.refusals, 0);
    const figures = [`${this.#rounds} rounds`, `${this.takeovers} takeovers`, `${refusals} refusals`];
    return [...figures, `${this.#zombies} zombies`, `${records} records checked`].join(', ');
  }

  #tell(what: string): void {
    const line = `${((Date.now() - this.#begun) / 1000).toFixed(1)} s: ${what}`;
    this.story.push(line);
    if (isHunt) process.stderr.write(`${line}\n`);
  }

  async begin(): Promise<void> {
    this.#nodes = await Promise.all([0, 1, 2].map(() => this.#nemeses.launch()));
    const owner = this.#nodes[0]!;
    const heard = { tell: (what: string) => this.#tell(what), violations: this.#violations };
    this.#volumes = [
      new ContestedVolume(this.#box, this.#nemeses, { name: 'ext4', fsType: 'ext4', policy: 'stonith' }, heard),
      new ContestedVolume(
        this.#box,
        this.#nemeses,
        { name: 'xfs', fsType: 'xfs', policy: 'instance-not-running' },
        heard,
      ),
    ];
    await Promise.all(this.#volumes.map((volume) => volume.create(owner)));
    this.#tell(this.#nodes.join(', '));
  }

  /** Strikes the owner of a volume, who recovers or loses what it has. */
  async round(number: number): Promise<void> {
    const plan = dealRound(this.#random);
    await this.#allGoOn();
    const victim = this.#volumes[plan.first]!.owner;
    const stakes = this.#volumes.filter(({ owner }) => owner === victim);
    const { trouble, ending } = this.#adapt(plan, stakes);
    const names = stakes.map(({ name }) => name).join(' and ');
    this.#tell(`round ${number}: ${victim} with ${names}: ${trouble ?? 'well'}, then ${ending ?? 'recovers'}`);
    if (trouble !== undefined) await this.#endure(trouble, victim, stakes);
    if (ending === undefined) await this.#recover(trouble, victim, stakes);
    else await this.#lose({ ...plan, trouble, ending }, victim, stakes);
    if (this.#violations.length > 0) throw new Error(this.#violations.join('\n'));
    this.#rounds += 1;
  }

  /** An owner under stonith does not outlive failing checks, and one that is not is not stopped for them. */
  #adapt({ trouble, ending }: Plan, stakes: readonly ContestedVolume[]): Pick<Plan, 'trouble' | 'ending'> {
    const stoppable = stakes.some(({ policy }) => policy === 'stonith');
    return {
      trouble: trouble === 'impaired' && stoppable ? 'partitioned' : trouble,
      ending: ending === 'suspected' && !stoppable ? 'powerCut' : ending,
    };
  }

  #others(victim: string): string[] {
    return this.#nodes.filter((node) => node !== victim);
  }

  async #allGoOn(): Promise<void> {
    await Promise.all(this.#volumes.map(({ writer }) => writer.goesOn(warmUp)));
  }

  /** An owner in trouble keeps what it has, and goes on writing where it can. */
  async #endure(trouble: Trouble, victim: string, stakes: readonly ContestedVolume[]): Promise<void> {
    await this.#nemeses.begin(trouble, victim);
    const asked = stakes.flatMap((volume) => this.#others(victim).map((taker) => volume.isRefused(taker)));
    await Promise.all(asked);
    if (trouble === 'suspended' || trouble === 'hibernated') return;
    await Promise.all(stakes.map(({ writer }) => writer.goesOn(warmUp)));
  }

  async #recover(trouble: Trouble | undefined, victim: string, stakes: readonly ContestedVolume[]): Promise<void> {
    await this.#nemeses.heal(trouble, victim);
    await Promise.all(stakes.map((volume) => volume.isStillMounted()));
  }

  async #lose(
    { trouble, ending, takers, returnsAfterMs }: Plan & { readonly ending: Ending },
    victim: string,
    stakes: readonly ContestedVolume[],
  ): Promise<void> {
    const stops = ending === 'powerCut' || ending === 'stopped' || ending === 'suspected';
    const orderly = stops && ending !== 'powerCut' && (trouble === undefined || trouble === 'daemonKilled');
    for (const volume of stakes) volume.counts(orderly ? 'written' : 'synced');
    await this.#strike(ending, victim, stakes);
    const early = stops && returnsAfterMs !== undefined ? this.#comesBack(victim, returnsAfterMs) : undefined;
    await Promise.all(
      stakes.map((volume, index) => {
        const rivals = this.#others(victim).map((node) => ({ node, ready: Promise.resolve() }));
        if (takers[index] !== 'both') rivals.splice(takers[index] === 'first' ? 1 : 0, 1);
        if (early !== undefined) rivals.push({ node: victim, ready: early });
        return volume.contest(rivals);
      }),
    );
    this.takeovers += stakes.filter(({ owner }) => owner !== victim).length;
    if (ending === 'terminated') await this.#replace(victim);
    else if (ending === 'robbed') await this.#awaken(trouble, victim, stakes);
    else await (early ?? this.#comesBack(victim, 0));
    await Promise.all(stakes.map((volume) => volume.isNotMountedOn(victim)));
  }

  async #strike(ending: Ending, victim: string, stakes: readonly ContestedVolume[]): Promise<void> {
    switch (ending) {
      case 'powerCut':
        return this.#nemeses.powerCut(victim);
      case 'stopped':
        return this.#nemeses.stop(victim);
      case 'terminated':
        return this.#nemeses.terminate(victim);
      case 'suspected':
        return this.#nemeses.impair(victim);
      case 'robbed':
        await Promise.all(stakes.map((volume) => volume.rob()));
    }
  }

  /** Once it is stopped, and a while later. */
  async #comesBack(victim: string, laterMs: number): Promise<void> {
    await this.#nemeses.becomes(victim, 'stopped');
    await sleep(laterMs);
    await this.#box.clearFaults();
    await this.#nemeses.start(victim);
    this.#tell(`${victim} is back`);
  }

  async #replace(victim: string): Promise<void> {
    await this.#box.clearFaults();
    this.#nodes = [...this.#others(victim), await this.#nemeses.launch()];
  }

  /** A robbed owner finds out: its writers meet an error, whatever they were doing. */
  async #awaken(trouble: Trouble | undefined, victim: string, stakes: readonly ContestedVolume[]): Promise<void> {
    await this.#nemeses.heal(trouble, victim);
    await Promise.all(stakes.map((volume) => volume.zombieEnded()));
    this.#zombies += stakes.length;
  }

  async end(): Promise<void> {
    await this.#allGoOn();
    await Promise.all(this.#volumes.map((volume) => volume.end()));
    expect(this.#violations).toEqual([]);
  }

  async close(): Promise<void> {
    await Promise.all(this.#volumes.map((volume) => volume.close()));
  }
}
