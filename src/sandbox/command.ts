import { type CommandResult, run } from '../host/run.ts';

/** Runs a program that must succeed; gives its standard output without the last newline. @throws Error with what it said */
export async function command(program: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(program, args);
  if (code === 0) return stdout.trimEnd();
  throw new Error(`${[program, ...args].join(' ')}: exit ${code}: ${stderr.trim() || stdout.trim()}`);
}

/** Runs a program that may fail. */
export const attempt = (program: string, ...args: string[]): Promise<CommandResult> => run(program, args);
