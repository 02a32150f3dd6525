import { deviceNames } from '../../src/ebs/device-names.ts';
/** What all variants of the protocols are made of, and how one is searched. */
import { sharp } from './eye.ts';
import { modelOf } from './model.ts';
import { type Explored, explore, type SearchOptions } from './search.ts';
import type { State } from './state.ts';
import type { Step } from './taker.ts';
import { type Bounds, type Invariant, invariants, type Protocol } from './world.ts';

/** A protocol, how far it is searched, and what the search must find. */
export interface Variant {
  readonly name: string;
  readonly protocol: Protocol;
  /** What is left out does not happen. */
  readonly bounds: Partial<Bounds>;
  /** For `npm run model`; the same unless given. */
  readonly large?: Partial<Bounds>;
  /** Invariants looked at; all unless given. */
  readonly watched?: readonly Invariant[];
  /** The shortest counterexample of a variant that lacks something; absent where there must be none. */
  readonly finds?: Counterexample;
}

/** Enough of it to notice when a variant violates for another reason than the one it stands for. */
export interface Counterexample {
  /** All that its last step breaks, as "I2 I3". */
  readonly breaks: string;
  readonly steps: number;
  /** Some of its steps, in this order. */
  readonly passing: readonly string[];
}

/** @throws Error when there are more states than a machine has room for. */
export function searchVariant(variant: Variant, bounds: Partial<Bounds>, options: SearchOptions = {}): Explored<State> {
  return explore(modelOf(variant.protocol, within(bounds)), { watched: variant.watched ?? invariants, ...options });
}

/** @returns undefined when the search found what the variant says, else what is otherwise, for people. */
export function surprise({ finds }: Variant, { violation }: Explored<State>): string | undefined {
  if (finds === undefined) return violation && `violates ${violation.invariants}: ${violation.trace.join('; ')}`;
  if (violation === undefined) return `${finds.breaks} is not violated`;
  const { invariants: breaks, trace } = violation;
  let from = 0;
  const passed = finds.passing.every((step) => {
    from = trace.indexOf(step, from) + 1;
    return from > 0;
  });
  if (breaks === finds.breaks && trace.length === finds.steps && passed) return undefined;
  return `violates ${breaks} after ${trace.length} steps: ${trace.join('; ')}`;
}

const quiet: Bounds = {
  boots: 0,
  releases: 0,
  attaches: 0,
  sleeps: 0,
  graceful: false,
  sameSecond: false,
  lateAttach: false,
  depth: 3,
};

/** Bounds within which only that happens which is given. */
export const within = (bounds: Partial<Bounds>): Bounds => ({ ...quiet, ...bounds });

/** Waiting Δ: until every change made so far is visible. */
export const wait: readonly Step[] = ['begin to wait', 'end to wait'];

export const bothDo = (...plan: readonly Step[]): Protocol['plans'] => [plan, plan];

/** What production does by default: commitment rules C1 to C4, and evidence from one record with state and attachment. */
export const joint: Protocol = {
  policy: 'instance-not-running',
  plans: bothDo('read volume', 'read owner', 'detach'),
  eye: sharp,
  atBoot: 'detach',
  clean: 'one-way',
  detachNames: 'instance and device',
  deviceNames: deviceNames.length,
  joint: true,
  intents: 'a key per node',
  comesBack: false,
  attachesTwice: false,
};
