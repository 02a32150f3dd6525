import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { UsageError } from '../../flags.ts';
import type { Address } from '../dvdi-client.ts';

/** Where drivers are announced: sockets in one directory, addresses in files of the others. */
export interface PluginPlaces {
  readonly sockets: string;
  readonly addresses: readonly string[];
  /** DVE_SOCKET, if it is set. */
  readonly own?: string | undefined;
}

/** Where Docker looks for a plugin, in this order (moby pkg/plugins/discovery.go). */
export const dockersPlaces: PluginPlaces = {
  sockets: '/run/docker/plugins',
  addresses: ['/etc/docker/plugins', '/usr/lib/docker/plugins'],
};

/**
 * Finds a driver by name as Docker does; undefined where nothing announces it. DVE_SOCKET, which tells where our own
 * daemon listens, answers to the name that Docker would read off it: rexray for /somewhere/rexray.sock.
 * @throws Error for a file that gives no address that can be used; UsageError for a name that can be no host's driver
 */
export function findPlugin(driver: string, { sockets, addresses, own }: PluginPlaces): Address | undefined {
  if (driver.includes('/')) throw new UsageError(`--volumedriver=${driver} names a managed Docker plugin. ${managed}`);
  if (own !== undefined && isOwn(driver, { sockets, addresses, own })) return { socketPath: own };
  const socket = formsOf(sockets, driver, '.sock').find((path) => found(path)?.isSocket());
  if (socket !== undefined) return { socketPath: socket };
  const file = addresses
    .flatMap((place) => [...formsOf(place, driver, '.spec'), ...formsOf(place, driver, '.json')])
    .find((path) => found(path)?.isFile());
  return file === undefined ? undefined : addressIn(file);
}

/** Whether this name is the one that our own daemon listens under, whose socket is away for a moment while it restarts. */
export function isOwn(driver: string, { own = join(dockersPlaces.sockets, 'ebs.sock') }: PluginPlaces): boolean {
  return basename(own) === `${driver}.sock`;
}

const formsOf = (place: string, driver: string, ending: string) => [
  join(place, `${driver}${ending}`),
  join(place, driver, `${driver}${ending}`),
];

const found = (path: string) => statSync(path, { throwIfNoEntry: false });

function addressIn(file: string): Address {
  const text = readFileSync(file, 'utf8').trim();
  const url = file.endsWith('.json') ? urlOf(file, text) : text;
  const path = /^unix:\/\/(\/.+)$/.exec(url)?.[1];
  if (path !== undefined) return { socketPath: path };
  if (/^(tcp|http):\/\//.test(url) && URL.canParse(url)) {
    const { hostname, port } = new URL(url.replace('tcp', 'http'));
    return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 80) };
  }
  throw new Error(
    `cannot use the address ${JSON.stringify(url)} in ${file}: dvdcli speaks to unix:///PATH, tcp://HOST:PORT and http://HOST:PORT. Correct it.`,
  );
}

function urlOf(file: string, text: string): string {
  let plugin: { Addr?: unknown; TLSConfig?: unknown };
  try {
    plugin = Object(JSON.parse(text));
  } catch (error) {
    throw new Error(`cannot read ${file}: it is not JSON (${(error as Error).message}). Correct it.`, { cause: error });
  }
  if (plugin.TLSConfig === undefined || plugin.TLSConfig === null) return String(plugin.Addr ?? '');
  throw new Error(
    `cannot use the driver in ${file}: it wants TLS, which dvdcli does not speak. Give it a Unix socket, and a .spec file with its unix:// address.`,
  );
}

const managed =
  'The paths that such a plugin gives are valid only inside it: install the driver on the host itself (docker-volume-ebs install).';

/** Why a driver is not found, and what to do, as sentences. */
export function notFound(driver: string, { sockets, addresses }: PluginPlaces): string {
  const why = `there is no socket ${join(sockets, `${driver}.sock`)}, and no ${driver}.spec or ${driver}.json in ${addresses.join(' or ')}`;
  const plugin = namesIn(sockets).find((name) => /^[0-9a-f]{64}$/.test(name));
  if (plugin === undefined) return `${why}. Start the driver, or correct --volumedriver.`;
  return `${why}, but a managed Docker plugin, ${plugin.slice(0, 12)}. ${managed}`;
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
