import { mkdir, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { command } from './command.ts';
import { layoutOf } from './node-layout.ts';
import { startTimeOf } from './processes.ts';

/** sockaddr_un holds 107 bytes; some clients stop at 104. */
const maxSocketPath = 100;

/**
 * Makes and checks the sandbox's directory; gives its real path.
 * @throws Error saying what to do when this user, the path or the filesystem will not do
 */
export async function prepareDirectory(dir: string): Promise<string> {
  if (process.getuid?.() !== 0) {
    throw new Error('the sandbox needs root, for loop devices and mounts: run it with sudo');
  }
  await mkdir(dir, { recursive: true });
  const real = await realpath(dir);
  const { socket } = layoutOf(real, `i-${'0'.repeat(17)}`);
  if (Buffer.byteLength(socket) > maxSocketPath) {
    throw new Error(`${real} is too long a path for the nodes' sockets: choose a shorter --dir`);
  }
  const options = await command('findmnt', '--noheadings', '--output', 'OPTIONS', '--target', real);
  if (options.split(',').includes('nodev')) {
    throw new Error(
      `${real} is on a filesystem mounted with nodev, where device nodes do not work: choose another --dir, or remount it with dev`,
    );
  }
  for (const name of ['nodes', 'reach']) await mkdir(join(real, name), { recursive: true });
  return real;
}

/**
 * Takes the directory for this process; gives what releases it again.
 * @throws Error when another living process has it
 */
export async function lockDirectory(dir: string): Promise<() => Promise<void>> {
  const file = join(dir, 'lock');
  const mine = `${process.pid} ${await startTimeOf(process.pid)}`;
  const release = (): Promise<void> => rm(file, { force: true });
  while (!(await createdWith(file, mine))) {
    const [pid = '', started] = (await readFile(file, 'utf8').catch(() => '')).split(' ');
    if (pid !== '' && (await startTimeOf(Number(pid))) === started) {
      throw new Error(`${dir} is in use by another sandbox (process ${pid}): stop it, or choose another --dir`);
    }
    await release();
  }
  return release;
}

async function createdWith(file: string, content: string): Promise<boolean> {
  try {
    await writeFile(file, content, { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}
