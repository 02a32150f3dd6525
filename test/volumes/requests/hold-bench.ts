import { type FakeNodeParts, nodeWithVolume } from '../../support/fake-node.ts';

/** Where the volume "a" is mounted. */
export const target = '/ebs/volumes/a';

/** A node and a volume "a" that exists. */
export async function bench(parts: FakeNodeParts = {}) {
  const made = await nodeWithVolume(parts);
  const { node } = made;
  /** A container that uses the volume, as one does behind every mount of dockerd's. */
  const container = {
    start: () => node.host.mountedElsewhere.add('vol-1'),
    end: () => node.host.mountedElsewhere.delete('vol-1'),
  };
  const holders = () => node.held.get('a')?.holders.map(({ id }) => id);
  return { ...made, host: node.host, journal: node.journal, container, holders };
}
