import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Most of the processor's time goes into starting daemons and commands: Node compiles each source once.
    env: { NODE_COMPILE_CACHE: join(import.meta.dirname, 'node_modules/.cache/node') },
    // Whatever is awaited comes, on a busy machine later.
    expect: { poll: { timeout: 60_000 } },
    testTimeout: 300_000,
    hookTimeout: 600_000,
    // Two cores, but these tests mostly wait: for detaches, lingers, daemons that start.
    maxWorkers: 6,
  },
});
