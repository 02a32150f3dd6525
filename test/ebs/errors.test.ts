import nock from 'nock';
import { describe, expect, it } from 'vitest';
import { toDriverError } from '../../src/ebs/errors.ts';
import { DriverError } from '../../src/errors.ts';
import { answerOnce, endpoint, errorXml, openTestEc2, useFakeAws } from './aws.ts';

useFakeAws();

const key = { volumeId: 'vol-1', instanceId: 'i-1', device: '/dev/xvdba' };
const attach = () =>
  openTestEc2()
    .attachVolume(key)
    .then(
      () => expect.fail('must not succeed'),
      (error: unknown) => error as DriverError,
    );

describe("AWS's errors", () => {
  it.each([
    [400, 'InvalidVolume.NotFound', "The volume 'vol-1' does not exist.", 'EC2_NO_SUCH_VOLUME'],
    [400, 'InvalidInstanceID.NotFound', "The instance ID 'i-1' does not exist", 'EC2_NO_SUCH_INSTANCE'],
    [400, 'VolumeInUse', 'vol-1 is already attached to an instance', 'EC2_VOLUME_IN_USE'],
    [400, 'IncorrectState', "Volume 'vol-1' is in the 'available' state.", 'EC2_INCORRECT_STATE'],
    [400, 'IncorrectInstanceState', 'The instance is in an incorrect state.', 'EC2_INCORRECT_STATE'],
    [400, 'InvalidAttachment.NotFound', 'It is not attached.', 'EC2_NOT_ATTACHED'],
    [400, 'InvalidVolume.ZoneMismatch', 'The volume is not in the same zone.', 'WRONG_ZONE'],
    [400, 'AttachmentLimitExceeded', 'The instance has reached its limit.', 'NODE_FULL'],
    [
      400,
      'InvalidParameterValue',
      'Invalid value for unixDevice. Attachment point /dev/xvdba is already in use',
      'EC2_DEVICE_NAME_IN_USE',
    ],
    [400, 'InvalidParameterValue', 'Value (/dev/zzz) is invalid.', 'EC2_REJECTED'],
    [
      400,
      'OperationNotPermitted',
      "Cannot attach volume 'vol-1' when it is in modification state: MODIFYING",
      'EC2_VOLUME_MODIFYING',
    ],
    [400, 'OperationNotPermitted', "'vol-1' with Marketplace codes may not be attached.", 'EC2_REJECTED'],
    [400, 'IdempotentParameterMismatch', 'The client token was used.', 'EC2_TOKEN_REUSED'],
    [403, 'UnauthorizedOperation', 'You are not authorized to perform this operation.', 'EC2_DENIED'],
    [401, 'OptInRequired', 'You are not subscribed to this service.', 'EC2_DENIED'],
    [401, 'AuthFailure', 'AWS was not able to validate the provided access credentials', 'EC2_CREDENTIALS'],
    [400, 'ExpiredToken', 'The security token is expired', 'EC2_CREDENTIALS'],
    [400, 'RequestExpired', 'Request has expired.', 'EC2_CREDENTIALS'],
    [403, 'InvalidClientTokenId', 'The security token is invalid.', 'EC2_CREDENTIALS'],
    [400, 'VolumeLimitExceeded', 'You have reached the limit.', 'EC2_LIMIT'],
    [400, 'MaxIOPSLimitExceeded', 'You have reached the limit.', 'EC2_LIMIT'],
    [400, 'ResourceLimitExceeded', 'You have reached the limit.', 'EC2_LIMIT'],
    [400, 'SnapshotLimitExceeded', 'You have reached the limit.', 'EC2_LIMIT'],
    [400, 'PendingSnapshotLimitExceeded', 'You have reached the limit.', 'EC2_LIMIT'],
    [400, 'ConcurrentSnapshotLimitExceeded', 'You have reached the limit.', 'EC2_LIMIT'],
    [400, 'TagLimitExceeded', 'You have reached the limit.', 'EC2_LIMIT'],
    [400, 'ConcurrentTagAccess', 'Try again.', 'EC2_THROTTLED'],
    [400, 'SnapshotCreationPerVolumeRateExceeded', 'Wait 15 seconds.', 'EC2_THROTTLED'],
    [400, 'InvalidParameterCombination', 'These do not go together.', 'EC2_REJECTED'],
    [400, 'NobodyKnowsThis', 'Something new.', 'EC2_REJECTED'],
  ])('%i %s is %4$s', async (status, name, message, code) => {
    answerOnce(status, errorXml(name, message));
    const error = await attach();
    expect(error).toMatchObject({ code });
    expect(error.message).toContain('cannot attach vol-1 to i-1 as /dev/xvdba: ');
    expect(error.message).toContain(name);
    expect(error.message).not.toMatch(/\.\./);
    if (code !== 'EC2_CREDENTIALS') expect(error.message).toContain(message.replace(/\.$/, ''));
  });

  it.each([
    [500, 'InternalError', 'EC2_UNAVAILABLE'],
    [503, 'Unavailable', 'EC2_UNAVAILABLE'],
    [500, 'InsufficientVolumeCapacity', 'EC2_LIMIT'],
    [500, 'NobodyKnowsThis', 'EC2_UNAVAILABLE'],
  ])('%i %s, four times, is %s', async (status, name, code) => {
    nock(endpoint).post('/').times(4).reply(status, errorXml(name, 'Oh no.'));
    const error = await attach();
    expect(error).toMatchObject({ code });
    expect(error.message).toContain('4 attempts');
  });

  it('says how to make room for a tag, which no quota does, without a tag of ours', async () => {
    answerOnce(400, errorXml('TagLimitExceeded', 'The maximum number of Tags for a resource has been reached.'));
    const tagging = openTestEc2().createTags('vol-1', { a: 'b' });
    const { parts } = (await tagging.catch((error: unknown) => error)) as DriverError;
    expect(parts.todo).toMatch(/which cannot be raised.*none that begins with docker-volume-ebs:/);
    expect(parts.todo).toContain('aws ec2 delete-tags --resources vol-1 --tags Key=KEY takes off');
    expect(parts.todo).not.toContain('Service Quotas');
  });

  it('names the request, so that AWS support can find it', async () => {
    nock(endpoint).post('/').reply(400, errorXml('VolumeInUse', 'In use.'), { 'x-amzn-requestid': '59dbff89' });
    expect((await attach()).message).toBe(
      'cannot attach vol-1 to i-1 as /dev/xvdba: In use (VolumeInUse, request 59dbff89). ' +
        'Try again once the volume is free.',
    );
  });

  it('names the permission that is missing', async () => {
    answerOnce(403, errorXml('UnauthorizedOperation', 'You are not authorized to perform this operation.'));
    expect((await attach()).parts.todo).toBe("Allow ec2:AttachVolume in the IAM policy of the daemon's role");
    answerOnce(
      403,
      errorXml(
        'UnauthorizedOperation',
        'You are not authorized to perform this operation. User: arn:aws:sts::1:x is not authorized to perform: ' +
          'ec2:CreateTags on resource: y. Encoded authorization failure message: 4GIOHlTkIaW',
      ),
    );
    const error = await attach();
    expect(error.parts.todo).toBe("Allow ec2:CreateTags in the IAM policy of the daemon's role");
    expect(error.message).not.toContain('4GIOHlTkIaW');
  });

  it('keeps credentials out of messages and causes', async () => {
    const canonical = "The Canonical String should have been 'POST x-amz-security-token:session-token-of-the-test'";
    answerOnce(403, errorXml('SignatureDoesNotMatch', canonical));
    const error = await attach();
    expect(error).toMatchObject({ code: 'EC2_CREDENTIALS', cause: undefined });
    expect(error.message).not.toContain('session-token');
  });
});

