import type { EbsVolume } from '../../ebs/types.ts';
import { identityTags, tagsLost } from './lost-tags.ts';
import { type Node, waiting } from './node.ts';

/**
 * Lets an empty volume be made, or formatted, only where no volume of the cluster shows this name and has lost the tag by
 * which it is looked up. @param empty the volume that has the name now. @throws DriverError TAGS_LOST, EC2_*.
 */
export async function refuseNameless(node: Node, name: string, tried: string, empty?: EbsVolume): Promise<void> {
  const [found] = await waiting(node, name, 'EC2 to tell whether another volume has had this name', () =>
    node.lookup.nameless(name),
  );
  if (found === undefined) return;
  const wanted = identityTags(node.settings.cluster, name);
  throw tagsLost(name, found, wanted, tried, 'its tags Name and cluster still say so', empty);
}
