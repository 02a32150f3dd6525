/** Observations for tests of decide(): one to change by hand, and all kinds of them by fast-check. */
import fc from 'fast-check';
import { cleanMark, tagKeys } from '../../src/ebs/tags.ts';
import type { Attachment, HealthCheck, Instance, InstanceHealth, Tags } from '../../src/ebs/types.ts';
import { confirmationTag, fenceLogTag, intentKey, intentTag, ownerTag } from '../../src/fencing/records.ts';
import { fencePolicies, type Observation, type Rules, type Testimony } from '../../src/fencing/types.ts';
import { attachmentWith, instanceWith, volumeWith } from '../support/fake-volume.ts';

export const attachTime = '2026-01-02T03:00:00.000Z';
export const token = { device: '/dev/xvdba', attachTime };
/** An hour after the attachment. */
export const answeredAt = '2026-01-02T04:00:00.000Z';
export const cluster = 'c1';
export const shutdown = 'Client.UserInitiatedShutdown';
export const jointDisk = { ...token, volumeId: 'vol-1', state: 'attached' } as const;
/** Tags of the holder, which stamped its Mesos agent on its attachment, and of an operator. */
type Named = Pick<Attachment, 'device' | 'attachTime'>;
export const stamp = ({ device, attachTime }: Named = token, instanceId = 'i-a'): Tags => ({
  [tagKeys.owner]: ownerTag({ device, attachTime, instanceId, boot: 'b00t', scheduler: 'mesos:S1' }),
});
export const stamped = stamp();
export const cleanTag = ({ device, attachTime }: Named = token, instanceId = 'i-a'): Tags => ({
  [tagKeys.clean]: cleanMark({ device, attachTime, instanceId }),
});
export const confirmedTag = ({ device, attachTime }: Named = token, victim = 'i-a'): Tags => ({
  [tagKeys.confirmed]: confirmationTag({ device, attachTime, victim, reason: 'its rack burnt down' }),
});
export const forcedTag: Tags = {
  [intentKey('i-z', 'f-1')]: intentTag({
    ...token,
    fenceId: 'f-1',
    taker: 'i-z',
    victim: 'i-a',
    launchTime: undefined,
    policy: 'stonith',
    evidence: 'stopped-by-force',
  }),
};

/** Taken from owners that perhaps lived three times in the hour before {@link answeredAt}. */
export const cappedTag: Tags = {
  [tagKeys.fenceLog]: ['03:10', '03:20', '03:30'].reduce(
    (tag, time) =>
      fenceLogTag(
        { [tagKeys.fenceLog]: tag },
        { at: `2026-01-02T${time}:00.000Z`, fenceId: `f-${time}`, victim: 'i-c', taker: 'i-a', evidence: 'suspected' },
      ),
    '',
  ),
};

export const rulesWith = (change: Partial<Rules> = {}): Rules => ({
  policy: 'instance-not-running',
  suspicions: 2,
  cluster,
  settleMs: 60_000,
  ...change,
});

const ok: HealthCheck = { status: 'ok', impairedSince: undefined };
/** Since as lately as counts when EC2 answers at {@link answeredAt}. */
export const impaired = (impairedSince = '2026-01-02T03:57:00.000Z'): HealthCheck => ({
  status: 'impaired',
  impairedSince,
});

export const healthWith = (change: Partial<InstanceHealth> = {}): InstanceHealth => ({
  instanceId: 'i-a',
  system: ok,
  instance: ok,
  attachedEbs: ok,
  answeredAt,
  ...change,
});

/** The leading master lists the holder's agent as lost, and nothing speaks against it. */
export const testimonyWith = (change: Partial<Testimony> = {}): Testimony => ({
  source: 'mesos',
  identity: 'S1',
  answered: true,
  says: 'unreachable',
  since: '2026-01-02T03:40:00.000Z',
  detail: 'the leading master lists agent S1 as unreachable',
  otherMemberThere: undefined,
  takerRegistered: true,
  suspects: 1,
  members: 10,
  ...change,
});

