import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { tagKeys } from '../../src/ebs/tags.ts';
import { checkAttachments, checkEpoch, checkRecords, type Term } from './checker.ts';
import type { Nemeses } from './nemeses.ts';
import { run } from './run.ts';
import { eventually, mountedAt, type TestSandbox, tagsOf } from './sandbox.ts';
import { RecordWriter, recordFile } from './writer-of-records.ts';

export interface ContestedSpec {
  readonly name: string;
  readonly fsType: 'ext4' | 'xfs';
  readonly policy: 'instance-not-running' | 'stonith';
}

/** Where it is told what happens, and what must not. */
export interface Heard {
  tell(what: string): void;
  /** Hears of each Mount that was refused. */
  refused?(volume: string, why: string): void;
  readonly violations: string[];
}

/** One that asks for the volume, once it can. */
export interface Rival {
  readonly node: string;
  readonly ready: Promise<void>;
}

/** A writer and what it has promised. */
interface Tenure {
  readonly writer: RecordWriter;
  readonly mountedAt: number;
  /** Which word of the writer counts: after a shutdown in good order, what was written is there, too. */
  counts: 'written' | 'synced';
  /** When its disk was pulled from under it while it ran on; what it said later counts for nothing. */
  robbedAt: number;
}

const checks = { ext4: ['e2fsck', '-fn'], xfs: ['xfs_repair', '-n', '-f'] } as const;

/** A volume that nodes take from each other, its writers, and the checks of both. */
export class ContestedVolume {
  readonly name: string;
  readonly policy: ContestedSpec['policy'];
  /** Acknowledged records that were there when last looked. */
  checked = 0;
  refusals = 0;
  readonly #box: TestSandbox;
  readonly #nemeses: Nemeses;
  readonly #spec: ContestedSpec;
  readonly #heard: Heard;
  readonly #tenures: Tenure[] = [];
  #id = '';
  #directory = '';
  #asked = 0;

  constructor(box: TestSandbox, nemeses: Nemeses, spec: ContestedSpec, heard: Heard) {
    this.name = spec.name;
    this.policy = spec.policy;
    this.#box = box;
    this.#nemeses = nemeses;
    this.#spec = spec;
    this.#heard = heard;
  }

