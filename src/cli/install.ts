import { join } from 'node:path';
import { isSea } from 'node:sea';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { callDriver } from './dvdi-client.ts';
import { type Change, copyChange, fileChange, isThere, linkChange, textOf } from './install/changes.ts';
import { newEnvFile, readGiven, settingsIn, withSettings } from './install/env-file.ts';
import { dvdcliLinks, envFile, type Places, placesIn, serviceName, socketName, unitPath } from './install/places.ts';
import { isActive, refusal, requireRootAndSystemd, systemctl } from './install/systemd.ts';
import { serviceUnit, socketUnit } from './install/units.ts';
import { print } from './operator-client.ts';

const usage = `Usage: docker-volume-ebs install [OPTIONS] [NAME=value…]

Installs this executable as a service of systemd that listens from early boot on, and starts it. Run by a newer one it
upgrades: containers and their mounts go on, and calls wait the second that the restart takes. Again, it changes nothing.

Settings (DVE_SIZE=20, AWS_REGION=eu-west-1) are written to ${envFile}; what is set there stays.

  --prefix DIR  The executable goes to DIR/bin [/usr/local]
  --dvdcli      Also link dvdcli to it, where no other is, for Mesos: ${dvdcliLinks.join(', ')}
  --root DIR    Install into the root directory of an image; nothing is started
  --dry-run     Print what would be changed, and change nothing
  --help        Show this text
`;

/** How long a start may take; a daemon that has not answered then will not. */
const answerMs = 20_000;

export interface Installation {
  readonly prefix: string;
  /** "" for this machine. */
  readonly root: string;
  readonly dvdcli: boolean;
  readonly given: ReadonlyMap<string, string>;
}

/** What is to be changed, and what the daemon will be then. */
export interface Plan {
  readonly places: Places;
  readonly socket: string;
  readonly changes: readonly Change[];
  /** What was left as it is, as lines to print. */
  readonly notes: readonly string[];
}

/** Installs the running executable; gives the exit status. @throws DriverError, UsageError. */
export async function installCommand(argv: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...argv],
    options: {
      prefix: { type: 'string', default: '/usr/local' },
      root: { type: 'string', default: '' },
      dvdcli: { type: 'boolean', default: false },
      'dry-run': { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h' },
    },
    allowPositionals: true,
  });
  if (values.help) {
    print(usage);
    return 0;
  }
  const plan = await planInstall(ownExecutable(), { ...values, given: readGiven(positionals) });
  if (values['dry-run']) {
    printPlan(plan);
    return 0;
  }
  if (values.root === '') await installHere(plan);
  else await make(plan);
  return 0;
}

/** The file that runs now. A unit that named Node and a script would break when either is moved or upgraded. */
function ownExecutable(): string {
  if (isSea()) return process.execPath;
  throw refusal(
    'install',
    'this is a script that Node runs, and what is installed is one executable file',
    'Run the install of docker-volume-ebs-linux-amd64 or -arm64, which npm run executable builds',
  );
}

/** Compares a root directory with what it should be once `executable` is installed there. Changes nothing. */
export async function planInstall(executable: string, { prefix, root, dvdcli, given }: Installation): Promise<Plan> {
  const places = placesIn(root, unitPath('--prefix', prefix));
  const env = withSettings((await textOf(places.env)) ?? newEnvFile(), given);
  const settings = settingsIn(env);
  const facts = {
    program: placesIn('', prefix).program,
    root: unitPath('DVE_ROOT', settings.root),
    socket: unitPath('DVE_SOCKET', settings.socket),
  };
  const links = dvdcli
    ? await Promise.all(dvdcliLinks.map((link) => dvdcliChange(join(root, link), facts.program)))
    : [];
  const changes = [
    await copyChange(executable, places.program),
    ...links,
    await fileChange(places.env, env, 0o600),
    await fileChange(places.service, serviceUnit(facts), 0o644),
    await fileChange(places.socket, socketUnit(facts), 0o644),
    ...(await Promise.all(places.wants.map(({ link, to }) => linkChange(link, to)))),
  ];
  return {
    places,
    socket: settings.socket,
    changes: changes.filter((change) => typeof change === 'object'),
    notes: changes.filter((change) => typeof change === 'string'),
  };
}

/** A line that says so where another dvdcli is: that one is left alone. */
async function dvdcliChange(link: string, program: string): Promise<Change | string | undefined> {
  const change = await linkChange(link, program);
  return change !== undefined && (await isThere(link)) ? `${link} is another program: left alone` : change;
}

function printPlan({ changes, notes }: Plan): void {
  for (const { what, text } of changes)
    print(`would ${what}\n${text === undefined ? '' : text.replaceAll(/^/gm, '    ')}`);
  for (const note of notes) print(`${note}\n`);
  if (changes.length === 0) print('Nothing would be changed.\n');
}

async function make({ changes, notes }: Plan): Promise<void> {
  for (const change of changes) {
    await change.make();
    print(`${change.what}\n`);
  }
  for (const note of notes) print(`${note}\n`);
  if (changes.length === 0) print('Nothing to change.\n');
}

async function installHere(plan: Plan): Promise<void> {
  const { places, socket, changes } = plan;
  requireRootAndSystemd('install');
  const listening = await isActive(socketName);
  if (!listening) await refuseTaken(socket);
  // By its old unit, which knows the socket's old path.
  else if (changes.some(({ path }) => path === places.socket)) await systemctl('stop', serviceName, socketName);
  await make(plan);
  if (changes.length > 0) await systemctl('daemon-reload');
  await systemctl('start', socketName);
  await systemctl(changes.length > 0 ? 'restart' : 'start', serviceName);
  await untilAnswers(socket);
  print(`The daemon answers at ${socket}. Whether this node can do its work: docker-volume-ebs doctor\n`);
}

/** systemd would take the path from a daemon that runs otherwise, and the two would work on the same volumes. */
async function refuseTaken(socket: string): Promise<void> {
  const taken = await callDriver(socket, 'Plugin.Activate').then(
    () => true,
    () => false,
  );
  if (taken) throw refusal('install', `a daemon answers at ${socket} already`, 'Stop that one first');
}

/** A wrong setting, or another daemon on the same DVE_ROOT, shows only once the driver opens. */
async function untilAnswers(socket: string): Promise<void> {
  const answer = callDriver(socket, 'Ebs.Status').then(
    () => true,
    () => false,
  );
  if (await Promise.race([answer, sleep(answerMs, false)])) return;
  throw refusal(
    `start ${serviceName}`,
    `it does not answer at ${socket}`,
    'See journalctl -u docker-volume-ebs, mend what it says, and run install again',
  );
}
