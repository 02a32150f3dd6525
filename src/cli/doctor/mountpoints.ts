import { readFile } from 'node:fs/promises';
import { parseMountinfo } from '../../host/mountinfo.ts';

/** A mount, and where mounts below it show up besides (mount_namespaces(7)). */
export interface MountPoint {
  readonly mountpoint: string;
  readonly type: string;
  readonly readOnly: boolean;
  /** The peer group it shares mounts with; undefined when it is private. */
  readonly shared: string | undefined;
  /** The peer group it only gets mounts from. */
  readonly master: string | undefined;
}

/** The mounts of a process by its mountinfo file. @throws Error when it cannot be read */
export async function readMountPoints(file: string): Promise<MountPoint[]> {
  return parseMountPoints(await readFile(file, 'utf8'));
}

/** @throws Error on a line that is not of the format of mountinfo */
export function parseMountPoints(text: string): MountPoint[] {
  return parseMountinfo(text).map(({ mountpoint, type, options, superOptions, propagation }) => {
    const groupOf = (word: string) => propagation.find((field) => field.startsWith(`${word}:`))?.slice(word.length + 1);
    return {
      ...{ mountpoint, type, readOnly: options.includes('ro') || superOptions.includes('ro') },
      ...{ shared: groupOf('shared'), master: groupOf('master') },
    };
  });
}

/** The mount that a path is on: the last made of those with the longest mountpoint. @throws Error when there is none */
export function mountOf(mounts: readonly MountPoint[], path: string): MountPoint {
  const above = mounts.filter(({ mountpoint }) => isAbove(mountpoint, path));
  const longest = Math.max(...above.map(({ mountpoint }) => mountpoint.length));
  const found = above.findLast(({ mountpoint }) => mountpoint.length === longest);
  if (found === undefined) throw new Error(`no mount of this process holds ${path}`);
  return found;
}

const isAbove = (mountpoint: string, path: string) =>
  mountpoint === '/' || path === mountpoint || path.startsWith(`${mountpoint}/`);
