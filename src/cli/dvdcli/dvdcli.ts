import { print } from '../operator-client.ts';
import { type CommandLine, readCommandLine } from './command-line.ts';
import { dockersPlaces } from './discovery.ts';
import { type Answer, Plugin } from './plugin.ts';

export { grammar } from './command-line.ts';

/** What `--help` prints. */
export const usage = () => `Usage: dvdcli COMMAND --volumedriver=NAME --volumename=NAME [FLAGS]
       docker-volume-ebs dvdcli COMMAND …

Asks a Docker volume driver of this host to do something, without Docker. Mesos calls it for its containers.

  create     Create the volume; one that is there as wanted is left as it is
  mount      Mount it, created first if there is none; prints the directory
  unmount    Undo all mounts made with dvdcli
  path       Print the directory where it is mounted, or nothing
  get        Print its name, if there is such a volume
  remove     Remove it
  list       Print the names of all volumes
  version    Print the version
  help       Show this text

  --volumedriver=NAME    The driver, found by this name as Docker finds it
  --volumename=NAME      The volume
  --volumeopts=KEY=VALUE[,KEY=VALUE]…
                         Options for a volume that is created; may be repeated. A value with commas goes in double
                         quotes, where two of them are one: --volumeopts='size=5,tags="a=b,c=d"'
  --explicitcreate       mount fails if there is no such volume
  --wait=SECONDS         How long to go on trying while the driver is not there, 0 to 3600
                         [30; mount 100, unmount 540]

Only results go to standard output. Exit status: 0 when it is done, 1 when it is not, 2 for a wrong command line.
DVE_SOCKET=/DIRECTORY/NAME.sock is where the driver NAME is asked, and no other place.
`;

type Verb = (plugin: Plugin, line: CommandLine) => Promise<string>;

const verbs: Readonly<Record<Exclude<CommandLine['command'], 'help' | 'version'>, Verb>> = {
  async create(plugin, line) {
    await create(plugin, line);
    return '';
  },
  async mount(plugin, line) {
    if (!(await exists(plugin, line))) await createForMount(plugin, line);
    const { Mountpoint } = await ask(plugin, 'Mount', line);
    // An empty line would be a success to Mesos, which then mounts nothing.
    if (typeof Mountpoint === 'string' && Mountpoint !== '') return `${Mountpoint}\n`;
    throw new Error(`volume ${JSON.stringify(line.volume)}: the driver mounted it and gave no directory.`);
  },
  // The original asks for the volume first and leaves it mounted when that fails.
  async unmount(plugin, line) {
    await ask(plugin, 'Unmount', line);
    return '';
  },
  async path(plugin, line) {
    const { Volume } = await ask(plugin, 'Get', line);
    const directory = Object(Volume).Mountpoint || (await ask(plugin, 'Path', line))['Mountpoint'];
    return directory ? `${directory}\n` : '';
  },
  async get(plugin, line) {
    if (await exists(plugin, line)) return `${line.volume}\n`;
    throw noSuchVolume(line);
  },
  async remove(plugin, line) {
    await ask(plugin, 'Remove', line);
    return '';
  },
  async list(plugin) {
    const { Volumes } = done(await plugin.call('VolumeDriver.List', {}));
    const names = Array.isArray(Volumes) ? Volumes.map(({ Name }) => `${Name}\n`) : [];
    return names.join('');
  },
};

/** Does what Mesos' docker/volume isolator and mesos-module-dvdi ask of rexray/dvdcli; gives the exit status. */
export async function run(argv: readonly string[]): Promise<number> {
  const line = readCommandLine(argv);
  if (line.command === 'help') print(usage());
  else if (line.command === 'version') print(`dvdcli of docker-volume-ebs ${await version()}\n`);
  else print(await verbs[line.command](await activated(line), line));
  return 0;
}

async function version(): Promise<string> {
  return (await import('../../../package.json', { with: { type: 'json' } })).default.version;
}

/** The driver, once it has said that it is one. */
async function activated({ driver, waitMs }: CommandLine): Promise<Plugin> {
  const plugin = new Plugin(driver, { ...dockersPlaces, own: process.env['DVE_SOCKET'] }, waitMs);
  const { Implements } = done(await plugin.call('Plugin.Activate'));
  if (Array.isArray(Implements) && Implements.includes('VolumeDriver')) return plugin;
  throw new Error(`the plugin ${JSON.stringify(driver)} is no volume driver: it implements ${String(Implements)}.`);
}

/** About the volume; without an ID, so that all callers of dvdcli are one holder to the driver. */
async function ask(plugin: Plugin, verb: string, { volume }: CommandLine): Promise<Answer['body']> {
  return done(await plugin.call(`VolumeDriver.${verb}`, { Name: volume }));
}

function done({ body, error }: Answer): Answer['body'] {
  if (error === undefined) return body;
  throw new Error(error);
}

/**
 * Only "there is none" is taken for that: what cannot be asked now may exist. The original creates the volume after
 * every failure, a second one of the same name with some drivers.
 */
async function exists(plugin: Plugin, { volume }: CommandLine): Promise<boolean> {
  const answer = await plugin.call('VolumeDriver.Get', { Name: volume });
  if (answer.status === 404) return false;
  return Boolean(done(answer)['Volume']);
}

async function createForMount(plugin: Plugin, line: CommandLine): Promise<void> {
  if (line.explicitCreate) throw noSuchVolume(line);
  await create(plugin, line);
}

async function create(plugin: Plugin, { volume, options }: CommandLine): Promise<void> {
  done(await plugin.call('VolumeDriver.Create', { Name: volume, Opts: options }));
}

const noSuchVolume = ({ driver, volume }: CommandLine) =>
  new Error(
    `volume ${JSON.stringify(volume)}: the driver ${driver} has none of this name. Create it: dvdcli create --volumedriver=${driver} --volumename=${volume}`,
  );
