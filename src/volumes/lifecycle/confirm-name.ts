import { setTimeout as sleep } from 'node:timers/promises';
import type { EbsVolume } from '../../ebs/types.ts';
import type { Held } from '../state/held.ts';
import { type Node, waiting } from '../state/node.ts';
import { isOurs, keyOf } from './attachment-key.ts';
import { watchOthers } from './watch-tags.ts';

const lookMs = 1000;

/**
 * Looks by name again under an attachment of ours, before anything is mounted under it: while a node that wanted the
 * volume asked and attached, another may have taken its name off, and given it to another volume. Whoever takes a name off
 * attaches the volume for that, so that nobody does from here on. A look that does not show our attachment is older than
 * it, and is made again until nothing older can be shown.
 * @param disk ends the looks early when it settles with what EC2 gave up.
 * @returns what has the name now; its tags are those under our attachment. @throws DriverError AMBIGUOUS_NAME, EC2_*.
 */
export function confirmName(
  node: Node,
  held: Held,
  disk: Promise<EbsVolume | undefined>,
): Promise<{ readonly volume: EbsVolume | undefined }> {
  const { name, volume } = held;
  let givenUp = false;
  disk.then(
    (what) => {
      givenUp = what !== undefined;
    },
    () => {
      givenUp = true;
    },
  );
  return waiting(node, name, `EC2 to tell whether ${volume.id} still has this name`, async () => {
    watchOthers(node, name);
    for (let waited = 0; ; waited += lookMs) {
      const { seen, named } = await node.lookup.again(name, volume.id);
      const isNow = seen?.attachments.some((each) => isOurs(keyOf(held), each)) ?? false;
      if (isNow || givenUp || waited >= node.visibleMs) {
        node.tagLooks.set(name, { at: performance.now(), lost: undefined });
        return { volume: named };
      }
      await sleep(lookMs);
    }
  });
}
