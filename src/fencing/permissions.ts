import { tagKeys, tagPrefix } from '../ebs/tags.ts';
import type { EbsVolume, Ec2, Permission } from '../ebs/types.ts';
import type { FencePolicy } from './types.ts';

/** A call that the settings need, and what does not work without it, as a clause. */
export interface Need {
  readonly permission: Permission;
  readonly without: string;
}

/** A call that this node's role may not make. */
export interface Missing {
  readonly action: Permission['action'];
  /** EC2's words. */
  readonly why: string;
  readonly without: string;
}

export interface PermissionFindings {
  readonly missing: readonly Missing[];
  /** Calls of which EC2 did not say whether they are allowed, with why. */
  readonly unknown: readonly string[];
}

export interface PermissionContext {
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
 * What the settings need, the most harmless call first. StopInstances is asked for this instance itself: its role and
 * its tags are those of the others.
 * @param volume any of the cluster's.
 */
export function needsOf({ policy, onRemove, cluster, instanceId, zone }: PermissionContext, { id }: EbsVolume): Need[] {
  const key = { volumeId: id, instanceId, device: noDevice };
  const needs = [
    need(
      { action: 'DeleteTags', resourceId: id, key: `${tagPrefix}none` },
      'announced takeovers and pauses are never cleared',
    ),
    need(
      { action: 'CreateTags', resourceId: id, key: tagKeys.clean },
      'no node can say that it is finished with a volume',
    ),
    need({ action: 'DetachVolume', key }, 'no volume leaves a node, and none is taken over'),
    need({ action: 'AttachVolume', key }, 'no volume can be mounted'),
    need({ action: 'CreateVolume', spec: smallest(zone, { [tagKeys.cluster]: cluster }) }, 'no volume can be created'),
  ];
  if (onRemove === 'snapshot') needs.push(need({ action: 'CreateSnapshot', volumeId: id }, 'no volume can be removed'));
  if (onRemove !== 'retain') needs.push(need({ action: 'DeleteVolume', volumeId: id }, 'no volume can be removed'));
  if (policy === 'stonith') {
    needs.push(need({ action: 'StopInstances', instanceId }, 'no suspect owner is stopped: its volumes are refused'));
  }
  return needs;
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

/**
 * Asks EC2 by dry runs, one after another and behind all other work. Where the first gets no clear answer, no more is
 * asked: an endpoint that does not know dry runs would make the calls.
 */
export async function askFor(ec2: Pick<Ec2, 'denied'>, needs: readonly Need[]): Promise<PermissionFindings> {
  const missing: Missing[] = [];
  const unknown: string[] = [];
  for (const [index, { permission, without }] of needs.entries()) {
    const { action } = permission;
    try {
      const why = await ec2.denied(permission, { lane: 'list' });
      if (why !== undefined) missing.push({ action, why, without });
    } catch (error) {
      unknown.push(`${action}: ${error instanceof Error ? error.message : String(error)}`);
      if (index === 0) break;
    }
  }
  return { missing, unknown };
}
