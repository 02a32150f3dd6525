import { following, type Held, leaves } from '../state/held.ts';
import { adopted, type Holder, rescueOf } from '../state/holders.ts';
import type { LocalState } from '../state/local.ts';
import { mountpointOf, rescuePathOf } from '../state/node.ts';
import { unmounted } from './agree.ts';

/**
 * Corrects what the journal remembers by this boot and its mounts, before anything is served. One attachment serves one
 * boot: what an earlier boot attached is only to be detached, and its holders ended with
 * it. A journal that cannot be written now does not stop that: nothing is acted upon here.
 */
export async function recall(local: LocalState): Promise<void> {
  for (const held of [...local.held.values()]) {
    const next = await corrected(local, held).catch((error: unknown) => {
      // One volume that cannot be looked at must not keep the others from being served; its next mount looks again.
      local.log.error(
        { volume: held.name, err: error },
        'this machine cannot tell whether it is still mounted: its record stays as it is',
      );
      return held;
    });
    if (next === held) continue;
    const now = following(held, next);
    local.held.set(held.name, now);
    await local.journal.save(now, leaves(held, now)).catch((error: unknown) => {
      local.log.error({ volume: held.name, err: error }, 'the journal cannot be written');
    });
  }
}

async function corrected({ host, settings, log }: LocalState, held: Held): Promise<Held> {
  const { name, volume } = held;
  // At once, and without waiting for a disk that may not answer; the reconciler sees to it again.
  if (held.freezing) void thawAtOnce({ host, settings, log }, held);
  if (held.bootId !== host.bootId) {
    log.info({ volume: name, volumeId: volume.id }, 'attached in an earlier boot: it will be released');
    if (rescueOf(held) !== undefined) await host.letDiskGo(rescuePathOf(settings, name));
    return { ...unmounted(held), phase: 'detaching', holders: [] };
  }
  return withEngines(host, await withMount({ host, settings, log }, held));
}

/** Records of earlier versions do not say whose engine it was: one that runs now is taken for it. */
async function withEngines(host: LocalState['host'], held: Held): Promise<Held> {
  const isUnknown = ({ id, engine }: Holder) => engine === undefined && id !== null && id !== adopted;
  if (!held.holders.some(isUnknown)) return held;
  const engine = await host.engineOf(undefined);
  if (engine === undefined) return held;
  return { ...held, holders: held.holders.map((holder) => (isUnknown(holder) ? { ...holder, engine } : holder)) };
}

async function thawAtOnce({ host, settings, log }: Machine, { name, volume, device, filesystem }: Held): Promise<void> {
  try {
    const disk = await host.findDevice(volume.id, device);
    if (disk !== undefined) await host.thaw(disk, mountpointOf(settings, name), filesystem);
  } catch (error) {
    log.warn({ volume: name, volumeId: volume.id, err: error }, 'whether its filesystem is frozen is not known yet');
  }
}

type Machine = Pick<LocalState, 'host' | 'settings' | 'log'>;

async function withMount({ host, settings, log }: Machine, held: Held): Promise<Held> {
  const { name, volume } = held;
  if (held.phase !== 'mounted') return held;
  const disk = await host.findDevice(volume.id, held.device);
  const { what } = await host.mountedAt(mountpointOf(settings, name), disk);
  // A disk that is gone under its mount is a ghost: the reconciler deals with it.
  if (what === 'disk' || disk === undefined) return held;
  log.warn({ volume: name, volumeId: volume.id }, 'its mount is gone; it will be mounted again on demand');
  return unmounted(held);
}
