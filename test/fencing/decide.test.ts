import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cleanMark, tagKeys } from '../../src/ebs/tags.ts';
import type { Instance } from '../../src/ebs/types.ts';
import { decide, type FencePolicy, type Observation } from '../../src/fencing/decide.ts';
import { attachmentWith, instanceWith, volumeWith } from '../support/fake-volume.ts';

const finalReasons = ['Client.UserInitiatedShutdown', 'Client.InstanceInitiatedShutdown'];
const reasons = [
  undefined,
  ...finalReasons,
  'Client.UserInitiatedHibernate',
  'Server.ScheduledStop',
  'Server.SpotInstanceStop',
  'Server.InternalError',
  '',
];
const times = ['2026-01-02T03:04:05.678Z', '2026-01-02T03:04:05.000Z', '2026-01-02T04:00:00.000Z'];

const anyAttachment = fc
  .record({
    instanceId: fc.constantFrom('i-a', 'i-a', 'i-a', undefined),
    attachTime: fc.constantFrom(...times),
    device: fc.constantFrom('/dev/xvdba', '/dev/xvdbb'),
    state: fc.constantFrom('attaching', 'attached', 'detaching', 'busy'),
  } as const)
  .map(attachmentWith);
const anyOwner = fc.option(
  fc
    .record({
      state: fc.constantFrom<Instance['state']>(
        'pending',
        'running',
        'shutting-down',
        'terminated',
        'stopping',
        'stopped',
      ),
      stateReason: fc.constantFrom(...reasons),
      hibernationConfigured: fc.boolean(),
      disks: fc.array(
        fc.record({
          device: fc.constantFrom('/dev/xvdba', '/dev/xvdbb'),
          volumeId: fc.constantFrom('vol-1', 'vol-2'),
          state: fc.constantFrom('attaching', 'attached', 'detaching'),
          attachTime: fc.constantFrom(...times),
        } as const),
        { maxLength: 2 },
      ),
    })
    .map(instanceWith),
  { nil: undefined, freq: 6 },
);
const anyObservation: fc.Arbitrary<Observation> = fc
  .record({
    attachment: anyAttachment,
    owner: anyOwner,
    clean: fc.option(
      fc.record({
        instanceId: fc.constantFrom('i-a', 'i-b'),
        device: fc.constantFrom('/dev/xvdba', '/dev/xvdbb'),
        attachTime: fc.constantFrom(...times),
      }),
      { nil: undefined },
    ),
    multiAttach: fc.constantFrom(false, false, false, true),
    second: fc.constantFrom(false, false, false, true),
  })
  .map(({ attachment, owner, clean, multiAttach, second }) => ({
    attachment,
    owner,
    volume: volumeWith({
      state: 'in-use',
      multiAttach,
      attachments: second ? [attachment, attachmentWith({ instanceId: 'i-b' })] : [attachment],
      tags: clean === undefined ? {} : { [tagKeys.clean]: cleanMark(clean) },
    }),
  }));
const anyPolicy = fc.constantFrom<FencePolicy>('never', 'instance-not-running');
const isClean = ({ volume, attachment }: Observation) =>
  attachment.instanceId !== undefined &&
  volume.tags[tagKeys.clean] === cleanMark({ ...attachment, instanceId: attachment.instanceId });
const lawful = (law: (policy: FencePolicy, seen: Observation) => void) =>
  fc.assert(
    fc.property(anyPolicy, anyObservation, (policy, seen) => {
      law(policy, seen);
    }),
    { numRuns: 2000 },
  );

describe('decide', () => {
  it('takes nothing from an owner that EC2 does not list', () => {
    lawful((policy, seen) => {
      fc.pre(!isClean(seen));
      expect(decide(policy, { ...seen, owner: undefined }).kind).toBe('refuse');
    });
  });

  it('takes nothing from an owner that may still run, unless it declared this attachment finished', () => {
    lawful((policy, seen) => {
      fc.pre(['running', 'pending', 'stopping', 'shutting-down'].includes(seen.owner?.state ?? ''));
      const decision = decide(policy, seen);
      if (decision.kind === 'take') expect([decision.evidence, isClean(seen)]).toEqual(['clean', true]);
    });
  });

  it('takes nothing under the policy never but what is declared finished', () => {
    lawful((_, seen) => {
      const decision = decide('never', seen);
      if (decision.kind === 'take') expect([decision.evidence, isClean(seen)]).toEqual(['clean', true]);
    });
  });

  it('takes from a stopped owner only with a joint record and a final reason', () => {
    lawful((policy, seen) => {
      const decision = decide(policy, seen);
      if (decision.kind !== 'take' || decision.evidence !== 'stopped') return;
      const { owner, attachment } = seen;
      expect(owner?.state).toBe('stopped');
      expect(finalReasons).toContain(owner?.stateReason);
      expect(owner?.disks.find(({ volumeId }) => volumeId === attachment.volumeId)).toMatchObject({
        device: attachment.device,
        attachTime: attachment.attachTime,
      });
    });
  });

  it('takes "terminated" only from a terminated owner', () => {
    lawful((policy, seen) => {
      const decision = decide(policy, seen);
      if (decision.kind === 'take' && decision.evidence === 'terminated') expect(seen.owner?.state).toBe('terminated');
    });
  });

  it('takes no volume that AWS manages or that several instances have', () => {
    lawful((policy, seen) => {
      const { volume, attachment } = seen;
      fc.pre(attachment.instanceId === undefined || volume.multiAttach || volume.attachments.length > 1);
      expect(decide(policy, seen).kind).toBe('refuse');
    });
  });

  it('says why, and when it refuses, of whom and what to do', () => {
    lawful((policy, seen) => {
      const decision = decide(policy, seen);
      expect(decision.reason).toContain(seen.attachment.instanceId ?? 'a resource that AWS manages');
      if (decision.kind === 'take') return;
      expect(decision.todo).toMatch(/\S{3}.*[^.]$/);
      expect(decision.reason).not.toMatch(/\.$|undefined/);
      expect(decision.todo).not.toContain('undefined');
    });
  });

  it('is a function of what was observed', () => {
    lawful((policy, seen) => {
      const before = structuredClone(seen);
      expect(decide(policy, seen)).toEqual(decide(policy, structuredClone(seen)));
      expect(seen).toEqual(before);
    });
  });
});

