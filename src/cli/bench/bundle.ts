import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The bundle, which is what users run: the one that runs now, or that of the last build. @throws Error without one */
export function bundle(): string {
  const here = fileURLToPath(import.meta.url);
  const file = here.endsWith('.mjs')
    ? here
    : fileURLToPath(new URL('../../../dist/docker-volume-ebs.mjs', import.meta.url));
  if (existsSync(file)) return file;
  throw new Error(`${file} is not there: run npm run build first`);
}
