import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseEnv } from 'node:util';

/** Where the unit of systemd has the daemon's variables. */
const unitFile = '/etc/docker-volume-ebs/env';
/** Where dockerd keeps its managed plugins, a directory each, and where it makes their sockets (moby daemon/pkg/plugin). */
const pluginDirectory = '/var/lib/docker/plugins';
const pluginSockets = '/run/docker/plugins';

/** Where the daemon's variables were taken from. */
export type Variables =
  | { readonly from: 'environment' }
  /** `names` without their values: some are secret. */
  | { readonly from: 'file'; readonly file: string; readonly names: readonly string[] }
  /** The file is there and cannot be read. */
  | { readonly from: 'nowhere'; readonly file: string; readonly why: string };

/**
 * The variables that the daemon of this host has: our own where any DVE_ variable is among them, else those of the
 * file that its unit reads, or of the managed plugin, are added; what we have ourselves wins.
 * @returns them, and where they come from. Never throws.
 */
export function nodeVariables(
  own: NodeJS.ProcessEnv,
  file: string = unitFile,
  plugins: string = pluginDirectory,
): { readonly env: NodeJS.ProcessEnv; readonly variables: Variables } {
  if (Object.keys(own).some((name) => name.startsWith('DVE_'))) return { env: own, variables: { from: 'environment' } };
  try {
    return added(own, file, parseEnv(readFileSync(file, 'utf8')));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'ENOTDIR')
      return { env: own, variables: { from: 'nowhere', file, why: message } };
    const plugin = pluginIn(plugins);
    return plugin === undefined ? { env: own, variables: { from: 'environment' } } : added(own, ...plugin);
  }
}

const added = (own: NodeJS.ProcessEnv, file: string, read: NodeJS.Dict<string>) => ({
  env: { ...read, ...own },
  variables: { from: 'file' as const, file, names: Object.keys(read) },
});

/** The file of an enabled plugin of this driver and its variables; its socket is where dockerd has it. */
function pluginIn(directory: string): [string, NodeJS.Dict<string>] | undefined {
  for (const id of entriesOf(directory)) {
    const file = join(directory, id, 'config.json');
    const plugin = pluginOf(file);
    if (plugin?.Config?.Interface?.Socket !== 'ebs.sock' || plugin.Enabled !== true) continue;
    const given = plugin.Settings?.Env?.filter((each) => typeof each === 'string') ?? [];
    return [file, { ...Object.fromEntries(given.map(pairOf)), DVE_SOCKET: join(pluginSockets, id, 'ebs.sock') }];
  }
  return undefined;
}

/** "NAME=value". */
const pairOf = (text: string): [string, string] => [text.split('=', 1)[0] ?? '', text.slice(text.indexOf('=') + 1)];

interface Plugin {
  readonly Enabled?: boolean;
  readonly Config?: { readonly Interface?: { readonly Socket?: string } };
  readonly Settings?: { readonly Env?: readonly string[] };
}

/** As dockerd keeps it: `plugin` in moby's v2.Plugin, since 1.13. */
function pluginOf(file: string): Plugin | undefined {
  try {
    return Object(JSON.parse(readFileSync(file, 'utf8'))).plugin;
  } catch {
    return undefined;
  }
}

function entriesOf(directory: string): string[] {
  try {
    return readdirSync(directory).filter((name) => /^[0-9a-f]{64}$/.test(name));
  } catch {
    return [];
  }
}