describe('examples', () => {
  const attachment = attachmentWith();
  const { attachTime, device, state } = attachment;
  const joint = [{ device, volumeId: 'vol-1', state, attachTime }];
  const seen = (owner: Partial<Instance> | undefined, tags: Record<string, string> = {}): Observation => ({
    attachment,
    volume: volumeWith({ state: 'in-use', attachments: [attachment], tags }),
    owner: owner === undefined ? undefined : instanceWith(owner),
  });
  const judged = (owner: Partial<Instance> | undefined, tags: Record<string, string> = {}) =>
    decide('instance-not-running', seen(owner, tags));

  it.each<[string, Partial<Instance>, string]>([
    ['terminated', { state: 'terminated' }, 'terminated'],
    ['stopped by hand', { state: 'stopped', stateReason: finalReasons[0], disks: joint }, 'stopped'],
    ['stopped from inside', { state: 'stopped', stateReason: finalReasons[1], disks: joint }, 'stopped'],
  ])('takes from an owner that is %s', (_, owner, evidence) => {
    expect(judged(owner)).toMatchObject({ kind: 'take', evidence });
    expect(decide('never', seen(owner)).kind).toBe('refuse');
  });

  it('takes what the owner declared finished, whatever the policy', () => {
    const { instanceId = '', device } = attachmentWith({});
    const clean = { [tagKeys.clean]: cleanMark({ instanceId, device, attachTime }) };
    expect(judged({}, clean)).toMatchObject({ kind: 'take', evidence: 'clean' });
    expect(decide('never', seen({}, clean))).toMatchObject({ kind: 'take', evidence: 'clean' });
    const earlier = [
      { instanceId, device, attachTime: '2026-01-01T00:00:00Z' },
      { instanceId, device: '/dev/xvdcz', attachTime },
      { instanceId: 'i-z', device, attachTime },
    ];
    for (const other of earlier) expect(judged({}, { [tagKeys.clean]: cleanMark(other) }).kind).toBe('refuse');
  });

  it('refuses a hibernated owner: it wakes with its mounts', () => {
    const owner = { state: 'stopped', stateReason: 'Client.UserInitiatedHibernate', disks: joint } as const;
    expect(judged(owner)).toMatchObject({ kind: 'refuse', reason: expect.stringMatching(/hibernation/i) });
  });

  it.each([
    ['no disks', []],
    ['an earlier attachment', [{ ...joint[0]!, attachTime: '2026-01-01T00:00:00.000Z' }]],
    ['another device', [{ ...joint[0]!, device: '/dev/xvdbz' }]],
    ['another volume', [{ ...joint[0]!, volumeId: 'vol-2' }]],
  ])('refuses a stopped owner whose record shows %s: it may be from before this attachment', (_, disks) => {
    const decision = judged({ state: 'stopped', stateReason: finalReasons[0], disks });
    expect(decision).toMatchObject({ kind: 'refuse', reason: expect.stringContaining('do not agree yet') });
  });

  it.each<[Instance['state'], RegExp]>([
    ['running', /stop or terminate the instance/],
    ['pending', /stop or terminate the instance/],
    ['stopping', /once i-a is stopped/],
    ['shutting-down', /once i-a is terminated/],
  ])('tells what to do about an owner that is %s', (state, todo) => {
    expect(judged({ state })).toMatchObject({
      kind: 'refuse',
      reason: `it is attached to i-a (device /dev/xvdba, since ${attachTime}), which is ${state}`,
      todo: expect.stringMatching(todo),
    });
  });

  it('an owner that EC2 does not list is not gone for that', () => {
    expect(judged(undefined)).toMatchObject({ kind: 'refuse', reason: expect.stringContaining('does not prove') });
  });
});
