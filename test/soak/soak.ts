import { DescribeVolumesCommand, EC2Client } from '@aws-sdk/client-ec2';
import type { FixedTimes } from '../../src/sandbox/timing.ts';
import { randomFrom } from '../property/clock.ts';
import { ContestedVolume } from '../support/contested-volume.ts';
import { type Ending, Nemeses } from '../support/nemeses.ts';
import { eventually, type TestSandbox, testSandbox } from '../support/sandbox.ts';

export interface SoakOptions {
  readonly seed: number;
  /** No round begins after this many milliseconds. */
  readonly forMs: number;
  readonly volumes: number;
  /** How owners may lose their volumes. */
  readonly endings: readonly Ending[];
  /** Steps of EC2 that take this long (milliseconds), instead of what its model draws. */
  readonly times?: FixedTimes;
  readonly tell: (line: string) => void;
}

/** What a Mount may be answered with while its volume's owner ends: whose the volume is, and in which state that is. */
const expected =
  /is attached to i-\w+ .*(running|stopping|stopped|shutting-down|terminated)|EC2 still shows it on i-\w+/;

/** Three nodes and their volumes at the pace of EC2, with its limits on calls, which another client uses up at times. */
export class Soak {
  readonly #options: SoakOptions;
  readonly #random: () => number;
  readonly #begun = performance.now();
  readonly #violations: string[] = [];
  readonly #moveMs: number[] = [];
  readonly #takeoverMs: number[] = [];
  readonly #box: TestSandbox;
  readonly #nemeses: Nemeses;
  #volumes: readonly ContestedVolume[] = [];
  #nodes: string[] = [];
  /** While it is so, an owner ends: only then may a Mount be refused. */
  #ending = false;
  #rounds = 0;
  #spares = 0;

  private constructor(box: TestSandbox, options: SoakOptions) {
    this.#options = options;
    this.#box = box;
    this.#nemeses = new Nemeses(box);
    this.#random = randomFrom(options.seed);
  }

  /** Runs one; gives its figures, a line each. @throws Error with what must not have been */
  static async run(options: SoakOptions): Promise<string[]> {
    const { times = {}, seed } = options;
    const nodeEnv = { DVE_LINGER: '0.2', DVE_SIZE: '1' };
    const box = await testSandbox({ nodes: 0, timing: 'aws', times, random: randomFrom(seed + 1), nodeEnv });
    const soak = new Soak(box, options);
    try {
      await soak.#begin();
      while (performance.now() - soak.#begun < options.forMs) await soak.#round();
      await soak.#end();
      return soak.#figures();
    } finally {
      await Promise.all(soak.#volumes.map((volume) => volume.close()));
      await box.close();
    }
  }

  #tell(what: string): void {
    this.#options.tell(`${((performance.now() - this.#begun) / 1000).toFixed(1)} s: ${what}`);
  }

  #pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.#random() * list.length)]!;
  }

  async #begin(): Promise<void> {
    this.#nodes = await Promise.all([0, 1, 2].map(() => this.#nemeses.launch()));
    const heard = {
      tell: (what: string) => this.#tell(what),
      violations: this.#violations,
      refused: (volume: string, why: string) => {
        if (!this.#ending || !expected.test(why)) this.#violations.push(`${volume}: unexpected: ${why}`);
      },
    };
    this.#volumes = Array.from({ length: this.#options.volumes }, (_, index) => {
      const spec = { name: `data-${index}`, fsType: 'ext4', policy: 'instance-not-running' } as const;
      return new ContestedVolume(this.#box, this.#nemeses, spec, heard);
    });
    await Promise.all(this.#volumes.map((volume) => volume.create(this.#pick(this.#nodes))));
  }

