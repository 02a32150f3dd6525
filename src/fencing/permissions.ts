import { deviceNames } from '../ebs/device-names.ts';
import { tagKeys, tagPrefix } from '../ebs/tags.ts';
import type { AttachmentKey, EbsVolume, Ec2, Permission } from '../ebs/types.ts';
import { isGone } from '../ebs/volume-record.ts';
import { isCode } from '../errors.ts';
import type { FencePolicy } from './types.ts';

/** A call that the settings need, and what does not work without it, as a clause. */
interface Need {
  readonly permission: Permission;
  readonly without: string;
  /** A tag that a policy may ask of the instance in question: where it is lacking, a denial says nothing about others. */
  readonly tag?: { readonly key: string; readonly value: string };
}

/** A call that this node's role may not make. */
export interface Missing {
  readonly action: Permission['action'];
  /** EC2's words. */
  readonly why: string;
  readonly without: string;
}

interface PermissionFindings {
  readonly missing: readonly Missing[];
  /** Calls of which EC2 did not say whether they are allowed, with why. */
  readonly unknown: readonly string[];
}

interface PermissionContext {
  readonly policy: FencePolicy;
  readonly onRemove: 'trash' | 'delete' | 'snapshot' | 'retain';
  readonly cluster: string;
  /** This node. */
  readonly instanceId: string;
  readonly zone: string;
}

/** What can be asked now. */
interface Questions {
  /** The most harmless first. */
  readonly needs: readonly Need[];
  /** Calls that cannot be asked for yet, each with what has to be there first, as a clause. */
  readonly later: readonly string[];
}

/** What the questions are about: EC2 looks at the parameters of a dry run, so that only what would be done can be asked. */
interface Subjects {
  readonly any: EbsVolume | undefined;
  /** A volume in this node's zone that nobody has. */
  readonly free: EbsVolume | undefined;
  /** A volume that is to grow by itself. */
  readonly grows: EbsVolume | undefined;
  /** A volume with a schedule of snapshots. */
  readonly scheduled: EbsVolume | undefined;
  /** An attachment of this node. */
  readonly here: AttachmentKey | undefined;
  /** A device name that no volume of the cluster has here. */
  readonly device: string;
}

/**
 * What the settings need. Each question is what the daemon will really ask for: a policy may look at the tags of the volume
 * and at those that a call gives, and EC2 checks the parameters of a dry run first (known for CreateVolume and
 * RunInstances). StopInstances is asked for this instance itself: its role and its tags are those of the others.
 * @param volumes the cluster's, as listed.
 */
export function questionsOf(context: PermissionContext, volumes: readonly EbsVolume[]): Questions {
  const { policy, cluster, instanceId, zone } = context;
  const subjects = subjectsOf(context, volumes);
  const { any, free, here } = subjects;
  const tag = { key: tagKeys.cluster, value: cluster };
  const create = need(
    { action: 'CreateVolume', spec: smallest(zone, { [tag.key]: tag.value }) },
    'no volume can be created',
  );
  const stop = need({ action: 'StopInstances', instanceId }, 'no suspect owner is stopped: its volumes are refused');
  const needs = [
    ...looking(policy, any),
    ...(any === undefined ? [] : tagging(any)),
    create,
    ...moving(context, subjects),
    ...removing(context, subjects),
    ...growing(subjects),
    ...scheduling(context, subjects),
    ...(policy === 'stonith' ? [{ ...stop, tag }] : []),
  ];
  const unasked = (subject: unknown, calls: string, when: string) =>
    subject === undefined ? [`${calls}: ${when}`] : [];
  const later = [
    ...unasked(any, 'CreateTags, DeleteTags', 'once the cluster has a volume'),
    ...unasked(free, 'AttachVolume', `once a volume in ${zone} is free`),
    ...unasked(here, 'DetachVolume', 'once a volume is attached to this instance'),
  ];
  return { needs, later };
}

function subjectsOf({ instanceId, zone }: PermissionContext, volumes: readonly EbsVolume[]): Subjects {
  const present = volumes.filter((volume) => !isGone(volume));
  const near = present.filter((each) => each.zone === zone);
  const attached = near.flatMap(({ id, attachments }) =>
    attachments.flatMap(({ instanceId: owner, device, state }) =>
      owner === instanceId ? [{ volumeId: id, instanceId, device, settled: state === 'attached' }] : [],
    ),
  );
  const settled = attached.find((each) => each.settled);
  const taken = new Set(attached.map(({ device }) => device));
  const isScheduled = ({ tags }: EbsVolume) => tags[tagKeys.snapshots] !== undefined;
  const isGrowing = ({ tags }: EbsVolume) => tags[tagKeys.autoGrow] !== undefined;
  return {
    any: near[0] ?? present[0],
    grows: near.find(isGrowing) ?? present.find(isGrowing),
    scheduled: near.find(isScheduled) ?? present.find(isScheduled),
    free: near.find(({ state, attachments }) => state === 'available' && attachments.length === 0),
    here: settled && { volumeId: settled.volumeId, instanceId, device: settled.device },
    device: deviceNames.find((name) => !taken.has(name)) ?? '',
  };
}

/** Reads: with a volume at hand, that volumes may be read is known. */
function looking(policy: FencePolicy, volume: EbsVolume | undefined): Need[] {
  const volumes = need({ action: 'DescribeVolumes' }, 'no volume is found');
  const health = need({ action: 'DescribeInstanceStatus' }, 'no volume is taken from an owner that runs');
  return [
    ...(volume === undefined ? [volumes] : []),
    ...(policy === 'stonith' || policy === 'preempt' ? [health] : []),
  ];
}

