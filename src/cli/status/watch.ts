import { setTimeout as sleep } from 'node:timers/promises';
import { printAsIs as print } from '../output.ts';
import { cut } from '../table.ts';

/** What one look gave. */
export interface Sight {
  /** Differs where something worth a new block has changed. */
  readonly key: string;
  /** For people. @param width of the terminal; undefined where nothing needs to fit. */
  lines(width: number | undefined): readonly string[];
}

interface Display {
  show(sight: Sight): void;
  close(): void;
}

/**
 * Looks again and again until it is interrupted, or nobody reads any more. A terminal is redrawn, on a screen of its own;
 * elsewhere a block follows when something has changed.
 * @param look gives what is shown next; what it throws ends the watch. @param everyMs the pause between looks.
 * @param asScreen whether standard output is a terminal to be redrawn.
 */
export async function watch(look: () => Promise<Sight>, everyMs: number, asScreen: boolean): Promise<void> {
  const end = new AbortController();
  const stop = () => end.abort();
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, stop);
  process.stdout.on('error', stop);
  const ended = new Promise<undefined>((resolve) => {
    end.signal.addEventListener('abort', () => resolve(undefined));
  });
  const display = asScreen ? openScreen() : openRecord();
  try {
    while (!end.signal.aborted) {
      const sight = await Promise.race([look(), ended]);
      if (sight !== undefined) display.show(sight);
      await sleep(everyMs, undefined, { signal: end.signal }).catch(() => undefined);
    }
  } finally {
    display.close();
  }
}

/** The terminal's alternate screen, so that what was there before comes back (xterm control sequences, modes 1049 and 25). */
function openScreen(): Display {
  const { stdout } = process;
  let last: Sight | undefined;
  const draw = () => {
    // A serial console does not tell its size (0): it is taken for the smallest there was.
    const { columns = 0, rows = 0 } = stdout;
    const [width, height] = [columns || 80, rows || 24];
    const lines = last?.lines(width) ?? [];
    const fit = lines.length < height ? lines : lines.slice(0, height - 2);
    const more = lines.length > fit.length ? [`… ${lines.length - fit.length} more lines`] : [];
    print(`\x1b[H${[...fit, ...more].map((line) => `${cut(line, width)}\x1b[K\n`).join('')}\x1b[J`);
  };
  print('\x1b[?1049h\x1b[?25l');
  stdout.on('resize', draw);
  return {
    show(sight) {
      last = sight;
      draw();
    },
    close: () => print('\x1b[?25h\x1b[?1049l'),
  };
}

function openRecord(): Display {
  let last: string | undefined;
  return {
    show(sight) {
      if (sight.key !== last) print(`${sight.lines(undefined).join('\n')}\n`);
      last = sight.key;
    },
    close: () => undefined,
  };
}
