#!/usr/bin/env node
import { commandOf } from './commands.ts';

const aliases = new Map([
  ['--help', 'help'],
  ['-h', 'help'],
  ['--version', 'version'],
  ['-v', 'version'],
]);

/** The oldest major version of Node that has what is used here: `engines` of package.json, which only npm reads. */
const oldestNode = 24;

async function main([given = '', ...argv]: readonly string[]): Promise<number> {
  if (Number.parseInt(process.versions.node, 10) < oldestNode) {
    const found = `${process.execPath} is Node ${process.versions.node}`;
    return complain(`it needs Node ${oldestNode} or newer, and ${found}. Run it with a newer one.`, 1);
  }
  try {
    const command = commandOf(aliases.get(given) ?? given);
    const { run, usage } = await command.load();
    if (command.readsHelpItself || !asksForHelp(argv)) return await run(argv);
    process.stdout.write(usage());
    return 0;
  } catch (error) {
    return complain(error instanceof Error ? error.message : String(error), isBadUsage(error) ? 2 : 1);
  }
}

/** What follows `--` are no options. */
function asksForHelp(argv: readonly string[]): boolean {
  const end = argv.indexOf('--');
  return (end === -1 ? argv : argv.slice(0, end)).some((word) => word === '--help' || word === '-h');
}

/** A setting or option that is wrong: our own error, or that of node:util's parseArgs. */
function isBadUsage(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return code === 'INVALID_OPTION' || code.startsWith('ERR_PARSE_ARGS_');
}

function complain(message: string, status: number): number {
  process.stderr.write(`${isDvdcli ? 'dvdcli' : 'docker-volume-ebs'}: ${message}\n`);
  return status;
}

/** As it was called, also by a link: Node resolves none here, neither for the bundle nor in a single executable. */
const [, calledAs = '', ...words] = process.argv;

const isDvdcli = /(^|\/)dvdcli$/.test(calledAs);

process.exit(await main(isDvdcli ? ['dvdcli', ...words] : words));