const tagging = ({ id }: EbsVolume): Need[] => [
  need(
    { action: 'DeleteTags', resourceId: id, key: `${tagPrefix}none` },
    'announced takeovers and pauses are never cleared',
  ),
  need(
    { action: 'CreateTags', resourceId: id, key: tagKeys.clean },
    'no node can say that it is finished with a volume',
  ),
];

function moving({ instanceId }: PermissionContext, { free, here, device }: Subjects): Need[] {
  const attach = (volumeId: string): Permission => ({ action: 'AttachVolume', key: { volumeId, instanceId, device } });
  return [
    ...(here === undefined
      ? []
      : [need({ action: 'DetachVolume', key: here }, 'no volume leaves a node, and none is taken over')]),
    ...(free === undefined ? [] : [need(attach(free.id), 'no volume can be mounted')]),
  ];
}

function removing({ onRemove, cluster }: PermissionContext, { any, free }: Subjects): Need[] {
  const without = 'no volume can be removed';
  const tags = { [tagKeys.cluster]: cluster };
  return [
    ...(onRemove === 'snapshot' && any !== undefined
      ? [
          need({ action: 'CreateSnapshot', volumeId: any.id, tags }, without),
          need({ action: 'DescribeSnapshots' }, without),
        ]
      : []),
    ...(onRemove === 'retain' || free === undefined
      ? []
      : [need({ action: 'DeleteVolume', volumeId: free.id }, without)]),
  ];
}

/** `resize` and `modify` say themselves what they lack; a volume that grows by itself would say it when it is nearly full. */
function growing({ grows }: Subjects): Need[] {
  if (grows === undefined) return [];
  const without = 'no volume grows by itself, as the option autoGrow of some asks (iam/grow.json)';
  return [
    need({ action: 'DescribeVolumesModifications' }, without),
    need({ action: 'ModifyVolume', volumeId: grows.id, change: { sizeGib: grows.sizeGib + 1 } }, without),
  ];
}

/** Removals that need a snapshot ask for the same. Which snapshots may be deleted can be asked only of those that are there. */
function scheduling({ onRemove, cluster }: PermissionContext, { scheduled }: Subjects): Need[] {
  if (scheduled === undefined || onRemove === 'snapshot') return [];
  const without = 'no snapshot is taken by a schedule, as the option snapshots of some volume asks';
  return [
    need({ action: 'DescribeSnapshots' }, without),
    need({ action: 'CreateSnapshot', volumeId: scheduled.id, tags: { [tagKeys.cluster]: cluster } }, without),
  ];
}

const need = (permission: Permission, without: string): Need => ({ permission, without });

const smallest = (zone: string, tags: Readonly<Record<string, string>>) => ({
  zone,
  sizeGib: 1,
  type: 'gp3',
  iops: undefined,
  throughput: undefined,
  encrypted: undefined,
  kmsKeyId: undefined,
  snapshotId: undefined,
  tags,
  clientToken: 'dry-run',
});

type Asked = Pick<Ec2, 'denied' | 'describeInstance'>;
const lane = { lane: 'list' } as const;

/**
 * Asks EC2 by dry runs, one after another and behind all other work. Where the first gets no clear answer, no more is
 * asked: an endpoint that does not know dry runs would make the calls.
 */
export async function askFor(ec2: Asked, needs: readonly Need[]): Promise<PermissionFindings> {
  const missing: Missing[] = [];
  const unknown: string[] = [];
  for (const need of needs) {
    const { why, doubt, failed } = await answerTo(ec2, need);
    const { action } = need.permission;
    if (doubt !== undefined) unknown.push(`${action}: ${doubt}`);
    else if (why !== undefined) missing.push({ action, why, without: need.without });
    if (failed === true && need === needs[0]) break;
  }
  return { missing, unknown };
}

/** Why it is denied; or why EC2's answer says nothing, and whether that was a failure. */
async function answerTo(ec2: Asked, need: Need): Promise<{ why?: string; doubt?: string; failed?: boolean }> {
  try {
    const why = await ec2.denied(need.permission, lane);
    const doubt = why === undefined ? undefined : await notJudged(ec2, need);
    return { ...(why === undefined ? {} : { why }), ...(doubt === undefined ? {} : { doubt }) };
  } catch (error) {
    if (provesRight(need.permission, error)) return {};
    return { doubt: error instanceof Error ? error.message : String(error), failed: true };
  }
}

/** EC2 is at work on that volume, which it tells only those who may change it. */
const provesRight = ({ action }: Permission, error: unknown): boolean =>
  action === 'ModifyVolume' && isCode(error, 'EC2_VOLUME_MODIFYING', 'EC2_MODIFIED_TOO_OFTEN');

/** Why a denial proves nothing; undefined when it does. */
async function notJudged(ec2: Asked, { permission, tag }: Need): Promise<string | undefined> {
  if (permission.action !== 'StopInstances' || tag === undefined) return undefined;
  const self = await ec2.describeInstance(permission.instanceId, lane);
  if (self === undefined || self.tags[tag.key] === tag.value) return undefined;
  return `${self.id} lacks the tag ${tag.key} = ${tag.value}, without which none may stop it: tag it, as every instance of the cluster`;
}
