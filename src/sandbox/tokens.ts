import { createHash } from 'node:crypto';
import { Ec2Error, invalid } from './ec2-error.ts';
import type { Query } from './query.ts';

/** What a ClientToken was first used for. */
export interface TokenUse {
  readonly parameters: string;
  readonly resourceId: string;
}

/** The zone does not count (EC2 developer guide, "Ensuring idempotency": parameters "other than the Region or Availability Zone"). */
const ignored =
  /^(ClientToken|AvailabilityZone|AvailabilityZoneId|Version|Action|DryRun|X-Amz-.*|AWSAccessKeyId|Signature.*|Timestamp)$/;

/** Where a ClientToken of CreateVolume counts: AWS says that it may be one or the other, not which. */
export const tokenScopes = ['region', 'zone'] as const;
export type TokenScope = (typeof tokenScopes)[number];

/** A digest of the parameters that count when a token is used again. */
export function parametersDigest(query: Query): string {
  const counted = Object.entries(query).filter(([name]) => !ignored.test(name));
  return createHash('sha256')
    .update(canonical(Object.fromEntries(counted)))
    .digest('hex');
}

function canonical(value: string | Query): string {
  if (typeof value === 'string') return JSON.stringify(value);
  const sorted = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${sorted.map(([name, member]) => `${JSON.stringify(name)}:${canonical(member)}`).join()}}`;
}

/** @throws Ec2Error InvalidParameterValue for a token over 64 ASCII characters */
export function checkToken(token: string): void {
  if (!/^[\x20-\x7e]{1,64}$/.test(token)) throw invalid('ClientToken must be at most 64 ASCII characters');
}

/**
 * The resource an earlier call with this token made; undefined when the token is new. A token stays burnt after its
 * resource is gone: EC2 then refuses it for ever, naming the deleted resource.
 * @throws Ec2Error IdempotentParameterMismatch
 */
export function earlierUse(
  uses: Readonly<Record<string, TokenUse>>,
  token: string,
  parameters: string,
  exists: (resourceId: string) => boolean,
): string | undefined {
  const use = uses[token];
  if (use === undefined) return undefined;
  if (use.parameters !== parameters) {
    throw new Ec2Error(
      'IdempotentParameterMismatch',
      'Parameters on this idempotent request are inconsistent with parameters used in previous request(s)',
    );
  }
  if (exists(use.resourceId)) return use.resourceId;
  throw new Ec2Error(
    'IdempotentParameterMismatch',
    `The client token is associated with a resource that is already deleted (${use.resourceId})`,
  );
}
