import {
  DescribeInstanceStatusCommand,
  DescribeInstancesCommand,
  DescribeInstanceTypesCommand,
  DescribeSnapshotsCommand,
  DescribeVolumeStatusCommand,
  DescribeVolumesCommand,
  DescribeVolumesModificationsCommand,
  type EC2Client,
  type Filter,
  type Instance,
  type Snapshot,
  type Volume,
  type VolumeModification,
  type VolumeStatusItem,
} from '@aws-sdk/client-ec2';
import type { Call } from './attempts.ts';
import type { Caller } from './call.ts';
import { exactFilter } from './filters.ts';
import { answerLacks, toAttachmentLimit, toHealth } from './mapping.ts';
import type { AttachmentLimit, InstanceHealth } from './types.ts';

/**
 * EC2's largest page. Filters with MaxResults draw on the larger of its two throttle buckets, and an unknown id in a
 * filter is an absent volume rather than an error (AWS "Request throttling for the Amazon EC2 API").
 */
const pageSize = 1000;

/**
 * All volumes that match the filters, in whatever state EC2 shows them, deleted ones included, as EC2 gives them: one
 * that cannot be read fails those who asked for it alone. The filters are asked for when the call is sent.
 * @throws DriverError EC2_*; EC2_UNAVAILABLE for an answer without a list, which is never read as an empty one.
 */
export function readVolumes(client: EC2Client, call: Caller, read: Call, filters: () => Filter[]): Promise<Volume[]> {
  return allPages(async (token) => {
    const { Volumes, NextToken } = await call('DescribeVolumes', read, (options) =>
      client.send(new DescribeVolumesCommand({ Filters: filters(), MaxResults: pageSize, NextToken: token }), options),
    );
    // A proxy's HTML page or an empty body with status 200 parses to an answer without any field.
    if (Volumes === undefined) throw answerLacks('volumes', 'the list of them', 'EC2_UNAVAILABLE');
    if (Volumes.some(({ VolumeId }) => !VolumeId)) throw answerLacks('volumes', 'the id of one');
    return { items: Volumes, next: NextToken };
  });
}

/**
 * All snapshots of this account that match the filters, as EC2 gives them. Without an owner EC2 would look through the
 * public ones too.
 * @throws DriverError EC2_*; EC2_UNAVAILABLE for an answer without a list, which is never read as an empty one.
 */
export function readSnapshots(client: EC2Client, call: Caller, read: Call, filters: Filter[]): Promise<Snapshot[]> {
  return allPages(async (token) => {
    const command = new DescribeSnapshotsCommand({
      OwnerIds: ['self'],
      Filters: filters,
      MaxResults: pageSize,
      NextToken: token,
    });
    const { Snapshots, NextToken } = await call('DescribeSnapshots', read, (options) => client.send(command, options));
    if (Snapshots === undefined) throw answerLacks('snapshots', 'the list of them', 'EC2_UNAVAILABLE');
    return { items: Snapshots, next: NextToken };
  });
}

/** The largest page of DescribeVolumesModifications. */
const modificationsPageSize = 500;

/** The last modifications of the volumes that match the filters. @throws DriverError EC2_*; EC2_UNAVAILABLE for an answer without a list. */
export function readModifications(
  client: EC2Client,
  call: Caller,
  read: Call,
  filters: Filter[],
): Promise<VolumeModification[]> {
  return allPages(async (token) => {
    const command = new DescribeVolumesModificationsCommand({
      Filters: filters,
      MaxResults: modificationsPageSize,
      NextToken: token,
    });
    const answer = await call('DescribeVolumesModifications', read, (options) => client.send(command, options));
    const { VolumesModifications: items, NextToken } = answer;
    if (items === undefined) throw answerLacks('modifications of volumes', 'the list of them', 'EC2_UNAVAILABLE');
    return { items, next: NextToken };
  });
}

/** An instance as EC2 gives it, and when that was: RFC 3339 by EC2's clock, undefined where its answer has no date. */
export interface DatedInstance extends Instance {
  readonly answeredAt: string | undefined;
}

/**
 * All instances that match the filters, which are asked for when the call is sent; as EC2 gives them.
 * @throws DriverError EC2_*; EC2_UNAVAILABLE for an answer without a list, which is never read as an empty one.
 */
