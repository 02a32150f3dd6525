import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/**
 * How what users run is started: the bundle of the last build.
 * @throws Error without one
 */
export function program(): [string, string] {
  const file = fileURLToPath(new URL('../dist/docker-volume-ebs.mjs', import.meta.url));
  if (existsSync(file)) return [process.execPath, file];
  throw new Error(`${file} is not there: run npm run build first`);
}
