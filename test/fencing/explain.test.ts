import fc from 'fast-check';
import { expect, it } from 'vitest';
import { decide } from '../../src/fencing/decide.ts';
import { type Reading, readOut } from '../../src/fencing/explain.ts';
import type { Decision, Observation } from '../../src/fencing/types.ts';
import { anyObservation, anyRules, anySuspect, rulesWith } from './observations.ts';

/** Reads a thousand decisions of any kind out. */
function reads(law: (reading: Reading, decision: Decision, seen: Observation) => void): void {
  const seen = fc.oneof(anyObservation, anySuspect);
  fc.assert(
    fc.property(anyRules, seen, (rules, observation) => {
      const decision = decide(rules, observation);
      law(readOut(rules, observation, decision), decision, observation);
    }),
    { numRuns: 1000 },
  );
}

it('what would be taken shows its proof, what would be stopped its suspicions', () => {
  reads(({ evidenceFor }, { kind }) => {
    if (kind === 'take') expect(evidenceFor.some((text) => text.startsWith('proof: '))).toBe(true);
    if (kind === 'stop') expect(evidenceFor.some((text) => text.startsWith('suspicion: '))).toBe(true);
  });
});

it('what would be refused, or has to wait, shows what speaks against it', () => {
  reads(({ evidenceAgainst }, { kind }) => {
    if (kind === 'refuse' || kind === 'wait') expect(evidenceAgainst).not.toEqual([]);
  });
});

it('steps end with the mount exactly when there would be one, and a live owner is stopped or robbed only after its announcement', () => {
  reads(({ steps }, { kind }) => {
    expect(steps.at(-1) === 'mount it').toBe(kind === 'take' || kind === 'stop' || kind === 'pull');
    if (kind === 'stop' || kind === 'pull') expect(steps[0]).toContain('announce');
    expect(steps.some((step) => step.startsWith('stop '))).toBe(kind === 'stop');
  });
});

it('names the owner and the device in the step that detaches it', () => {
  reads(({ steps }, { kind }, { attachment }) => {
    if (kind !== 'take') return;
    const { volumeId, instanceId, device } = attachment;
    expect(steps).toContain(`detach ${volumeId} from ${instanceId} (${device})`);
  });
});

it('never says one thing for and against', () => {
  reads(({ evidenceFor, evidenceAgainst }) => {
    const said = evidenceFor.map((text) => text.replace(/^(proof|suspicion): /, ''));
    expect(evidenceAgainst.filter((text) => said.includes(text.replace(/^no suspicion: /, '')))).toEqual([]);
  });
});

it('the policy never is told though there is proof', () => {
  const rules = rulesWith({ policy: 'never' });
  fc.assert(
    fc.property(anyObservation, (seen) => {
      const { evidenceAgainst } = readOut(rules, seen, decide(rules, seen));
      if (seen.attachment.instanceId !== undefined) expect(evidenceAgainst[0]).toContain('the policy never');
    }),
  );
});
