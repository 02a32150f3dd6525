import { DescribeInstancesCommand, DescribeVolumesCommand, type EC2Client, type Filter } from '@aws-sdk/client-ec2';
import type { Call, Caller } from './call.ts';
import { answerLacks, toInstance, toVolume } from './mapping.ts';
import type { EbsVolume, Instance } from './types.ts';

type Read = Omit<Call, 'action'>;

/**
 * EC2's largest page. Filters with MaxResults draw on the larger of its two throttle buckets, and an unknown id in a
 * filter is an absent volume rather than an error (AWS "Request throttling for the Amazon EC2 API").
 */
const pageSize = 1000;

/**
 * All volumes that match the filters, in whatever state EC2 shows them, deleted ones included.
 * @throws DriverError EC2_*; EC2_UNAVAILABLE for an answer without a list, which is never read as an empty one.
 */
export function readVolumes(client: EC2Client, call: Caller, read: Read, filters: Filter[]): Promise<EbsVolume[]> {
  return allPages(async (token) => {
    const command = new DescribeVolumesCommand({ Filters: filters, MaxResults: pageSize, NextToken: token });
    const { Volumes, NextToken } = await call({ ...read, action: 'DescribeVolumes' }, (options) =>
      client.send(command, options),
    );
    // A proxy's HTML page or an empty body with status 200 parses to an answer without any field.
    if (Volumes === undefined) throw answerLacks('volumes', 'the list of them', 'EC2_UNAVAILABLE');
    return { items: Volumes.map(toVolume), next: NextToken };
  });
}

/**
 * All instances that match the filters.
 * @throws DriverError EC2_*; EC2_UNAVAILABLE for an answer without a list, which is never read as an empty one.
 */
export function readInstances(client: EC2Client, call: Caller, read: Read, filters: Filter[]): Promise<Instance[]> {
  return allPages(async (token) => {
    const command = new DescribeInstancesCommand({ Filters: filters, MaxResults: pageSize, NextToken: token });
    const { Reservations, NextToken } = await call({ ...read, action: 'DescribeInstances' }, (options) =>
      client.send(command, options),
    );
    if (Reservations === undefined) throw answerLacks('instances', 'the list of them', 'EC2_UNAVAILABLE');
    return { items: Reservations.flatMap(({ Instances = [] }) => Instances.map(toInstance)), next: NextToken };
  });
}

interface Page<T> {
  readonly items: readonly T[];
  readonly next: string | undefined;
}

/** A page may be short or empty and still have a successor: only the missing token ends the list. */
async function allPages<T>(readPage: (token: string | undefined) => Promise<Page<T>>): Promise<T[]> {
  const items: T[] = [];
  let token: string | undefined;
  do {
    const page = await readPage(token);
    if (page.next && page.next === token) throw answerLacks('the next page', 'a new page token', 'EC2_UNAVAILABLE');
    items.push(...page.items);
    token = page.next;
  } while (token);
  return items;
}
