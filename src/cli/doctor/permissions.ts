import { isCode } from '../../errors.ts';
import { askFor, questionsOf } from '../../fencing/permissions.ts';
import { type Check, type Finding, reasonOf } from './check.ts';
import type { Facts } from './facts.ts';

interface Denied {
  readonly action: string;
  /** What does not work without it, as a clause. */
  readonly without: string;
  readonly why: string;
}

/** What this role may do of what the settings need: looking at instances by doing it, all else by dry runs. */
export const permissions: Check = {
  title: 'permissions',
  async run(facts) {
    const { fencePolicy: policy, onRemove, cluster } = facts.settings;
    const reads = await deniedReads(facts);
    const { instanceId, availabilityZone: zone } = await facts.identity();
    const listed = await facts.volumes().catch(() => []);
    const { needs: questions, later } = questionsOf({ policy, onRemove, cluster, instanceId, zone }, listed);
    const asked = await askFor(facts.ec2, questions);
    const missing = [...reads, ...asked.missing];
    if (missing.length > 0) return missingFinding(missing);
    if (asked.unknown.length > 0) {
      return { level: 'unknown', found: 'EC2 did not say of each call whether it is allowed', details: asked.unknown };
    }
    const needs = `what DVE_FENCE_POLICY=${policy} and DVE_ON_REMOVE=${onRemove} need`;
    // A node at work may have no free volume to ask about: that alone is no reason to look at it again.
    if (listed.length > 0) {
      const asked = later.length === 0 ? '' : ', as far as that can be asked now';
      return { level: 'ok', found: `this role may do ${needs}${asked}`, details: later };
    }
    return {
      level: 'unknown',
      found: `nothing is missing so far of ${needs}, but of most calls EC2 tells only for a volume of the cluster`,
      todo: 'Create a first volume, and run this again',
    };
  },
};

function missingFinding(missing: readonly Denied[]): Finding {
  const actions = missing.map(({ action }) => `ec2:${action}`).join(', ');
  return {
    level: 'fail',
    found: `this role may not call ${actions}`,
    details: missing.map(({ action, without, why }) => `without ${action} ${without}. EC2: ${why}`),
    todo: 'Allow them in the IAM policy of the role; docs/iam.md has the policy for each fence policy, and that for volumes that grow',
  };
}

/** Of the reads that are made here anyway. Another failure than a denial is another check's to tell. */
async function deniedReads({ instance, ec2 }: Facts): Promise<Denied[]> {
  const known = await deniedBy(instance, 'DescribeInstances', 'nothing is attached, and no owner is judged');
  if (known.length > 0) return known;
  const type = await instance().then(
    (found) => found?.type,
    () => undefined,
  );
  if (type === undefined) return [];
  const without = 'that this node is full shows only when EC2 refuses a volume';
  return deniedBy(() => ec2.attachmentLimit(type), 'DescribeInstanceTypes', without);
}

async function deniedBy(read: () => Promise<unknown>, action: string, without: string): Promise<Denied[]> {
  try {
    await read();
    return [];
  } catch (error) {
    return isCode(error, 'EC2_DENIED') ? [{ action, without, why: reasonOf(error) }] : [];
  }
}
