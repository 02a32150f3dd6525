import type { Settings } from '../config.ts';
import { imdsFailed, openImds } from './imds.ts';

/** Who this machine is to EC2. */
export interface Identity {
  readonly instanceId: string;
  readonly availabilityZone: string;
  /** As IMDS says; undefined when it was not asked. */
  readonly region: string | undefined;
}

const tried = 'learn which EC2 instance this is';
const documentPath = 'dynamic/instance-identity/document';

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
  const document = await readDocument(env);
  return {
    instanceId: instanceId || textOf(document, 'instanceId'),
    availabilityZone: availabilityZone || textOf(document, 'availabilityZone'),
    region: textOf(document, 'region'),
  };
}

async function readDocument(env: NodeJS.ProcessEnv): Promise<unknown> {
  const text = await openImds(env, tried).get(documentPath);
  if (text === undefined) throw imdsFailed(tried, 'the metadata service has no instance identity document');
  try {
    return JSON.parse(text);
  } catch (error) {
    throw imdsFailed(tried, 'the instance identity document is not JSON', error);
  }
}

function textOf(document: unknown, key: string): string {
  const value: unknown = typeof document === 'object' && document !== null ? Reflect.get(document, key) : undefined;
  if (typeof value === 'string' && value !== '') return value;
  throw imdsFailed(tried, `the instance identity document has no ${key}`);
}
