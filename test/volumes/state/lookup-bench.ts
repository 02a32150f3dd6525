import { tagKeys } from '../../../src/ebs/tags.ts';
import type { EbsVolume } from '../../../src/ebs/types.ts';
import { createLookup, type Lookup } from '../../../src/volumes/state/lookup.ts';
import { createNameMemory } from '../../../src/volumes/state/memory.ts';
import { FakeEc2 } from '../../support/fake-ec2.ts';

export const tagsOf = (name: string, more: Record<string, string> = {}) => ({
  [tagKeys.cluster]: 'default',
  [tagKeys.name]: name,
  ...more,
});

/** A lookup with a clock that stands until it is moved. */
export function bench() {
  const ec2 = new FakeEc2();
  const clock = { ms: 1_000_000 };
  const names = createNameMemory(undefined, () => clock.ms);
  return { ec2, clock, names, lookup: createLookup(ec2, names, { now: () => clock.ms }) };
}
export const listedIds = async (lookup: Lookup) => (await lookup.list()).value.map(({ id }) => id);
/** EC2 no longer lists it. */
export const unlist = (ec2: FakeEc2, id: string) => ec2.volumes.delete(id);
/** No listing shows it yet, a look by its id does. */
export const hide = (ec2: FakeEc2) => {
  ec2.findVolumes = async () => [];
};
export const asSeen = async (ec2: FakeEc2, id: string): Promise<EbsVolume> => {
  const volume = await ec2.describeVolume(id);
  if (volume === undefined) throw new Error(`no ${id}`);
  return volume;
};
