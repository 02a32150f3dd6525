import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Settings } from '../../config.ts';
import { listen, stopwatch } from '../../events.ts';
import { temporarySuffix } from '../../host/durable.ts';
import type { Journal } from '../state/journal.ts';
import { type Node, unsurveyed } from '../state/node.ts';
import { silentVolume } from '../state/waits.ts';
import type { Ec2Contact, Health } from './types.ts';

/** A daemon that needs EC2 asks again well within this: a failure that is older is over, or concerned one caller alone. */
const staleSeconds = 5 * 60;
/** A disk that takes longer than this for a few bytes does not answer. */
const diskMs = 2_000;

/** Getting to know which instance this is: the node once that is known, and until then why not, as a clause. */
interface Meeting {
  readonly node: Promise<Node>;
  reason(): string;
}

/** How this node's health is read, from memory and its own disk. */
export function createHealth(
  {
    settings,
    journal,
  }: { readonly settings: Pick<Settings, 'root'>; readonly journal: Pick<Journal, 'reserveUsedSince'> },
  connection: Meeting,
  contact: Contact,
): () => Promise<Health> {
  let node: Node | undefined;
  connection.node.then(
    (known) => {
      node = known;
    },
    () => undefined,
  );
  const notReady = (): string | undefined => {
    if (node === undefined) return `this node does not know yet which instance it is (${connection.reason()})`;
    return unsurveyed(node);
  };
  const full = (): string | undefined => {
    const since = journal.reserveUsedSince();
    return since && `the disk of ${settings.root} is full: since ${since} volumes leave by a reserve, and none comes`;
  };
  const writable = createProbe(join(settings.root, 'state'));
  return async () => {
    const own = [notReady(), contact.problem(), await writable(), full()].filter((each) => each !== undefined);
    const problems = [...own, ...(node === undefined ? [] : silentVolumes(node))];
    return { problems, instanceId: node?.instanceId, draining: node?.drain.now, ec2: contact.read() };
  };
}

/** The volumes whose disks or filesystems do not answer, as clauses: others go on. */
function silentVolumes(node: Node): string[] {
  return node.host.unanswered().map((each) => {
    const held = silentVolume(node, each);
    const whose =
      held === undefined ? each.subject : `the disk of volume ${JSON.stringify(held.name)} (${held.volume.id})`;
    const says = held && node.ec2Says.get(held.name);
    return `${whose} does not answer: asked ${each.doing} ${each.seconds} s ago${says === undefined ? '' : `; ${says}`}`;
  });
}

/** What the calls from now on say of EC2; a refusal is an answer, too. */
export function watchContact() {
  /** Both ages are by a clock that nobody sets. */
  let answered: { readonly at: string; readonly secondsAgo: () => number } | undefined;
  let failing: Ec2Contact['failing'];
  let failedSecondsAgo = () => 0;
  listen('ec2-call', ({ outcome, why = '' }) => {
    if (outcome === 'aborted') return;
    const now = new Date().toISOString();
    if (outcome !== 'EC2_UNAVAILABLE' && outcome !== 'EC2_CREDENTIALS') {
      answered = { at: now, secondsAgo: stopwatch() };
      failing = undefined;
      return;
    }
    failing = { since: failing?.since ?? now, code: outcome, why };
    failedSecondsAgo = stopwatch();
  });
  return {
    read: (): Ec2Contact => ({
      answeredAt: answered?.at,
      answeredSecondsAgo: answered && Math.round(answered.secondsAgo()),
      failing,
    }),
    problem: (): string | undefined => {
      if (failing === undefined || failedSecondsAgo() > staleSeconds) return undefined;
      const what = failing.code === 'EC2_CREDENTIALS' ? 'this node has no credentials that EC2 takes' : 'EC2 is silent';
      return `${what} (since ${failing.since})`;
    },
  };
}

/** How EC2 has answered lately. */
export type Contact = ReturnType<typeof watchContact>;

/** Whether the journal can be written, as a clause when not. Callers share one try: a disk that hangs hangs one thread. */
function createProbe(directory: string): () => Promise<string | undefined> {
  const file = join(directory, `health${temporarySuffix}`);
  let running: Promise<string | undefined> | undefined;
  const write = async (): Promise<string | undefined> => {
    try {
      await writeFile(file, 'can this be written?\n', { mode: 0o600 });
      await rm(file, { force: true });
      return undefined;
    } catch (error) {
      return `the journal in ${directory} cannot be written (${error instanceof Error ? error.message : error})`;
    }
  };
  return () => {
    running ??= write().finally(() => {
      running = undefined;
    });
    const silent = `the disk of ${directory} does not answer`;
    return Promise.race([running, sleep(diskMs, silent, { ref: false })]);
  };
}
