import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DriverError } from '../../errors.ts';
import { decodeName } from '../../volumes/options/names.ts';

/**
 * The journal has a record of each volume that is held, or not yet given back.
 * @param root DVE_ROOT. @param tried completes "cannot …". @param or what else may be done, as ", or …".
 * @throws DriverError IN_USE_HERE naming them
 */
export async function refuseHeld(root: string, tried: string, or: string): Promise<void> {
  const entries = await readdir(join(root, 'state/volumes')).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  const held = entries
    .filter((entry) => entry.endsWith('.json'))
    .map((entry) => decodeName(entry.slice(0, -5)) ?? entry);
  if (held.length === 0) return;
  throw new DriverError('IN_USE_HERE', {
    tried,
    why: `this node holds ${held.sort().join(', ')}`,
    todo: `Run docker-volume-ebs drain first${or}`,
  });
}
