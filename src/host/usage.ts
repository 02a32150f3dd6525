import { statfs } from 'node:fs/promises';
import { hostFailed } from './tools.ts';
import type { FilesystemUsage } from './types.ts';

/**
 * How full the filesystem at `target` is. While it does not answer, this does not return, and keeps one of the four
 * threads that all file access of the process shares.
 * @throws DriverError HOST_FAILED
 */
export async function filesystemUsage(target: string): Promise<FilesystemUsage> {
  try {
    const { bsize, blocks, bfree, bavail, files, ffree } = await statfs(target);
    return {
      bytes: { total: blocks * bsize, used: (blocks - bfree) * bsize, available: bavail * bsize },
      inodes: { total: files, used: files - ffree },
    };
  } catch (error) {
    throw hostFailed(`tell how full the filesystem at ${target} is`, error, `Look at it with df ${target}`);
  }
}
