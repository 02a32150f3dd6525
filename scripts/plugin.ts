import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const help = `Usage: npm run plugin -- [OPTIONS]

Builds the managed Docker plugin and gives it to the engine that the docker command talks to. Prints the plugin's name.
Needs docker and tar; run it as root, so that the plugin's files are root's.

  --name NAME        The plugin's name [ebs]. Without a tag it gets VERSION-ARCHITECTURE as one.
  --arch ARCH        amd64 or arm64 [the engine's own]; another than its own only where its builder can.
  --output DIR       Also write docker-volume-ebs-plugin-VERSION-ARCHITECTURE.tar.gz there, for hosts without a registry,
                     and beside it its checksum and install-plugin, which installs it. Prints the file's name, too
  --config FILE      Configuration of the plugin [plugin-config.json].
  --build-arg A=B    Passed to docker build: BASE, an image of Debian; NODE, one with /usr/local/bin/node. Repeatable.
  --network NAME     Passed to docker build.
`;

const root = fileURLToPath(new URL('..', import.meta.url));

const { values } = parseArgs({
  options: {
    name: { type: 'string', default: 'ebs' },
    arch: { type: 'string' },
    output: { type: 'string' },
    config: { type: 'string', default: join(root, 'plugin-config.json') },
    'build-arg': { type: 'string', multiple: true, default: [] },
    network: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  },
});
if (values.help === true) process.stdout.write(help);
else await createPlugin();

async function createPlugin(): Promise<void> {
  const ownArch = await output('docker', ['version', '--format', '{{.Server.Arch}}']);
  const arch = values.arch ?? ownArch;
  const dir = await mkdtemp(join(tmpdir(), 'docker-volume-ebs-plugin-'));
  try {
    const platform = arch === ownArch ? [] : ['--platform', `linux/${arch}`];
    const image = await buildImage(join(dir, 'image'), platform);
    const plugin = join(dir, 'plugin');
    await mkdir(plugin);
    await copyFile(values.config, join(plugin, 'config.json'));
    await unpack(image, platform, join(plugin, 'rootfs'));
    if (values.output !== undefined) process.stdout.write(`${await pack(plugin, arch, values.output)}\n`);
    process.stdout.write(`${await give(plugin, arch)}\n`);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** Gives the plugin to the engine; gives its name. */
async function give(plugin: string, arch: string): Promise<string> {
  const name = await fullName(values.name, arch);
  await output('docker', ['plugin', 'create', name, plugin]);
  return name;
}

/** Writes the plugin into a file, with what installs it; gives the file's name. */
async function pack(plugin: string, arch: string, directory: string): Promise<string> {
  const name = `docker-volume-ebs-plugin-${await version()}-${arch}.tar.gz`;
  await mkdir(directory, { recursive: true });
  await output('tar', ['-czf', join(directory, name), '--numeric-owner', '-C', plugin, 'config.json', 'rootfs']);
  const sum = await output('sha256sum', [join(directory, name)]);
  await writeFile(join(directory, `${name}.sha256`), `${sum.split(' ')[0]}  ${name}\n`);
  await copyFile(join(root, 'scripts/install-plugin'), join(directory, 'install-plugin'));
  return join(directory, name);
}

async function version(): Promise<string> {
  return JSON.parse(await readFile(join(root, 'package.json'), 'utf8')).version;
}

/** A plugin's tag serves one architecture: the engine does not choose among several when it installs one. */
async function fullName(name: string, arch: string): Promise<string> {
  // A colon before the last slash is a registry's port.
  return /:[^/]*$/.test(name) ? name : `${name}:${await version()}-${arch}`;
}

/** Builds the Dockerfile's image and gives its id. */
async function buildImage(idFile: string, platform: readonly string[]): Promise<string> {
  const args = values['build-arg'].flatMap((each) => ['--build-arg', each]);
  const network = values.network === undefined ? [] : ['--network', values.network];
  // Progress is no result: it goes where errors go.
  const child = spawn('docker', ['build', '--iidfile', idFile, ...platform, ...network, ...args, root], {
    stdio: ['ignore', process.stderr, 'inherit'],
  });
  await ended(child, 'docker build');
  return readFile(idFile, 'utf8');
}

/** Writes an image's files below a directory. */
async function unpack(image: string, platform: readonly string[], directory: string): Promise<void> {
  await mkdir(directory);
  // Without its platform, docker warns of an image that is not for this machine.
  const container = await output('docker', ['create', ...platform, image]);
  const archive = `${directory}.tar`;
  try {
    await output('docker', ['export', '--output', archive, container]);
    await output('tar', ['-x', '-f', archive, '-C', directory]);
    await rm(archive);
  } finally {
    await output('docker', ['rm', container]);
  }
}

async function output(command: string, args: readonly string[]): Promise<string> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const [text] = await Promise.all([child.stdout.setEncoding('utf8').toArray(), ended(child, `${command} ${args[0]}`)]);
  return text.join('').trim();
}

async function ended(child: ReturnType<typeof spawn>, what: string): Promise<void> {
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`${what} ended with ${code}`);
}
