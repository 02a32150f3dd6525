import { existsSync } from 'node:fs';
import { isSea } from 'node:sea';
import { fileURLToPath } from 'node:url';

/**
 * How what users run is started: the executable or the bundle that runs now, else the bundle of the last build.
 * @throws Error without one
 */
export function program(): [string, ...string[]] {
  if (isSea()) return [process.execPath];
  const here = fileURLToPath(import.meta.url);
  const file = here.endsWith('.mjs')
    ? here
    : fileURLToPath(new URL('../../../dist/docker-volume-ebs.mjs', import.meta.url));
  if (existsSync(file)) return [process.execPath, file];
  throw new Error(`${file} is not there: run npm run build first`);
}
