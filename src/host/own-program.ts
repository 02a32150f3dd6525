import { existsSync } from 'node:fs';
import { isSea } from 'node:sea';
import { fileURLToPath } from 'node:url';

/** The command line that runs this program once more, its words to follow: from the sources, the bundle or the executable that runs now. */
export function ownProgram(): [string, ...string[]] {
  if (isSea()) return [process.execPath];
  const source = fileURLToPath(new URL('../cli/main.ts', import.meta.url));
  return [process.execPath, existsSync(source) ? source : (process.argv[1] ?? '')];
}
