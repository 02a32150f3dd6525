import { accountId, type CloudState, type TagSet } from './model.ts';
import { groups, type Query, text, texts } from './query.ts';

/** What IAM is asked for a call, about one resource; a call is made if each is allowed. */
export interface IamRequest {
  /** As "ec2:AttachVolume". */
  readonly action: string;
  /** An ARN, or "*" for an action that is not about resources. */
  readonly resource: string;
  /** The values of its condition keys, as "aws:TagKeys"; a key that is not there has none. */
  readonly keys: Readonly<Record<string, readonly string[]>>;
}

/**
 * What EC2 asks IAM before it makes a call: once for each resource that the call is about, and once more for the tags of
 * what it creates ("Actions, resources, and condition keys for Amazon EC2", Service Authorization Reference).
 */
export function requestsOf(name: string, query: Query, state: CloudState, region: string): IamRequest[] {
  const action = `ec2:${name}`;
  const about = (ids: readonly string[], keys: IamRequest['keys'] = {}): IamRequest[] =>
    ids.map((id) => {
      const own = prefixed('aws:ResourceTag/', tagsOf(id, state));
      return { action, resource: arnOf(id, region), keys: { ...own, ...keys } };
    });
  const named = (...parameters: readonly string[]) =>
    parameters.flatMap((parameter) => [text(query, parameter) ?? [], texts(query, parameter)].flat());
  if (name === 'CreateVolume') return [...creating(name, 'volume', query, region), ...about(named('SnapshotId'))];
  if (name === 'CopyVolumes') return [...creating(name, 'volume', query, region), ...about(named('SourceVolumeId'))];
  if (name === 'CreateSnapshot') return [...creating(name, 'snapshot', query, region), ...about(named('VolumeId'))];
  if (name.startsWith('Describe')) return [{ action, resource: '*', keys: {} }];
  return about(named('VolumeId', 'SnapshotId', 'InstanceId', 'ResourceId'), tagging(groups(query, 'Tag')));
}

/** For something that has no id yet, and its tags. */
function creating(name: string, kind: 'volume' | 'snapshot', query: Query, region: string): IamRequest[] {
  const tags = groups(query, 'TagSpecification').flatMap((specification) => groups(specification, 'Tag'));
  const making = { action: `ec2:${name}`, resource: arn(kind, '*', region), keys: tagging(tags) };
  if (tags.length === 0) return [making];
  return [making, { ...making, action: 'ec2:CreateTags', keys: { ...making.keys, 'ec2:CreateAction': [name] } }];
}

/** The tags that a call gives or takes away. */
function tagging(tags: readonly Query[]): IamRequest['keys'] {
  if (tags.length === 0) return {};
  const given = Object.fromEntries(tags.map((tag) => [text(tag, 'Key') ?? '', text(tag, 'Value') ?? '']));
  return { ...prefixed('aws:RequestTag/', given), 'aws:TagKeys': Object.keys(given) };
}

const prefixed = (prefix: string, tags: TagSet): IamRequest['keys'] =>
  Object.fromEntries(Object.entries(tags).map(([key, value]) => [`${prefix}${key}`, [value]]));

/** What is not there has none. */
function tagsOf(id: string, { volumes, instances, snapshots }: CloudState): TagSet {
  return [...volumes, ...instances, ...snapshots].find((each) => each.id === id)?.tags ?? {};
}

function arnOf(id: string, region: string): string {
  if (id.startsWith('snap-')) return arn('snapshot', id, region);
  return arn(id.startsWith('vol-') ? 'volume' : 'instance', id, region);
}

/** A snapshot's names no account. */
const arn = (kind: 'volume' | 'instance' | 'snapshot', id: string, region: string): string =>
  `arn:aws:ec2:${region}:${kind === 'snapshot' ? '' : accountId}:${kind}/${id}`;
