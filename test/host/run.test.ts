import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { keptBytes, run } from '../../src/host/run.ts';
import { eventually } from '../support/sandbox.ts';

const isRoot = process.getuid?.() === 0;
const runModule = join(import.meta.dirname, '../../src/host/run.ts');

async function scratch(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'dve-run-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

const stateOf = (pid: number) => readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);

test('a program that asks gets no answer, and ends', async () => {
  expect(await run('sh', ['-c', 'read answer || echo nobody answers'])).toEqual({
    code: 0,
    stdout: 'nobody answers\n',
    stderr: '',
  });
});

test.skipIf(!isRoot)('a program works in an empty directory that only root reaches', async () => {
  const { stdout } = await run('sh', ['-c', 'pwd; ls -A']);
  const [directory = '', ...entries] = stdout.trim().split('\n');
  expect(entries).toEqual([]);
  expect(await stat(directory)).toMatchObject({ uid: 0, mode: 0o40700 });
});

test('a program knows only where programs are, and speaks the C locale', async () => {
  process.env['AWS_SECRET_ACCESS_KEY_OF_TEST'] = 'secret';
  onTestFinished(() => {
    delete process.env['AWS_SECRET_ACCESS_KEY_OF_TEST'];
  });
  const { stdout } = await run('env', []);
  const names = stdout
    .trim()
    .split('\n')
    .map((line) => line.split('=')[0]);
  // The shell that starts it sets PWD, and some shells these two.
  expect(names.filter((name) => !['PWD', 'OLDPWD', 'SHLVL', '_'].includes(name ?? '')).sort()).toEqual([
    'LC_ALL',
    'PATH',
  ]);
  expect(stdout).toContain('LC_ALL=C\n');
});

test('a program has a process group of its own, and no terminal of ours', async () => {
  const { stdout } = await run('sh', ['-c', 'echo $$ $(cut -d" " -f5,6 /proc/$$/stat)']);
  const [pid, group, leader] = stdout.trim().split(' ');
  expect([group, leader]).toEqual([pid, pid]);
});

test('words are passed on as they are, whatever a shell would make of them', async () => {
  const words = ['$(id)', '`id`', '; id', "'", '"', '*', '', '-n', 'a b\nc'];
  expect((await run('printf', ['[%s]', ...words])).stdout).toBe(words.map((word) => `[${word}]`).join(''));
});

test('a program that prints without end is not ended for it; the end of its words is kept', async () => {
  const { code, stdout, stderr } = await run('sh', [
    '-c',
    'head -c 40000000 /dev/zero | tr "\\0" x; echo the end; head -c 3000000 /dev/zero >&2; echo too >&2; exit 3',
  ]);
  expect(code).toBe(3);
  expect([stdout.length, stderr.length]).toEqual([keptBytes, keptBytes]);
  expect([stdout.endsWith('xthe end\n'), stderr.endsWith('too\n')]).toEqual([true, true]);
});

test('a program that is nowhere is told from one that says so itself', async () => {
  await expect(run('no-such-program', [])).rejects.toMatchObject({ cause: { code: 'ENOENT' } });
  await expect(run('/no/such/program', [])).rejects.toMatchObject({ cause: { code: 'ENOENT' } });
  expect(await run('sh', ['-c', 'exit 127'])).toMatchObject({ code: 127 });
});

test('after its time a program is ended with all that it started', async () => {
  const directory = await scratch();
  const file = join(directory, 'pid');
  await expect(run('sh', ['-c', `sleep 600 & echo $! > ${file}; wait`], { timeoutMs: 500 })).rejects.toThrow('SIGKILL');
  const pid = Number(await readFile(file, 'utf8'));
  await eventually(async () => ((await stateOf(pid)) ?? ' Z ').includes(' Z '));
});

test('a program outlives us, and goes on although nobody hears it', async () => {
  const directory = await scratch();
  const tool = join(directory, 'tool');
  await writeFile(
    tool,
    `#!/bin/sh\necho $$ > ${directory}/pid\nwhile [ ! -e ${directory}/gone ]; do sleep 0.1; done\necho words; echo words >&2; echo done > ${directory}/done\n`,
  );
  await chmod(tool, 0o755);
  const child = spawn(process.execPath, [
    '-e',
    `import(${JSON.stringify(runModule)}).then((m) => m.run(process.argv[1], []))`,
    tool,
  ]);
  await eventually(async () => (await readFile(`${directory}/pid`, 'utf8').catch(() => '')) !== '');
  child.kill('SIGKILL');
  await once(child, 'exit');
  await writeFile(`${directory}/gone`, '');
  await eventually(async () => (await readFile(`${directory}/done`, 'utf8').catch(() => '')) === 'done\n');
});
