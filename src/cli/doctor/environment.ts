import { readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';

/** Where the unit of systemd has the daemon's variables. */
const unitFile = '/etc/docker-volume-ebs/env';

/** Where the daemon's variables were taken from. */
export type Variables =
  | { readonly from: 'environment' }
  /** `names` without their values: some are secret. */
  | { readonly from: 'file'; readonly file: string; readonly names: readonly string[] }
  /** The file is there and cannot be read. */
  | { readonly from: 'nowhere'; readonly file: string; readonly why: string };

/**
 * The variables that the daemon of this host has: our own where any DVE_ variable is among them, else those of the
 * file that its unit reads are added; what we have ourselves wins.
 * @returns them, and where they come from. Never throws.
 */
export function daemonVariables(own: NodeJS.ProcessEnv, file: string = unitFile): [NodeJS.ProcessEnv, Variables] {
  if (Object.keys(own).some((name) => name.startsWith('DVE_'))) return [own, { from: 'environment' }];
  try {
    const read = parseEnv(readFileSync(file, 'utf8'));
    return [
      { ...read, ...own },
      { from: 'file', file, names: Object.keys(read) },
    ];
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return [own, { from: 'environment' }];
    return [own, { from: 'nowhere', file, why: message }];
  }
}
