import fc from 'fast-check';
import { expect } from 'vitest';
import { cleanMark, tagKeys } from '../../src/ebs/tags.ts';
import { decide } from '../../src/fencing/decide.ts';
import type { Decision, FencePolicy, Observation, Rules } from '../../src/fencing/types.ts';
import { instanceWith } from '../support/fake-volume.ts';
import { anyObservation, anyRules } from './observations.ts';

/** How far a decision goes. */
export const reach: Readonly<Record<Decision['kind'], number>> = { refuse: 0, wait: 1, stop: 2, pull: 3, take: 4 };

export interface Scope {
  readonly among?: fc.Arbitrary<Observation>;
  readonly policy?: FencePolicy;
  /** The law says nothing about other cases; one that says nothing too often would prove nothing. */
  readonly when?: (decision: Decision, seen: Observation, rules: Rules) => boolean;
}

/** Holds a law against a thousand observations, and fails where it had too little to say. */
export function lawful(
  law: (rules: Rules, seen: Observation, decision: Decision) => void,
  { among = anyObservation, policy, when = () => true }: Scope = {},
): void {
  let checked = 0;
  fc.assert(
    fc.property(anyRules, among, (anyPolicy, seen) => {
      const rules = { ...anyPolicy, policy: policy ?? anyPolicy.policy };
      const decision = decide(rules, seen);
      if (!when(decision, seen, rules)) return;
      checked++;
      law(rules, seen, decision);
    }),
    { numRuns: 1000 },
  );
  expect(checked).toBeGreaterThan(20);
}

/** Whether the owner has declared this very attachment finished. */
export const isClean = ({ volume, attachment }: Observation) =>
  attachment.instanceId !== undefined &&
  volume.tags[tagKeys.clean] === cleanMark({ ...attachment, instanceId: attachment.instanceId });
export const withTags = (seen: Observation, tags: Record<string, string>): Observation => ({
  ...seen,
  volume: { ...seen.volume, tags: { ...seen.volume.tags, ...tags } },
});
export const without = (seen: Observation, key: string): Observation => {
  const { [key]: _, ...tags } = seen.volume.tags;
  return { ...seen, volume: { ...seen.volume, tags } };
};
export const withOwner = (seen: Observation, change: Parameters<typeof instanceWith>[0]): Observation => ({
  ...seen,
  owner: { ...(seen.owner ?? instanceWith()), ...change },
});
