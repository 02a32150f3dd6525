import { mkdir, readFile, realpath, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Dockerd } from './dockerd.ts';
import { run } from './run.ts';

/** What the Dockerfile removes again anyway. */
const unwanted = /^(lib)?(python3|icu)/;

/**
 * Gives an engine the two images that the Dockerfile is built from, made of this machine's files: no registry is asked.
 * "plugin-base" has the packages that the Dockerfile installs and what they depend on, as Debian has them here, and an
 * apt-get that checks that what it is to install is there; "plugin-node" has the Node of these tests.
 */
export async function importPluginImages(engine: Dockerd, dir: string): Promise<void> {
  await importNode(engine, join(dir, 'plugin-node'));
  await importBase(engine, join(dir, 'plugin-base'));
}

async function importNode(engine: Dockerd, root: string): Promise<void> {
  await mkdir(join(root, 'usr/local/bin'), { recursive: true });
  await must('cp', '--reflink=auto', process.execPath, join(root, 'usr/local/bin/node'));
  await importImage(engine, root, 'plugin-node');
}

async function importBase(engine: Dockerd, root: string): Promise<void> {
  await makeDebian(root, ['dash', 'coreutils', ...(await installed())]);
  await importImage(engine, root, 'plugin-base');
}

/**
 * Makes a root directory that has these packages and what they depend on, as Debian has them here, and an apt-get that
 * checks that what it is to install is there.
 */
export async function makeDebian(root: string, packages: readonly string[]): Promise<void> {
  const names = await withDependencies(packages);
  for (const path of ['usr/bin', 'usr/local/bin']) await mkdir(join(root, path), { recursive: true });
  for (const name of ['bin', 'lib', 'lib64', 'sbin']) {
    await mkdir(join(root, 'usr', name), { recursive: true });
    await symlink(`usr/${name}`, join(root, name));
  }
  await writeFile(`${root}.files`, (await filesOf(names)).join('\n'));
  await must('sh', '-c', `tar -C / -c --no-recursion -T '${root}.files' | tar -x -C '${root}'`);
  await writeFile(join(root, 'usr/bin/packages'), `${names.join('\n')}\n`);
  await writeFile(join(root, 'usr/bin/apt-get'), aptGet, { mode: 0o755 });
}

const aptGet = `#!/bin/sh
for word; do
  case $word in -*|update|install) continue ;; esac
  found=
  while read -r package; do [ "$package" = "$word" ] && found=yes; done < /usr/bin/packages
  [ "$found" ] || { echo "no package $word here" >&2; exit 100; }
done
`;

/** The packages that the Dockerfile installs. */
async function installed(): Promise<string[]> {
  const text = await readFile(new URL('../../Dockerfile', import.meta.url), 'utf8');
  const words = /apt-get install ([^&]+)&&/.exec(text)?.[1]?.split(/[\s\\]+/) ?? [];
  return words.filter((word) => word !== '' && !word.startsWith('-'));
}

async function withDependencies(names: readonly string[]): Promise<string[]> {
  const all = new Set<string>();
  for (let next = [...names]; next.length > 0; ) {
    for (const name of next) all.add(name);
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is dpkg-query's.
    const { stdout } = await must('dpkg-query', '-W', '-f', '${Pre-Depends},${Depends},', ...next);
    // Of alternatives the first: that is what Debian installs. One that is virtual or not here is none of ours.
    const named = stdout.split(',').map((each) => each.trim().split(/[\s:|(]/)[0] ?? '');
    next = [];
    for (const name of new Set(named)) {
      if (name === '' || all.has(name) || unwanted.test(name)) continue;
      if ((await run('dpkg-query', ['-L', name])).code === 0) next.push(name);
    }
  }
  return [...all];
}

/** The files of packages that run, without what is for reading; directories as links resolve on this machine. */
async function filesOf(names: readonly string[]): Promise<string[]> {
  const { stdout } = await must('dpkg-query', '-L', ...names);
  const paths = new Set<string>();
  for (const path of stdout.split('\n')) {
    if (!path.startsWith('/') || /^\/usr\/share\/(doc|man|locale|info)\//.test(path)) continue;
    const found = await stat(path).catch(() => undefined);
    if (found === undefined || found.isDirectory()) continue;
    paths.add(join(await realpath(dirname(path)), basename(path)).slice(1));
  }
  return [...paths];
}

async function importImage(engine: Dockerd, root: string, name: string): Promise<void> {
  await must('tar', '-C', root, '-cf', `${root}.tar`, '.');
  await engine.ok('import', `${root}.tar`, name);
  await rm(root, { recursive: true });
  await rm(`${root}.tar`);
}

async function must(command: string, ...args: string[]): ReturnType<typeof run> {
  const result = await run(command, args);
  if (result.code !== 0) throw new Error(`${command} ended with ${result.code}: ${result.stderr}`);
  return result;
}
