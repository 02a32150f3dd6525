import { toDriverError } from '../../errors.ts';
import { operation, over } from '../../log.ts';
import type { Node } from '../state/node.ts';
import { adoptUnrecorded } from './adopt.ts';
import { noteFault } from './faults.ts';
import { release } from './release.ts';
import { abandoned, createLooks, sweepHolders } from './sweep.ts';
import { lookForStalls } from './volume-status.ts';

const retryMs = [1000, 2000, 5000, 10_000];
/** The monotonic clock stands still while a machine is hibernated: one this far behind has slept (or was set). */
const sleepMs = 10_000;
/** Device events come in bursts: a disk, its partitions, its links. */
const burstMs = 100;
const sweepMs = 15_000;
/** A disk that came without a record may be one that a mount is about to account for. */
const orphanMs = 30_000;

/** Looks after what is held here without being asked: releases, lost disks, holders that are gone. */
interface Keeper {
  /** Releases the volume after a while if nobody holds it then, and tries again while something prevents it. */
  schedule(name: string, delayMs: number): void;
  cancel(name: string): void;
  /** Begins to watch disks and holders. */
  start(): void;
  stop(): void;
}

/** A keeper for a node. Its work runs in the volumes' queues and never throws. */
export function createKeeper(node: Node): Keeper {
  const timers = new Map<string, NodeJS.Timeout>();
  const ends: (() => void)[] = [];
  let stopped = false;

  const cancel = (name: string) => {
    clearTimeout(timers.get(name));
    timers.delete(name);
  };
  const schedule = (name: string, delayMs: number, attempt = 0) => {
    if (stopped) return;
    cancel(name);
    const timer: NodeJS.Timeout = setTimeout(() => void run(name, attempt, timer), delayMs).unref();
    timers.set(name, timer);
  };
  /** Nothing lingers on a node that is drained. */
  const scheduleOnce = (name: string, delayMs: number) => schedule(name, node.drain.now === undefined ? delayMs : 0);
  const again = (name: string, attempt: number, reason: string) => {
    node.waits.set(name, reason);
    schedule(name, retryMs[Math.min(attempt, retryMs.length - 1)] ?? 0, attempt + 1);
  };
  const releaseNow = async (name: string, attempt: number, timer: NodeJS.Timeout) => {
    // What came before us in the queue has cancelled this timer, which had already fired, or set a later one.
    if (stopped || timers.get(name) !== timer) return;
    timers.delete(name);
    try {
      const outcome = await release(node, name, node.leaving);
      if (typeof outcome === 'string') node.waits.delete(name);
      else again(name, attempt, outcome.blockedBy);
      over(node.log, { op: 'release', volume: name });
    } catch (error) {
      const failure = toDriverError(error, 'release it').about(name);
      node.log.warn({ err: failure }, 'release failed; it will be tried again');
      again(name, attempt, `another try to release it, since: ${failure.message}`);
    }
  };
  const run = (name: string, attempt: number, timer: NodeJS.Timeout) =>
    operation.run({ op: 'release', volume: name }, () => node.queue.run(name, () => releaseNow(name, attempt, timer)));

  const checkDisks = async () => {
    const usable = [...node.held.values()].filter(({ phase }) => phase === 'attached' || phase === 'mounted');
    await Promise.allSettled(
      usable.map(async ({ name, volume, device }) => {
        // A disk of another volume in its place is for the reconciler to judge, too.
        const disk = await node.host.findDevice(volume.id, device).catch(() => undefined);
        if (disk === undefined) schedule(name, 0);
      }),
    );
  };
  /** Disks here that EC2 was asked about and that are none of ours: the root disk, other people's. */
  const foreign = new Set<string>();
  const unexplained = async () => {
    const explained = new Set([...node.held.values()].map(({ volume }) => volume.id));
    const here = await node.host.attachedVolumeIds();
    for (const id of foreign) if (!here.has(id)) foreign.delete(id);
    return [...here].filter((id) => !explained.has(id) && !foreign.has(id));
  };
  /** An AttachVolume whose answer was lost may take effect after its record was settled. */
  const releaseOrphans = async () => {
    await node.survey.done;
    if ((await unexplained()).length === 0) return;
    await adoptUnrecorded(node);
    for (const id of await unexplained()) foreign.add(id);
  };
  const sweepInTurn = createLooks(node, 'sweep', async (name) => {
    if ((await sweepHolders(node, name)) === 'ended') scheduleOnce(name, node.settings.linger * 1000);
  });
  const sweep = async () => {
    await Promise.all((await abandoned(node)).map(sweepInTurn));
  };
  const looking = new Set<string>();
  /** One that does not answer is not asked again before it has. */
  const lookForFaults = async () => {
    const mounted = [...node.held.values()].filter(({ name, phase }) => phase === 'mounted' && !looking.has(name));
    await Promise.all(
      mounted.map(async (held) => {
        looking.add(held.name);
        await noteFault(node, held).finally(() => looking.delete(held.name));
      }),
    );
  };
  /** This machine was hibernated or paused: others may have announced, or done, what they had reason to then. */
  const afterSleep = async () => {
    node.log.warn({ op: 'keep' }, 'this machine has slept: looking what became of its volumes');
    await checkDisks();
    await adoptUnrecorded(node);
  };
  const attempt = (op: string, work: () => Promise<void>) =>
    operation.run({ op }, work).then(() => over(node.log, { op }));
  const unattended = (op: string, work: () => Promise<void>) => () =>
    void attempt(op, work).catch((error: unknown) =>
      node.log.warn({ op, err: error }, 'a check of held volumes failed; it will be repeated'),
    );

  return {
    schedule: scheduleOnce,
    cancel,
    start() {
      let burst: NodeJS.Timeout | undefined;
      let orphans: NodeJS.Timeout | undefined;
      const lookForOrphans = () => {
        clearTimeout(orphans);
        if (!stopped) orphans = setTimeout(() => void look(), orphanMs).unref();
      };
      const look = () =>
        attempt('orphans', releaseOrphans).catch((error: unknown) => {
          node.log.warn({ op: 'orphans', err: error }, 'a look for unrecorded disks failed; it will be repeated');
          lookForOrphans();
        });
      // Once at the start too: the first look at EC2 may have been behind.
      lookForOrphans();
      const watch = node.host.watchDevices(() => {
        clearTimeout(burst);
        burst = setTimeout(unattended('disks', checkDisks), burstMs).unref();
        lookForOrphans();
      });
      const offset = () => Date.now() - performance.now();
      /** What was slept through before this is looked at, or under way. */
      let seen = offset();
      const heedSleep = async () => {
        const before = seen;
        seen = offset();
        if (seen - before <= sleepMs) return;
        try {
          await afterSleep();
        } catch (error) {
          // The next tick looks again, for any later sleep too.
          seen = before;
          throw error;
        }
      };
      const tick = () => {
        unattended('wake', heedSleep)();
        unattended('sweep', sweep)();
        unattended('look', lookForFaults)();
        unattended('stalls', () => lookForStalls(node))();
      };
      const timer = setInterval(tick, sweepMs).unref();
      ends.push(
        () => watch.close(),
        () => clearTimeout(burst),
        () => clearTimeout(orphans),
        () => clearInterval(timer),
      );
    },
    stop() {
      stopped = true;
      for (const name of [...timers.keys()]) cancel(name);
      for (const end of ends) end();
    },
  };
}