export interface Change extends Partial<Omit<Observation, 'owner' | 'volume' | 'attachment'>> {
  readonly owner?: Partial<Instance> | undefined;
  readonly attachment?: Partial<Attachment>;
  readonly tags?: Tags;
}

/** What i-b sees of vol-1, which a running i-a of the cluster attached an hour ago. */
export function seenWith(change: Change = {}): Observation {
  const { owner = {}, attachment: attached = {}, tags = {}, ...rest } = change;
  const attachment = attachmentWith({ ...token, ...attached });
  return {
    volume: volumeWith({ state: 'in-use', attachments: [attachment], tags }),
    attachment,
    owner: 'owner' in change && change.owner === undefined ? undefined : instanceWith({ tags: ofCluster, ...owner }),
    health: healthWith(),
    testimony: [],
    paused: undefined,
    taker: 'i-b',
    ...rest,
  };
}

export const ofCluster: Tags = { [tagKeys.cluster]: cluster };

const times = [
  '2026-01-02T02:59:59.000Z',
  attachTime,
  '2026-01-02T03:55:00.000Z',
  '2026-01-02T03:57:00.000Z',
  '2026-01-02T03:59:00.000Z',
];
const anyTime = fc.constantFrom(...times, 'not a time');
const usually = <T>(usual: T, ...others: T[]): fc.Arbitrary<T> =>
  fc.oneof({ weight: 4, arbitrary: fc.constant(usual) }, ...others.map((other) => fc.constant(other)));

const anyDisk = fc.record({
  device: usually(token.device, '/dev/xvdbb'),
  volumeId: usually('vol-1', 'vol-2'),
  state: fc.constantFrom('attaching', 'attached', 'detaching'),
  attachTime: usually(attachTime, ...times),
} as const);

const anyOwner: fc.Arbitrary<Instance | undefined> = fc.option(
  fc
    .record({
      id: usually('i-a', 'i-c'),
      state: fc.constantFrom<Instance['state']>(
        'running',
        'running',
        'stopped',
        'stopped',
        'pending',
        'shutting-down',
        'terminated',
        'stopping',
      ),
      stateReason: fc.constantFrom(
        undefined,
        '',
        shutdown,
        'Client.InstanceInitiatedShutdown',
        'Client.UserInitiatedHibernate',
        'Server.ScheduledStop',
        'Server.SpotInstanceShutdown',
        'Server.Novelty',
      ),
      stopAskedAt: fc.constantFrom(undefined, '2026-01-02T03:59:40.000Z', '2026-01-02T03:59:10.000Z', ...times),
      answeredAt: usually<string | undefined>(answeredAt, undefined),
      hibernationConfigured: usually(false, true),
      launchTime: usually('2026-01-01T00:00:00.000Z', ...times, 'not a time'),
      tags: usually<Tags>(ofCluster, { [tagKeys.cluster]: 'c2' }, {}),
      disks: fc.array(anyDisk, { maxLength: 2 }),
    })
    .map(instanceWith),
  { nil: undefined, freq: 8 },
);

const anyCheck: fc.Arbitrary<HealthCheck> = fc.oneof(
  fc.constant(ok),
  fc.record({
    status: usually('impaired', 'ok', 'initializing', 'insufficient-data', 'not-applicable'),
    impairedSince: usually<string | undefined>('2026-01-02T03:30:00.000Z', undefined, ...times, 'not a time'),
  }),
);

const anyHealth: fc.Arbitrary<InstanceHealth | undefined> = fc.option(
  fc.record({
    instanceId: usually('i-a', 'i-c'),
    system: anyCheck,
    instance: anyCheck,
    attachedEbs: anyCheck,
    answeredAt: usually(answeredAt, '2026-01-02T03:05:00.000Z', '2026-01-02T02:00:00.000Z', 'not a time'),
  }),
  { nil: undefined, freq: 8 },
);

