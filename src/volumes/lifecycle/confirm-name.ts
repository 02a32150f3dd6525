import { setTimeout as sleep } from 'node:timers/promises';
import { tagKeys } from '../../ebs/tags.ts';
import type { EbsVolume } from '../../ebs/types.ts';
import { encodeName } from '../options/names.ts';
import type { Held } from '../state/held.ts';
import { type Node, waiting } from '../state/node.ts';
import { replacementIn } from '../state/succession.ts';
import { isOurs, keyOf } from './attachment-key.ts';
import { settleSuccession } from './settle-succession.ts';
import { watchOthers } from './watch-tags.ts';

const lookMs = 1000;

/** A look at a volume under an attachment of ours; it has no `volume` where that is not as the attachment was made for. */
export type Look = (
  node: Node,
  held: Held,
  disk: Promise<EbsVolume | undefined>,
) => Promise<{ readonly volume: EbsVolume | undefined }>;

/**
 * Looks by name again under an attachment of ours, before anything is mounted under it: while a node that wanted the
 * volume asked and attached, another may have taken its name off, and given it to another volume. Whoever takes a name off
 * attaches the volume for that, so that nobody does from here on. A look that does not show our attachment is older than
 * it, and is made again until nothing older can be shown. Where somebody has begun to give the name to another volume and
 * is gone, that is ended first.
 * @param disk ends the looks early when it settles with what EC2 gave up.
 * @returns what has the name now; its tags are those under our attachment. @throws DriverError AMBIGUOUS_NAME, EC2_*.
 */
export const confirmName: Look = (node, held, disk) => {
  const { name, volume } = held;
  return waiting(node, name, `EC2 to tell whether ${volume.id} still has this name`, async () => {
    watchOthers(node, name);
    const { named } = await untilShown(node, held, disk, () => node.lookup.again(name, volume.id));
    node.tagLooks.set(name, { at: performance.now(), lost: undefined });
    const isBegun = named?.id === volume.id && replacementIn(named) !== undefined;
    return { volume: isBegun ? await settleSuccession(node, held) : named };
  });
};

/**
 * The same look for whoever has attached a volume without a name to give it one: whether it has none, or that one already.
 * @throws DriverError EC2_*.
 */
export const confirmNameless: Look = (node, held, disk) => {
  const { name, volume } = held;
  return waiting(node, name, `EC2 to tell whether ${volume.id} is still without a name`, async () => {
    const { seen } = await untilShown(node, held, disk, async () => ({
      seen: await node.ec2.describeVolume(volume.id),
    }));
    const now = seen?.tags[tagKeys.name];
    return { volume: now === undefined || now === encodeName(name) ? seen : undefined };
  });
};

/** Looks until a look shows our attachment, or nothing older than it can be shown, or EC2 has given it up. */
async function untilShown<T extends { readonly seen: EbsVolume | undefined }>(
  { visibleMs }: Node,
  held: Held,
  disk: Promise<EbsVolume | undefined>,
  look: () => Promise<T>,
): Promise<T> {
  let givenUp = false;
  disk.then(
    (what) => {
      givenUp = what !== undefined;
    },
    () => {
      givenUp = true;
    },
  );
  for (let waited = 0; ; waited += lookMs) {
    const found = await look();
    const isNow = found.seen?.attachments.some((each) => isOurs(keyOf(held), each)) ?? false;
    if (isNow || givenUp || waited >= visibleMs) return found;
    await sleep(lookMs);
  }
}
