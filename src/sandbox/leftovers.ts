import { truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { attempt } from './command.ts';
import { loopsBelow, resizeLoop } from './loops.ts';
import type { VolumeRecord } from './model.ts';
import { unmountBelow } from './mounts.ts';
import { killAll, processesOfNodes, signalAll } from './processes.ts';
import { cutLoop, haltFilesystem } from './sever.ts';
import type { Store } from './store.ts';
import type { VolumeFiles } from './volume-files.ts';

/**
 * Ends what a sandbox that was killed left below `dir`: as a power outage, so what was not synced is lost. Daemons,
 * mounts and loop devices go; the volumes' content stays.
 */
export async function clearLeftovers(dir: string, store: Store, files: VolumeFiles): Promise<void> {
  const nodes = join(dir, 'nodes');
  const reach = join(dir, 'reach');
  signalAll(await processesOfNodes(nodes), 'SIGSTOP');
  const loops = await loopsBelow(dir);
  for (const loop of loops) await haltFilesystem(loop, reach);
  await killAll(await processesOfNodes(nodes));
  await unmountBelow(nodes);
  await unmountBelow(reach);
  for (const loop of loops) {
    const volume = store.state.volumes.find(({ file }) => files.path(file) === loop.file);
    if (volume === undefined) await dropLoop(loop);
    else await cutLoop({ loop, files, file: volume.file, dir: reach, adopt: (file) => adopt(store, volume, file) });
  }
}

/** Records that a volume's content is in another file from now on. */
export function adopt(store: Store, volume: VolumeRecord, file: string): void {
  volume.file = file;
  store.save();
}

/** Frees a device whose file is no volume's any more, in use or not. */
async function dropLoop(loop: Parameters<typeof resizeLoop>[0]): Promise<void> {
  await truncate(loop.file, 0).catch(() => {});
  await resizeLoop(loop).catch(() => {});
  await attempt('losetup', '--detach', loop.path);
}
