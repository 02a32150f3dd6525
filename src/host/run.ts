import { execFile } from 'node:child_process';

/** What a finished command said. */
export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** Kills the command (SIGKILL) after this many milliseconds; none by default: fsck and mkfs take what they take. */
  readonly timeoutMs?: number;
}

/**
 * Runs a program without a shell, in the C locale, and gives its exit code and output whatever the code is.
 * @throws Error when the program cannot be started or is ended by a signal; the message names the command.
 */
export function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    execFile(
      program,
      args,
      {
        env: { ...process.env, LC_ALL: 'C', PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin:/usr/bin:/bin` },
        timeout: options.timeoutMs ?? 0,
        killSignal: 'SIGKILL',
        maxBuffer: 16 * 1024 * 1024,
      },
      (error, stdout, stderr) => {
        if (error === null) resolve({ code: 0, stdout, stderr });
        else if (typeof error.code === 'number') resolve({ code: error.code, stdout, stderr });
        else reject(new Error(`${[program, ...args].join(' ')}: ${error.message}`, { cause: error }));
      },
    );
  });
}
