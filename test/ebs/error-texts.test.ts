import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { toDriverError } from '../../src/ebs/errors.ts';
import type { ErrorCode } from '../../src/errors.ts';
import { projectRoot } from '../docs/page.ts';

// Every refusal that the sandbox can give, and those that others have reported of EC2, as a person is to read them: the
// code, and a word of what to do. A row without such a word has the advice of its code.
const rows: readonly (readonly [string, string, ErrorCode] | readonly [string, string, ErrorCode, string])[] = [
  ['InvalidVolume.NotFound', "The volume 'vol-0c1f7d3a5e9b2c101' does not exist.", 'EC2_NO_SUCH_VOLUME'],
  ['InvalidVolumeID.Duplicate', "The volume ID 'vol-1' is given more than once", 'EC2_REJECTED'],
  ['InvalidVolumeID.Malformed', 'Invalid id: "data"', 'EC2_REJECTED'],
  ['InvalidParameterValue', "Value (data) for parameter volumeId is invalid. Expected: 'vol-...'.", 'EC2_REJECTED'],
  ['InvalidInstanceID.NotFound', "The instance ID 'i-0a4b7e91c25d3f801' does not exist", 'EC2_NO_SUCH_INSTANCE'],
  ['InvalidInstanceID.Malformed', 'Invalid id: "node-1"', 'EC2_NO_SUCH_INSTANCE', 'DVE_INSTANCE_ID'],
  [
    'InvalidParameterValue',
    "Value (node-1) for parameter instanceId is invalid. Expected: 'i-...'.",
    'EC2_NO_SUCH_INSTANCE',
    'DVE_INSTANCE_ID',
  ],
  ['InvalidSnapshot.NotFound', "The snapshot 'snap-0f3b6d9e2a5c8b7d1' does not exist.", 'EC2_NO_SUCH_SNAPSHOT'],
  ['InvalidID', "The ID 'subnet-1' is not valid", 'EC2_REJECTED'],
  ['InvalidZone.NotFound', "The zone 'eu-west-1z' does not exist.", 'EC2_REJECTED', 'DVE_AVAILABILITY_ZONE'],
  ['InvalidParameterValue', 'Invalid availability zone: [eu-west-1z]', 'EC2_REJECTED', 'DVE_AVAILABILITY_ZONE'],
  ['InvalidVolume.ZoneMismatch', "The volume 'vol-1' is not in the same availability zone as 'i-1'", 'WRONG_ZONE'],
  // Attaching.
  ['VolumeInUse', 'vol-0c1f7d3a5e9b2c103 is already attached to an instance', 'EC2_VOLUME_IN_USE'],
  ['VolumeInUse', 'Volume vol-1 is currently attached to i-1', 'EC2_VOLUME_IN_USE'],
  ['IncorrectState', "Volume 'vol-1' is in the 'creating' state.", 'EC2_INCORRECT_STATE'],
  ['IncorrectState', "Volume 'vol-1' is in the 'available' state.", 'EC2_INCORRECT_STATE'],
  ['IncorrectState', "Volume 'vol-1' is in the 'error' state.", 'EC2_REJECTED', 'health dashboard'],
  ['IncorrectState', "Instance 'i-1' is not 'running'.", 'EC2_INCORRECT_STATE'],
  ['IncorrectState', 'Snapshot is in invalid state - pending', 'EC2_INCORRECT_STATE'],
  [
    'OperationNotPermitted',
    "Cannot attach volume 'vol-1' when it is in modification state: MODIFYING",
    'EC2_VOLUME_MODIFYING',
    'describe-volumes-modifications',
  ],
  [
    'OperationNotPermitted',
    "'vol-1' with Marketplace codes may not be attached as a secondary device.",
    'EC2_REJECTED',
  ],
  [
    'InvalidParameterValue',
    "Invalid value '/dev/xvdba' for unixDevice. Attachment point /dev/xvdba is already in use",
    'EC2_DEVICE_NAME_IN_USE',
  ],
  ['InvalidParameterValue', 'Value (/dev/xvdzz) for parameter device is invalid.', 'EC2_REJECTED'],
  ['AttachmentLimitExceeded', 'Instance i-1 has reached its limit of 27 volumes', 'NODE_FULL', 'another node'],
  // Detaching.
  [
    'IncorrectState',
    "Unable to detach root volume 'vol-1' from instance 'i-1'",
    'EC2_REJECTED',
    'an instance runs from it',
  ],
  [
    'OperationNotPermitted',
    "Unable to detach root volume 'vol-1' from instance 'i-1'",
    'EC2_REJECTED',
    'an instance runs from it',
  ],
  ['IncorrectInstanceState', "The instance 'i-1' is not in a valid state for this operation.", 'EC2_INCORRECT_STATE'],
  [
    'InvalidAttachment.NotFound',
    "The volume 'vol-1' is not attached to instance 'i-1' as device '/dev/xvdcz'.",
    'EC2_NOT_ATTACHED',
  ],
  [
    'UnsupportedOperationException',
    'The volume is attached by a managed service and cannot be detached.',
    'EC2_REJECTED',
    'AWS service',
  ],
  // Creating.
  ['MissingParameter', 'The request must contain the parameter size/snapshotId', 'EC2_REJECTED'],
  ['UnknownVolumeType', 'Unknown volume type: gp9', 'EC2_REJECTED'],
  ['VolumeTypeNotAvailableInZone', 'The volume type is not available in this zone.', 'EC2_REJECTED'],
  ['InvalidParameterValue', 'Volume iops of 90000 is too high; maximum is 80000.', 'EC2_REJECTED'],
  ['InvalidParameterValue', 'Iops to volume size ratio of 600 is too high; maximum is 500.', 'EC2_REJECTED'],
  ['InvalidParameterCombination', 'The parameter iops must be specified for io1 volumes.', 'EC2_REJECTED'],
  ['InvalidParameterCombination', 'The parameter throughput is not supported for gp2 volumes.', 'EC2_REJECTED'],
  ['InvalidParameterDependency', 'The parameter KmsKeyId requires the parameter Encrypted to be set.', 'EC2_REJECTED'],
  ['UnsupportedOperation', 'Multi-Attach is not supported for gp3 volumes.', 'EC2_REJECTED'],
  [
    'IdempotentParameterMismatch',
    'Parameters on this idempotent request are inconsistent with parameters used in previous request(s)',
    'EC2_TOKEN_REUSED',
  ],
  [
    'IdempotentParameterMismatch',
    'The client token is associated with a resource that is already deleted (vol-1)',
    'EC2_TOKEN_REUSED',
  ],
  ['VolumeLimitExceeded', 'Volume limit exceeded', 'EC2_LIMIT', 'Service Quotas'],
  ['MaxIOPSLimitExceeded', 'You have exceeded your maximum io1 IOPS limit.', 'EC2_LIMIT', 'Service Quotas'],
  [
    'InsufficientVolumeCapacity',
    'There is not enough capacity in the zone.',
    'EC2_LIMIT',
    'another volume type or zone',
  ],
  // Tags.
  ['TagLimitExceeded', 'The maximum number of Tags for a resource has been reached: 50', 'EC2_LIMIT'],
  ['InvalidParameterValue', "Tag keys starting with 'aws:' are reserved for internal use", 'EC2_REJECTED'],
  ['InvalidParameterValue', 'Tag specification must have at least one tag', 'EC2_REJECTED'],
  ['ConcurrentTagAccess', 'You cannot run simultaneous commands to modify a tag.', 'EC2_THROTTLED'],
  // Snapshots and modifications.
  [
    'SnapshotCreationPerVolumeRateExceeded',
    'The maximum per volume CreateSnapshot request rate has been exceeded.',
    'EC2_THROTTLED',
  ],
  ['ConcurrentSnapshotLimitExceeded', 'Maximum of 5 pending snapshots reached', 'EC2_LIMIT', 'once one'],
  ['CopyVolumesLimitExceeded', 'Maximum of 5 copies in progress reached', 'EC2_LIMIT'],
  ['ConcurrentCopyVolumeLimitExceeded', 'Volume vol-1 is being copied already', 'EC2_LIMIT'],
  ['PendingSnapshotLimitExceeded', 'Maximum of 100 pending snapshots reached', 'EC2_LIMIT', 'once one'],
  ['IncorrectModificationState', "Volume vol-1 has a modification in state 'optimizing'", 'EC2_VOLUME_MODIFYING'],
  [
    'VolumeModificationRateExceeded',
    'Volume vol-1 has been modified 4 times in the last 24 hours',
    'EC2_MODIFIED_TOO_OFTEN',
    'some hours later',
  ],
  ['InvalidVolumeModification.NotFound', "Modification for volume 'vol-1' does not exist.", 'EC2_REJECTED'],
  // Instances.
  [
    'OperationNotPermitted',
    "The instance 'i-1' may not be stopped. Modify its 'disableApiStop' instance attribute and try again.",
    'EC2_REJECTED',
  ],
  ['UnsupportedHibernationConfiguration', 'This instance is not configured for hibernation.', 'EC2_REJECTED'],
  ['InvalidInstanceAttributeValue', 'No device is currently mapped at /dev/xvdba', 'EC2_REJECTED'],
  ['InvalidInstanceType', 'The following supplied instance types do not exist: [m99.large]', 'EC2_REJECTED'],
  ['InstanceLimitExceeded', 'You have requested more instances than your quota allows.', 'EC2_REJECTED'],
  // Any call.
  ['InvalidAction', "The action 'Fly' is not valid for this web service.", 'EC2_REJECTED'],
  ['InvalidPaginationToken', 'The specified pagination token is not valid', 'EC2_REJECTED'],
  ['FilterLimitExceeded', 'The maximum number of filter values is 200', 'EC2_REJECTED'],
  ['RequestLimitExceeded', 'Request limit exceeded.', 'EC2_THROTTLED'],
  ['InternalError', 'An internal error has occurred', 'EC2_UNAVAILABLE'],
  ['Unavailable', 'The server is overloaded and cannot handle the request', 'EC2_UNAVAILABLE'],
  ['AuthFailure', 'AWS was not able to validate the provided access credentials', 'EC2_CREDENTIALS'],
  ['OptInRequired', 'You are not subscribed to this service.', 'EC2_DENIED', 'support cases'],
  [
    'Blocked',
    'This account is currently blocked and not recognized as a valid account.',
    'EC2_DENIED',
    'support cases',
  ],
  ['PendingVerification', 'Your request is currently being validated.', 'EC2_DENIED', 'e-mails'],
  [
    'UnauthorizedOperation',
    'You are not authorized to perform this operation.',
    'EC2_DENIED',
    'Allow ec2:AttachVolume',
  ],
];

