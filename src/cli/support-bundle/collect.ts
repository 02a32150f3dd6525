import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ownProgram } from '../../host/own-program.ts';

/** A file of the bundle. */
export interface Part {
  readonly file: string;
  readonly text: string;
}

/** Longer than any command of ours takes to give up. */
const timeoutMs = 60_000;
const mostBytes = 32 * 1024 * 1024;

/** Each command of ours whose answer tells something, by the file that keeps it. */
const asked: Readonly<Record<string, readonly string[]>> = {
  'doctor.json': ['doctor', '--json'],
  'status.json': ['status', '--json'],
  'volumes.json': ['ls', '--json'],
  'snapshots.json': ['snapshot', 'ls', '--json'],
  'trash.json': ['trash', 'ls', '--json'],
  'fence-history.json': ['fence', 'history', '--json'],
  'version.txt': ['version'],
};

const ofHost: Readonly<Record<string, readonly [string, ...string[]]>> = {
  'log.txt': ['journalctl', '--no-pager', '-o', 'cat', '-n', '5000', '-u', 'docker-volume-ebs'],
  'kernel.txt': ['uname', '-a'],
  'docker.txt': ['docker', 'version'],
};

/**
 * What a bug report needs of this node, a file each. What cannot be had is a text that says why; never throws.
 * @param root DVE_ROOT, whose journal is copied.
 * @param socket of the daemon, which is asked.
 * @param env the variables of the daemon: of those of AWS only the names are told.
 */
export async function collect(root: string, socket: string, env: NodeJS.ProcessEnv): Promise<Part[]> {
  const [program, ...words] = ownProgram();
  const ours = Object.entries(asked).map(async ([file, command]) => {
    const flags = command[0] === 'version' || command[0] === 'doctor' ? [] : ['--socket', socket];
    return { file, text: await outputOf(program, [...words, ...command, ...flags]) };
  });
  const hosts = Object.entries(ofHost).map(async ([file, [tool, ...args]]) => ({
    file,
    text: await outputOf(tool, args),
  }));
  return [
    ...(await Promise.all([...ours, ...hosts])),
    { file: 'system.txt', text: await textOf('/etc/os-release') },
    { file: 'settings.txt', text: settingsText(env) },
    ...(await journal(join(root, 'state'))),
  ];
}

const outputOf = (program: string, args: readonly string[]): Promise<string> =>
  new Promise((resolve) => {
    execFile(program, args, { timeout: timeoutMs, maxBuffer: mostBytes }, (error, stdout, stderr) => {
      // An answer with a status of its own is an answer: doctor's findings, a name that is not there.
      const failure = error !== null && typeof error.code !== 'number' ? `${error.message}\n` : '';
      resolve(`${stdout}${stderr}${failure}`);
    });
  });

const textOf = (path: string): Promise<string> => readFile(path, 'utf8').catch((error: Error) => `${error.message}\n`);

function settingsText(env: NodeJS.ProcessEnv): string {
  const shown = Object.entries(env)
    .filter(([name]) => /^(DVE|REXRAY|EBS)_/.test(name))
    .map(([name, value]) => `${name}=${value}`);
  const secret = Object.keys(env)
    .filter((name) => name.startsWith('AWS_'))
    .map((name) => `${name} is set`);
  return `${[...shown, ...secret].sort().join('\n')}\n`;
}

/** The files of the journal, with the directories they are in. */
async function journal(directory: string): Promise<Part[]> {
  const found = await readdir(directory, { recursive: true, withFileTypes: true }).catch(
    (error: Error) => error.message,
  );
  if (typeof found === 'string') return [{ file: 'state/none.txt', text: `${found}\n` }];
  const files = found.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return Promise.all(
    files.map(async (file) => ({ file: join('state', file.slice(directory.length + 1)), text: await textOf(file) })),
  );
}
