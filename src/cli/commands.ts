import { nearest } from '../spelling.ts';

/** What a command's own file exports. */
export interface CommandModule {
  /** Does it; gives the exit status. */
  readonly run: (argv: readonly string[]) => Promise<number>;
  /** What its `--help` prints. */
  readonly usage: () => string;
}

export interface Command {
  /** Absent where no person types it. */
  readonly summary?: string;
  /** Loads what only this command needs. */
  readonly load: () => Promise<CommandModule>;
  /** It shows the program itself: a wrong variable is not in the way. */
  readonly needsNoSettings?: true;
  /** Its command line is that of another program, in which `-h` may be a value: it reads `--help` itself. */
  readonly readsHelpItself?: true;
}

/** Every command, in the order in which help shows them. */
export const commands: Readonly<Record<string, Command>> = {
  serve: { summary: 'Run the volume driver daemon', load: () => import('./serve/serve.ts') },
  status: {
    summary: 'Show the volumes of this node, what holds them and what they wait for',
    load: () => import('./status/status.ts'),
  },
  ls: { summary: "List the cluster's volumes and who has them", load: () => import('./ls/ls.ts') },
  where: {
    summary: 'Show the zone of a volume, and the constraint that keeps its containers there',
    load: () => import('./where/where.ts'),
  },
  drain: {
    summary: 'Release the volumes of this node that nobody uses, and take no new mounts',
    load: () => import('./drain/drain.ts'),
  },
  set: {
    summary: 'Change how an existing volume is mounted: its mount options, its directory',
    load: () => import('./set/set.ts'),
  },
  undelete: {
    summary: 'Bring a removed volume back from the trash',
    load: () => import('./undelete/undelete.ts'),
  },
  trash: {
    summary: 'Show what is in the trash, how long and at what cost; end that early',
    load: () => import('./trash/trash.ts'),
  },
  resize: {
    summary: 'Make a volume larger, its filesystem too, while it is in use',
    load: () => import('./resize/resize.ts'),
  },
  modify: {
    summary: 'Change the type and performance of a volume, and how it grows by itself',
    load: () => import('./modify/modify.ts'),
  },
  snapshot: {
    summary: 'Take snapshots of volumes, and see which there are',
    load: () => import('./snapshot/snapshot.ts'),
  },
  rollback: {
    summary: 'Give a volume back the data of one of its snapshots; the data of now goes into the trash',
    load: () => import('./rollback/rollback.ts'),
  },
  rescue: {
    summary: 'Hold a volume without mounting it, to check or repair its filesystem',
    load: () => import('./rescue/rescue.ts'),
  },
  unmount: {
    summary: 'End a holder of a volume that its caller has forgotten',
    load: () => import('./unmount/unmount.ts'),
  },
  fence: {
    summary: 'See and steer when volumes are taken over from other nodes',
    load: () => import('./fence/fence.ts'),
  },
  dvdcli: {
    summary: 'Mount and unmount volumes for Mesos, as the program of this name does',
    load: () => import('./dvdcli/dvdcli.ts'),
    readsHelpItself: true,
  },
  doctor: {
    summary: 'Check whether this node can do its work, and say what to do where it cannot',
    load: () => import('./doctor/doctor.ts'),
  },
  health: {
    summary: 'Tell whether the daemon of this node is in health, by the exit status',
    load: () => import('./health/health.ts'),
  },
  adopt: {
    summary: 'Take EBS volumes that something else has made, as REX-Ray, into the cluster',
    load: () => import('./adopt/adopt.ts'),
  },
  sandbox: {
    summary: 'Run an EC2 and a metadata service on this machine, with loop devices for disks',
    load: () => import('./sandbox/sandbox.ts'),
  },
  demo: { summary: 'Show the driver at work in a sandbox', load: () => import('./demo/demo.ts') },
  install: {
    summary: 'Install this executable as a systemd service, or upgrade the one that is there',
    load: () => import('./install/install.ts'),
  },
  uninstall: {
    summary: 'Remove the systemd service, its units and this executable',
    load: () => import('./install/uninstall.ts'),
  },
  'disk-worker': {
    load: async () => ({ run: (await import('../host/disk-work.ts')).serveDiskWork, usage: overview }),
  },
  help: {
    summary: 'Show this text, or that of a command',
    load: async () => ({ run: help, usage: overview }),
    needsNoSettings: true,
  },
  version: {
    summary: 'Show the version',
    load: async () => ({ run: version, usage: () => 'Usage: docker-volume-ebs version\n\nPrints the version.\n' }),
    needsNoSettings: true,
  },
};

/** @throws Error with the code INVALID_OPTION where there is no command of this name */
export function commandOf(name: string): Command {
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (command !== undefined) return command;
  const near = nearest(
    name,
    Object.keys(commands).filter((each) => commands[each]?.summary !== undefined),
  );
  const problem =
    name === ''
      ? 'no command given'
      : `unknown command ${JSON.stringify(name)}${near === undefined ? '' : `, but ${near}`}`;
  throw Object.assign(new Error(`${problem}. See docker-volume-ebs help.`), { code: 'INVALID_OPTION' });
}

function overview(): string {
  const typed = Object.entries(commands).filter(([, { summary }]) => summary !== undefined);
  const lines = typed.map(([name, { summary }]) => `  ${name.padEnd(11)}${summary}`);
  return `Usage: docker-volume-ebs COMMAND [OPTIONS]\n\n${lines.join('\n')}\n\nA command says more with --help.\n`;
}

async function help([name = 'help']: readonly string[]): Promise<number> {
  const { usage } = await commandOf(name).load();
  if (process.stdout.isTTY) (await import('./help-text.ts')).printHelp(usage());
  else process.stdout.write(usage());
  return 0;
}

async function version(): Promise<number> {
  const { default: about } = await import('../../package.json', { with: { type: 'json' } });
  process.stdout.write(`${about.version}\n`);
  return 0;
}
