import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { commandOf, commands } from '../../src/cli/commands.ts';
import { flagOf, type SettingName, settingsTable } from '../../src/config.ts';

const main = join(import.meta.dirname, '../../src/cli/main.ts');

const typed = Object.entries(commands).filter(([, { summary }]) => summary !== undefined);

function run(argv: string[], env: Record<string, string> = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...argv], {
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
  return { status, stdout, stderr };
}

test.each([['help'], ['--help'], ['-h']])('%s lists the commands', (word) => {
  const { status, stdout, stderr } = run([word]);
  expect([status, stderr]).toEqual([0, '']);
  for (const command of ['serve', 'sandbox', 'demo', 'help', 'version'])
    expect(stdout).toMatch(new RegExp(`^  ${command} `, 'm'));
  for (const [command, { summary = '' }] of typed) expect(stdout).toContain(`\n  ${command.padEnd(16)}${summary}\n`);
});

test.each(typed)('%s has a help that says how it is used', async (_command, { load }) => {
  expect((await load()).usage()).toMatch(/^Usage: .*\n$/s);
});

test.each(['serve', 'sandbox', 'dvdcli', 'trash', 'install'])(
  '%s --help shows it, and nothing is done',
  async (command) => {
    const { usage } = await commandOf(command).load();
    expect(run([command, '--help'])).toEqual({ status: 0, stdout: usage(), stderr: '' });
  },
);

test('help COMMAND is what COMMAND --help says', () => {
  expect(run(['help', 'drain'])).toEqual(run(['drain', '--help']));
});

test('help of what is no command says so', () => {
  const expected = 'docker-volume-ebs: unknown command "nonsense". See docker-volume-ebs help.\n';
  expect(run(['help', 'nonsense'])).toEqual({ status: 2, stdout: '', stderr: expected });
});

test('what follows -- asks for no help', () => {
  expect(run(['health', '--', '--help'])).toMatchObject({ status: 2, stdout: '' });
});

test.each([['version'], ['--version']])('%s is that of the package', (word) => {
  const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8'));
  expect(run([word])).toEqual({ status: 0, stdout: `${version}\n`, stderr: '' });
});

test.each([['nonsense'], ['constructor'], ['__proto__'], ['--socket']])('%j is no command', (word) => {
  const expected = `docker-volume-ebs: unknown command ${JSON.stringify(word)}. See docker-volume-ebs help.\n`;
  expect(run([word])).toEqual({ status: 2, stdout: '', stderr: expected });
});

test('a Node that is too old is named, instead of whatever it lacks', () => {
  const old = "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.20.2' } })";
  const { NODE_OPTIONS = '' } = process.env;
  const options = `${NODE_OPTIONS} --import=data:text/javascript,${encodeURIComponent(old)}`;
  const { engines } = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8'));
  expect(run(['status'], { NODE_OPTIONS: options })).toEqual({
    status: 1,
    stdout: '',
    stderr: `docker-volume-ebs: it needs Node ${engines.node.slice(2)} or newer, and ${process.execPath} is Node 20.20.2. Run it with a newer one.\n`,
  });
});

test('npm says nothing about the Node that it runs on itself, and still fails for what is wrong', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'dve-npm-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  await writeFile(join(dir, 'package.json'), JSON.stringify({ name: 'a', version: '1.0.0', engines: { node: '<1' } }));
  const npm = (...argv: string[]) => {
    const { status, stdout, stderr } = spawnSync('npm', [...argv, '--offline', '--no-audit'], {
      cwd: dir,
      encoding: 'utf8',
      // The npm that runs these tests hands its own settings on.
      env: Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_config_/i.test(name))),
    });
    return { status, output: stdout + stderr };
  };
  expect(npm('install').output).toContain('EBADENGINE');
  await copyFile(join(import.meta.dirname, '../../.npmrc'), join(dir, '.npmrc'));
  expect(npm('ci')).toEqual({ status: 0, output: expect.not.stringMatching(/warn|EBADENGINE/i) });
  await rm(join(dir, 'package-lock.json'));
  expect(npm('ci')).toEqual({ status: 1, output: expect.stringContaining('npm error') });
});

test('without a command it says so', () => {
  expect(run([])).toMatchObject({
    status: 2,
    stderr: 'docker-volume-ebs: no command given. See docker-volume-ebs help.\n',
  });
});

test('serve --help names every setting', () => {
  const { status, stdout } = run(['serve', '--help']);
  expect(status).toBe(0);
  for (const name of Object.keys(settingsTable) as SettingName[]) {
    expect(stdout).toContain(`--${flagOf(name)} (${settingsTable[name].env})`);
  }
});

test('bad usage is one line and status 2', () => {
  expect(run(['serve', '--size', 'ten'])).toMatchObject({ status: 2, stdout: '' });
  expect(run(['serve', '--nonsense']).stderr).toBe(
    'docker-volume-ebs: serve has no option --nonsense. See docker-volume-ebs serve --help.\n',
  );
  expect(run(['serve'], { DVE_SIZE: 'ten' })).toMatchObject({ status: 2 });
});

test('a failure is one line and status 1', () => {
  const { status, stderr } = run(['serve', '--socket', '/etc/hostname'], {
    DVE_ROOT: join(tmpdir(), 'docker-volume-ebs-no-socket'),
  });
  expect(status).toBe(1);
  expect(stderr).toMatch(/^docker-volume-ebs: cannot listen on \/etc\/hostname: it is not a socket\. [^\n]*\n$/);
});

test('help loads nothing but itself', async () => {
  const child = spawn(process.execPath, [main, 'help'], {
    env: { ...process.env, NODE_DEBUG: 'esm' },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  onTestFinished(() => void child.kill());
  let trace = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    trace += text;
  });
  await once(child, 'close');
  expect(trace).toContain('src/cli/main.ts');
  expect(trace).not.toMatch(/fastify|pino|aws-sdk|typebox|src\/config\.ts/);
  const loaded = new Set([...trace.matchAll(/src\/cli\/([\w/-]+\.ts)/g)].map(([, file]) => file));
  expect([...loaded].sort()).toEqual(['commands.ts', 'main.ts']);
});
