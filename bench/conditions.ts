import { cpus, loadavg, release, totalmem } from 'node:os';

/** What the figures depend on, without anything that names the machine. */
export interface Conditions {
  /** Day, as "2026-01-31". */
  readonly date: string;
  readonly version: string;
  readonly node: string;
  readonly cores: number;
  readonly processor: string;
  readonly memoryGib: number;
  readonly kernel: string;
  /** Processes that wanted to run before the benchmark began: the mean of one minute. */
  readonly load: number;
}

export async function conditions(): Promise<Conditions> {
  const { default: about } = await import('../package.json', { with: { type: 'json' } });
  const processors = cpus();
  return {
    date: new Date().toISOString().slice(0, 10),
    version: about.version,
    node: process.version,
    cores: processors.length,
    processor: processors[0]?.model.trim() || 'unknown',
    memoryGib: Math.round(totalmem() / 1024 ** 3),
    // What follows the version proper is the builder's business.
    kernel: /^\d+(\.\d+)*/.exec(release())?.[0] ?? release(),
    load: loadavg()[0] ?? Number.NaN,
  };
}
