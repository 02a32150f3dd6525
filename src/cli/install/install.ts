import { dirname, join } from 'node:path';
import { isSea } from 'node:sea';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Grammar, readFlags } from '../../flags.ts';
import { scripts, shells } from '../completion/scripts.ts';
import { callDriver } from '../dvdi-client.ts';
import { askHealth, type HealthAnswer } from '../health/health.ts';
import { print, printJson } from '../output.ts';
import { type Change, copyChange, fileChange, isThere, linkChange, pageChange, textOf } from './changes.ts';
import { newEnvFile, readGiven, settingsIn, withoutSecrets, withSettings } from './env-file.ts';
import { refuseHeld } from './held.ts';
import { dvdcliLinks, envFile, type Places, placesIn, serviceName, socketName, unitPath } from './places.ts';
import { isActive, isBehind, listensOn, refusal, requireRootAndSystemd, systemctl } from './systemd.ts';
import { programOf, rootOf, serviceUnit, socketUnit } from './units.ts';

/** What `--help` prints. */
export const usage = () => `Usage: docker-volume-ebs install [OPTIONS] [NAME=value…]

Installs this executable as a service of systemd that listens from early boot on, and starts it. Run by a newer one it
upgrades: containers and their mounts go on, and calls wait the second that the restart takes. Again, it changes nothing.

With it come a man page and what completes its command line in bash, zsh and fish, below PREFIX/share.

Settings (DVE_SIZE=20, AWS_REGION=eu-west-1, REX-Ray's too) are written to ${envFile}; what is set there stays.

  --prefix DIR  The executable goes to DIR/bin [where it is installed, else /usr/local]
  --dvdcli      Also link dvdcli to it, where no other is, for Mesos: ${dvdcliLinks.join(', ')}
  --root DIR    Install into the root directory of an image; nothing is started
  --dry-run     Print what would be changed, and change nothing
  --json        Print what was changed, and the health that was found, as JSON
  --help        Show this text
`;

export const grammar = {
  command: 'install',
  flags: {
    prefix: { type: 'string', offers: 'path' },
    root: { type: 'string', offers: 'path' },
    dvdcli: { type: 'boolean' },
    'dry-run': { type: 'boolean' },
    json: { type: 'boolean' },
  },
  words: 'NAME=value',
} as const satisfies Grammar;

/** How long a start may take; a daemon that has not answered then will not. */
const answerMs = 20_000;
const takenMs = 5_000;
/** A node that has just started asks EC2 first. */
const healthMs = 10_000;

export interface Installation {
  /** Undefined for where it is, or the usual one. */
  readonly prefix: string | undefined;
  /** "" for this machine. */
  readonly root: string;
  readonly dvdcli: boolean;
  readonly given: ReadonlyMap<string, string>;
  /** The man page. */
  readonly manual: string;
}

/** What is to be changed, and what the daemon will be then. */
interface Plan {
  readonly places: Places;
  readonly socket: string;
  /** DVE_ROOT. */
  readonly dataRoot: string;
  readonly changes: readonly Change[];
  /** What was left as it is, as lines to print. */
  readonly notes: readonly string[];
}

