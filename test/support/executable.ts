import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from './run.ts';

const root = join(import.meta.dirname, '../..');
const cache = join(root, 'node_modules/.cache/docker-volume-ebs');

/** The single executable of these sources for this machine. It takes seconds to build: it is kept for as long as its bundle would be the same. */
export async function builtExecutable(): Promise<string> {
  await mkdir(cache, { recursive: true });
  const dir = await mkdtemp(join(cache, 'build-'));
  try {
    const bundle = join(dir, 'docker-volume-ebs.mjs');
    await must('rolldown', '-c', join(root, 'rolldown.config.ts'), '-o', bundle);
    const inputs = [bundle, join(root, 'scripts/executable.ts'), join(root, 'package-lock.json')];
    const hash = createHash('sha256');
    for (const file of inputs) hash.update(await readFile(file));
    const digest = hash.digest('hex');
    const output = join(cache, 'executable');
    const stamp = `${output}.inputs`;
    if ((await readFile(stamp, 'utf8').catch(() => '')) === digest) return output;
    await must(process.execPath, join(root, 'scripts/executable.ts'), '--bundle', bundle, '--output', output);
    await writeFile(stamp, digest);
    return output;
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function must(command: string, ...args: string[]): Promise<void> {
  const { code, stdout, stderr } = await run(command, args);
  if (code !== 0) throw new Error(`${command} ended with ${code}: ${stderr}${stdout}`);
}