describe('errors that EC2 did not answer', () => {
  const context = { tried: 'look up vol-1', action: 'DescribeVolumes' };
  const systemError = (code: string, message: string) => Object.assign(new Error(message), { code });

  it.each([
    ['a refused connection', systemError('ECONNREFUSED', 'connect ECONNREFUSED 127.0.0.1:1'), 'EC2_UNAVAILABLE'],
    ['an unknown host', systemError('ENOTFOUND', 'getaddrinfo ENOTFOUND ec2'), 'EC2_UNAVAILABLE'],
    ['a bad certificate', systemError('CERT_HAS_EXPIRED', 'certificate has expired'), 'EC2_UNAVAILABLE'],
    ['a wrong endpoint', systemError('ERR_INVALID_URL', 'Invalid URL'), 'EC2_REJECTED'],
    ['a missing region', new Error('Region is missing'), 'EC2_REJECTED'],
    ['a thrown text', 'odd', 'EC2_REJECTED'],
    [
      'missing credentials',
      Object.assign(new Error('Could not load credentials from any providers'), { name: 'CredentialsProviderError' }),
      'EC2_CREDENTIALS',
    ],
    ['a timeout', Object.assign(new Error('too slow'), { name: 'TimeoutError' }), 'EC2_UNAVAILABLE'],
    ['too many requests', Object.assign(new Error('no'), { $metadata: { httpStatusCode: 429 } }), 'EC2_THROTTLED'],
  ])('%s', (_what, thrown, code) => {
    const error = toDriverError(thrown, context);
    expect(error).toMatchObject({ code, cause: thrown });
    expect(error.message).toContain(thrown instanceof Error ? thrown.message : thrown);
  });

  it('names the code where Node gives no message', () => {
    const refused = Object.assign(new AggregateError([]), { code: 'ECONNREFUSED' });
    expect(toDriverError(refused, context).parts.why).toContain('ECONNREFUSED');
  });

  it('leaves an error of ours as it is', () => {
    const ours = new DriverError('EC2_REJECTED', { tried: 'x', why: 'y', todo: 'z' });
    expect(toDriverError(ours, context)).toBe(ours);
  });
});
