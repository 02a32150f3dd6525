import { DriverError } from '../errors.ts';
import { denialTodo, type Ec2Code, readingOf, tagLimitTodo } from './error-texts.ts';

/** Refusals because too many calls came, whatever they ask for. */
export const rateNames: readonly string[] = [
  'RequestLimitExceeded',
  'EC2ThrottledException',
  'Throttling',
  'ThrottlingException',
  'ThrottledException',
  'RequestThrottled',
  'RequestThrottledException',
  'TooManyRequestsException',
  'LimitExceededException',
  'BandwidthLimitExceeded',
  'PriorRequestNotComplete',
  'SlowDown',
];

/**
 * AWS's error names (AWS "Error codes for the Amazon EC2 API"; the throttling and clock names are the SDK's lists), by
 * what they mean to us; those whose words count are in error-texts.ts. A name not listed is judged by its HTTP status.
 */
const namesByCode: Partial<Record<Ec2Code, readonly string[]>> = {
  EC2_NO_SUCH_VOLUME: ['InvalidVolume.NotFound'],
  EC2_NO_SUCH_SNAPSHOT: ['InvalidSnapshot.NotFound'],
  EC2_NO_SUCH_INSTANCE: ['InvalidInstanceID.NotFound'],
  EC2_VOLUME_IN_USE: ['VolumeInUse'],
  EC2_INCORRECT_STATE: ['IncorrectState', 'IncorrectInstanceState'],
  EC2_NOT_ATTACHED: ['InvalidAttachment.NotFound'],
  EC2_TOKEN_REUSED: ['IdempotentParameterMismatch'],
  WRONG_ZONE: ['InvalidVolume.ZoneMismatch'],
  NODE_FULL: ['AttachmentLimitExceeded'],
  EC2_DENIED: ['UnauthorizedOperation', 'AccessDenied', 'AccessDeniedException'],
  EC2_CREDENTIALS: [
    'CredentialsProviderError',
    'TokenProviderError',
    'AuthFailure',
    'ExpiredToken',
    'ExpiredTokenException',
    'RequestExpired',
    'RequestInTheFuture',
    'RequestTimeTooSkewed',
    'InvalidClientTokenId',
    'InvalidAccessKeyId',
    'UnrecognizedClientException',
    'MissingAuthenticationToken',
    'IncompleteSignature',
    'SignatureDoesNotMatch',
    'InvalidSignatureException',
  ],
  EC2_THROTTLED: [
    ...rateNames,
    // Not API throttling, but cured by the same thing: trying again a little later.
    'ConcurrentTagAccess',
    'SnapshotCreationPerVolumeRateExceeded',
  ],
  EC2_LIMIT: [
    'VolumeLimitExceeded',
    'MaxIOPSLimitExceeded',
    'VolumeIOPSLimit',
    'ResourceLimitExceeded',
    'SnapshotLimitExceeded',
    'CopyVolumesLimitExceeded',
    'ConcurrentCopyVolumeLimitExceeded',
    'TagLimitExceeded',
  ],
  EC2_UNAVAILABLE: [
    'TimeoutError',
    'RequestTimeout',
    'InternalError',
    'InternalFailure',
    'Unavailable',
    'ServiceUnavailable',
  ],
};

const codeByName = new Map(
  Object.entries(namesByCode).flatMap(([code, names]) => names.map((name) => [name, code as Ec2Code] as const)),
);

const todoByCode: Record<Exclude<Ec2Code, 'EC2_DENIED'>, string> = {
  EC2_NO_SUCH_VOLUME: 'Look for the volume in the EC2 console: it may have been deleted there',
  EC2_NO_SUCH_SNAPSHOT: 'Look for the snapshot in the EC2 console: it may have been deleted there',
  EC2_NO_SUCH_INSTANCE: 'Check DVE_INSTANCE_ID and the region: they must name this instance',
  EC2_VOLUME_IN_USE: 'Try again once the volume is free',
  EC2_VOLUME_MODIFYING:
    'Try again once aws ec2 describe-volumes-modifications shows its modification as optimizing or completed',
  EC2_MODIFIED_TOO_OFTEN: 'Try again some hours later: EC2 changes a volume only so many times a day',
  EC2_INCORRECT_STATE: 'Try again once EC2 has finished what it is doing with the volume or the instance',
  EC2_NOT_ATTACHED: 'See where it is attached now (docker-volume-ebs ls), then try again',
  EC2_DEVICE_NAME_IN_USE: 'Try again: another device name is chosen',
  EC2_TOKEN_REUSED:
    'See what has this name (docker-volume-ebs ls): an earlier request with the same token made another volume',
  WRONG_ZONE: "Run the container on a node in the volume's zone, or move the volume by a snapshot",
  NODE_FULL:
    'Run the container on another node, unmount other volumes of this one, or use an instance type that takes more of them',
  EC2_CREDENTIALS: "Check the instance's IAM role, or the AWS credentials in the daemon's environment, and its clock",
  EC2_THROTTLED: 'Try again in a moment; if this goes on, other clients of the account use up its EC2 request quota',
  EC2_LIMIT: 'Free what is used up, or raise its quota in Service Quotas',
  EC2_UNAVAILABLE: 'Try again; if this goes on, check the way to the EC2 endpoint and the AWS health dashboard',
  EC2_REJECTED: 'Correct what it says and try again',
};