/** Installs the running executable; gives the exit status. @param manual gives the man page. @throws DriverError, UsageError. */
export async function run(argv: readonly string[], manual: () => Promise<string>): Promise<number> {
  const { values, words } = readFlags(argv, grammar);
  const { prefix, root = '', dvdcli = false, json = false, 'dry-run': dryRun = false } = values;
  const executable = ownExecutable();
  if (root === '' && !dryRun) requireRootAndSystemd('install');
  const given = readGiven(words);
  const plan = await planInstall(executable, { prefix, root, dvdcli, given, manual: await manual() });
  const say = json ? () => undefined : print;
  if (dryRun) say(planText(plan));
  else if (root !== '') await make(plan, say);
  const health = dryRun || root !== '' ? undefined : await installHere(plan, say);
  if (json)
    printJson({ dryRun, changes: plan.changes.map(({ what, path }) => ({ what, path })), notes: plan.notes, health });
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
export async function planInstall(
  executable: string,
  { prefix, root, dvdcli, given, manual }: Installation,
): Promise<Plan> {
  const unit = (await textOf(placesIn(root, '/').service)) ?? '';
  const installed = programOf(unit);
  const at = prefix ?? (installed === undefined ? '/usr/local' : dirname(dirname(installed)));
  const places = placesIn(root, unitPath('--prefix', at));
  const env = withSettings((await textOf(places.env)) ?? newEnvFile(), given);
  const { settings, warnings } = settingsIn(env);
  const facts = {
    program: placesIn('', at).program,
    root: unitPath('DVE_ROOT', settings.root),
    socket: unitPath('DVE_SOCKET', settings.socket),
  };
  await refuseLeaving(join(root, rootOf(unit) ?? facts.root), join(root, facts.root));
  const links = dvdcli
    ? await Promise.all(dvdcliLinks.map((link) => dvdcliChange(join(root, link), facts.program, installed)))
    : [];
  const changes = [
    await copyChange(executable, places.program),
    ...links,
    await pageChange(places.manual, manual),
    ...(await Promise.all(shells.map((shell) => pageChange(places.completions[shell], scripts[shell])))),
    await fileChange(places.env, env, 0o600),
    await fileChange(places.service, serviceUnit(facts), 0o644),
    await fileChange(places.socket, socketUnit(facts), 0o644),
    ...(await Promise.all(places.wants.map(({ link, to }) => linkChange(link, to)))),
  ];
  return {
    places,
    socket: settings.socket,
    dataRoot: settings.root,
    changes: changes.filter((change) => typeof change === 'object'),
    notes: [
      ...changes.filter((change) => typeof change === 'string'),
      ...leftBehind(installed, facts.program),
      ...warnings,
    ],
  };
}

/** Not removed: a directory may be a link to the other, as /bin is to /usr/bin. */
const leftBehind = (installed: string | undefined, program: string): string[] =>
  installed === undefined || installed === program ? [] : [`${installed} stays; the service does not use it any more`];

/** With another journal the daemon would not know what it has mounted, and never give it back. @throws DriverError IN_USE_HERE */
async function refuseLeaving(old: string, root: string): Promise<void> {
  if (old !== root) await refuseHeld(old, `change DVE_ROOT from ${old} to ${root}`, '');
}

/** A line that says so where another dvdcli is: that one is left alone. */
async function dvdcliChange(link: string, program: string, installed = program): Promise<Change | string | undefined> {
  const change = await linkChange(link, program);
  if (change === undefined || !(await isThere(link)) || (await linkChange(link, installed)) === undefined)
    return change;
  return `${link} is another program: left alone`;
}

function planText({ changes, notes }: Plan): string {
  const lines = changes.map(({ what, text }) => `would ${what}\n${indented(text)}`);
  if (changes.length === 0) lines.push('Nothing would be changed.\n');
  return [...lines, ...notes.map((note) => `${note}\n`)].join('');
}

const indented = (text: string | undefined) =>
  text === undefined ? '' : withoutSecrets(text).replaceAll(/^/gm, '    ');

type Say = (text: string) => void;

async function make({ changes, notes }: Plan, say: Say): Promise<void> {
  for (const change of changes) {
    await change.make();
    say(`${change.what}\n`);
  }
  for (const note of notes) say(`${note}\n`);
  if (changes.length === 0) say('Nothing to change.\n');
}

/** @returns the health that was found. */
async function installHere(plan: Plan, say: Say): Promise<HealthAnswer> {
  const { places, socket, dataRoot: root } = plan;
  const listening = await isActive(socketName);
  if (!listening) await refuseTaken(socket);
  await make(plan, say);
  // Not whether something was changed just now: an install before may have been killed here.
  const behind = await isBehind(serviceName, places.program, places.env, places.service, places.socket);
  // By its old unit, which systemd has until it reloads: that one knows the old path.
  if (listening && ((await listensOn(socketName)) !== `${socket} (Stream)` || !(await isThere(socket))))
    await systemctl('stop', serviceName, socketName);
  if (behind) await systemctl('daemon-reload');
  await systemctl('start', socketName);
  await systemctl(behind ? 'restart' : 'start', serviceName);
  await untilAnswers(socket);
  const health = await healthFound(socket, root);
  say(`The daemon answers at ${socket}.\n${healthText(health)}`);
  return health;
}

/** The health of the node once it has met EC2, or what it is after a while. */
async function healthFound(socket: string, root: string): Promise<HealthAnswer> {
  for (const deadline = performance.now() + healthMs; ; await sleep(500)) {
    const health = await askHealth(socket, root);
    if (health.status === 'ok' || performance.now() > deadline) return health;
  }
}

/** What `install` ends with. */
export function healthText({ status, instanceId, problems }: HealthAnswer): string {
  const more = 'More, and what to do: docker-volume-ebs doctor\n';
  if (status === 'ok') return `This node (${instanceId}) is in health. ${more}`;
  return `This node is not in health:\n${problems.map((problem) => `  ${problem}\n`).join('')}${more}`;
}

/** systemd would take the path from a daemon that runs otherwise, and the two would work on the same volumes. */
async function refuseTaken(socket: string): Promise<void> {
  const late = AbortSignal.timeout(takenMs);
  const taken = await callDriver(socket, 'Plugin.Activate', {}, late).then(
    () => true,
    // One that takes connections and is silent has the path, too.
    () => late.aborted,
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
