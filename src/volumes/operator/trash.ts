import { tagKeys } from '../../ebs/tags.ts';
import type { EbsVolume } from '../../ebs/types.ts';
import { DriverError } from '../../errors.ts';
import { purge, type Trashed, trashed, whyKept } from '../copies/trash.ts';
import { release } from '../lifecycle/release.ts';
import { lastAttachment, untilGivenBack } from '../names/given-back.ts';
import { encodeName } from '../options/names.ts';
import { monthlyCost } from '../options/prices.ts';
import { findKept, undelete } from '../requests/undelete.ts';
import { type Node, ofNode } from '../state/node.ts';
import type { TrashEntry, TrashOperator } from './trash-types.ts';

/** The trash of the cluster, for operators. */
export function createTrashOperator(node: Node): TrashOperator {
  return {
    list: async () => (await inTrash(node)).map((each) => entryOf(node, each)),
    async undelete(which, as) {
      const kept = await findKept(node, which);
      const name = as ?? kept.name;
      encodeName(name);
      await endRemoval(node, kept.volume, name);
      return node.queue.run(name, () => undelete(node, name, kept));
    },
    async purge(which, { dryRun }) {
      const all = await inTrash(node);
      const chosen = which === 'all' ? all : [...new Set(which.map((each) => theOne(all, each)))];
      // What was removed last may have to be waited for.
      if (!dryRun) for (const each of chosen.toReversed()) await purgeNow(node, each);
      return chosen.map((each) => entryOf(node, each));
    },
  };
}

/** Under its former name it may still be attached here, until no read shows that: its new name takes an attachment of its own. */
async function endRemoval(node: Node, { id }: EbsVolume, name: string): Promise<void> {
  const left = [...node.held.values()].find(({ volume, removing }) => removing && volume.id === id);
  if (left !== undefined && left.name !== name) await node.queue.run(left.name, () => release(node, left.name));
}

/** Deletes it, once its node has given it back where its removal has only just ended. */
async function purgeNow(node: Node, { volume }: Trashed): Promise<void> {
  if (lastAttachment(node, volume) !== undefined) {
    await untilGivenBack(node, ofNode, volume, `delete ${volume.id} from the trash`);
  }
  await purge(node, volume.id);
}

async function inTrash({ ec2 }: Node): Promise<Trashed[]> {
  const tagged = await ec2.findTagged(tagKeys.trash);
  return tagged.flatMap((volume) => trashed(volume) ?? []).sort((a, b) => (a.mark.removed < b.mark.removed ? 1 : -1));
}

function theOne(all: readonly Trashed[], which: string): Trashed {
  const found = all.filter(({ volume, name }) => volume.id === which || name === which);
  const [only] = found;
  if (only !== undefined && found.length === 1) return only;
  throw new DriverError(only === undefined ? 'NO_SUCH_VOLUME' : 'INVALID_REQUEST', {
    volume: which,
    tried: 'delete it from the trash',
    why:
      only === undefined
        ? 'there is no such volume in the trash of this cluster'
        : `several had this name: ${found.map(({ volume, mark }) => `${volume.id} (removed ${mark.removed})`).join(', ')}`,
    todo: only === undefined ? 'Look at docker-volume-ebs trash ls' : 'Name one by its id',
  });
}

const entryOf = (node: Node, { volume, name, mark }: Trashed): TrashEntry => ({
  id: volume.id,
  name,
  zone: volume.zone,
  type: volume.type,
  sizeGiB: volume.sizeGib,
  removed: mark.removed,
  expires: mark.expires,
  by: mark.by,
  leaves: lastAttachment(node, volume)?.instanceId,
  kept: lastAttachment(node, volume) === undefined ? whyKept(volume) : undefined,
  monthlyCost: monthlyCost({ ...volume, sizeGiB: volume.sizeGib }),
});
