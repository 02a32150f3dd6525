import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { build, type RolldownOptions } from 'rolldown';
import shipped from '../../rolldown.config.ts';
import { type Lock, takeLock } from '../../src/lock.ts';

const root = join(import.meta.dirname, '../..');
const cache = join(root, 'node_modules/.cache/docker-volume-ebs');
const [crashing, hasty] = ['test/support/crashing-daemon.ts', 'test/support/hasty-daemon.ts'] as const;
const inputs = ['src', crashing, 'test/support/crash-orders.ts', hasty, 'rolldown.config.ts', 'package-lock.json'];

const bundles = {
  /** The program as it is shipped. */
  program: shipped,
  /** The daemon that dies on order. It changes what Node's modules export, so its imports of them stay imports. */
  'crashing-daemon': {
    input: crashing,
    platform: 'node',
    resolve: shipped.resolve ?? {},
    output: { format: 'esm', codeSplitting: false },
  },
  /** The program as it is shipped, for an EC2 whose reads do not lag. */
  'hasty-daemon': { ...shipped, input: hasty },
} satisfies Record<string, RolldownOptions>;

/**
 * The sources in one file, which starts in a third of the processor's time that they take apart. It is built by the
 * first test that asks, and kept for as long as the sources stay the same. @returns its path.
 */
export async function builtBundle(name: keyof typeof bundles): Promise<string> {
  const place = join(cache, `${name}-${await digest()}`);
  const file = join(place, `${name}.mjs`);
  if (existsSync(file)) return file;
  await mkdir(cache, { recursive: true });
  const lock = await lockOn(join(cache, `${name}.lock`));
  try {
    if (existsSync(file)) return file;
    const dir = await mkdtemp(`${place}-`);
    const { output, ...options }: RolldownOptions = bundles[name];
    await build({ ...options, cwd: root, logLevel: 'warn', output: { ...output, file: join(dir, `${name}.mjs`) } });
    await rename(dir, place);
    return file;
  } finally {
    lock.release();
  }
}

async function digest(): Promise<string> {
  const hash = createHash('sha256');
  for (const input of inputs) {
    const path = join(root, input);
    const below = await readdir(path, { recursive: true }).catch(() => ['']);
    for (const name of below.sort()) hash.update(name).update(await readFile(join(path, name)).catch(() => ''));
  }
  return hash.digest('hex').slice(0, 16);
}

async function lockOn(path: string): Promise<Lock> {
  for (;;) {
    const lock = takeLock(path);
    if (lock !== undefined) return lock;
    await sleep(50);
  }
}
