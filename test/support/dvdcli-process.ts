/**
 * What dvdcli 0.2 asks of a driver (rexray/dvdcli dvdcli/commands.go; it sends no ID):
 * `node dvdcli-process.ts PLUGINS mount|unmount --volumedriver=D --volumename=N [--volumeopts=KEY=VALUE]…`
 * PLUGINS is where the machine has its /run/docker/plugins. The directory goes to standard output; why not, to standard
 * error, with status 1.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { dvdi } from './dvdi-client.ts';

const [, , plugins = '', command, ...args] = process.argv;
const { volumedriver, volumename, volumeopts } = parseArgs({
  args,
  options: {
    volumedriver: { type: 'string', default: '' },
    volumename: { type: 'string', default: '' },
    volumeopts: { type: 'string', multiple: true, default: [] },
  },
}).values;
const driver = dvdi(join(plugins, `${volumedriver}.sock`));
const volume = { Name: volumename };

async function ask(endpoint: string, request?: object) {
  const { status, body } = await driver.call(endpoint, request);
  if (status !== 200 || body.Err) throw new Error(`${endpoint}: ${body.Err ?? `HTTP status ${status}`}`);
  return body;
}

async function mount(): Promise<void> {
  const Opts = Object.fromEntries(volumeopts.map((option) => option.split('=')));
  // Whatever the reason why it could not be got, it is created.
  await ask('VolumeDriver.Get', volume).catch(() => ask('VolumeDriver.Create', { ...volume, Opts }));
  const { Mountpoint } = await ask('VolumeDriver.Mount', volume);
  process.stdout.write(`${Mountpoint}\n`);
}

async function unmount(): Promise<void> {
  await ask('VolumeDriver.Get', volume);
  await ask('VolumeDriver.Unmount', volume);
}

try {
  await ask('Plugin.Activate');
  await (command === 'mount' ? mount() : unmount());
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
}
