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
    if (!command.readsHelpItself && asksForHelp(argv))
      return await commandOf('help')
        .load()
        .then(({ run }) => run([given]));
    const { run } = await command.load();
    if (command.summary !== undefined && !command.needsNoSettings)
      (await import('../config.ts')).refuseUnknown(process.env);
    return await run(argv);
  } catch (error) {
    return complain(error instanceof Error ? error.message : String(error), isBadUsage(error) ? 2 : 1);
  }
}

/** What follows `--` are no options. */
function asksForHelp(argv: readonly string[]): boolean {
  const end = argv.indexOf('--');
  return (end === -1 ? argv : argv.slice(0, end)).some((word) => word === '--help' || word === '-h');
}

/** A setting or option that is wrong. */
const isBadUsage = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === 'INVALID_OPTION';

async function complain(message: string, status: number): Promise<number> {
  const text = `${isDvdcli ? 'dvdcli' : 'docker-volume-ebs'}: ${message}\n`;
  if (process.stderr.isTTY) (await import('./output.ts')).tell(text);
  else process.stderr.write(text);
  return status;
}

/** As it was called, also by a link: Node resolves none here, neither for the bundle nor in a single executable. */
const [, calledAs = '', ...words] = process.argv;

const isDvdcli = /(^|\/)dvdcli$/.test(calledAs);

process.exit(await main(isDvdcli ? ['dvdcli', ...words] : words));
