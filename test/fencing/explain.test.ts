import fc from 'fast-check';
import { expect, it } from 'vitest';
import { decide } from '../../src/fencing/decide.ts';
import { type Reading, readOut } from '../../src/fencing/explain.ts';
import type { Decision, Observation } from '../../src/fencing/types.ts';
import {
  anyObservation,
  anyRules,
  anySuspect,
  attachTime,
  cappedTag,
  healthWith,
  impaired,
  rulesWith,
  seenWith,
} from './observations.ts';

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

it('an owner that is stopped gets no moment to let go: it cannot', () => {
  reads(({ steps }, { kind }, { owner, attachment }) => {
    if (kind !== 'refuse') return;
    const waits = steps.some((step) => step.startsWith('wait up to 10 s'));
    expect(waits).toBe(attachment.instanceId !== undefined && owner?.state !== 'stopped');
  });
});

it('an impaired check is told once, for or against, and why it does not count', () => {
  const rules = rulesWith({ policy: 'stonith' });
  const seen = seenWith({ health: healthWith({ system: impaired(), instance: impaired(attachTime) }) });
  const { evidenceFor, evidenceAgainst } = readOut(rules, seen, decide(rules, seen));
  expect(evidenceFor).toEqual(["suspicion: EC2's system check is impaired since 2026-01-02T03:57:00.000Z"]);
  expect(evidenceAgainst).toContain(
    `no suspicion: EC2's instance check is impaired since ${attachTime}, which does not count: it was so before the volume was attached there`,
  );
});

it('a volume that was taken too often is shown as that, and not as one whose owner would be stopped', () => {
  const rules = rulesWith({ policy: 'stonith' });
  const seen = seenWith({ health: healthWith({ system: impaired(), instance: impaired() }), tags: cappedTag });
  const decision = decide(rules, seen);
  expect(decision.kind).toBe('refuse');
  expect(readOut(rules, seen, decision).evidenceAgainst).toContain(
    'it was taken from owners that perhaps lived three times within an hour',
  );
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
