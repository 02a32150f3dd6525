import { Ec2Error, invalid } from '../ec2-error.ts';
import type { CloudState, InstanceRecord, SnapshotRecord, TagSet, VolumeRecord } from '../model.ts';
import { groups, type Query, text } from '../query.ts';

const terminatedVisibleMs = 3600 * 1000;

interface Kind<T> {
  readonly prefix: string;
  readonly records: (state: CloudState) => readonly T[];
  readonly notFound: (ids: string) => Ec2Error;
}

export const volumeKind: Kind<VolumeRecord> = {
  prefix: 'vol',
  records: (state) => state.volumes,
  notFound: (ids) => new Ec2Error('InvalidVolume.NotFound', `The volume '${ids}' does not exist.`),
};
export const instanceKind: Kind<InstanceRecord> = {
  prefix: 'i',
  // EC2 shows a terminated instance for about an hour.
  records: (state) =>
    state.instances.filter(
      ({ terminatedAt }) => terminatedAt === undefined || Date.now() - Date.parse(terminatedAt) < terminatedVisibleMs,
    ),
  notFound: (ids) => new Ec2Error('InvalidInstanceID.NotFound', `The instance ID '${ids}' does not exist`),
};
export const snapshotKind: Kind<SnapshotRecord> = {
  prefix: 'snap',
  records: (state) => state.snapshots,
  notFound: (ids) => new Ec2Error('InvalidSnapshot.NotFound', `The snapshot '${ids}' does not exist.`),
};

/** One record by id. @throws Ec2Error InvalidParameterValue or …NotFound */
export function one<T extends { readonly id: string }>(kind: Kind<T>, state: CloudState, id: string): T {
  checkId(kind.prefix, id);
  const record = kind.records(state).find((each) => each.id === id);
  if (record === undefined) throw kind.notFound(id);
  return record;
}

function checkId(prefix: string, id: string): void {
  if (new RegExp(`^${prefix}-([0-9a-f]{8}|[0-9a-f]{17})$`).test(id)) return;
  const name = { vol: 'volumeId', i: 'instanceId', snap: 'snapshotId' }[prefix];
  throw invalid(`Value (${id}) for parameter ${name} is invalid. Expected: '${prefix}-...'.`);
}

/** The records with these ids, all of the kind when there are none. Unknown ids fail the whole call, and all are named. */
export function some<T extends { readonly id: string }>(kind: Kind<T>, state: CloudState, ids: readonly string[]): T[] {
  if (ids.length === 0) return [...kind.records(state)];
  const duplicate = ids.find((id, index) => ids.indexOf(id) !== index);
  if (duplicate !== undefined && kind.prefix === 'vol') {
    throw new Ec2Error('InvalidVolumeID.Duplicate', `The volume ID '${duplicate}' is given more than once`);
  }
  for (const id of ids) checkId(kind.prefix, id);
  const known = new Map(kind.records(state).map((record) => [record.id, record]));
  const unknown = ids.filter((id) => !known.has(id));
  if (unknown.length > 0) throw kind.notFound(unknown.join(', '));
  return [...new Set(ids)].flatMap((id) => known.get(id) ?? []);
}

const taggable = [volumeKind, instanceKind, snapshotKind] as const;

/** What has this id, whatever its kind. @throws Ec2Error InvalidID, or the kind's own …NotFound */
export function taggedResource(state: CloudState, id: string): { readonly id: string; tags: TagSet } {
  const kind = taggable.find(({ prefix }) => id.startsWith(`${prefix}-`));
  if (kind === undefined) throw new Ec2Error('InvalidID', `The ID '${id}' is not valid`);
  return one<{ readonly id: string; tags: TagSet }>(kind, state, id);
}

const maxTags = 50;

/** Tags as given under `Tag.N`. @throws Ec2Error InvalidParameterValue, MissingParameter, TagLimitExceeded */
export function readTags(query: Query): TagSet {
  const tags: TagSet = {};
  for (const group of groups(query, 'Tag')) {
    const key = text(group, 'Key');
    const value = text(group, 'Value') ?? '';
    if (key === undefined) throw new Ec2Error('MissingParameter', 'The tag key must be specified');
    if (key.startsWith('aws:')) {
      throw new Ec2Error('InvalidParameterValue', "Tag keys starting with 'aws:' are reserved for internal use");
    }
    if (key.length > 128) throw new Ec2Error('InvalidParameterValue', `Tag key exceeds 128 characters: ${key}`);
    if (value.length > 256) throw new Ec2Error('InvalidParameterValue', `Tag value exceeds 256 characters: ${value}`);
    if (Object.hasOwn(tags, key)) throw new Ec2Error('InvalidParameterValue', `Duplicate tag key '${key}' specified.`);
    tags[key] = value;
  }
  limitTags(tags);
  return tags;
}

/** @throws Ec2Error TagLimitExceeded above 50 */
export function limitTags(tags: TagSet): void {
  if (Object.keys(tags).length <= maxTags) return;
  throw new Ec2Error('TagLimitExceeded', `The maximum number of Tags for a resource has been reached: ${maxTags}`);
}

/** The tags that TagSpecification.N gives a new resource of this type. */
export function tagsForNew(query: Query, resourceType: string): TagSet {
  const tags: TagSet = {};
  for (const specification of groups(query, 'TagSpecification')) {
    const type = text(specification, 'ResourceType');
    const given = readTags(specification);
    if (Object.keys(given).length === 0) throw invalid('Tag specification must have at least one tag');
    if (type === resourceType) Object.assign(tags, given);
    else if (resourceType !== 'instance') {
      throw new Ec2Error(
        'InvalidParameterValue',
        `'${type}' is not a valid taggable resource type for this operation.`,
      );
    }
  }
  return tags;
}
