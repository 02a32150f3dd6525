import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import type { Grammar } from '../../flags.ts';
import { nodeVariables } from '../node-variables.ts';
import { daemonFlags, print, printJson, readInvocation, UsageError } from '../operator-client.ts';
import { anonymised } from './anonymise.ts';
import { collect, type Part } from './collect.ts';

/** What `--help` prints. */
export const usage = () => `Usage: docker-volume-ebs support-bundle [OPTIONS]

Collects what a bug report needs into one file: what doctor, status, ls and fence history say, snapshots and the trash, the last
5000 lines of the service's log, the journal, the settings, versions. It holds no data of volumes and no credentials. With
a daemon that does not answer it has the rest, and why that is missing. Nothing is sent anywhere.

  --output FILE  Where it goes; a file that is there is not replaced [docker-volume-ebs-support-TIME.tar.gz, here]
  --anonymise    Replace ids, accounts, addresses, and the names of volumes, clusters and instances, the same one by the same
                 word. Read the files all the same before you publish them: a log can hold what nobody thought of
  --json         Print which file it is and what is in it, as JSON
  --socket PATH  The daemon's socket (DVE_SOCKET) [/run/docker/plugins/ebs.sock]
  --help         Show this text

Exit status: 0 when the file is written, 1 when it cannot be, 2 for a wrong command line or a FILE that is there.
`;

export const grammar = {
  command: 'support-bundle',
  flags: { output: { type: 'string' }, anonymise: { type: 'boolean' }, ...daemonFlags },
} as const satisfies Grammar;

const execute = promisify(execFile);

/** It tells nothing about anybody, and stands in many sentences. */
const defaultCluster = 'default';

/** Collects what a bug report needs; gives the exit status. @throws UsageError for a file that is there. */
export async function run(argv: readonly string[]): Promise<number> {
  const invocation = readInvocation(argv, grammar);
  const { values, root, socket } = invocation;
  const time = new Date()
    .toISOString()
    .replace(/[:.]\d+Z$/, '')
    .replaceAll(':', '');
  const output = resolve(String(values['output'] ?? `docker-volume-ebs-support-${time}.tar.gz`));
  // Its place is taken before anything is collected, for root alone: the journal is nobody else's.
  await writeFile(output, '', { flag: 'wx', mode: 0o600 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EEXIST') throw new UsageError(`${output} is there already. Give another --output.`);
    throw new Error(`cannot write ${output}: ${error.message}. Give another --output.`);
  });
  const found = await collect(root, socket, nodeVariables(process.env).env);
  const parts = values['anonymise'] ? withoutNames(found) : found;
  await pack(parts, output).catch(async (error: unknown) => {
    await rm(output, { force: true });
    throw error;
  });
  if (values['json']) printJson({ file: output, parts: parts.map(({ file }) => file) });
  else print(`${output}\nRead what is in it before you give it to others: tar -xzf ${basename(output)}\n`);
  return 0;
}

/** The parts without anybody's names. What is a name is told by the members of the JSON that say one. */
function withoutNames(parts: readonly Part[]): Part[] {
  const members = /"(?:name|volume|volumeName|cluster|instanceName|displayName|hostname)": ?"((?:[^"\\]|\\.)+)"/g;
  const said = parts.flatMap(({ file, text }) =>
    file.endsWith('.json') && file !== 'doctor.json' ? [...text.matchAll(members)].map(([, name = '']) => name) : [],
  );
  const set = parts.flatMap(({ text }) => [...text.matchAll(/^DVE_CLUSTER=(.+)$/gm)].map(([, name = '']) => name));
  const texts = anonymised(
    parts.flatMap(({ file, text }) => [file, text]),
    new Set([...said, ...set].filter((name) => name !== defaultCluster)),
  );
  return parts.map((_, n) => ({ file: texts[2 * n] ?? '', text: texts[2 * n + 1] ?? '' }));
}

async function pack(parts: readonly Part[], output: string): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'docker-volume-ebs-support-'));
  const name = basename(output).replace(/\.tar\.gz$|\.tgz$/, '');
  try {
    for (const { file, text } of parts) {
      const path = join(directory, 'files', file);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, text);
    }
    const rename = `--transform=s,^files,${name.replaceAll(',', '_')},`;
    await execute('tar', ['-czf', output, '-C', directory, rename, 'files']);
    await chmod(output, 0o600);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
