import { execFile } from 'node:child_process';
import type { CommandResult } from '../../src/host/run.ts';

/**
 * Runs a program of the tests' own, which shares our environment and directory; gives its exit code and all of its output.
 * @throws Error when it cannot be started or is ended by a signal, as after `timeoutMs` milliseconds.
 */
export function run(
  program: string,
  args: readonly string[],
  options: { readonly timeoutMs?: number } = {},
): Promise<CommandResult> {
  const env = { ...process.env, LC_ALL: 'C', PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin:/usr/bin:/bin` };
  const limits = { timeout: options.timeoutMs ?? 0, killSignal: 'SIGKILL', maxBuffer: 64 * 1024 * 1024 } as const;
  return new Promise((resolve, reject) => {
    execFile(program, args, { env, ...limits }, (error, stdout, stderr) => {
      if (error === null) resolve({ code: 0, stdout, stderr });
      else if (typeof error.code === 'number') resolve({ code: error.code, stdout, stderr });
      else reject(new Error(`${[program, ...args].join(' ')}: ${error.message}`, { cause: error }));
    });
  });
}
