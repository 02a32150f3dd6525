import { setTimeout as sleep } from 'node:timers/promises';
import { post } from './dvdi-client.ts';
import { openProgress, type Progress } from './progress.ts';
import { silentDaemon } from './silent-daemon.ts';

/** A person who has seen nothing for so long wonders. */
const quietMs = 2000;
/** With these a daemon that answers nothing at all is told of after 5 s. */
const patienceMs = 3000;
const everyMs = 1000;

/** The daemon that is asked. */
interface Asked {
  readonly socket: string;
  /** DVE_ROOT. */
  readonly root: string;
}

/**
 * Waits for work that a daemon does, as long as it takes and the daemon lives: after 2 s it says on standard error what is awaited,
 * and a daemon that gives no sign of life for 5 s ends it.
 * @param name the volume that it is about. @param work is given up by its signal.
 * @throws what the work throws; Error where the daemon does not answer, with what to do.
 */
export async function whileAlive<T>(
  asked: Asked,
  name: string | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const over = new AbortController();
  const progress = openProgress();
  try {
    const done = work(over.signal);
    return await Promise.race([done, heartbeat(asked, name, progress, over.signal)]);
  } finally {
    over.abort();
    progress.end();
  }
}

async function heartbeat({ socket, root }: Asked, name: string | undefined, progress: Progress, over: AbortSignal) {
  const ended = new Promise<never>(() => undefined);
  for (let pause = quietMs; ; pause = everyMs) {
    await sleep(pause, undefined, { signal: over, ref: false }).catch(() => undefined);
    if (over.aborted) return ended;
    const late = AbortSignal.timeout(patienceMs);
    try {
      const { text } = await post({ socketPath: socket }, 'Ebs.Waiting', { name }, AbortSignal.any([over, late]));
      progress.show(awaitedIn(text));
    } catch (error) {
      if (over.aborted) return ended;
      if (late.aborted) throw silentDaemon(socket, root, (quietMs + patienceMs) / 1000);
      // What has become of the connection the call itself tells.
      if (error === undefined) return ended;
    }
  }
}

/** An answer that is another's, as that of an earlier version, is a sign of life too. */
function awaitedIn(text: string): { readonly what: string; readonly share?: number } {
  try {
    const { waitingFor, share } = Object(JSON.parse(text));
    const what = typeof waitingFor === 'string' ? waitingFor : 'the daemon';
    return typeof share === 'number' ? { what, share } : { what };
  } catch {
    return { what: 'the daemon' };
  }
}
