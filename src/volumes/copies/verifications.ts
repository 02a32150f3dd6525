import { setTimeout as sleep } from 'node:timers/promises';
import { DriverError, toDriverError } from '../../errors.ts';
import { publish, stopwatch } from '../../events.ts';
import { operation } from '../../log.ts';
import { type Node, waiting } from '../state/node.ts';
import { createQueue } from '../state/queue.ts';
import type { VolumeSnapshot } from './snapshot-tags.ts';
import type { Verdict } from './verdict.ts';
import { record, type VerifyStep, verifyName, verifySnapshot } from './verify.ts';

/** A caller that has a command to run asks each second how far it is; one that does not ask for so long has gone. */
const goneMs = 30_000;
const lookMs = 1000;
/** How many that have ended are remembered. */
const mostEnded = 50;

/** A verification that this node has in hand, or has ended since the daemon's start. */
export interface Verification {
  readonly snapshotId: string;
  /** The name of the volume that it is of, as far as it can be told. */
  readonly volume: string | undefined;
  /** RFC 3339. */
  readonly since: string;
  readonly step: VerifyStep | 'waiting' | 'ended';
  /** What it waits for, as a clause. */
  readonly waitingFor: string | undefined;
  /** Where it is mounted for a command to be run on it; only during that step. */
  readonly mountpoint: string | undefined;
  /** Undefined until it has ended, and where it could not be told; then `error` says why. */
  readonly verdict: Verdict | undefined;
  readonly error: string | undefined;
  /** How long it took, once it has ended. */
  readonly seconds: number | undefined;
  /** What of the verdict could not be written down, as sentences. */
  readonly notes: readonly string[];
}

export interface VerifyOptions {
  /** A caller runs a command while it is mounted, and says how that ended. */
  readonly command?: boolean;
  /** MiB/s. */
  readonly initializationRate?: number | undefined;
}

/** The verifications of a node, one after another. */
export interface Verifications {
  /** Begins one; one of the same snapshot that is under way goes on. */
  begin(snapshot: VolumeSnapshot, options?: VerifyOptions): Verification;
  /** As {@link begin}, until its end. @throws DriverError where it could not be told whether it is in order. */
  run(snapshot: VolumeSnapshot): Promise<Verdict>;
  /** How far the last one of a snapshot is. */
  look(snapshotId: string): Verification | undefined;
  /** Its command has ended. @param why it failed, as a clause. */
  commandEnded(snapshotId: string, why: string | undefined): boolean;
  /** Those in hand, and the last ones that have ended, the newest last. */
  all(): readonly Verification[];
}

type State = { -readonly [K in keyof Verification]: Verification[K] };

interface Running {
  readonly state: State;
  readonly options: VerifyOptions;
  readonly command: PromiseWithResolvers<string | undefined>;
  askedAt: number;
  done: Promise<Verdict>;
}

export function createVerifications(node: Node): Verifications {
  const all = new Map<string, Running>();
  const turns = createQueue();

  const commandOf = (running: Running) => async (mountpoint: string) => {
    running.state.mountpoint = mountpoint;
    running.askedAt = performance.now();
    const left = new AbortController();
    const gone = (async () => {
      while (performance.now() - running.askedAt < goneMs)
        await sleep(lookMs, undefined, { signal: left.signal, ref: false });
      throw new DriverError('STILL_WORKING', {
        tried: `${verifyName(running.state.snapshotId)} with a command`,
        why: 'whoever was to run the command has gone',
        todo: 'Run it again',
      });
    })();
    gone.catch(() => undefined);
    try {
      return await Promise.race([running.command.promise, gone]);
    } finally {
      left.abort();
      running.state.mountpoint = undefined;
    }
  };
  const work = async (snapshot: VolumeSnapshot, running: Running): Promise<Verdict> => {
    const { state, options } = running;
    const seconds = stopwatch();
    try {
      const verdict = await verifySnapshot(node, snapshot, {
        initializationRate: options.initializationRate,
        onStep: (step) => {
          state.step = step;
        },
        command: options.command === true ? commandOf(running) : undefined,
      });
      state.notes = await record(node, snapshot, verdict);
      state.verdict = verdict;
      node.log[verdict.ok ? 'info' : 'error'](
        { volume: snapshot.volume, snapshotId: snapshot.id, seconds: seconds(), verdict: verdict.words },
        verdict.ok ? 'a snapshot is verified' : 'a snapshot cannot be restored from',
      );
      publish('verification', { outcome: verdict.ok ? 'ok' : 'failed', seconds: seconds() });
      return verdict;
    } catch (error) {
      const told = toDriverError(error, `verify ${snapshot.id}`);
      const full = snapshot.volume === undefined ? told : told.about(snapshot.volume);
      state.error = full.message;
      publish('verification', { outcome: 'unknown', seconds: seconds() });
      node.log.warn({ volume: snapshot.volume, snapshotId: snapshot.id, err: full }, 'a verification was not made');
      throw full;
    } finally {
      state.step = 'ended';
      state.seconds = Math.round(seconds() * 10) / 10;
    }
  };
  const start = (snapshot: VolumeSnapshot, options: VerifyOptions): Running => {
    const before = all.get(snapshot.id);
    if (before !== undefined && before.state.step !== 'ended') {
      if (options.command === true) throw underWay(snapshot);
      return before;
    }
    const running: Running = {
      state: fresh(snapshot),
      options,
      command: Promise.withResolvers(),
      askedAt: performance.now(),
      done: Promise.reject(),
    };
    running.done.catch(() => undefined);
    const name = verifyName(snapshot.id);
    const turn = Promise.withResolvers<void>();
    running.done = turns.run('one at a time', async () => {
      turn.resolve();
      return operation.run({ op: 'verify', volume: snapshot.volume ?? snapshot.id }, () => work(snapshot, running));
    });
    void waiting(node, name, 'its turn: a node verifies one snapshot at a time', () => turn.promise);
    running.done.catch(() => undefined);
    all.delete(snapshot.id);
    all.set(snapshot.id, running);
    forgetOld();
    return running;
  };
  const forgetOld = () => {
    const ended = [...all].filter(([, { state }]) => state.step === 'ended');
    for (const [id] of ended.slice(0, Math.max(0, ended.length - mostEnded))) all.delete(id);
  };
  const shown = ({ state }: Running): Verification => ({
    ...state,
    waitingFor: node.waits.get(verifyName(state.snapshotId)),
  });

  return {
    begin: (snapshot, options = {}) => shown(start(snapshot, options)),
    run: (snapshot) => start(snapshot, {}).done,
    look(snapshotId) {
      const running = all.get(snapshotId);
      if (running === undefined) return undefined;
      running.askedAt = performance.now();
      return shown(running);
    },
    commandEnded(snapshotId, why) {
      const running = all.get(snapshotId);
      if (running?.state.mountpoint === undefined) return false;
      running.command.resolve(why);
      return true;
    },
    all: () => [...all.values()].map(shown),
  };
}

const fresh = ({ id, volume }: VolumeSnapshot): State => ({
  snapshotId: id,
  volume,
  since: new Date().toISOString(),
  step: 'waiting',
  waitingFor: undefined,
  mountpoint: undefined,
  verdict: undefined,
  error: undefined,
  seconds: undefined,
  notes: [],
});

function underWay({ id, volume }: VolumeSnapshot): DriverError {
  return new DriverError('INVALID_REQUEST', {
    volume,
    tried: `verify its snapshot ${id} with a command`,
    why: 'it is being verified already',
    todo: 'Try again once that has ended',
  });
}
