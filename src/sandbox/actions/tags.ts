import { Ec2Error, missing } from '../ec2-error.ts';
import { applyFilters, type FilterFields, readFilters } from '../filters.ts';
import type { CloudState, TagSet } from '../model.ts';
import { page } from '../paging.ts';
import { groups, type Query, text, texts } from '../query.ts';
import type { Action, World } from '../world.ts';
import { limitTags, readTags, taggedResource } from './lookup.ts';

const maxResources = 1000;

/** The resources a tag call names, all of them or an error. */
function resources(query: Query, world: World): { tags: TagSet }[] {
  const ids = texts(query, 'ResourceId');
  if (ids.length === 0) throw missing('resourceIdSet');
  if (ids.length > maxResources) {
    throw new Ec2Error('InvalidParameterValue', `A call takes at most ${maxResources} resource ids`);
  }
  return ids.map((id) => taggedResource(world.store.state, id));
}

export const createTags: Action = ({ query }, world) => {
  const tags = readTags(query);
  if (Object.keys(tags).length === 0) throw missing('tagSet');
  const tagged = resources(query, world).map((resource) => ({ resource, all: { ...resource.tags, ...tags } }));
  for (const { all } of tagged) limitTags(all);
  for (const { resource, all } of tagged) resource.tags = all;
  world.store.save();
  return { return: true };
};

/** With a value a tag goes only if it has that value, which makes this EC2's only conditional write besides attaching. */
export const deleteTags: Action = ({ query }, world) => {
  const conditions = groups(query, 'Tag').map((group) => ({
    key: text(group, 'Key') ?? '',
    value: typeof group['Value'] === 'string' ? group['Value'] : undefined,
  }));
  for (const resource of resources(query, world)) {
    const goes = ([key, value]: [string, string]): boolean =>
      conditions.length === 0 ||
      conditions.some((each) => each.key === key && (each.value === undefined || each.value === value));
    resource.tags = Object.fromEntries(Object.entries(resource.tags).filter((tag) => !goes(tag)));
  }
  world.store.save();
  return { return: true };
};

interface TagRecord {
  readonly id: string;
  readonly key: string;
  readonly value: string;
  readonly type: string;
  readonly tags: TagSet;
}

const tagFilters: FilterFields<TagRecord> = {
  key: ({ key }) => [key],
  value: ({ value }) => [value],
  'resource-id': ({ id }) => [id.split(' ')[0]],
  'resource-type': ({ type }) => [type],
};

function allTags(view: CloudState): TagRecord[] {
  const kinds = [
    { type: 'volume', records: view.volumes },
    { type: 'instance', records: view.instances },
    { type: 'snapshot', records: view.snapshots },
  ];
  return kinds.flatMap(({ type, records }) =>
    records.flatMap(({ id, tags }: { readonly id: string; readonly tags: TagSet }) =>
      Object.entries(tags).map(([key, value]) => ({ id, key, value, type, tags: { [key]: value } })),
    ),
  );
}

export const describeTags: Action = ({ query, view }) => {
  // A page ends with a whole tag: the place to go on after is its resource and key.
  const tags = allTags(view).map((tag) => ({ ...tag, resourceId: tag.id, id: `${tag.id} ${tag.key}` }));
  const { items, nextToken } = page(applyFilters(tags, readFilters(query), tagFilters), query);
  return {
    tagSet: items.map(({ resourceId, type, key, value }) => ({ resourceId, resourceType: type, key, value })),
    nextToken,
  };
};
