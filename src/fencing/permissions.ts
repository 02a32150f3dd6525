import { tagKeys, tagPrefix } from '../ebs/tags.ts';
import type { EbsVolume, Ec2, Permission } from '../ebs/types.ts';
import { isGone } from '../ebs/volume-record.ts';
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
  readonly onRemove: 'delete' | 'snapshot' | 'retain';
  readonly cluster: string;
  /** This node. */
  readonly instanceId: string;
  readonly zone: string;
}

/** No attachment of ours has it: were the dry run taken for earnest, the call would fail all the same. */
const noDevice = '/dev/xvdzz';

/**
 * What the settings need, the most harmless call first. Each question is what the daemon will really ask for: a policy may
 * look at the tags of the volume and at those that a call gives. StopInstances is asked for this instance itself: its role
 * and its tags are those of the others.
 * @param volume one of the cluster's, as {@link volumeToAsk} chooses it; without one, only what needs none can be asked.
 */
export function needsOf(context: PermissionContext, volume: EbsVolume | undefined): Need[] {
  const { policy, cluster, instanceId, zone } = context;
  const tag = { key: tagKeys.cluster, value: cluster };
  const create = need(
    { action: 'CreateVolume', spec: smallest(zone, { [tag.key]: tag.value }) },
    'no volume can be created',
  );
  const stop = need({ action: 'StopInstances', instanceId }, 'no suspect owner is stopped: its volumes are refused');
  return [
    ...looking(policy, volume),
    ...(volume === undefined ? [] : tagging(volume)),
    ...(volume === undefined ? [] : moving(context, volume)),
    create,
    ...(volume === undefined ? [] : removing(context, volume)),
    ...(policy === 'stonith' ? [{ ...stop, tag }] : []),
  ];
}

/** The volume to ask about, of all that the cluster has: one in this node's zone if there is one. */
export function volumeToAsk(volumes: readonly EbsVolume[], zone: string): EbsVolume | undefined {
  const present = volumes.filter((volume) => !isGone(volume));
  return present.find((each) => each.zone === zone) ?? present[0];
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

function moving({ instanceId }: PermissionContext, { id }: EbsVolume): Need[] {
  const key = { volumeId: id, instanceId, device: noDevice };
  return [
    need({ action: 'DetachVolume', key }, 'no volume leaves a node, and none is taken over'),
    need({ action: 'AttachVolume', key }, 'no volume can be mounted'),
  ];
}

function removing({ onRemove, cluster }: PermissionContext, { id: volumeId }: EbsVolume): Need[] {
  const without = 'no volume can be removed';
  const snapshot = need({ action: 'CreateSnapshot', volumeId, tags: { [tagKeys.cluster]: cluster } }, without);
  return [
    ...(onRemove === 'snapshot' ? [snapshot] : []),
    ...(onRemove === 'retain' ? [] : [need({ action: 'DeleteVolume', volumeId }, without)]),
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
  for (const [index, need] of needs.entries()) {
    const { action } = need.permission;
    try {
      const why = await ec2.denied(need.permission, lane);
      const reason = why === undefined ? undefined : await notJudged(ec2, need);
      if (reason !== undefined) unknown.push(`${action}: ${reason}`);
      else if (why !== undefined) missing.push({ action, why, without: need.without });
    } catch (error) {
      unknown.push(`${action}: ${error instanceof Error ? error.message : String(error)}`);
      if (index === 0) break;
    }
  }
  return { missing, unknown };
}

/** Why a denial proves nothing; undefined when it does. */
async function notJudged(ec2: Asked, { permission, tag }: Need): Promise<string | undefined> {
  if (permission.action !== 'StopInstances' || tag === undefined) return undefined;
  const self = await ec2.describeInstance(permission.instanceId, lane);
  if (self === undefined || self.tags[tag.key] === tag.value) return undefined;
  return `${self.id} lacks the tag ${tag.key} = ${tag.value}, without which none may stop it: tag it, as every instance of the cluster`;
}
