import { createHash } from 'node:crypto';
import { chmod, copyFile, mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { run } from '../src/host/run.ts';

const help = `Usage: npm run executable -- [OPTIONS]

Builds the program as one executable file, Node included, for hosts that have none. Prints the file's name.
Needs strip of binutils for a smaller file; for another architecture than this machine's also npm's registry, and tar.

  --arch ARCH    amd64 or arm64 [this machine's]
  --bundle FILE  What is built in [dist/docker-volume-ebs.mjs]
  --output FILE  [dist/docker-volume-ebs-linux-ARCH]
`;

const root = fileURLToPath(new URL('..', import.meta.url));

/** By the names that Docker uses, as the plugin's tags do: Node's own, and those of a strip that can. */
const architectures: Readonly<Record<string, { readonly cpu: string; readonly strips: readonly string[] }>> = {
  amd64: { cpu: 'x64', strips: ['x86_64-linux-gnu-strip', 'llvm-strip'] },
  arm64: { cpu: 'arm64', strips: ['aarch64-linux-gnu-strip', 'llvm-strip'] },
};
const ownArch = Object.keys(architectures).find((name) => architectures[name]?.cpu === process.arch);

const { values } = parseArgs({
  options: {
    arch: { type: 'string' },
    bundle: { type: 'string', default: join(root, 'dist/docker-volume-ebs.mjs') },
    output: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  },
});
if (values.help === true) process.stdout.write(help);
else process.stdout.write(`${await build(values.arch ?? ownArch ?? '')}\n`);

/** Gives the file's name. */
async function build(arch: string): Promise<string> {
  const target = architectures[arch];
  if (target === undefined) throw new Error(`--arch takes ${Object.keys(architectures).join(', ')}, not ${arch}`);
  const output = values.output ?? join(root, `dist/docker-volume-ebs-linux-${arch}`);
  await mkdir(dirname(output), { recursive: true });
  const dir = await mkdtemp(join(tmpdir(), 'docker-volume-ebs-executable-'));
  try {
    const node = await strip(await nodeFor(target.cpu, dir), target.strips, dir);
    await inject(node, join(dir, 'executable'), dir);
    // Beside its place first, and then in one step: the one that is there may be running.
    await copyFile(join(dir, 'executable'), `${output}.new`);
    await chmod(`${output}.new`, 0o755);
    await rename(`${output}.new`, output);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
  return output;
}

/** The binary of Node that package-lock.json pins for a processor: installed here, or fetched into `dir`. */
async function nodeFor(cpu: string, dir: string): Promise<string> {
  const name = `node-linux-${cpu}`;
  const lock = JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8'));
  const { version, integrity } = lock.packages[`node_modules/${name}`] as { version: string; integrity: string };
  if (process.version !== `v${version}`) {
    throw new Error(`this is Node ${process.version}, and v${version} builds: run npm ci, then npm run executable`);
  }
  const installed = join(root, 'node_modules', name, 'bin/node');
  if ((await stat(installed).catch(() => undefined)) !== undefined) return installed;
  const packed = await must('npm', ['pack', `${name}@${version}`, '--silent', '--pack-destination', dir]);
  const archive = join(dir, packed.trim());
  const digest = createHash('sha512')
    .update(await readFile(archive))
    .digest('base64');
  if (integrity !== `sha512-${digest}`) throw new Error(`${name}@${version} is not what package-lock.json has`);
  await must('tar', ['-xzf', archive, '-C', dir, 'package/bin/node']);
  return join(dir, 'package/bin/node');
}

/** Debug symbols are a fifth of Node. They go before anything is put in: stripping the result would take that away. */
async function strip(node: string, strips: readonly string[], dir: string): Promise<string> {
  const stripped = join(dir, 'node');
  for (const program of strips) {
    const result = await run(program, ['-o', stripped, node]).catch(() => undefined);
    if (result?.code === 0) return stripped;
  }
  process.stderr.write(`The file will be 30 MB larger than it need be: there is none of ${strips.join(', ')}.\n`);
  return node;
}

async function inject(executable: string, output: string, dir: string): Promise<void> {
  const config = {
    main: values.bundle,
    mainFormat: 'module',
    executable,
    output,
    // A code cache would make the start no shorter and the daemon larger (measured, Node 26.10).
    useCodeCache: false,
    useSnapshot: false,
    disableExperimentalSEAWarning: true,
  };
  await writeFile(join(dir, 'sea.json'), JSON.stringify(config));
  await must(process.execPath, ['--build-sea', join(dir, 'sea.json')]);
}

async function must(command: string, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await run(command, args);
  if (code !== 0) throw new Error(`${command} ended with ${code}: ${stderr}`);
  return stdout;
}
