import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Engine } from './dockerd.ts';
import { mayGrowExt4 } from './requirements.ts';
import { run } from './run.ts';
import { eventually, type TestSandbox } from './sandbox.ts';

/** Where the plugin sees the sandbox's instance: its disks, and which boot it is in. */
const machine = '/machine';

/**
 * The plugin's configuration with a sandbox's instance in it, and without a capability that this machine cannot give.
 * @param source the instance's directory; `machine.source` sets another, until an upgrade
 */
// biome-ignore lint/suspicious/noExplicitAny: it is JSON that tests change.
export async function sandboxedConfig(source = '/'): Promise<any> {
  const config = JSON.parse(await readFile('plugin-config.json', 'utf8'));
  const mount = { name: 'machine', source, destination: machine, type: 'bind', options: ['bind'] };
  config.mounts.push({ ...mount, description: '', settable: ['source'] });
  const has = (capability: string) => mayGrowExt4 || capability !== 'CAP_SYS_RESOURCE';
  config.linux.capabilities = config.linux.capabilities.filter(has);
  return config;
}

/**
 * Ends the daemon of a running node of the sandbox.
 * @returns the settings that make a plugin the node's driver in its place
 */
export async function becomeNode(box: TestSandbox, which: number | string): Promise<string[]> {
  const { pid, socket, instanceId } = box.node(which);
  const environment = (await readFile(`/proc/${pid}/environ`, 'utf8')).split('\0');
  process.kill(pid, 'SIGTERM');
  await eventually(async () => box.node(instanceId).pid === 0);
  return [
    ...environment.filter((each) => /^AWS_(REGION|ENDPOINT_URL_EC2|EC2_METADATA_SERVICE_ENDPOINT)=/.test(each)),
    ...['DVE_LINGER=0.5', 'DVE_FENCE_SETTLE=0', `DVE_DEVICE_ROOT=${machine}/dev`, `DVE_SYSFS_ROOT=${machine}/sys`],
    ...[`DVE_BOOT_ID_FILE=${machine}/boot_id`, `machine.source=${dirname(socket)}`],
  ];
}

/**
 * Gives an engine the plugin without a build: its programs and libraries are this machine's, mounted and not copied, only
 * the bundle is its own.
 */
export async function createLeanPlugin(
  { ok }: Engine,
  dir: string,
  name: string,
  // biome-ignore lint/suspicious/noExplicitAny: it is JSON that tests change.
  config: any,
): Promise<void> {
  const plugin = join(dir, 'lean-plugin');
  const root = join(plugin, 'rootfs');
  const bundle = join(root, 'usr/local/lib/docker-volume-ebs.mjs');
  await mkdir(dirname(bundle), { recursive: true });
  const bundled = await run(process.execPath, [
    'node_modules/rolldown/bin/cli.mjs',
    '-c',
    'rolldown.config.ts',
    '-o',
    bundle,
  ]);
  if (bundled.code !== 0) throw new Error(`rolldown ended with ${bundled.code}: ${bundled.stderr}`);
  const borrow = (source: string, destination = source) =>
    config.mounts.push({ source, destination, type: 'bind', options: ['bind', 'ro'] });
  borrow(process.execPath, '/usr/local/bin/node');
  for (const name of ['bin', 'lib', 'lib64', 'sbin']) {
    await symlink(`usr/${name}`, join(root, name));
    borrow(`/usr/${name}`);
  }
  await writeFile(join(plugin, 'config.json'), JSON.stringify(config));
  await ok('plugin', 'create', name, plugin);
}
