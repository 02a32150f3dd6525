import type { EbsVolume } from '../../ebs/types.ts';
import { isGone } from '../../ebs/volume-record.ts';
import { DriverError } from '../../errors.ts';
import { takenHere } from '../copies/find.ts';
import { purge } from '../copies/trash.ts';
import {
  isOnItsWay,
  type Trashed,
  type TrashedSnapshot,
  trashed,
  trashedSnapshot,
  whyKept,
} from '../copies/trash-mark.ts';
import { release } from '../lifecycle/release.ts';
import { lastAttachment, untilGivenBack } from '../names/given-back.ts';
import { encodeName } from '../options/names.ts';
import { monthlyCost, snapshotCost } from '../options/prices.ts';
import { findKept, undelete } from '../requests/undelete.ts';
import { type Node, ofNode, waiting } from '../state/node.ts';
import { collectGarbage } from './gc.ts';
import type { TrashEntry, TrashOperator } from './trash-types.ts';

/** The trash of the cluster, for operators. */
export function createTrashOperator(node: Node): TrashOperator {
  return {
    list: async () => (await inTrash(node)).map((each) => entryOf(node, each)),
    async undelete(which, as, zone) {
      const kept = await findKept(node, which);
      const name = as ?? kept.name;
      encodeName(name);
      await endRemoval(node, kept.id, name);
      return node.queue.run(name, () => undelete(node, name, kept, zone));
    },
    collect: (options) => collectGarbage(node, options),
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
async function endRemoval(node: Node, id: string, name: string): Promise<void> {
  const left = [...node.held.values()].find(({ volume, removing }) => removing && volume.id === id);
  if (left !== undefined && left.name !== name) await node.queue.run(left.name, () => release(node, left.name));
}

/** Deletes it, once its node has given it back where its removal has only just ended. */
async function purgeNow(node: Node, each: Item): Promise<void> {
  if ('volume' in each && lastAttachment(node, each.volume) !== undefined) {
    await untilGivenBack(node, ofNode, each.volume, `delete ${each.volume.id} from the trash`);
  }
  await purge(node, idOf(each));
  node.trash.takenOut(idOf(each));
}

type Item = Trashed | TrashedSnapshot;

const idOf = (each: Item): string => ('volume' in each ? each.volume.id : each.snapshot.id);

/** What is in the trash: volumes, and snapshots that are all there is of one. */
const inTrash = (node: Node): Promise<Item[]> =>
  waiting(node, ofNode, 'EC2 to list the trash of the cluster', () => readTrash(node));

async function readTrash({ ec2 }: Node): Promise<Item[]> {
  const [listed, taken] = await Promise.all([ec2.listVolumes(), takenHere(ec2)]);
  const present = new Map<string, EbsVolume>(listed.filter((each) => !isGone(each)).map((each) => [each.id, each]));
  const items: Item[] = [
    ...listed.flatMap((volume) => trashed(volume) ?? []),
    ...taken.flatMap((snapshot) => {
      const found = trashedSnapshot(snapshot);
      return found === undefined || isOnItsWay(found, present.get(found.volumeId)) ? [] : [found];
    }),
  ];
  return items.sort((a, b) => (a.mark.removed < b.mark.removed ? 1 : -1));
}

function theOne(all: readonly Item[], which: string): Item {
  const found = all.filter((each) => idOf(each) === which || each.name === which);
  const [only] = found;
  if (only !== undefined && found.length === 1) return only;
  throw new DriverError(only === undefined ? 'NO_SUCH_VOLUME' : 'INVALID_REQUEST', {
    volume: which,
    tried: 'delete it from the trash',
    why:
      only === undefined
        ? 'there is no such volume in the trash of this cluster'
        : `several had this name: ${found.map((each) => `${idOf(each)} (removed ${each.mark.removed})`).join(', ')}`,
    todo: only === undefined ? 'Look at docker-volume-ebs trash ls' : 'Name one by its id',
  });
}

function entryOf(node: Node, each: Item): TrashEntry {
  const { name, mark } = each;
  const { removed, expires, by } = mark;
  const common = { id: idOf(each), name, removed, expires, by };
  if ('snapshot' in each) {
    const sizeGiB = each.snapshot.sizeGib;
    const more = { zone: undefined, type: 'snapshot', sizeGiB, leaves: undefined, kept: undefined };
    return { ...common, ...more, monthlyCost: snapshotCost(sizeGiB) };
  }
  const { volume } = each;
  const { zone, type, sizeGib: sizeGiB } = volume;
  const leaves = lastAttachment(node, volume)?.instanceId;
  const kept = leaves === undefined ? whyKept(volume) : undefined;
  return { ...common, zone, type, sizeGiB, leaves, kept, monthlyCost: monthlyCost({ ...volume, sizeGiB }) };
}
