import { execFile, spawnSync } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it, onTestFinished, test, vi } from 'vitest';
import { commands } from '../../src/cli/commands.ts';
import { candidates } from '../../src/cli/completion/candidates.ts';
import { scripts } from '../../src/cli/completion/scripts.ts';
import { manPage } from '../../src/cli/man/page.ts';
import { settingsTable } from '../../src/config.ts';
import { fakeDriver } from '../dvdi/fake-driver.ts';
import { serving } from '../dvdi/serving.ts';
import { requires } from '../support/requirements.ts';

const run = promisify(execFile);
const main = join(import.meta.dirname, '../../src/cli/main.ts');

const names = { volume: ['data', 'db 1', 'log'], removed: ['old'] };
const following = async (...words: string[]) =>
  (await candidates(words, commands, async (kind) => names[kind])).map(({ word }) => word);

describe('what can follow', () => {
  it.each([
    [['fe'], ['fence']],
    [['disk'], []],
    [
      ['fence', ''],
      ['explain', 'history', 'confirm', 'pause', 'resume'],
    ],
    [
      ['fence', 'explain', 'd'],
      ['data', 'db 1'],
    ],
    [['fence', 'explain', 'data', ''], []],
    [['fence', 'pause', ''], []],
    [['status', 'data', 'l'], ['log']],
    [['trash', 'rm', 'old', ''], ['old']],
    [['undelete', ''], ['old']],
    [['resize', 'data', ''], []],
    [
      ['modify', 'data', '--type', 'io'],
      ['io1', 'io2'],
    ],
    [
      ['modify', 'data', '--type=io'],
      ['--type=io1', '--type=io2'],
    ],
    [
      ['modify', 'data', '--type', '=', 'io'],
      ['io1', 'io2'],
    ],
    [['modify', '--type', '=', 'io1', 'l'], ['log']],
    [['drain', '--rea'], ['--reason']],
    [['drain', '--reason', ''], []],
    [['drain', '--status', '--st'], []],
    [['ls', '--', '--'], []],
    [['install', '--root', ''], [':paths']],
    [['serve', '--fence-policy', 'n'], ['never']],
    [['help', 'snap'], ['snapshot']],
    [['completion', 'z'], ['zsh']],
    [['nonsense', ''], []],
    [['constructor', ''], []],
  ])('%j: %j', async (words, expected) => {
    expect(await following(...words)).toEqual(expected);
  });

  it('every command and every flag, with what it is for', async () => {
    const typed = Object.keys(commands).filter((name) => commands[name]?.summary !== undefined);
    expect(await following('')).toEqual(typed);
    for (const name of typed) {
      const { grammar } = (await commands[name]?.load())!;
      const found = await candidates([name, '--'], commands, async () => []);
      expect(found.map(({ word }) => word)).toEqual([...Object.keys(grammar.flags), 'help'].map((flag) => `--${flag}`));
    }
    expect(await candidates(['ls', '--z'], commands, async () => [])).toEqual([
      { word: '--zone', about: 'Only those in this availability zone' },
    ]);
  });
});

test('the names are those that the daemon tells; none, where it does not answer', async () => {
  const { socketPath } = await serving(
    fakeDriver({ list: async () => ['log', 'data'].map((name) => ({ name, mountpoint: undefined })) }),
  );
  const complete = (socket: string) =>
    run(process.execPath, [main, 'complete', '--', 'ls', '--socket', socket, ''], { encoding: 'utf8' });
  // It gives up after a second, which may pass on a busy machine.
  await vi.waitFor(
    async () => expect(await complete(socketPath)).toEqual({ stdout: 'data\nlog\n', stderr: '' }),
    30_000,
  );
  expect(await complete('/nowhere/ebs.sock')).toEqual({ stdout: '', stderr: '' });
});

/** The program under its name, as a shell finds it. */
let bin: string;
beforeAll(async () => {
  bin = await mkdtemp(join(tmpdir(), 'completion-'));
  const program = join(bin, 'docker-volume-ebs');
  await writeFile(program, `#!/bin/sh\nexec '${process.execPath}' '${main}' "$@"\n`);
  await chmod(program, 0o755);
  return () => rm(bin, { recursive: true, force: true });
});

