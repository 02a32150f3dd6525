import { readFileSync } from 'node:fs';

/** Where the unit of systemd has the daemon's variables. */
export const unitFile = '/etc/docker-volume-ebs/env';

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
    const read = parseEnvironment(readFileSync(file, 'utf8'));
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

/** Lines of NAME=value as systemd reads them (systemd.exec(5), EnvironmentFile=), without continued lines and escapes. */
function parseEnvironment(text: string): Record<string, string> {
  const pairs = text.split('\n').flatMap((line) => {
    const [, name, value = ''] = /^\s*([A-Za-z_][A-Za-z0-9_]*)=(.*)$/.exec(line) ?? [];
    return name === undefined ? [] : [[name, unquoted(value.trim())] as const];
  });
  return Object.fromEntries(pairs);
}

const unquoted = (value: string): string => /^(["'])(.*)\1$/.exec(value)?.[2] ?? value;