export function readInstances(
  client: EC2Client,
  call: Caller,
  read: Call,
  filters: () => Filter[],
): Promise<DatedInstance[]> {
  return allPages(async (token) => {
    const { Reservations, NextToken, answeredAt } = await call('DescribeInstances', read, async (options) => {
      const command = new DescribeInstancesCommand({ Filters: filters(), MaxResults: pageSize, NextToken: token });
      const noted = noteDate(command);
      return { ...(await client.send(command, options)), answeredAt: noted.answeredAt };
    });
    if (Reservations === undefined) throw answerLacks('instances', 'the list of them', 'EC2_UNAVAILABLE');
    const items = Reservations.flatMap(({ Instances = [] }) => Instances);
    if (items.some(({ InstanceId }) => !InstanceId)) throw answerLacks('instances', 'the id of one');
    return { items: items.map((instance) => ({ ...instance, answeredAt })), next: NextToken };
  });
}

/** Instance ids that one DescribeInstanceStatus takes. */
export const maxHealthIds = 100;

/**
 * EC2's checks of the instances with these ids, which are asked for when the call is sent. This API has no filter for
 * ids, so that it draws on the smaller bucket, and one unknown id fails the call.
 * @throws DriverError EC2_*; EC2_NO_SUCH_INSTANCE when one of them is unknown; EC2_UNAVAILABLE for an answer without a
 * list or without its date.
 */
export function readHealth(
  client: EC2Client,
  call: Caller,
  read: Call,
  ids: () => readonly string[],
): Promise<InstanceHealth[]> {
  return allPages(async (token) => {
    const { InstanceStatuses, NextToken, answeredAt } = await call('DescribeInstanceStatus', read, async (options) => {
      const query = { InstanceIds: [...ids()], IncludeAllInstances: true, NextToken: token };
      const command = new DescribeInstanceStatusCommand(query);
      const noted = noteDate(command);
      return { ...(await client.send(command, options)), answeredAt: noted.answeredAt };
    });
    if (InstanceStatuses === undefined) throw answerLacks('instances', 'the list of their health', 'EC2_UNAVAILABLE');
    if (answeredAt === undefined) throw answerLacks("instances' health", 'its date', 'EC2_UNAVAILABLE');
    return { items: InstanceStatuses.map((status) => toHealth(status, answeredAt)), next: NextToken };
  });
}

/** Notes the Date header of the command's answer, EC2's clock: RFC 3339 once it is answered, undefined where it has none. */
function noteDate({ middlewareStack }: Pick<DescribeInstancesCommand, 'middlewareStack'>): { answeredAt?: string } {
  const noted: { answeredAt?: string } = {};
  middlewareStack.add(
    (next) => async (args) => {
      const result = await next(args);
      const { headers } = result.response as { readonly headers?: Readonly<Record<string, string>> };
      const time = Date.parse(headers?.['date'] ?? '');
      if (!Number.isNaN(time)) noted.answeredAt = new Date(time).toISOString();
      return result;
    },
    { step: 'deserialize', name: 'dateOfAnswer' },
  );
  return noted;
}

/**
 * EC2's checks of one volume, as it gives them; undefined when EC2 lists none. This API has no filter for ids.
 * @throws DriverError EC2_*; EC2_UNAVAILABLE for an answer without a list.
 */
export async function readVolumeStatus(
  client: EC2Client,
  call: Caller,
  read: Call,
  volumeId: string,
): Promise<VolumeStatusItem | undefined> {
  const command = new DescribeVolumeStatusCommand({ VolumeIds: [volumeId] });
  const { VolumeStatuses } = await call('DescribeVolumeStatus', read, (options) => client.send(command, options));
  if (VolumeStatuses === undefined) throw answerLacks('volumes', 'the list of their status', 'EC2_UNAVAILABLE');
  return VolumeStatuses.find(({ VolumeId }) => VolumeId === volumeId);
}

/** The largest page of DescribeInstanceTypes. */
const typesPageSize = 100;

/**
 * How many volumes an instance type takes; undefined when EC2 knows no such type or does not say.
 * @throws DriverError EC2_*; EC2_UNAVAILABLE for an answer without a list.
 */
export async function readAttachmentLimit(
  client: EC2Client,
  call: Caller,
  read: Call,
  instanceType: string,
): Promise<AttachmentLimit | undefined> {
  const types = await allPages(async (token) => {
    const command = new DescribeInstanceTypesCommand({
      Filters: [exactFilter('instance-type', instanceType)],
      MaxResults: typesPageSize,
      NextToken: token,
    });
    const { InstanceTypes, NextToken } = await call('DescribeInstanceTypes', read, (options) =>
      client.send(command, options),
    );
    if (InstanceTypes === undefined) throw answerLacks('instance types', 'the list of them', 'EC2_UNAVAILABLE');
    return { items: InstanceTypes, next: NextToken };
  });
  return toAttachmentLimit(types.find(({ InstanceType }) => InstanceType === instanceType));
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
