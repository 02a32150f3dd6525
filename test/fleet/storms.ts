import type { Storm } from './storm.ts';

/** What happens to a fleet all at once. */
export const storms: readonly Storm[] = [
  { name: 'one node mounts 40 volumes', nodes: 1, volumes: 40 },
  { name: '20 nodes mount 20 volumes each', nodes: 20, volumes: 400 },
  { name: '100 nodes mount 8 volumes each', nodes: 100, volumes: 800 },
  { name: '1000 nodes mount 3 volumes each', nodes: 1000, volumes: 3000 },
  { name: '20 nodes take 60 volumes of 10 that stopped', nodes: 20, volumes: 60, stopped: 10 },
  { name: '1000 nodes, a third stopped: 3300 takeovers', nodes: 667, volumes: 3300, stopped: 333 },
];
