import { tagKeys, tagPrefix } from '../src/ebs/tags.ts';

/** The placeholders that whoever applies a policy replaces. */
export const placeholders = { cluster: `\${CLUSTER}`, kmsKey: `\${KMS_KEY_ARN}` } as const;

export interface Statement {
  readonly Sid: string;
  readonly Effect: 'Allow';
  readonly Action: readonly string[];
  readonly Resource: readonly string[];
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>;
}

export interface Policy {
  readonly Version: '2012-10-17';
  readonly Statement: readonly Statement[];
}

const volume = 'arn:aws:ec2:*:*:volume/*';
const instance = 'arn:aws:ec2:*:*:instance/*';
/** Snapshots have no account in their ARN. */
const snapshot = 'arn:aws:ec2:*::snapshot/*';

const has = { [`aws:ResourceTag/${tagKeys.cluster}`]: placeholders.cluster };
const gets = { [`aws:RequestTag/${tagKeys.cluster}`]: placeholders.cluster };
/**
 * A call for tags that names keys of ours only, and never the cluster's: the volume stays in its cluster. Without `Null` a
 * DeleteTags that names no key, which takes all tags away, would pass: ForAllValues holds for no value.
 */
const ourKeys = {
  Null: { 'aws:TagKeys': 'false' },
  'ForAllValues:StringLike': { 'aws:TagKeys': `${tagPrefix}*` },
  'ForAllValues:StringNotEqualsIgnoreCase': { 'aws:TagKeys': tagKeys.cluster },
} as const;

const allow = (
  Sid: string,
  actions: readonly string[],
  Resource: readonly string[],
  Condition?: Statement['Condition'],
): Statement => ({
  Sid,
  Effect: 'Allow',
  Action: actions.map((action) => (action.includes(':') ? action : `ec2:${action}`)),
  Resource,
  ...(Condition === undefined ? {} : { Condition }),
});

/**
 * What every daemon calls. Which resources an action is checked against, and which conditions each knows: "Actions,
 * resources, and condition keys for Amazon EC2" (Service Authorization Reference).
 */
const everyDaemon = [
  allow(
    'Look',
    [
      'DescribeVolumes',
      'DescribeVolumeStatus',
      'DescribeInstances',
      'DescribeInstanceStatus',
      'DescribeInstanceTypes',
      'DescribeSnapshots',
    ],
    ['*'],
  ),
  allow('CreateVolumes', ['CreateVolume'], [volume], { StringEquals: gets }),
  allow('CreateVolumesFromSnapshots', ['CreateVolume'], [snapshot], { StringEquals: has }),
  // The volume that is copied has the tag, and the new one gets it.
  allow('CopyVolumes', ['CopyVolumes'], [volume], { StringEquals: has }),
  allow('MakeCopies', ['CopyVolumes'], [volume], { StringEquals: gets }),
  allow('TagWhatIsCreated', ['CreateTags'], [volume, snapshot], {
    StringEquals: { 'ec2:CreateAction': ['CreateVolume', 'CopyVolumes', 'CreateSnapshot'], ...gets },
  }),
  allow('TagVolumes', ['CreateTags', 'DeleteTags'], [volume], { StringEquals: has, ...ourKeys }),
  allow('MoveVolumes', ['AttachVolume', 'DetachVolume'], [volume], { StringEquals: has }),
  // A volume comes from instances that are gone or were never tagged, too: which volumes may move is the boundary.
  allow('MoveVolumesAmongInstances', ['AttachVolume', 'DetachVolume'], [instance]),
  allow('SnapshotVolumes', ['CreateSnapshot'], [volume], { StringEquals: has }),
  allow('CreateSnapshots', ['CreateSnapshot'], [snapshot], { StringEquals: gets }),
  // How consistent a snapshot is can be told only once it has begun.
  allow('TagSnapshots', ['CreateTags'], [snapshot], { StringEquals: has, ...ourKeys }),
  allow('DeleteSnapshots', ['DeleteSnapshot'], [snapshot], { StringEquals: has }),
  allow('DeleteVolumes', ['DeleteVolume'], [volume], { StringEquals: has }),
];
const stopSuspects = allow('StopSuspects', ['StopInstances'], [instance], { StringEquals: has });

/** For an operator's `adopt`: volumes of no cluster come into this one, and those of this one go. */
const adopting = [
  allow('Look', ['DescribeVolumes', 'DescribeInstances'], ['*']),
  allow('AdoptVolumes', ['CreateTags'], [volume], {
    StringEquals: gets,
    StringEqualsIfExists: has,
    'ForAllValues:StringLike': { 'aws:TagKeys': `${tagPrefix}*` },
  }),
  allow('GiveVolumesBack', ['DeleteTags'], [volume], {
    StringEqualsIfExists: has,
    Null: { 'aws:TagKeys': 'false' },
    'ForAllValues:StringLike': { 'aws:TagKeys': `${tagPrefix}*` },
  }),
];

/** For `resize`, `modify` and volumes that grow by themselves. */
const growing = [
  allow('LookAtModifications', ['DescribeVolumesModifications'], ['*']),
  allow('ModifyVolumes', ['ModifyVolume'], [volume], { StringEquals: has }),
];

/** For a customer's own key alone: the key of AWS for EBS lets everybody in the account use it through EBS. */
const usingKey = [
  allow(
    'UseKeyThroughEbs',
    ['kms:Decrypt', 'kms:DescribeKey', 'kms:GenerateDataKeyWithoutPlaintext', 'kms:ReEncrypt*'],
    [placeholders.kmsKey],
    {
      StringLike: { 'kms:ViaService': 'ec2.*.amazonaws.com*' },
    },
  ),
  allow('GrantKeyToEbs', ['kms:CreateGrant'], [placeholders.kmsKey], {
    StringLike: { 'kms:ViaService': 'ec2.*.amazonaws.com*' },
    Bool: { 'kms:GrantIsForAWSResource': 'true' },
  }),
];

const policy = (...Statement: readonly Statement[]): Policy => ({ Version: '2012-10-17', Statement });

/** The files of iam/ without their ending: one for each fence policy, one for an operator, what volumes that grow need, and what a key of one's own needs. */
export const policies = {
  never: policy(...everyDaemon),
  'instance-not-running': policy(...everyDaemon),
  stonith: policy(...everyDaemon, stopSuspects),
  preempt: policy(...everyDaemon),
  adopt: policy(...adopting),
  grow: policy(...growing),
  kms: policy(...usingKey),
} as const;
