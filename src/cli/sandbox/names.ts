import { tagKeys } from '../../ebs/tags.ts';
import type { CloudState, VolumeRecord } from '../../sandbox/model.ts';

/** What an instance is called for short: A for the first that was made, B for the second; its id where there are more letters than 26. */
export function letterOf({ instances }: Pick<CloudState, 'instances'>, id: string): string {
  const index = instances.findIndex((each) => each.id === id);
  return index >= 0 && index < 26 ? String.fromCharCode(65 + index) : id;
}

/** What a volume is called: its Name tag, or its id. */
export const volumeName = ({ id, tags }: Pick<VolumeRecord, 'id' | 'tags'>): string => tags[tagKeys.displayName] ?? id;

/** The instance whose driver answers at Docker's socket: the first that runs. */
export const dockerTarget = ({ instances }: Pick<CloudState, 'instances'>): string | undefined =>
  instances.find(({ state }) => state === 'running')?.id;
