/** What EC2's words say where the name of its error says too little. */
import type { ErrorCode } from '../errors.ts';

/** What an answer of EC2 can mean to us. */
export type Ec2Code = Extract<ErrorCode, `EC2_${string}`> | 'NODE_FULL' | 'WRONG_ZONE';

interface Reading {
  readonly names: readonly string[];
  /** Which of the messages with these names; all without. */
  readonly words?: RegExp;
  readonly code: Ec2Code;
  /** An imperative sentence; without, that of the code. */
  readonly todo?: string;
}

const account =
  "See the AWS account's e-mails and support cases: it may not use EC2 as it stands, whatever its roles allow";
const ownInstance = 'Check DVE_INSTANCE_ID and the region: they must name this instance';
const ownZone = 'Check DVE_AVAILABILITY_ZONE and the region: they must name the zone of this instance';

/** The first that fits counts. */
const readings: readonly Reading[] = [
  // EC2 has no name of its own for this; aws-ebs-csi-driver keys on the same words.
  { names: ['InvalidParameterValue'], words: /already in use/i, code: 'EC2_DEVICE_NAME_IN_USE' },
  // The same name stands for many other refusals (hashicorp/terraform#24610, terraform-provider-aws#17547).
  { names: ['OperationNotPermitted'], words: /modification state/i, code: 'EC2_VOLUME_MODIFYING' },
  {
    names: ['IncorrectModificationState'],
    code: 'EC2_VOLUME_MODIFYING',
    todo: 'Try again once aws ec2 describe-volumes-modifications shows its last modification as completed, which may take hours',
  },
  // Four in 24 hours (API reference of ModifyVolume), or one in six, which was the rule before 2026.
  { names: ['VolumeModificationRateExceeded'], code: 'EC2_MODIFIED_TOO_OFTEN' },
  { names: ['VolumeModificationSizeLimitExceeded'], code: 'EC2_LIMIT' },
  {
    names: ['IncorrectState', 'OperationNotPermitted'],
    words: /root volume/i,
    code: 'EC2_REJECTED',
    todo: 'Leave it where it is: an instance runs from it. Its data can be had as a volume of its own, by a snapshot',
  },
  {
    names: ['IncorrectState'],
    words: /in the 'error' state/i,
    code: 'EC2_REJECTED',
    todo: 'See its events in the EC2 console and on the AWS health dashboard: no volume leaves this state by itself',
  },
  { names: ['InvalidInstanceID.Malformed'], code: 'EC2_NO_SUCH_INSTANCE', todo: ownInstance },
  {
    names: ['InvalidParameterValue'],
    words: /parameter instance-?id is invalid/i,
    code: 'EC2_NO_SUCH_INSTANCE',
    todo: ownInstance,
  },
  { names: ['InvalidZone.NotFound'], code: 'EC2_REJECTED', todo: ownZone },
  { names: ['InvalidParameterValue'], words: /availability zone/i, code: 'EC2_REJECTED', todo: ownZone },
  {
    names: ['InsufficientVolumeCapacity'],
    code: 'EC2_LIMIT',
    todo: 'Try again later, or with another volume type or zone: AWS has no room left for this one',
  },
  {
    // Neither number can be raised (EBS user guide, quotas).
    names: ['ConcurrentSnapshotLimitExceeded', 'PendingSnapshotLimitExceeded'],
    code: 'EC2_LIMIT',
    todo: 'Try again once one of the snapshots that EC2 is still copying is complete',
  },
  { names: ['OptInRequired', 'Blocked', 'PendingVerification'], code: 'EC2_DENIED', todo: account },
  {
    names: ['UnsupportedOperationException'],
    words: /managed|service/i,
    code: 'EC2_REJECTED',
    todo: 'Have the AWS service that attached the volume give it back: EC2 lets nobody else',
  },
];

/** How an answer with this name and message is to be understood; undefined where its name says enough. */
export const readingOf = (name: string, message: string): Reading | undefined =>
  readings.find(({ names, words }) => names.includes(name) && (words === undefined || words.test(message)));

/**
 * What to do about a refusal for want of permission. EC2 names the action that is denied, which may be another than the one
 * called: creating with tags needs ec2:CreateTags, too. It also says which policy denies, and a policy that denies wins over
 * any that allows (IAM user guide, "Troubleshoot access denied error messages").
 */
export function denialTodo(message: string, action: string): string {
  const named = /not authorized to perform: ([a-z0-9-]+:[A-Za-z]+)/.exec(message)?.[1] ?? `ec2:${action}`;
  const denying = /with an explicit deny in (an? [A-Za-z -]+?policy|a permissions boundary)/.exec(message)?.[1];
  if (denying !== undefined)
    return `Change the Deny of ${named} in ${denying}: no policy that allows it helps against one`;
  const silent = /because no ((?!identity-based)[A-Za-z -]+?(?:policy|boundary)) allows/.exec(message)?.[1];
  if (silent !== undefined)
    return `Allow ${named} in the ${silent}, too: it allows less than the policy of the daemon's role`;
  return `Allow ${named} in the IAM policy of the daemon's role`;
}

/**
 * What to do about a resource that has all the tags it can: no quota raises their number, and one of ours records something.
 * @param tried names the resource.
 */
export function tagLimitTodo(tried: string): string {
  const id = /\b(?:vol|snap)-\w+/.exec(tried)?.[0] ?? 'ID';
  return (
    'EC2 has room for 50 tags on it, which cannot be raised: take off tags of your own that nobody needs any more, none that ' +
    `begins with docker-volume-ebs: (aws ec2 describe-tags --filters Name=resource-id,Values=${id} lists them, ` +
    `aws ec2 delete-tags --resources ${id} --tags Key=KEY takes off the one named KEY)`
  );
}
