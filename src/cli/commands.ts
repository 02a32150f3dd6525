import type { Grammar } from '../flags.ts';
import { nearest } from '../spelling.ts';
import type { Command, CommandTable } from './command.ts';

/** Every command, in the order in which help shows them. */
export const commands: CommandTable = {
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
    summary: 'Change how an existing volume is mounted, and what removing it does',
    load: () => import('./set/set.ts'),
  },
  undelete: {
    summary: 'Bring a removed volume back from the trash',
    load: () => import('./undelete/undelete.ts'),
  },
  gc: {
    summary: 'Show what the cluster may not need any more, and what it costs; do away with it',
    load: () => import('./gc/gc.ts'),
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
    summary: 'Take snapshots of volumes, see which there are, and prove that they can be restored from',
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
  'support-bundle': {
    summary: 'Collect what a bug report needs into one file, without names if you like',
    load: () => import('./support-bundle/support-bundle.ts'),
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
    load: async () => {
      const module = await import('./install/install.ts');
      return { ...module, run: (argv) => module.run(argv, manual) };
    },
  },
  uninstall: {
    summary: 'Remove the systemd service, its units and this executable',
    load: () => import('./install/uninstall.ts'),
  },
  completion: {
    summary: 'Print the script by which a shell completes this command line',
    load: () => import('./completion/completion.ts'),
    needsNoSettings: true,
  },
  man: {
    summary: 'Print the man page',
    load: async () => {
      const module = await import('./man/man.ts');
      return { ...module, run: (argv) => module.run(argv, manual) };
    },
    needsNoSettings: true,
  },
  complete: {
    load: async () => {
      const { complete } = await import('./completion/completion.ts');
      return { run: (argv) => complete(argv, commands), usage: overview, grammar: helpGrammar };
    },
  },
  'disk-worker': {
    load: async () => {
      const { serveDiskWork } = await import('../host/disk-work.ts');
      return { run: serveDiskWork, usage: overview, grammar: helpGrammar };
    },
  },
  help: {
    summary: 'Show this text, or that of a command',
    load: async () => ({ run: help, usage: overview, grammar: helpGrammar }),
    needsNoSettings: true,
  },
  version: {
    summary: 'Show the version',
    load: () => import('./version/version.ts'),
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
  throw usageError(problem);
}

const usageError = (problem: string): Error =>
  Object.assign(new Error(`${problem}. See docker-volume-ebs help.`), { code: 'INVALID_OPTION' });

function overview(): string {
  const typed = Object.entries(commands).filter(([, { summary }]) => summary !== undefined);
  const lines = typed.map(([name, { summary }]) => `  ${name.padEnd(16)}${summary}`);
  return `Usage: docker-volume-ebs COMMAND [OPTIONS]\n\n${lines.join('\n')}\n\nA command says more with --help.\n`;
}

const helpGrammar: Grammar = { command: 'help', flags: {}, words: 'COMMAND', offers: 'command' };

const manual = async (): Promise<string> => (await import('./man/page.ts')).manPage(commands);

async function help(argv: readonly string[]): Promise<number> {
  const [name = 'help', ...more] = (await import('../flags.ts')).readFlags(argv, helpGrammar).words;
  if (more.length > 0) throw usageError(`help takes no argument ${JSON.stringify(more[0])}`);
  const { usage } = await commandOf(name).load();
  if (process.stdout.isTTY) (await import('./help-text.ts')).printHelp(usage());
  else process.stdout.write(usage());
  return 0;
}
