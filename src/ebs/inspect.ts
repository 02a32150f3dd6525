/** What only an examination asks of EC2: about the account and the way there, not about volumes. */
import type * as sdk from '@aws-sdk/client-ec2';
import { DriverError } from '../errors.ts';
import { type CallLog, caller } from './call.ts';
import { openEc2Client } from './client.ts';
import { openEc2 } from './ec2.ts';
import { toDriverError } from './errors.ts';
import { exactFilter } from './filters.ts';
import { toInstance } from './mapping.ts';
import { readInstances } from './reads.ts';
import type { Ec2, Instance } from './types.ts';

/** Where credentials come from; nothing of them. */
export interface CredentialSource {
  /** A noun: "the environment", "the instance's role". */
  readonly from: string;
  /** RFC 3339; undefined where they say nothing of an end. */
  readonly expires: string | undefined;
}

/** How an instance may reach its metadata service (EC2 API, InstanceMetadataOptionsResponse); undefined where EC2 does not say. */
export interface MetadataOptions {
  readonly enabled: boolean | undefined;
  /** True where IMDSv1 is refused. */
  readonly tokensRequired: boolean | undefined;
  /** Over how many network hops an answer comes: a container with a network of its own needs 2. */
  readonly hopLimit: number | undefined;
}

export interface InspectedInstance extends Instance {
  readonly metadata: MetadataOptions;
}

export interface Inspection {
  readonly ec2: Ec2;
  /** @throws DriverError EC2_REJECTED when neither settings nor profile name one. */
  region(): Promise<string>;
  /** @throws DriverError EC2_CREDENTIALS when there are none. */
  credentials(): Promise<CredentialSource>;
  /** As {@link Ec2.describeInstance}, with its metadata options. */
  instance(instanceId: string, signal: AbortSignal): Promise<InspectedInstance | undefined>;
  /** How far EC2's clock was ahead of ours when it last answered, in milliseconds, to within a second; undefined before that. */
  clockAheadMs(): number | undefined;
  close(): void;
}

interface InspectionOptions {
  readonly cluster: string;
  /** Undefined leaves it to the SDK's chain. */
  readonly region: string | undefined;
  /** Hears of every call. */
  readonly log: CallLog;
}

/** Opens EC2 to be examined; nothing is sent before the first call. */
export function openInspection({ cluster, region, log }: InspectionOptions): Inspection {
  const client = openEc2Client({ region });
  const call = caller(log);
  const clock = watchClock(client);
  return {
    ec2: openEc2({ cluster, region, log, client }),
    region: () => readRegion(client),
    credentials: () => readCredentials(client),
    async instance(instanceId, signal) {
      const read = { tried: `look up ${instanceId}`, signal };
      const found = await readInstances(client, call, read, () => [exactFilter('instance-id', instanceId)]);
      const instance = found.find(({ InstanceId }) => InstanceId === instanceId);
      return (
        instance && {
          ...toInstance(instance, instance.answeredAt),
          metadata: toMetadataOptions(instance.MetadataOptions),
        }
      );
    },
    clockAheadMs: () => clock.aheadMs,
    close: () => client.destroy(),
  };
}

/** Reads the Date header of every answer, also of one that refuses the call. */
function watchClock(client: sdk.EC2Client): { readonly aheadMs: number | undefined } {
  const clock: { aheadMs: number | undefined } = { aheadMs: undefined };
  client.middlewareStack.add(
    (next) => async (args) => {
      const sentAt = Date.now();
      const result = await next(args);
      const { headers } = result.response as { readonly headers?: Readonly<Record<string, string>> };
      const date = Date.parse(headers?.['date'] ?? '');
      // The header has whole seconds.
      if (!Number.isNaN(date)) clock.aheadMs = date + 500 - (sentAt + Date.now()) / 2;
      return result;
    },
    // Below the SDK's own, which throws for a refusal.
    { step: 'deserialize', name: 'clockOfAnswer', priority: 'low' },
  );
  return clock;
}

async function readRegion({ config }: sdk.EC2Client): Promise<string> {
  try {
    return await config.region();
  } catch (error) {
    throw new DriverError('EC2_REJECTED', {
      tried: 'learn the region',
      why: 'neither AWS_REGION nor the profile nor the metadata service says it',
      todo: 'Set AWS_REGION to the region of this instance',
      cause: error,
    });
  }
}

async function readCredentials({ config }: sdk.EC2Client): Promise<CredentialSource> {
  try {
    const { expiration, $source = {} } = (await config.credentials()) as Resolved;
    return { from: sourceOf(Object.keys($source)), expires: expiration?.toISOString() };
  } catch (error) {
    throw toDriverError(error, { tried: 'find credentials', action: 'DescribeInstances' });
  }
}

/** What the SDK notes on credentials beside them. */
interface Resolved {
  readonly expiration?: Date;
  readonly $source?: Readonly<Record<string, string>>;
}

/** By the features that the SDK notes; the instance's role is the one that it notes nothing of. */
function sourceOf(features: readonly string[]): string {
  const has = (word: string) => features.some((feature) => feature.includes(word));
  if (has('WEB_ID')) return 'a web identity token (AWS_WEB_IDENTITY_TOKEN_FILE)';
  if (has('PROFILE') || has('SSO') || has('PROCESS') || has('LOGIN')) return 'a profile (~/.aws, AWS_PROFILE)';
  if (has('ENV_VARS')) return 'the environment (AWS_ACCESS_KEY_ID)';
  if (has('HTTP')) return 'the container (AWS_CONTAINER_CREDENTIALS_*)';
  return "the instance's role";
}

function toMetadataOptions(options: sdk.InstanceMetadataOptionsResponse = {}): MetadataOptions {
  const { HttpEndpoint, HttpTokens, HttpPutResponseHopLimit } = options;
  return {
    enabled: HttpEndpoint && HttpEndpoint === 'enabled',
    tokensRequired: HttpTokens && HttpTokens === 'required',
    hopLimit: HttpPutResponseHopLimit,
  };
}
