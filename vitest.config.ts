import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // Two cores, but these tests mostly wait: for detaches, lingers, daemons that start.
    maxWorkers: 5,
  },
});
