import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants, mkdirSync } from 'node:fs';
import { join } from 'node:path';

/** What a finished command said. */
export interface CommandResult {
  readonly code: number;
  /** The end of it: at most {@link keptBytes}. */
  readonly stdout: string;
  readonly stderr: string;
}

interface RunOptions {
  /** Kills the command and what it started (SIGKILL) after this many milliseconds; none by default: fsck and mkfs take what they take. */
  readonly timeoutMs?: number;
}

/** How much of each output is kept, its end: a check of a damaged disk can print gigabytes. */
export const keptBytes = 256 * 1024;

/** Nobody but root can put anything there, and we put nothing there. */
const emptyDirectory = '/run/docker-volume-ebs.empty';

/** By its path: each place that a program is looked for in vain holds us up while it starts. */
const shell = '/bin/sh';

/**
 * A tool writes to a pipe of ours, and must not end in the middle of a disk because we have: without us its words are
 * lost, and it goes on. Node gives its children the default for SIGPIPE; a shell can have them ignore it.
 */
const surviving = 'trap "" PIPE; exec "$0" "$@"';

/**
 * Runs a program without letting anybody's words reach a shell, and gives its exit code and output whatever the code is. It reads
 * nothing (its standard input is empty, its working directory too) and knows nothing of our environment but PATH; it is
 * the leader of a process group of its own (setsid) and outlives us, whether we end by ourselves or by kill -9.
 * @throws Error when the program cannot be started (its cause: the system's error) or is ended by a signal; the message names the command.
 */
export async function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<CommandResult> {
  const path = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin:/usr/bin:/bin`;
  const failed = (why: string, cause?: unknown) => new Error(`${[program, ...args].join(' ')}: ${why}`, { cause });
  let child: ChildProcess;
  try {
    child = spawn(shell, ['-c', surviving, findProgram(program, path), ...args], {
      cwd: workingDirectory(),
      env: { PATH: path, LC_ALL: 'C' },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
  } catch (error) {
    throw failed(error instanceof Error ? error.message : String(error), error);
  }
  const [stdout, stderr] = [endOf(child.stdout), endOf(child.stderr)];
  const ended = Promise.withResolvers<{ code: number | null; signal: NodeJS.Signals | null }>();
  child.once('error', (error) => ended.reject(failed(error.message, error)));
  child.once('close', (code, signal) => ended.resolve({ code, signal }));
  const deadline = options.timeoutMs === undefined ? undefined : setTimeout(() => killGroup(child), options.timeoutMs);
  try {
    const { code, signal } = await ended.promise;
    if (code === null) throw failed(`it was ended by ${signal}`);
    return { code, stdout: stdout(), stderr: stderr() };
  } finally {
    clearTimeout(deadline);
  }
}

/** Whoever is not root has no files to lose by where it works. */
function workingDirectory(): string {
  if (process.getuid?.() !== 0) return '/';
  mkdirSync(emptyDirectory, { recursive: true, mode: 0o700 });
  return emptyDirectory;
}

/** Where a program is. The shell would tell by exit code 127 alone. @throws an ENOENT for a program that is nowhere on `path`. */
function findProgram(program: string, path: string): string {
  const places = program.includes('/') ? [program] : path.split(':').map((directory) => join(directory, program));
  const found = places.find(isExecutable);
  if (found !== undefined) return found;
  throw Object.assign(new Error('there is no such program (ENOENT)'), { code: 'ENOENT' });
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Collects a stream; gives the last {@link keptBytes} of what has come. */
function endOf(stream: NodeJS.ReadableStream | null): () => string {
  let chunks: Buffer[] = [];
  let length = 0;
  stream?.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    length += chunk.length;
    if (length < 2 * keptBytes) return;
    chunks = [Buffer.concat(chunks).subarray(-keptBytes)];
    length = keptBytes;
  });
  return () => Buffer.concat(chunks).subarray(-keptBytes).toString('utf8');
}

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}
