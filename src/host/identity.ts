import type { Settings } from '../config.ts';
import { DriverError } from '../errors.ts';

/** Who this machine is to EC2. */
export interface Identity {
  readonly instanceId: string;
  readonly availabilityZone: string;
  /** As IMDS says; undefined when it was not asked. */
  readonly region: string | undefined;
}

const requestTimeoutMs = 2_000;
const tried = 'learn which EC2 instance this is';

/**
 * From the settings when they give both; otherwise from IMDSv2, whatever is set winning over what it says.
 * The endpoint follows the SDK's variables AWS_EC2_METADATA_SERVICE_ENDPOINT and …_ENDPOINT_MODE. Asks once; the caller
 * tries again.
 * @throws DriverError HOST_FAILED saying what to look at.
 */
export async function readIdentity(
  settings: Pick<Settings, 'instanceId' | 'availabilityZone'>,
  env: NodeJS.ProcessEnv,
): Promise<Identity> {
  const { instanceId, availabilityZone } = settings;
  if (instanceId !== '' && availabilityZone !== '') return { instanceId, availabilityZone, region: undefined };
  const document = await readDocument(endpointOf(env));
  return {
    instanceId: instanceId || textOf(document, 'instanceId'),
    availabilityZone: availabilityZone || textOf(document, 'availabilityZone'),
    region: textOf(document, 'region'),
  };
}

function endpointOf(env: NodeJS.ProcessEnv): string {
  if (env['AWS_EC2_METADATA_DISABLED']?.toLowerCase() === 'true') {
    throw failed('AWS_EC2_METADATA_DISABLED forbids asking the instance metadata service');
  }
  const sixth = env['AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE']?.toLowerCase() === 'ipv6';
  const preset = sixth ? 'http://[fd00:ec2::254]' : 'http://169.254.169.254';
  return (env['AWS_EC2_METADATA_SERVICE_ENDPOINT'] || preset).replace(/\/+$/, '');
}

async function readDocument(endpoint: string): Promise<unknown> {
  const token = await ask(`${endpoint}/latest/api/token`, {
    method: 'PUT',
    headers: { 'X-aws-ec2-metadata-token-ttl-seconds': '60' },
  });
  const url = `${endpoint}/latest/dynamic/instance-identity/document`;
  const text = await ask(url, { headers: { 'X-aws-ec2-metadata-token': token } });
  try {
    return JSON.parse(text);
  } catch (error) {
    throw failed(`${url} did not answer with JSON`, error);
  }
}

async function ask(url: string, init: RequestInit): Promise<string> {
  let status: number;
  let text: string;
  try {
    const response = await fetch(url, { ...init, redirect: 'error', signal: AbortSignal.timeout(requestTimeoutMs) });
    status = response.status;
    text = await response.text();
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    throw failed(`${url} gave no answer (${cause instanceof Error ? cause.message : String(cause)})`, error);
  }
  if (status !== 200) throw failed(`${url} answered with HTTP status ${status}`);
  return text;
}

function textOf(document: unknown, key: string): string {
  const value: unknown = typeof document === 'object' && document !== null ? Reflect.get(document, key) : undefined;
  if (typeof value === 'string' && value !== '') return value;
  throw failed(`the instance identity document has no ${key}`);
}

function failed(why: string, cause?: unknown): DriverError {
  return new DriverError('HOST_FAILED', {
    tried,
    why,
    todo:
      'If this is not an EC2 instance, or it has the metadata service turned off, set DVE_INSTANCE_ID and ' +
      'DVE_AVAILABILITY_ZONE; if this runs in a container, use the host network or raise the hop limit ' +
      '(aws ec2 modify-instance-metadata-options --http-put-response-hop-limit 2)',
    cause,
  });
}
