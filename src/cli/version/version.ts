import about from '../../../package.json' with { type: 'json' };
import { type Grammar, readFlags } from '../../flags.ts';
import { print, printJson } from '../output.ts';

/** What `--help` prints. */
export const usage = () => `Usage: docker-volume-ebs version [OPTIONS]

Prints the version.

  --json  Print it as JSON
  --help  Show this text
`;

export const grammar = { command: 'version', flags: { json: { type: 'boolean' } } } as const satisfies Grammar;

/** Prints the version of this program; gives the exit status. */
export async function run(argv: readonly string[]): Promise<number> {
  const { version } = about;
  if (readFlags(argv, grammar).values.json) printJson({ version });
  else print(`${version}\n`);
  return 0;
}
