import { type IncomingMessage, type RequestOptions, request } from 'node:http';
import { text } from 'node:stream/consumers';
import { DriverError } from '../errors.ts';

/** The instance metadata service, version 2. */
interface Imds {
  /**
   * The document at a path below /latest, as "meta-data/spot/instance-action"; undefined when there is none (404).
   * @throws DriverError HOST_FAILED for any other outcome: no answer is never "none".
   */
  get(path: string): Promise<string | undefined>;
}

const requestTimeoutMs = 2_000;
/** The longest IMDS gives; a token that it no longer takes is replaced. */
const tokenSeconds = 21_600;

/**
 * IMDS as the SDK finds it: at AWS_EC2_METADATA_SERVICE_ENDPOINT, or by …_ENDPOINT_MODE. Nothing is asked before the first `get`.
 * @param tried what it is asked for, to complete "cannot …".
 */
export function openImds(env: NodeJS.ProcessEnv, tried: string): Imds {
  let token: string | undefined;
  const failed = (why: string, cause?: unknown) => imdsFailed(tried, why, cause);
  const ask = async (url: string, init: Pick<RequestOptions, 'method' | 'headers'>): Promise<Answer> => {
    try {
      return await httpAnswer(url, { ...init, signal: AbortSignal.timeout(requestTimeoutMs) });
    } catch (error) {
      throw failed(`${url} gave no answer (${error instanceof Error ? error.message : String(error)})`, error);
    }
  };
  const newToken = async (endpoint: string): Promise<string> => {
    const url = `${endpoint}/latest/api/token`;
    const headers = { 'X-aws-ec2-metadata-token-ttl-seconds': String(tokenSeconds) };
    const answer = await ask(url, { method: 'PUT', headers });
    if (answer.status !== 200) throw failed(`${url} answered with HTTP status ${answer.status}`);
    return answer.text;
  };
  return {
    async get(path) {
      const endpoint = endpointOf(env, tried);
      const url = `${endpoint}/latest/${path}`;
      token ??= await newToken(endpoint);
      const { status, text: document } = await ask(url, { headers: { 'X-aws-ec2-metadata-token': token } });
      if (status === 200) return document;
      if (status === 404) return undefined;
      token = undefined;
      throw failed(`${url} answered with HTTP status ${status}`);
    },
  };
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

/** By node:http, since Node's fetch takes 6 MB of memory for good (measured, Node 26.10), and IMDS is asked every few seconds. */
async function httpAnswer(url: string, options: RequestOptions): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  request(url, options, resolve).on('error', reject).end();
  const response = await promise;
  return { status: response.statusCode ?? 0, text: await text(response) };
}

function endpointOf(env: NodeJS.ProcessEnv, tried: string): string {
  if (env['AWS_EC2_METADATA_DISABLED']?.toLowerCase() === 'true') {
    throw imdsFailed(tried, 'AWS_EC2_METADATA_DISABLED forbids asking the instance metadata service');
  }
  const sixth = env['AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE']?.toLowerCase() === 'ipv6';
  const preset = sixth ? 'http://[fd00:ec2::254]' : 'http://169.254.169.254';
  return (env['AWS_EC2_METADATA_SERVICE_ENDPOINT'] || preset).replace(/\/+$/, '');
}

/** What went wrong with IMDS; `why` is a clause. */
export function imdsFailed(tried: string, why: string, cause?: unknown): DriverError {
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