interface CallContext {
  /** What was tried, to complete "cannot …". */
  readonly tried: string;
  /** The EC2 API action, as "AttachVolume": a denial names the permission it needs. */
  readonly action: string;
}

/** What AWS SDK errors, and the system errors below them, carry. */
export interface SdkError {
  readonly name: string;
  readonly message: string;
  readonly code?: unknown;
  readonly $fault?: unknown;
  readonly $metadata?: { httpStatusCode?: number; requestId?: string; attempts?: number; clockSkewCorrected?: boolean };
}

/**
 * Anything an EC2 call throws as an error of the catalogue: the one place that knows AWS's error names. AWS's own
 * message is kept, except where it could repeat credentials; an error of ours is given back as it is.
 */
export function toDriverError(error: unknown, { tried, action }: CallContext): DriverError {
  if (error instanceof DriverError) return error;
  const sdkError: SdkError = error instanceof Error ? error : { name: 'Error', message: String(error) };
  const { code, todo } = readingOf(sdkError.name, sdkError.message) ?? {
    code: codeByName.get(sdkError.name) ?? codeByStatus(sdkError),
  };
  // AWS answers a bad signature with the canonical request, session token included: neither text nor cause may go on.
  const secret = code === 'EC2_CREDENTIALS' && sdkError.$fault !== undefined;
  return new DriverError(code, {
    tried,
    why: `${secret ? 'AWS refused the credentials or the time of the request' : wordsOf(sdkError)}${traceOf(sdkError)}`,
    todo: todo ?? todoOf(code, sdkError, { tried, action }),
    ...(secret ? {} : { cause: error }),
  });
}

function codeByStatus({ code, $fault, $metadata }: SdkError): Ec2Code {
  const status = $metadata?.httpStatusCode;
  if (status === 429) return 'EC2_THROTTLED';
  if (status !== undefined && status >= 500) return 'EC2_UNAVAILABLE';
  // An answer arrived, but the SDK could not read it: what EC2 did is unknown.
  if (status !== undefined && $fault === undefined) return 'EC2_UNAVAILABLE';
  // Node's network and TLS errors carry a code; ERR_INVALID_URL and its like are a wrong endpoint, which stays wrong.
  if (status === undefined && typeof code === 'string' && !code.startsWith('ERR_INVALID')) return 'EC2_UNAVAILABLE';
  return 'EC2_REJECTED';
}

/** AWS's message as part of a sentence: one line, without the SDK's hint and the encoded blob of a denial. */
export function wordsOf({ message, code, name }: SdkError): string {
  const text = message
    .replace(/Deserialization error: to see the raw response[\s\S]*$/, '')
    .replace(/Encoded authorization failure message:[\s\S]*$/, '')
    .replace(/\s+/g, ' ')
    .trim()
    .replace(/\.+$/, '')
    .slice(0, 400);
  // Node's AggregateError of several refused connections has a code and an empty message.
  return text === '' ? String(code ?? name) : text;
}

function traceOf({ name, $metadata }: SdkError): string {
  const parts = [
    ...(name === 'Error' || name === 'Unknown' ? [] : [name]),
    ...(($metadata?.attempts ?? 1) > 1 ? [`${$metadata?.attempts} attempts`] : []),
    ...($metadata?.requestId === undefined ? [] : [`request ${$metadata.requestId}`]),
  ];
  return parts.length === 0 ? '' : ` (${parts.join(', ')})`;
}

function todoOf(code: Ec2Code, { name, message }: SdkError, { tried, action }: CallContext): string {
  if (code === 'EC2_DENIED') return denialTodo(message, action);
  return name === 'TagLimitExceeded' ? tagLimitTodo(tried) : todoByCode[code];
}
