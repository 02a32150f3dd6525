import { spawn } from 'node:child_process';
import { once } from 'node:events';

/**
 * Does work between two commands of the user's. The second is run whatever happens once the first was begun: by a process
 * that waits for our end, so that it is run also where we are killed. What they print goes to standard error.
 * @throws Error when the first fails, with nothing done; what the work throws; Error when the second fails.
 */
export async function around<T>(
  { before, after }: { readonly before: string | undefined; readonly after: string | undefined },
  work: () => Promise<T>,
): Promise<T> {
  const end = after === undefined ? async () => undefined : afterwards(after);
  try {
    if (before !== undefined) await succeed('--before', spawn('sh', ['-c', before], { stdio: ['ignore', 2, 2] }));
    return await work();
  } finally {
    await end();
  }
}

/** @returns what runs the command, once, and waits for its end. */
function afterwards(command: string): () => Promise<void> {
  const child = spawn('sh', ['-c', 'read -r _; exec sh -c "$0" < /dev/null', command], {
    stdio: ['pipe', 2, 2],
    // A signal to our process group, as of Ctrl-C, is none to it.
    detached: true,
  });
  return () => {
    child.stdin?.end();
    return succeed('--after', child);
  };
}

async function succeed(flag: string, child: ReturnType<typeof spawn>): Promise<void> {
  const [code, signal] = await once(child, 'exit');
  if (code !== 0) throw new Error(`the command of ${flag} has ended with ${signal ?? `exit status ${code}`}`);
}
