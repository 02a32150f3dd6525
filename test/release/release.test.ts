import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const run = promisify(execFile);
const root = join(import.meta.dirname, '../..');
const textOf = (file: string) => readFile(join(root, file), 'utf8');
const inputs = ['src', 'scripts', 'package.json', 'package-lock.json', 'rolldown.config.ts', 'tsconfig.json'];

let scratch: string;
/** What two builds of the same sources in two places wrote. */
let builds: readonly Map<string, Buffer>[];

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'docker-volume-ebs-release-'));
  builds = await Promise.all([
    build(join(scratch, 'one'), { TZ: 'UTC', LANG: 'C' }),
    build(join(scratch, 'another/place/deeper'), { TZ: 'Asia/Tokyo', LANG: 'de_DE.UTF-8' }),
  ]);
});

afterAll(() => rm(scratch, { recursive: true, force: true }));

/** Builds a copy of the project as README says; gives the files of dist/. */
async function build(directory: string, env: Record<string, string>): Promise<Map<string, Buffer>> {
  await mkdir(directory, { recursive: true });
  for (const input of inputs) await cp(join(root, input), join(directory, input), { recursive: true });
  // Links take no room; where the temporary directory is another filesystem, copies do. Caches change meanwhile.
  const modules = join(directory, 'node_modules');
  await mkdir(modules);
  const packages = (await readdir(join(root, 'node_modules'))).filter((name) => name !== '.cache');
  const copy = (how: string) =>
    run('cp', [how, '-t', modules, ...packages.map((name) => join(root, 'node_modules', name))]);
  await copy('-al').catch(() => copy('-a'));
  await run('npm', ['run', '-s', 'build'], { cwd: directory, env: { ...process.env, ...env } });
  const dist = join(directory, 'dist');
  const names = (await readdir(dist)).sort();
  return new Map(await Promise.all(names.map(async (name) => [name, await readFile(join(dist, name))] as const)));
}

const built = (name: string) => builds[0]?.get(name)?.toString() ?? '';

describe('a build', () => {
  it('of the same sources gives the same bytes, wherever and whenever it is made', () => {
    const [one, another] = builds;
    expect([...(one?.keys() ?? [])]).toEqual([
      'docker-volume-ebs.cdx.json',
      'docker-volume-ebs.licenses.txt',
      'docker-volume-ebs.mjs',
      'docker-volume-ebs.mjs.map',
    ]);
    for (const [name, bytes] of one ?? []) expect(bytes.equals(another?.get(name) ?? Buffer.of()), name).toBe(true);
  });

  it('has the files of the live page in itself', async () => {
    const bundle = built('docker-volume-ebs.mjs');
    for (const file of ['page.html', 'page.css', 'page.js']) {
      // Its first line with letters alone is in one piece wherever the bundler puts its quotes.
      const text = await textOf(`src/cli/sandbox/live/${file}`);
      const line = text.split('\n').find((each) => /^[ -~]{12,}$/.test(each) && !/['"`]/.test(each));
      expect(bundle, file).toContain(line);
      expect(bundle).not.toContain(`./${file}`);
    }
  });

  it('holds no path of the machine that made it', () => {
    for (const [name, bytes] of builds[0] ?? []) {
      expect(bytes.includes(scratch), name).toBe(false);
      expect(bytes.includes(root), name).toBe(false);
    }
  });

  it('says its version, which is that of package.json', async () => {
    const { version } = JSON.parse(await textOf('package.json'));
    const { stdout } = await run(process.execPath, [join(scratch, 'one/dist/docker-volume-ebs.mjs'), 'version']);
    expect(stdout).toBe(`${version}\n`);
    expect(JSON.parse(await textOf('package-lock.json')).version).toBe(version);
    const metadata = await run(join(root, 'scripts/docker-ebs'), ['docker-cli-plugin-metadata']);
    expect(JSON.parse(metadata.stdout)).toMatchObject({ SchemaVersion: '0.1.0', Version: version });
    const [newest] = /^## (.*)$/m.exec(await textOf('CHANGELOG.md'))?.slice(1) ?? [];
    expect(newest).toBe(version);
  });

  it('is named by its version where the pages tell what to install', async () => {
    const { version } = JSON.parse(await textOf('package.json'));
    const pages = ['README.md', ...(await readdir(join(root, 'docs'))).map((page) => `docs/${page}`)].filter((page) =>
      page.endsWith('.md'),
    );
    for (const page of pages) {
      const named = [...(await textOf(page)).matchAll(/ebs[:_-](\d+\.\d+\.\d+)/g)].map(([, each]) => each);
      expect(
        named.filter((each) => each !== version && each !== nextOf(version)),
        page,
      ).toEqual([]);
    }
  });
});

/** The pages show an upgrade to the minor version after this one. */
function nextOf(version: string): string {
  const [major, minor] = version.split('.').map(Number);
  return `${major}.${Number(minor) + 1}.0`;
}

describe('the bill of materials', () => {
  interface Component {
    readonly name: string;
    readonly version: string;
    readonly purl: string;
    readonly hashes: readonly { readonly alg: string; readonly content: string }[];
    readonly licenses: readonly object[];
  }
  const bom = () => JSON.parse(built('docker-volume-ebs.cdx.json'));

  it('is of the version it came with', async () => {
    const { name, version } = JSON.parse(await textOf('package.json'));
    expect(bom()).toMatchObject({
      bomFormat: 'CycloneDX',
      specVersion: '1.5',
      metadata: { component: { name, version } },
    });
  });

  it('names exactly the packages whose code is in the bundle, as the lock file pins them', async () => {
    const { sources } = JSON.parse(built('docker-volume-ebs.mjs.map')) as { sources: string[] };
    const inBundle = new Set(
      sources
        .map((source) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(source)?.[1])
        .filter((each) => each !== undefined),
    );
    const components: Component[] = bom().components;
    expect(new Set(components.map(({ name }) => name))).toEqual(inBundle);
    const { packages } = JSON.parse(await textOf('package-lock.json'));
    for (const { name, version, purl, hashes, licenses } of components) {
      const pinned = Object.entries<{ version: string; integrity: string }>(packages).find(
        ([path, entry]) => path.endsWith(`node_modules/${name}`) && entry.version === version,
      )?.[1];
      expect(pinned, name).toBeDefined();
      expect(purl).toBe(`pkg:npm/${name.replace('@', '%40')}@${version}`);
      expect(`sha512-${Buffer.from(hashes[0]?.content ?? '', 'hex').toString('base64')}`).toBe(pinned?.integrity);
      expect(licenses, name).not.toEqual([]);
    }
  });

  it('comes with the license of each', () => {
    const licenses = built('docker-volume-ebs.licenses.txt');
    const components: Component[] = bom().components;
    expect(components.filter(({ name, version }) => !licenses.includes(`${name}@${version} (`))).toEqual([]);
  });
});