export const anyTestimony: fc.Arbitrary<Testimony> = fc
  .record({
    source: usually<Testimony['source']>('mesos', 'swarm'),
    identity: usually('S1', 'S2'),
    says: usually<Testimony['says']>('unreachable', 'gone', 'nothing', 'registered'),
    since: fc.option(anyTime, { nil: undefined }),
    otherMemberThere: usually<string | undefined>(undefined, 'S3'),
    answered: usually(true, false),
    takerRegistered: usually(true, false),
    suspects: fc.nat(5),
    members: fc.nat(20),
  })
  .map((testimony) => {
    const { source, identity, says } = testimony;
    return testimonyWith({ ...testimony, detail: `${source} says of ${identity}: ${says}` });
  });

const anyTags: fc.Arbitrary<Tags> = fc
  .array(
    fc.constantFrom<Tags>(
      stamped,
      stamped,
      cleanTag(),
      confirmedTag(),
      forcedTag,
      cappedTag,
      cleanTag(token, 'i-b'),
      confirmedTag(token, 'i-b'),
      { [tagKeys.confirmed]: 'as you like' },
      { [tagKeys.owner]: '2 something newer' },
      { [tagKeys.fencePolicy]: 'stonith' },
    ),
    { maxLength: 3 },
  )
  .map((list) => Object.assign({}, ...list) as Tags);

export const anyObservation: fc.Arbitrary<Observation> = fc
  .record({
    attachment: fc
      .record({
        instanceId: usually<string | undefined>('i-a', undefined),
        device: usually(token.device, '/dev/xvdbb'),
        attachTime: usually(attachTime, '2026-01-02T03:55:00.000Z'),
        state: usually<Attachment['state']>('attached', 'attaching', 'detaching', 'busy', 'detached'),
        deleteOnTermination: usually(false, true),
      })
      .map(attachmentWith),
    owner: anyOwner,
    tags: anyTags,
    health: anyHealth,
    testimony: fc.array(anyTestimony, { maxLength: 2 }),
    paused: usually<string | undefined>(undefined, undefined, 'maintenance'),
    ownerReadLater: usually<boolean | undefined>(undefined, false, true),
    ownerOverAt: usually<string | undefined>(undefined, '2026-01-02T03:59:50.000Z', 'unknown'),
    taker: usually('i-b', 'i-b', 'i-a'),
    multiAttach: usually(false, false, true),
    second: usually(false, false, true),
  })
  .map(({ tags, multiAttach, second, ...seen }) => ({
    ...seen,
    volume: volumeWith({
      state: 'in-use',
      multiAttach,
      attachments: second ? [seen.attachment, attachmentWith({ instanceId: 'i-b' })] : [seen.attachment],
      tags,
    }),
  }));

/** The same of a running owner with the tag of the cluster, where only suspicions and vetoes differ; half have failed. */
export const anySuspect: fc.Arbitrary<Observation> = fc
  .tuple(anyObservation, fc.boolean())
  .map(([{ attachment: attached, volume, ...seen }, failing]) => {
    const attachment = { ...attached, instanceId: 'i-a', state: 'attached' as const };
    return {
      ...seen,
      attachment,
      owner: instanceWith({ tags: ofCluster }),
      health: failing ? healthWith({ system: impaired(), instance: impaired() }) : seen.health,
      testimony: failing ? [] : seen.testimony,
      volume: { ...volume, multiAttach: false, attachments: [attachment] },
      paused: undefined,
      taker: 'i-b',
    };
  });

export const anyRules: fc.Arbitrary<Rules> = fc.record({
  policy: fc.constantFrom(...fencePolicies),
  suspicions: fc.integer({ min: 1, max: 3 }),
  cluster: fc.constant(cluster),
  settleMs: usually(60_000, 0, 5000),
});
