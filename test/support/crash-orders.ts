import { dirname, join } from 'node:path';

/** What a test tells a crashing daemon. While there are orders, the steps they are about are traced. */
export interface Orders {
  /** Words (a volume's name, its id) of which a step's arguments hold one; steps that name no volume count too. */
  readonly about: readonly string[];
  /** Where to die; without, it only traces. */
  readonly at?: CrashPoint;
}

/** The n-th passing, from 1, of a point as "ec2.attachVolume:after" since the orders were given. */
export interface CrashPoint {
  readonly point: string;
  readonly nth: number;
  /** The program just started dies too, after this long, as where all processes of a service are killed. */
  readonly childLivesMs?: number;
}

/** Where orders are given and traces left, beside a node's root. */
export function filesOf(root: string): { orders: string; trace: string; methods: string } {
  const home = dirname(root);
  return { orders: join(home, 'crash-at'), trace: join(home, 'crash-trace'), methods: join(home, 'crash-methods') };
}
