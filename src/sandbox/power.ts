import { carryOutDetach, endAttachment, whileStuck } from './attaching.ts';
import type { Fault } from './faults.ts';
import { type InstanceRecord, timestamp, type VolumeRecord } from './model.ts';
import type { World } from './world.ts';

/** The volumes attached to an instance, in whatever state the attachment is. */
export const volumesOf = (world: World, instanceId: string): VolumeRecord[] =>
  world.store.state.volumes.filter((volume) => volume.attachment?.instanceId === instanceId);

/** What a machine finds plugged in when it boots: attachments that are on their way out do not come back. */
const disksAtBoot = (world: World, instanceId: string): VolumeRecord[] =>
  volumesOf(world, instanceId).filter(({ attachment }) => attachment?.state === 'attached');

/** How long a guest gets to shut down before its power is cut all the same; AWS says "a few minutes". */
const shutdownGraceMs = 10_000;

/** Why EC2 says an instance stopped (StateReason codes as the API documents them). */
const reasons = {
  stopped: { code: 'Client.UserInitiatedShutdown', message: 'Client.UserInitiatedShutdown: User initiated shutdown' },
  hibernated: {
    code: 'Client.UserInitiatedHibernate',
    message: 'Client.UserInitiatedHibernate: User initiated hibernate',
  },
};

/** Boots an instance that is "pending". */
export function carryOutStart(world: World, instance: InstanceRecord): void {
  world.tasks.start(`start ${instance.id}`, async () => {
    await world.tasks.sleep(world.timing.draw('start'));
    await world.order.run(instance.id, async () => {
      if (instance.state !== 'pending') return;
      await bootNow(world, instance);
    });
  });
}

/** Boots a machine, or wakes it from hibernation. The caller has the instance's turn. */
export async function bootNow(world: World, instance: InstanceRecord): Promise<void> {
  const machine = world.machines.of(instance);
  instance.state = 'running';
  world.store.save();
  if (machine.powered) await machine.thaw();
  else await machine.powerOn(disksAtBoot(world, instance.id));
}

interface StopManner {
  /** Power is cut at once, without a shutdown of the guest (Force, SkipOsShutdown). */
  readonly hurried: boolean;
  readonly hibernate: boolean;
  /** It stays "stopping", and the guest runs on, until this is cleared. */
  readonly stuck: Fault | undefined;
  /** Gives the StateReason; a user's stop without. */
  readonly reason: Fault | undefined;
}

/**
 * Ends an instance that is "stopping". It runs on until its time is over; then the guest shuts down in good order, unless
 * hurried, and its power is cut (or it hibernates).
 */
export function carryOutStop(world: World, instance: InstanceRecord, how: StopManner): void {
  sayWhy(instance, how.reason, how.hibernate ? reasons.hibernated : reasons.stopped);
  world.store.save();
  const { launchTime } = instance;
  const isCurrent = (): boolean => instance.state === 'stopping' && instance.launchTime === launchTime;
  world.tasks.start(`stop ${instance.id}`, async () => {
    if (!how.hurried) await world.tasks.sleep(world.timing.draw('stop'));
    await whileStuck(world, how.stuck, isCurrent);
    if (!isCurrent()) return;
    const machine = world.machines.of(instance);
    // Not in the instance's turn: a daemon that ends may detach its volumes.
    const ended = !how.hurried && !how.hibernate && (await machine.endDaemon(shutdownGraceMs));
    await world.order.run(instance.id, async () => {
      if (!isCurrent()) return;
      if (how.hibernate) await machine.freeze();
      else await (ended ? machine.shutDown(0) : machine.cutPower());
      finishDetaching(world, instance.id);
      instance.state = 'stopped';
      world.store.save();
    });
  });
}

/** Writes why an instance stopped, and by whose wish. */
function sayWhy(
  instance: InstanceRecord,
  given: Pick<Fault, 'code' | 'message' | 'at'> | undefined,
  usual: { readonly code: string; readonly message: string },
): void {
  const { code = usual.code, message = code } = given ?? usual;
  instance.stateReason = { code, message };
  const when = `${(given?.at ?? timestamp()).replace('T', ' ').slice(0, 19)} GMT`;
  // What AWS does has no time (recorded: "Server.SpotInstanceTermination").
  instance.stateTransitionReason = code.startsWith('Client.') ? `User initiated (${when})` : code;
}

/** Nothing on a machine without power can keep a disk from being detached. */
function finishDetaching(world: World, instanceId: string): void {
  for (const volume of volumesOf(world, instanceId)) {
    const { attachment } = volume;
    if (attachment?.state === 'detaching') carryOutDetach(world, volume, attachment, { tear: true, stuck: undefined });
  }
}

/** A reboot as a power cut sees it: a new boot with the same disks, the state stays "running". */
export function carryOutReboot(world: World, instance: InstanceRecord): void {
  world.tasks.start(`reboot ${instance.id}`, () =>
    world.order.run(instance.id, async () => {
      if (instance.state !== 'running') return;
      const machine = world.machines.of(instance);
      await machine.cutPower();
      await machine.powerOn(disksAtBoot(world, instance.id));
    }),
  );
}

/** Ends an instance that is "shutting-down" for good: its attachments vanish, what it was to take along is deleted. */
export function carryOutTerminate(world: World, instance: InstanceRecord, reason: Fault | undefined): void {
  sayWhy(instance, reason, reasons.stopped);
  world.store.save();
  world.tasks.start(`terminate ${instance.id}`, async () => {
    await world.tasks.sleep(world.timing.draw('stop'));
    await world.order.run(instance.id, async () => {
      await world.machines.of(instance).cutPower();
      const release = async (): Promise<void> => {
        for (const volume of volumesOf(world, instance.id)) {
          const goesToo = volume.attachment?.deleteOnTermination === true;
          endAttachment(world, volume);
          if (goesToo) await forgetVolume(world, volume);
        }
      };
      const lingering = world.faults.standing('linger-attachments', instance.id).at(-1);
      if (lingering === undefined) await release();
      else letLinger(world, instance, lingering, release);
      instance.state = 'terminated';
      instance.terminatedAt = timestamp();
      world.store.save();
    });
  });
}

/** Attachments of a terminated instance may be listed for 8 to 25 minutes more (kubernetes-sigs/aws-ebs-csi-driver#833). */
function letLinger(world: World, { id }: InstanceRecord, fault: Fault, release: () => Promise<void>): void {
  world.tasks.start(`linger ${id}`, async () => {
    await whileStuck(world, fault, () => volumesOf(world, id).length > 0);
    await world.order.run(id, release);
  });
}

/** Removes a volume and its content. */
export async function forgetVolume(world: World, volume: VolumeRecord): Promise<void> {
  const { state } = world.store;
  state.volumes = state.volumes.filter((each) => each !== volume);
  world.store.save();
  await world.files.remove(volume.file);
}
