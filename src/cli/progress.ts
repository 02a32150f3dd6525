import { terminalWidth } from './output.ts';
import { cut } from './table.ts';

/** What a command waits for. */
export interface Awaited {
  /** As it follows "waiting for". */
  readonly what: string;
  /** How much of it is done, 0 to 1; absent where nobody knows. */
  readonly share?: number;
}

export interface Progress {
  show(awaited: Awaited): void;
  /** Leaves nothing behind on a terminal. */
  end(): void;
}

/**
 * Tells on standard error what is awaited: on a terminal in one place, with a bar where the share is known; elsewhere in a line
 * for each new reason.
 */
export function openProgress(stream: NodeJS.WriteStream = process.stderr): Progress {
  const began = performance.now();
  let last = '';
  return {
    show({ what, share }) {
      const width = terminalWidth(stream);
      if (!stream.isTTY) {
        if (what !== last) stream.write(`waiting for ${what}\n`);
      } else {
        const seconds = Math.round((performance.now() - began) / 1000);
        stream.write(
          `\r${progressLine({ what, ...(share === undefined ? {} : { share }) }, seconds, width ?? 80)}\x1b[K`,
        );
      }
      last = what;
    },
    end() {
      if (stream.isTTY && last !== '') stream.write('\r\x1b[K');
    },
  };
}

const barPlaces = 20;

/** The line for a terminal. @param seconds since the beginning. @param width in places. Pure. */
export function progressLine({ what, share }: Awaited, seconds: number, width: number): string {
  const done = share === undefined ? undefined : Math.min(1, Math.max(0, share));
  const filled = Math.round((done ?? 0) * barPlaces);
  const bar =
    done === undefined ? '' : `[${'#'.repeat(filled)}${'-'.repeat(barPlaces - filled)}] ${Math.floor(done * 100)}% `;
  return cut(`${bar}waiting for ${what}, for ${seconds} s`, width - 1);
}
