import { type Grammar, readFlags } from '../../flags.ts';
import { printAsIs } from '../output.ts';

/** What `--help` prints. */
export const usage = () => `Usage: docker-volume-ebs man

Prints the man page, which has the help text of every command; read it with docker-volume-ebs man | man -l -. install writes
it to where man looks for it.
`;

export const grammar = { command: 'man', flags: {} } as const satisfies Grammar;

/** Prints the man page; gives the exit status. @param page makes it. */
export async function run(argv: readonly string[], page: () => Promise<string>): Promise<number> {
  readFlags(argv, grammar);
  printAsIs(await page());
  return 0;
}
