#!/usr/bin/env node
/** Gives the exit status. */
type Command = (argv: readonly string[]) => Promise<number>;

interface Entry {
  /** Absent where no person types it. */
  readonly summary?: string;
  /** Loads what only this command needs. */
  readonly load: () => Promise<Command>;
}

const commands: Readonly<Record<string, Entry>> = {
  serve: {
    summary: 'Run the volume driver daemon',
    load: async () => (await import('./serve/serve.ts')).serveCommand,
  },
  status: {
    summary: 'Show the volumes of this node, what holds them and what they wait for',
    load: async () => (await import('./status/status.ts')).statusCommand,
  },
  ls: {
    summary: "List the cluster's volumes and who has them",
    load: async () => (await import('./ls/ls.ts')).lsCommand,
  },
  drain: {
    summary: 'Release the volumes of this node that nobody uses, and take no new mounts',
    load: async () => (await import('./drain/drain.ts')).drainCommand,
  },
  fence: {
    summary: 'See and steer when volumes are taken over from other nodes',
    load: async () => (await import('./fence/fence.ts')).fenceCommand,
  },
  dvdcli: {
    summary: 'Mount and unmount volumes for Mesos, as the program of this name does',
    load: async () => (await import('./dvdcli/dvdcli.ts')).dvdcliCommand,
  },
  doctor: {
    summary: 'Check whether this node can do its work, and say what to do where it cannot',
    load: async () => (await import('./doctor/doctor.ts')).doctorCommand,
  },
  health: {
    summary: 'Tell whether the daemon of this node is in health, by the exit status',
    load: async () => (await import('./health/health.ts')).healthCommand,
  },
  adopt: {
    summary: 'Take EBS volumes that something else has made, as REX-Ray, into the cluster',
    load: async () => (await import('./adopt/adopt.ts')).adoptCommand,
  },
  sandbox: {
    summary: 'Run an EC2 and a metadata service on this machine, with loop devices for disks',
    load: async () => (await import('./sandbox/sandbox.ts')).sandboxCommand,
  },
  demo: {
    summary: 'Show the driver at work in a sandbox',
    load: async () => (await import('./demo/demo.ts')).demoCommand,
  },
  install: {
    summary: 'Install this executable as a systemd service, or upgrade the one that is there',
    load: async () => (await import('./install/install.ts')).installCommand,
  },
  uninstall: {
    summary: 'Remove the systemd service, its units and this executable',
    load: async () => (await import('./install/uninstall.ts')).uninstallCommand,
  },
  'disk-worker': { load: async () => (await import('../host/disk-work.ts')).serveDiskWork },
  help: { summary: 'Show this text', load: async () => help },
  version: { summary: 'Show the version', load: async () => version },
};

const aliases = new Map([
  ['--help', 'help'],
  ['-h', 'help'],
  ['--version', 'version'],
  ['-v', 'version'],
]);

async function help(): Promise<number> {
  const typed = Object.entries(commands).filter(([, { summary }]) => summary !== undefined);
  const lines = typed.map(([name, { summary }]) => `  ${name.padEnd(11)}${summary}`);
  process.stdout.write(
    `Usage: docker-volume-ebs COMMAND [OPTIONS]\n\n${lines.join('\n')}\n\nA command says more with --help.\n`,
  );
  return 0;
}

async function version(): Promise<number> {
  const { default: about } = await import('../../package.json', { with: { type: 'json' } });
  process.stdout.write(`${about.version}\n`);
  return 0;
}

async function main([given = '', ...argv]: readonly string[]): Promise<number> {
  const name = aliases.get(given) ?? given;
  const entry = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (entry === undefined) {
    const problem = name === '' ? 'no command given' : `unknown command ${JSON.stringify(name)}`;
    return complain(`${problem}. See docker-volume-ebs help.`, 2);
  }
  try {
    return await (await entry.load())(argv);
  } catch (error) {
    return complain(error instanceof Error ? error.message : String(error), isBadUsage(error) ? 2 : 1);
  }
}

/** A setting or option that is wrong: our own error, or that of node:util's parseArgs. */
function isBadUsage(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return code === 'INVALID_OPTION' || code.startsWith('ERR_PARSE_ARGS_');
}

function complain(message: string, status: number): number {
  process.stderr.write(`docker-volume-ebs: ${message}\n`);
  return status;
}

/** As it was called, also by a link: Node resolves none here, neither for the bundle nor in a single executable. */
const [, calledAs = '', ...words] = process.argv;

process.exit(await main(/(^|\/)dvdcli$/.test(calledAs) ? ['dvdcli', ...words] : words));
