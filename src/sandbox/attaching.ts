import type { Fault } from './faults.ts';
import type { AttachmentRecord, VolumeRecord } from './model.ts';
import type { World } from './world.ts';

const stuckPollMs = 50;
const inUsePollMs = 100;

/** The share of an attach's time after which the disk appears: before EC2 says "attached", as on AWS. */
const appearsAt = 0.8;

/** Waits while something stuck is neither cleared at the switchboard nor overtaken by events. */
export async function whileStuck(world: World, fault: Fault | undefined, isCurrent: () => boolean): Promise<void> {
  while (fault !== undefined && world.faults.isListed(fault) && isCurrent()) await world.tasks.sleep(stuckPollMs);
}

/** Carries out an attachment that EC2 has accepted: the disk appears, then the attachment is "attached". */
export function carryOutAttach(
  world: World,
  volume: VolumeRecord,
  attachment: AttachmentRecord,
  stuck: Fault | undefined,
): void {
  const isCurrent = (): boolean => volume.attachment === attachment && attachment.state === 'attaching';
  const total = world.timing.draw('attach');
  const plugIn = (then: () => Promise<void>): Promise<void> =>
    world.order.run(attachment.instanceId, () =>
      world.order.run(volume.id, async () => {
        if (!isCurrent()) return;
        const machine = world.machines.find(attachment.instanceId);
        if (machine?.powered) await machine.plug(volume);
        await then();
      }),
    );
  world.tasks.start(`attach ${volume.id}`, async () => {
    await world.tasks.sleep(total * appearsAt);
    await whileStuck(world, stuck, isCurrent);
    await plugIn(async () => world.moments.mark('plugged', volume.id));
    await world.tasks.sleep(total * (1 - appearsAt));
    // The machine may have been switched off and on meanwhile: from "attached" on, booting brings the disk back.
    await plugIn(async () => {
      attachment.state = 'attached';
      world.store.save();
      world.moments.mark('attached', volume.id);
    });
  });
}

/**
 * Carries out a detachment that EC2 has accepted. A running instance gives the disk up once nothing uses it; with
 * `tear`, and when the instance does not run, it is cut off at once.
 */
export function carryOutDetach(
  world: World,
  volume: VolumeRecord,
  attachment: AttachmentRecord,
  how: { readonly tear: boolean; readonly stuck: Fault | undefined },
): void {
  const { instanceId } = attachment;
  const isCurrent = (): boolean => volume.attachment === attachment;
  const machine = world.machines.find(instanceId);
  const takeOut = (tear: boolean): Promise<boolean> =>
    world.order.run(instanceId, () =>
      world.order.run(volume.id, async () => {
        // Another detach of this attachment may have ended it: the disk may be plugged in again by now.
        if (!isCurrent() || machine === undefined) return true;
        if (!tear) return await machine.unplug(volume.id);
        await machine.tearOut(volume.id);
        return true;
      }),
    );
  world.tasks.start(`detach ${volume.id}`, async () => {
    if (how.tear) await takeOut(true);
    await world.tasks.sleep(world.timing.draw('detach'));
    if (how.stuck?.busy === true && isCurrent()) attachment.state = 'busy';
    await whileStuck(world, how.stuck, isCurrent);
    while (isCurrent() && !(await takeOut(how.tear))) await world.tasks.sleep(inUsePollMs);
    if (isCurrent()) endAttachment(world, volume);
  });
}

/** The attachment is over: the volume is free. */
export function endAttachment(world: World, volume: VolumeRecord): void {
  volume.attachment = undefined;
  volume.state = 'available';
  world.store.save();
  world.moments.mark('detached', volume.id);
}