function shell(program: string, argv: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(program, argv, {
    encoding: 'utf8',
    env: { ...process.env, PATH: `${bin}:${process.env['PATH']}`, DVE_SOCKET: '/nowhere/ebs.sock' },
  });
  return { status, stdout, stderr };
}

test('bash offers what the program says', () => {
  const completed = (words: readonly string[]) =>
    shell('bash', [
      '-c',
      `${scripts.bash}
compopt() { echo "compopt $*"; }
COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}) COMP_CWORD=${words.length - 1}
_docker_volume_ebs && printf '%s\\n' "\${COMPREPLY[@]}"`,
    ]);
  const said = (stdout: string) => ({ status: 0, stdout, stderr: '' });
  expect(completed(['docker-volume-ebs', 'fen'])).toEqual(said('fence\n'));
  expect(completed(['docker-volume-ebs', 'modify', 'a', '--type', '=', 'io'])).toEqual(said('io1\nio2\n'));
  expect(completed(['docker-volume-ebs', 'ls', '--dir', 'x', '--q'])).toEqual(said('--quiet\n'));
  expect(completed(['docker-volume-ebs', 'install', '--prefix', '']).stdout).toContain('compopt -o default\n');
  expect(completed(['docker-volume-ebs', 'ls', ''])).toEqual(said('\n'));
});

test.skipIf(requires('fish').skip)('fish offers what the program says', async () => {
  const home = await mkdtemp(join(tmpdir(), 'fish-'));
  onTestFinished(() => rm(home, { recursive: true, force: true }));
  const completed = (line: string) =>
    shell('fish', ['--no-config', '-c', `set -gx HOME ${home}; ${scripts.fish}\ncomplete -C '${line}'`]).stdout;
  expect(completed('docker-volume-ebs fen')).toBe(
    'fence\tSee and steer when volumes are taken over from other nodes\n',
  );
  expect(completed('docker-volume-ebs modify a --type=io')).toBe('--type=io1\n--type=io2\n');
  await writeFile(join(home, 'settings'), '');
  expect(completed(`docker-volume-ebs install --prefix ${home}/se`)).toContain(`${home}/settings`);
});

test.skipIf(requires('zsh').skip)('zsh takes the script, and offers what the program says', () => {
  expect(shell('zsh', ['-f', '-n', '-c', scripts.zsh])).toEqual({ status: 0, stdout: '', stderr: '' });
  // What the completion system does, as far as the script needs it.
  const stand = 'compdef() { :; }; _files() { print files; }; compadd() { print -l $@[-1] $values $texts; };';
  const completed = (line: string) =>
    shell('zsh', ['-f', '-c', `${stand} ${scripts.zsh}; words=(${line}) CURRENT=$#words; _docker_volume_ebs`]).stdout;
  expect(completed('docker-volume-ebs fen')).toBe(
    'values\nfence\nfence  See and steer when volumes are taken over from other nodes\n',
  );
  expect(completed("docker-volume-ebs install --prefix ''")).toBe('files\n');
});

test.skipIf(requires('mandoc').skip)(
  'the man page has every command and setting, and reads without a fault',
  async () => {
    const page = await manPage(commands);
    const mandoc = (...argv: string[]) => spawnSync('mandoc', argv, { encoding: 'utf8', input: page });
    // The page is of a version, not of a day.
    const faults = mandoc('-Tlint')
      .stdout.split('\n')
      .filter((line) => line !== '' && !line.includes('missing date'));
    expect(faults).toEqual([]);
    const text = mandoc('-Tutf8', '-Owidth=80').stdout.replaceAll(new RegExp(`.${String.fromCharCode(8)}`, 'g'), '');
    for (const [name, { summary }] of Object.entries(commands))
      if (summary !== undefined) expect(page).toContain(`\n.SS "${name.replaceAll('-', '\\-')}"\n`);
    const lines = text.split('\n').map((line) => line.trim().split(' ')[0]);
    expect(Object.values(settingsTable).filter(({ env }) => !lines.includes(env))).toEqual([]);
    expect(text).toContain(' docker-volume-ebs snapshot take VOLUME [NAME] [OPTIONS]\n');
  },
);
