import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { tagKeys } from '../../src/ebs/tags.ts';
import { effectivePolicy, policyWarning, stricter } from '../../src/fencing/policy.ts';
import { type FencePolicy, fencePolicies } from '../../src/fencing/types.ts';

const anyPolicy = fc.constantFrom(...fencePolicies);
const rank = (policy: FencePolicy) => fencePolicies.indexOf(policy);

describe('the policy of a volume', () => {
  it('is the stricter of its own and its daemon’s', () => {
    fc.assert(
      fc.property(anyPolicy, anyPolicy, (daemon, own) => {
        const effective = effectivePolicy(daemon, { [tagKeys.fencePolicy]: own });
        expect(rank(effective)).toBe(Math.min(rank(daemon), rank(own)));
        expect(effective).toBe(stricter(own, daemon));
      }),
    );
    expect(stricter('preempt', 'stonith')).toBe('stonith');
    expect(stricter('instance-not-running', 'never')).toBe('never');
  });

  it('is its daemon’s without a tag', () => {
    for (const policy of fencePolicies) expect(effectivePolicy(policy, { other: 'never' })).toBe(policy);
  });

  it.each(['', 'Never', 'stonit', 'lease'])('is never when the tag says %j, which is none we know', (text) => {
    for (const policy of fencePolicies) expect(effectivePolicy(policy, { [tagKeys.fencePolicy]: text })).toBe('never');
  });
});

it('only preempt is warned about', () => {
  expect(fencePolicies.filter((policy) => policyWarning(policy) !== undefined)).toEqual(['preempt']);
});