/** Where the same call may succeed later by itself. */
const transient: ReadonlySet<ErrorCode> = new Set([
  ...(['EC2_VOLUME_IN_USE', 'EC2_INCORRECT_STATE', 'EC2_VOLUME_MODIFYING', 'EC2_DEVICE_NAME_IN_USE'] as const),
  ...(['EC2_MODIFIED_TOO_OFTEN'] as const),
  ...(['EC2_THROTTLED', 'EC2_UNAVAILABLE', 'EC2_CREDENTIALS', 'NODE_FULL'] as const),
]);

const refusal = (name: string, message: string) =>
  toDriverError(Object.assign(new Error(message), { name, $fault: 'client', $metadata: { httpStatusCode: 400 } }), {
    tried: 'attach vol-1 to i-1',
    action: 'AttachVolume',
  });

describe('what a person is told of a refusal', () => {
  it.each(rows.map(([name, message, code, todo = '']) => ({ name, message, code, todo })))(
    '$name: $message',
    ({ name, message, code, todo }) => {
      const error = refusal(name, message);
      expect([error.code, error.transient]).toEqual([code, transient.has(code)]);
      expect(error.parts.todo).toContain(todo);
      expect(error.message).toContain(name);
      if (code !== 'EC2_CREDENTIALS') expect(error.message).toContain(message.replace(/\.$/, ''));
    },
  );

  it('has a row for every name that the sandbox answers with', () => {
    const known = new Set([...rows.map(([name]) => name), 'DryRunOperation']);
    const answered = globSync('src/sandbox/**/*.ts', { cwd: projectRoot }).flatMap((file) =>
      [...readFileSync(join(projectRoot, file), 'utf8').matchAll(/new Ec2Error\(\s*'([A-Za-z.]+)'/g)].map(
        ([, name]) => name,
      ),
    );
    expect(answered.length).toBeGreaterThan(40);
    expect(answered.filter((name = '') => !known.has(name))).toEqual([]);
  });

  it('has a meaning for every code of EC2 in the catalogue', () => {
    const meant = new Set(rows.map(([, , code]) => code));
    const all: ErrorCode[] = ['EC2_CREDENTIALS', 'EC2_DENIED', 'EC2_LIMIT', 'EC2_THROTTLED', 'EC2_UNAVAILABLE'];
    expect(all.filter((code) => !meant.has(code))).toEqual([]);
  });
});

describe('a denial', () => {
  const who = 'You are not authorized to perform this operation. User: arn:aws:sts::111122223333:assumed-role/node/i-1';
  const what = `${who} is not authorized to perform: ec2:CreateTags on resource: arn:aws:ec2:eu-west-1:111122223333:volume/*`;

  it.each([
    [
      `${what} because no identity-based policy allows the ec2:CreateTags action`,
      "Allow ec2:CreateTags in the IAM policy of the daemon's role",
    ],
    [
      `${what} because no service control policy allows the ec2:CreateTags action`,
      "Allow ec2:CreateTags in the service control policy, too: it allows less than the policy of the daemon's role",
    ],
    [
      `${what} because no permissions boundary allows the ec2:CreateTags action`,
      "Allow ec2:CreateTags in the permissions boundary, too: it allows less than the policy of the daemon's role",
    ],
    [
      `${what} with an explicit deny in a service control policy`,
      'Change the Deny of ec2:CreateTags in a service control policy: no policy that allows it helps against one',
    ],
    [
      `${what} with an explicit deny in a VPC endpoint policy`,
      'Change the Deny of ec2:CreateTags in a VPC endpoint policy: no policy that allows it helps against one',
    ],
    [
      `${what} with an explicit deny in a permissions boundary`,
      'Change the Deny of ec2:CreateTags in a permissions boundary: no policy that allows it helps against one',
    ],
  ])('names the policy that denies: %s', (message, todo) => {
    expect(
      refusal('UnauthorizedOperation', `${message}. Encoded authorization failure message: 4GIOH`).parts.todo,
    ).toBe(todo);
  });
});
