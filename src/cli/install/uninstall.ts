import { readFile, readlink, realpath, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parseEnv } from 'node:util';
import { loadSettings } from '../../config.ts';
import { DriverError } from '../../errors.ts';
import { type Grammar, readFlags } from '../../flags.ts';
import { parseMountinfo } from '../../host/mountinfo.ts';
import { print, printJson } from '../output.ts';
import { type Change, mountpointsRemoval, removalChange, textOf } from './changes.ts';
import { refuseHeld } from './held.ts';
import { dvdcliLinks, envFile, type Places, placesIn, serviceName, socketName } from './places.ts';
import { requireRootAndSystemd, systemctl } from './systemd.ts';
import { programOf } from './units.ts';

/** What `--help` prints. */
export const usage = () => `Usage: docker-volume-ebs uninstall [OPTIONS]

Stops the service that install has made, and removes its units, the executable and its links. ${envFile}
and the journal in DVE_ROOT stay: an install later goes on with them. Refused while this node holds volumes: drain it first.

  --purge     Remove the settings and the journal as well
  --force     Also while volumes are held: they stay attached and mounted, and nobody looks after them
  --root DIR  Uninstall from the root directory of an image
  --dry-run   Print what would be removed, and change nothing
  --json      Print what was removed, as JSON
  --help      Show this text
`;

export const grammar = {
  command: 'uninstall',
  flags: {
    purge: { type: 'boolean' },
    force: { type: 'boolean' },
    root: { type: 'string', offers: 'path' },
    'dry-run': { type: 'boolean' },
    json: { type: 'boolean' },
  },
} as const satisfies Grammar;

type Say = (text: string) => void;

/** Removes what install has made; gives the exit status. @throws DriverError */
export async function run(argv: readonly string[]): Promise<number> {
  const { values } = readFlags(argv, grammar);
  const { root = '', purge = false, json = false, 'dry-run': dryRun = false } = values;
  const say: Say = json ? () => undefined : print;
  const places = placesIn(root, '/');
  const data = join(root, await dataDirectory(places));
  const installed = await removals(places);
  const made = purge ? await purges(places, data) : [];
  if (!values.force) await refuseHeld(data, 'uninstall', ', or give --force to leave them attached as they are');
  if (purge) await refuseMounted(data);
  if (dryRun) {
    for (const { what } of [...installed, ...made]) say(`would ${what}\n`);
  } else if (installed.length + made.length > 0) {
    await remove(places, installed, say);
    await make(made, say);
    if (purge) await removeEmpty(dirname(places.env), data);
  }
  if (installed.length + made.length === 0) say('Nothing is installed here.\n');
  if (json) printJson({ dryRun, changes: [...installed, ...made].map(({ what, path }) => ({ what, path })) });
  return 0;
}

/** DVE_ROOT. Of the settings only this one concerns us: a mistake in another must not be in the way. */
async function dataDirectory({ env }: Places): Promise<string> {
  const { DVE_ROOT } = parseEnv((await textOf(env)) ?? '');
  return loadSettings([], { DVE_ROOT }).root;
}

/** The executable is where the unit has it, whatever the prefix was. */
async function removals({ root, service, socket, wants }: Places): Promise<Change[]> {
  const program = programOf((await textOf(service)) ?? '');
  const links = dvdcliLinks.map((link) => join(root, link));
  const ours = await Promise.all(links.map(async (link) => (await target(link)) === program));
  const paths = [
    ...wants.map(({ link }) => link),
    socket,
    ...(program === undefined
      ? []
      : [...links.filter((_, n) => ours[n]), ...pagesOf(root, program), join(root, program)]),
    // Last: where it ends before, the next try still finds the executable by it.
    service,
  ];
  return present(paths);
}

function pagesOf(root: string, program: string): string[] {
  const { manual, completions } = placesIn(root, dirname(dirname(program)));
  return [manual, ...Object.values(completions)];
}

const target = (link: string): Promise<string | undefined> => readlink(link).catch(() => undefined);

/** What the daemon has made in DVE_ROOT, by name: the directory itself may be anybody's. The file that names it goes last. */
async function purges({ env }: Places, data: string): Promise<Change[]> {
  const mountpoints = await mountpointsRemoval(join(data, 'volumes'));
  const rest = await present([join(data, 'state'), join(data, 'lock'), env]);
  return mountpoints === undefined ? rest : [mountpoints, ...rest];
}

async function present(paths: readonly string[]): Promise<Change[]> {
  return (await Promise.all(paths.map(removalChange))).filter((change) => change !== undefined);
}

async function remove({ root, service, socket }: Places, changes: readonly Change[], say: Say): Promise<void> {
  if (root === '') {
    requireRootAndSystemd('uninstall');
    const isChanged = (unit: string) => changes.some(({ path }) => path === unit);
    // Of a half installation systemd may know one only.
    if (isChanged(service)) await systemctl('stop', serviceName);
    if (isChanged(socket)) await systemctl('stop', socketName);
  }
  await make(changes, say);
  if (root === '') await systemctl('daemon-reload');
}

async function make(changes: readonly Change[], say: Say): Promise<void> {
  for (const change of changes) {
    await change.make();
    say(`${change.what}\n`);
  }
}

/** Removing a directory would go on into what is mounted there. @throws DriverError IN_USE_HERE */
async function refuseMounted(root: string): Promise<void> {
  const mounts = parseMountinfo(await readFile('/proc/self/mountinfo', 'utf8'));
  // The table of mounts knows no symbolic links.
  const real = await realpath(root).catch(() => root);
  const below = mounts.find(({ mountpoint }) => mountpoint.startsWith(`${real}/`));
  if (below === undefined) return;
  throw new DriverError('IN_USE_HERE', {
    tried: 'remove the journal',
    why: `something is mounted at ${below.mountpoint}`,
    todo: 'Run docker-volume-ebs drain first, or leave out --purge',
  });
}

/** Directories that hold something else stay. */
async function removeEmpty(...directories: readonly string[]): Promise<void> {
  for (const directory of directories) await rmdir(directory).catch(() => undefined);
}
