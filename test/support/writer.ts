import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** A container's process: it has the volume at a place of its own and appends a line to "lines" there, over and over. */
export interface Writer {
  readonly pid: number;
  /** The last line that it has written, not synced; lines count from 1. */
  readonly last: number;
  /** Resolves once a line was refused, with the word of the kernel, as "EIO". */
  readonly failed: Promise<string>;
  /** Resolves once it has written more. @throws Error when it has ended */
  goesOn(): Promise<void>;
  end(): Promise<void>;
}

const script = `
  const { appendFileSync } = require('node:fs');
  let line = 0;
  const timer = setInterval(() => {
    try {
      appendFileSync('/mnt/lines', (line + 1) + '\\n');
      console.log(++line);
    } catch (error) {
      console.log(error.code);
      clearInterval(timer);
      setInterval(() => undefined, 60_000);
    }
  }, 20);
`;

/** Starts one on a mounted directory; whoever starts it ends it. */
export async function startWriter(directory: string): Promise<Writer> {
  const inside = 'mount --bind "$0" /mnt && exec "$@"';
  const command = ['sh', '-c', inside, directory, process.execPath, '-e', script];
  const child = spawn('unshare', ['--mount', '--propagation', 'private', ...command], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const failed = Promise.withResolvers<string>();
  let last = 0;
  let more = Promise.withResolvers<void>();
  child.stdout.on('data', (chunk: Buffer) => {
    for (const word of chunk.toString().split('\n').filter(Boolean)) {
      if (/^\d+$/.test(word)) last = Number(word);
      else failed.resolve(word);
    }
    more.resolve();
    more = Promise.withResolvers();
  });
  const ended = () => child.exitCode !== null || child.signalCode !== null;
  child.on('exit', () => more.resolve());
  const wroteSince = async (line: number) => {
    while (last <= line) {
      if (ended()) throw new Error(`the writer ended: ${child.exitCode ?? child.signalCode}`);
      await more.promise;
    }
  };
  await wroteSince(0);
  return {
    pid: child.pid ?? 0,
    get last() {
      return last;
    },
    failed: failed.promise,
    goesOn: () => wroteSince(last),
    async end() {
      if (ended()) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}
