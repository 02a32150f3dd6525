import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type SandboxOptions, startSandbox } from '../src/sandbox/sandbox.ts';
import { type Bed, bedIn } from './bed.ts';
import { program } from './program.ts';
import { type Seed, sow } from './seed.ts';

interface BedOptions extends Partial<Pick<SandboxOptions, 'nodes' | 'times' | 'nodeEnv' | 'attachmentLimits'>> {
  /** Volumes that exist from the beginning. */
  readonly seed?: Seed;
}

/** Where cases get what they work with. Everything is gone after {@link Lab.close}, or after the case. */
export interface Lab {
  /** A sandbox with the bench timing, its daemons quiet. */
  bed(options?: BedOptions): Promise<Bed>;
  /** An empty directory. */
  directory(): Promise<string>;
  /** Has `cleanup` run before the lab, or the case, is over. */
  onEnd(cleanup: () => Promise<unknown>): void;
  /** Ends what this case has opened. */
  clear(): Promise<void>;
  /** The same, for good: nothing is opened any more. */
  close(): Promise<void>;
}

export function openLab(): Lab {
  const cleanups: (() => Promise<unknown>)[] = [];
  let closed = false;
  let cleared: Promise<void> = Promise.resolve();
  const onEnd = (cleanup: () => Promise<unknown>) => void cleanups.push(cleanup);
  /** Begins something that takes a while; ended meanwhile, it is ended once it can be. */
  const begin = <T>(work: () => Promise<T>, end: (made: T) => Promise<unknown>): Promise<T> => {
    if (closed) throw new Error('the benchmark is over');
    const begun = work();
    onEnd(() => begun.then(end, () => undefined));
    return begun;
  };
  const directory = () =>
    begin(
      () => mkdtemp('/var/tmp/docker-volume-ebs-bench-'),
      (dir) => rm(dir, { recursive: true, force: true }),
    );
  const drain = async () => {
    const failures: unknown[] = [];
    for (let cleanup = cleanups.pop(); cleanup !== undefined; cleanup = cleanups.pop()) {
      await cleanup().catch((error: unknown) => failures.push(error));
    }
    if (failures.length > 0) throw failures[0];
  };
  const clear = () => {
    // One after another: the end of the benchmark may meet that of a case.
    cleared = cleared.catch(() => undefined).then(drain);
    return cleared;
  };
  return {
    async bed({ seed, ...options } = {}) {
      const dir = join(await directory(), 'ec2');
      if (seed !== undefined) {
        await begin(
          () => sow(dir, seed),
          async () => undefined,
        );
      }
      const daemonCommand = [...program(), 'serve'];
      const start = () => startSandbox({ dir, nodes: 1, zones: 1, timing: 'bench', daemonCommand, ...options });
      const bed = bedIn(await begin(start, (sandbox) => sandbox.close()));
      await bed.quiet();
      return bed;
    },
    directory,
    onEnd,
    clear,
    close() {
      closed = true;
      return clear();
    },
  };
}