  /** All volumes move at once, one is made and removed, and then an owner ends. */
  async #round(): Promise<void> {
    this.#rounds += 1;
    const quota = this.#useUpQuota();
    const moves = this.#volumes.map((volume) => {
      const to = this.#pick(this.#nodes.filter((node) => node !== volume.owner));
      return timed(this.#moveMs, () => volume.moveTo(to));
    });
    await Promise.all([...moves, this.#spare(), quota]);
    const ending = this.#pick(this.#options.endings);
    await this.#loseOwner(ending, this.#pick(this.#volumes).owner);
    if (this.#violations.length > 0) throw new Error(this.#violations.join('\n'));
    await Promise.all(this.#volumes.map(({ writer }) => writer.goesOn(5)));
  }

  /** Another client of the account takes the tokens that look-ups and attachments need. */
  async #useUpQuota(): Promise<void> {
    const { endpoint, region } = this.#box.sandbox;
    const credentials = { accessKeyId: 'other', secretAccessKey: 'other' };
    const other = new EC2Client({ endpoint, region, credentials, maxAttempts: 1 });
    const look = { Filters: [{ Name: 'tag:Name', Values: ['nothing'] }], MaxResults: 5 };
    const calls = Array.from({ length: 120 }, () => other.send(new DescribeVolumesCommand(look)));
    await Promise.allSettled(calls);
    other.destroy();
  }

  async #spare(): Promise<void> {
    this.#spares += 1;
    const spare = { Name: `spare-${this.#spares}` };
    const node = this.#pick(this.#nodes);
    await this.#box.ok(node, 'Create', spare);
    await this.#box.ok(node, 'Mount', { ...spare, ID: 'task' });
    await this.#box.ok(node, 'Unmount', { ...spare, ID: 'task' });
    await this.#box.ok(node, 'Remove', spare);
  }

  /** An owner ends; the two others ask for each of its volumes until one of them has it. */
  async #loseOwner(ending: Ending, victim: string): Promise<void> {
    const stakes = this.#volumes.filter(({ owner }) => owner === victim);
    this.#tell(`round ${this.#rounds}: ${victim} with ${stakes.length} volumes: ${ending}`);
    this.#ending = true;
    const rivals = this.#nodes.filter((node) => node !== victim).map((node) => ({ node, ready: Promise.resolve() }));
    const gone = ending === 'terminated' ? this.#nemeses.terminate(victim) : this.#stop(ending, victim);
    await gone;
    await Promise.all(stakes.map((volume) => timed(this.#takeoverMs, () => volume.contest(rivals))));
    this.#ending = false;
    if (ending !== 'terminated') return this.#nemeses.start(victim);
    this.#nodes = [...rivals.map(({ node }) => node), await this.#nemeses.launch()];
  }

  #stop(ending: Ending, victim: string): Promise<void> {
    return ending === 'powerCut' ? this.#nemeses.powerCut(victim) : this.#nemeses.stop(victim);
  }

  /** Every volume is given back and removed: nothing of the cluster is left in EC2. */
  async #end(): Promise<void> {
    await Promise.all(this.#volumes.map((volume) => volume.end()));
    for (const { name, owner } of this.#volumes) await this.#box.ok(owner, 'Remove', { Name: name });
    if (this.#violations.length > 0) throw new Error(this.#violations.join('\n'));
    await eventually(async () => (await this.#box.volumes()).length === 0);
  }

  #figures(): string[] {
    const calls = this.#box.sandbox.callList().filter(({ caller }) => caller !== undefined);
    const throttled = calls.filter(({ result }) => result === 'RequestLimitExceeded').length;
    const records = this.#volumes.reduce((sum, { checked }) => sum + checked, 0);
    const refusals = this.#volumes.reduce((sum, volume) => sum + volume.refusals, 0);
    return [
      `seed ${this.#options.seed}: ${this.#rounds} rounds in ${Math.round((performance.now() - this.#begun) / 1000)} s`,
      `moves: ${times(this.#moveMs)}`,
      `takeovers: ${times(this.#takeoverMs)}; ${refusals} Mounts told to wait for the owner`,
      `${this.#spares} volumes made and removed besides; none is left over`,
      `${calls.length} calls of EC2, ${throttled} of them refused for their rate`,
      `${records} acknowledged records, all there; one writer at a time`,
    ];
  }
}

async function timed(into: number[], work: () => Promise<void>): Promise<void> {
  const begun = performance.now();
  await work();
  into.push(performance.now() - begun);
}

/** As "12, median 4.1 s, longest 9.8 s". */
function times(all: readonly number[]): string {
  const sorted = [...all].sort((a, b) => a - b);
  const shown = (ms = 0) => `${(ms / 1000).toFixed(1)} s`;
  return `${sorted.length}, median ${shown(sorted[Math.floor(sorted.length / 2)])}, longest ${shown(sorted.at(-1))}`;
}
