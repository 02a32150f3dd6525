import type { Tags } from '../ebs/types.ts';
import type { Audit } from './audit.ts';
import type { UnderWay } from './job.ts';
import { effectivePolicy } from './policy.ts';
import { openSchedulers, type SchedulerSettings, type Schedulers } from './schedulers.ts';
import { createSlots, type Slots } from './slots.ts';
import { type FenceTimings, fenceTimings } from './timings.ts';
import type { FencePolicy, Rules } from './types.ts';

/** Takeovers of one node that stop an instance at the same time: more of them would look like an outage of our own. */
const mostStops = 2;

interface FenceSettings extends SchedulerSettings {
  readonly fencePolicy: FencePolicy;
  readonly fenceSuspicions: number;
  /** Seconds. */
  readonly fenceSettle: number;
  readonly cluster: string;
}

/** What the takeovers of a node share. */
export interface Fencing {
  readonly audit: Audit;
  readonly schedulers: Schedulers;
  readonly stops: Slots;
  /** The takeovers that this node has in hand. */
  readonly underWay: Set<UnderWay>;
  readonly timings: FenceTimings;
  /** The rules for a volume with these tags. */
  rulesOf(tags: Tags): Rules;
}

/** @throws DriverError INVALID_OPTION for a scheduler's URL that is none. */
export function openFencing(settings: FenceSettings, audit: Audit): Fencing {
  const { fencePolicy, fenceSuspicions: suspicions, cluster } = settings;
  const settleMs = settings.fenceSettle * 1000;
  return {
    audit,
    schedulers: openSchedulers(settings),
    stops: createSlots(mostStops),
    underWay: new Set(),
    timings: fenceTimings,
    rulesOf: (tags) => ({ policy: effectivePolicy(fencePolicy, tags), suspicions, cluster, settleMs }),
  };
}
