import type { EC2Client } from '@aws-sdk/client-ec2';
import { type CallLog, caller } from './call.ts';
import { openEc2Client } from './client.ts';
import { openLookups } from './lookups.ts';
import { askPermission } from './permissions.ts';
import type { Ec2 } from './types.ts';
import { openWrites } from './writes.ts';

export interface Ec2Options {
  /** Look-ups by name and listings see only volumes tagged with this cluster. */
  readonly cluster: string;
  /** Undefined leaves it to the SDK's chain. */
  readonly region: string | undefined;
  /** Hears of every call. */
  readonly log?: CallLog | undefined;
  /** The SDK client to use instead of {@link openEc2Client}'s. */
  readonly client?: EC2Client | undefined;
}

/** EC2 as the driver uses it (see {@link Ec2}); nothing is sent before the first call. */
export function openEc2({ cluster, region, log, client = openEc2Client({ region }) }: Ec2Options): Ec2 {
  const call = caller(log);
  return {
    ...openLookups(client, call, cluster),
    ...openWrites(client, call),
    denied: (permission, options = {}) => askPermission(client, call, permission, options),
  };
}
