import { join } from 'node:path';
import { defineConfig } from 'vitest/config';
import { LongestFirst } from './test/support/longest-first.ts';

export default defineConfig({
  test: {
    // Most of the processor's time goes into starting daemons and commands: Node compiles each source once.
    env: { NODE_COMPILE_CACHE: join(import.meta.dirname, 'node_modules/.cache/node') },
    // Whatever is awaited comes, on a busy machine later.
    expect: { poll: { timeout: 60_000 } },
    testTimeout: 300_000,
    hookTimeout: 600_000,
    // Two cores, but most tests wait: for detaches, lingers, daemons that start.
    maxWorkers: 8,
    sequence: { sequencer: LongestFirst },
  },
});