  get #tenure(): Tenure {
    const tenure = this.#tenures.at(-1);
    if (tenure === undefined) throw new Error(`${this.name} has had no writer yet`);
    return tenure;
  }

  get writer(): RecordWriter {
    return this.#tenure.writer;
  }

  get owner(): string {
    return this.writer.node;
  }

  #violated(what: string): void {
    this.#heard.tell(`VIOLATION: ${this.name}: ${what}`);
    this.#heard.violations.push(`${this.name}: ${what}`);
  }

  #mount(node: string) {
    this.#asked += 1;
    return this.#box.call(node, 'Mount', { Name: this.name, ID: `task-${this.#asked}` });
  }

  async create(node: string): Promise<void> {
    const { fsType, policy } = this.#spec;
    await this.#box.ok(node, 'Create', { Name: this.name, Opts: { fsType, fencePolicy: policy } });
    await this.contest([{ node, ready: Promise.resolve() }]);
  }

  /** All ask for it, over and over, until one has it; then the others are refused. */
  async contest(rivals: readonly Rival[]): Promise<void> {
    const winners: string[] = [];
    const ask = async ({ node, ready }: Rival): Promise<void> => {
      await ready;
      while (winners.length === 0) {
        const { status, body } = await this.#mount(node);
        if (status === 200) {
          winners.push(node);
          await this.#taken(node, body.Mountpoint);
        } else {
          this.#refused(node, body.Err);
        }
      }
    };
    await Promise.all(rivals.map(ask));
    if (winners.length !== 1) this.#violated(`all of ${winners.join(', ')} have mounted it`);
  }

  #refused(node: string, why: string): void {
    this.refusals += 1;
    this.#heard.tell(`${this.name}: ${node} is refused: ${why}`);
    this.#heard.refused?.(this.name, why);
    if (/is a defect/.test(why)) throw new Error(why);
  }

  async #taken(node: string, directory: string): Promise<void> {
    const mountedAt = Date.now();
    const before = this.#tenures.at(-1);
    if (before?.writer.alive && before.robbedAt === Infinity) {
      this.#violated(`${node} has mounted it while the writer of ${before.writer.node} lives`);
    }
    const [volume, ...others] = await this.#box.volumes(this.name);
    const holders = volume?.Attachments?.map(({ InstanceId, State }) => `${InstanceId} ${State}`) ?? [];
    if (others.length > 0 || holders.length !== 1 || !holders[0]?.startsWith(node)) {
      this.#violated(`${node} has mounted it while EC2 shows it attached to ${holders.join(', ')}`);
    }
    const epoch = Number(tagsOf(volume)[tagKeys.epoch]);
    for (const what of checkEpoch(before?.writer, { node, epoch })) this.#violated(what);
    this.#id = volume?.VolumeId ?? '';
    this.#directory = directory;
    await this.#check();
    const writer = await RecordWriter.start({ node: this.#nemeses.node(node), directory, epoch, dir: this.#box.dir });
    this.#tenures.push({ writer, mountedAt, counts: 'synced', robbedAt: Infinity });
    await writer.goesOn(1);
    this.#heard.tell(`${this.name}: ${node} has it, epoch ${epoch}, ${this.checked} records are there`);
  }

  /** Looks at the file where it is mounted now. */
  async #check(): Promise<void> {
    // Before the file is read: a writer that lives goes on meanwhile.
    const terms = this.#tenures.map(termOf);
    const file = await readFile(join(this.#directory, recordFile)).catch(() => Buffer.alloc(0));
    const { checked, violations } = checkRecords(file, terms);
    this.checked = checked;
    for (const what of [...violations, ...checkAttachments(this.#box.sandbox.moments(), this.#id)])
      this.#violated(what);
  }

  /** A node that asks for it while its owner lives does not get it, and is told whose it is. */
  async isRefused(taker: string): Promise<void> {
    const { status, body } = await this.#mount(taker);
    if (status === 200) return this.#violated(`${taker} has mounted it, though ${this.owner} lives`);
    this.#refused(taker, body.Err);
    if (!body.Err.includes(this.owner)) this.#violated(`${taker} is refused without a word of ${this.owner}`);
  }

  /** Says which of the writer's words are to count, before its node ends. */
  counts(word: Tenure['counts']): void {
    this.#tenure.counts = word;
  }

  async rob(): Promise<void> {
    this.#tenure.robbedAt = Date.now();
    await this.#nemeses.rob(this.#id);
  }

  /** Its owner has it as before, and writes. */
  async isStillMounted(): Promise<void> {
    await this.writer.goesOn(1);
    const { Mountpoint } = (await this.#box.ok(this.owner, 'Get', { Name: this.name })).Volume;
    if (Mountpoint !== this.#directory) this.#violated(`${this.owner} has it at ${JSON.stringify(Mountpoint)}`);
    await this.#check();
  }

  /** The writer whose disk was taken meets an error, and ends. */
  async zombieEnded(): Promise<void> {
    const robbed = this.#tenures.findLast(({ robbedAt }) => robbedAt !== Infinity);
    await robbed?.writer.ended;
    if (robbed?.writer.failed === undefined) this.#violated(`the writer of ${robbed?.writer.node} met no error`);
    else this.#heard.tell(`${this.name}: the zombie on ${robbed.writer.node} met ${robbed.writer.failed}`);
  }

  /** Waits until a node that lost it has nothing of it mounted; one that got it back may. */
  async isNotMountedOn(node: string): Promise<void> {
    if (this.owner === node) return;
    const target = join(this.#nemeses.node(node).root, 'volumes', this.name);
    await eventually(async () => (await mountedAt(target)) === undefined);
  }

  /** Its writer ends and its owner gives it back; the other node asks for it at once. */
  async moveTo(node: string): Promise<void> {
    await this.#giveBack();
    await this.contest([{ node, ready: Promise.resolve() }]);
  }

  async #giveBack(): Promise<void> {
    await this.writer.kill();
    await this.#check();
    for (let call = 1; call <= this.#asked; call++) {
      await this.#box.call(this.owner, 'Unmount', { Name: this.name, ID: `task-${call}` });
    }
  }

  /** Ends the last writer, looks at all once more, lets it be unmounted and checks the filesystem. */
  async end(): Promise<void> {
    await this.#giveBack();
    await this.#box.detached(this.name);
    const [program, ...args] = checks[this.#spec.fsType];
    const { code, stdout } = await run(program, [...args, this.#box.sandbox.volumeFile(this.#id) ?? '']);
    if (code !== 0) this.#violated(`${program} finds fault with it: ${stdout}`);
  }

  async close(): Promise<void> {
    await Promise.all(this.#tenures.map(({ writer }) => writer.kill()));
  }
}

function termOf({ writer, mountedAt, counts, robbedAt }: Tenure): Term {
  const { epoch, node, written, synced } = writer;
  const promised = counts === 'written' ? written : synced.filter(({ at }) => at < robbedAt);
  // An fsync under way when its filesystem is shut down may be confirmed once more, whenever its process goes on.
  const told = robbedAt === Infinity ? synced : synced.slice(0, -1);
  return { epoch, node, mountedAt, acknowledged: promised.map(({ number }) => number), lastAt: told.at(-1)?.at ?? 0 };
}
