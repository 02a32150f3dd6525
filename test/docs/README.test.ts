import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { rexRay } from '../../bench/rexray.ts';
import type { Row } from '../../bench/row.ts';
import { duration } from '../../bench/wording.ts';
import { failoverPicture } from '../../scripts/pictures/failover.ts';
import { alike, wordsIn } from '../../scripts/pictures/svg.ts';
import { terminalPicture } from '../../scripts/pictures/terminal.ts';
import { commands } from '../../src/cli/commands.ts';
import { knownOptions } from '../../src/volumes/options/options.ts';
import { requires } from '../support/requirements.ts';
import { blocksOf, openPage, projectRoot } from './page.ts';

const page = openPage('README.md');
/** Taken here, so that they count as used where a test alone is run. */
const blocks = { demo: page.take('npm ci && npm run demo'), sandbox: page.take('npm run sandbox').trim() };
const textOf = (file: string) => readFile(join(projectRoot, file), 'utf8');
/** In this checkout, where npm ci was run. */
const shell = (command: string, env: Record<string, string> = {}) =>
  spawn('bash', ['-euo', 'pipefail', '-c', command.replace('npm ci && ', '')], {
    cwd: projectRoot,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
    // A signal goes to all of it, as from a terminal.
    detached: true,
  });

it.skipIf(requires('root', 'loop').skip)('the demo carries the bytes from one instance to another', async () => {
  const demo = shell(blocks.demo);
  const [output, [code]] = await Promise.all([demo.stdout.setEncoding('utf8').toArray(), once(demo, 'close')]);
  const printed = output.join('');
  expect(printed).toMatch(/sha256/i);
  expect(code, printed).toBe(0);
  // Which reads EC2 is asked, and how often, depends on the moment: the pictures need to show the steps and what came of them.
  const shown = (picture: string) =>
    wordsIn(picture).map((line) => alike(line.replace(/ s {3}\S.*$/, '').replace(/\b[\d.]+ s\b/, '0')));
  const again = terminalPicture([{ command: 'npm run -s demo', output: printed.replace(/^> .*\n/gm, '') }]);
  expect(shown(await textOf('docs/pictures/demo.svg')), 'npm run pictures').toEqual(shown(again));
  expect(shown(await textOf('docs/pictures/failover.svg')), 'npm run pictures').toEqual(
    shown(failoverPicture(printed)),
  );
});

it.skipIf(requires('root', 'loop').skip)('the sandbox says what to type next, and ends with Ctrl-C', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'docker-volume-ebs-readme-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  const sandbox = shell(`${blocks.sandbox} -- --no-docker --dir ${dir}`);
  let output = '';
  let asked = false;
  for await (const text of sandbox.stdout.setEncoding('utf8')) {
    output += text;
    if (asked || !output.includes('aws ec2') || sandbox.pid === undefined) continue;
    asked = true;
    process.kill(-sandbox.pid, 'SIGINT');
  }
  expect(output).toContain('aws ec2');
});

/** The first word of each code span in the first column of the table with this heading. */
async function namedIn(heading: string): Promise<string[]> {
  const [, table = ''] = (await textOf('README.md')).split(`\n| ${heading} |`);
  const rows = table.slice(0, table.indexOf('\n\n')).split('\n').slice(2);
  const cells = rows.map((row) => row.split('|')[1] ?? '');
  return [...new Set(cells.flatMap((cell) => [...cell.matchAll(/`([\w-]+)/g)].map(([, name = '']) => name)))].sort();
}

it('its table of commands has every command, and no other', async () => {
  const typed = Object.keys(commands).filter((name) => commands[name]?.summary !== undefined);
  expect(await namedIn('command')).toEqual(typed.sort());
});

it('its table of options has every option of create, and no other', async () => {
  expect(await namedIn('option')).toEqual([...knownOptions].sort());
});

it('its figures beside REX-Ray are those of the benchmark', async () => {
  const readme = await textOf('README.md');
  const { rows } = JSON.parse(await textOf('docs/benchmarks.json')) as { rows: Row[] };
  const ours = (id: string) => {
    const row = rows.find((each) => each.id === id);
    return {
      calls: Object.values(row?.calls ?? {}).reduce((sum, count) => sum + count, 0),
      wall: row?.wallMs?.median ?? 0,
    };
  };
  const theirs = (id: string) => rexRay.find((each) => each.id === id);
  const mount = { ...ours('mount'), rexRay: theirs('mount') };
  expect(readme).toContain(
    `| ${mount.calls} EC2 calls, ${duration(mount.wall)} | ${mount.rexRay?.calls} EC2 calls, ${mount.rexRay?.seconds?.toFixed(1)} s |`,
  );
  expect([ours('mount-here').calls, theirs('mount-here')?.calls]).toEqual([0, 1]);
  expect(readme).toContain(`| ${duration(ours('together-2').wall)} | ${theirs('together-2')?.seconds} s |`);
});

it('its tests are what continuous integration runs', async () => {
  const command = page.take('npm ci && npm test').trim();
  const ci = (await textOf('.ci/run')).split('\n');
  for (const part of command.split(' && '))
    expect(
      ci.some((line) => line.startsWith(part)),
      part,
    ).toBe(true);
});

it('installs and uses as the pages do whose commands are run', async () => {
  const readme = await textOf('README.md');
  const commands = async (file: string) =>
    blocksOf(await textOf(file))
      .filter(({ kind }) => kind === 'sh')
      .flatMap(({ text }) => text.split('\n'));
  const [, install = ''] = /`(docker plugin install [^`]*)`/.exec(readme) ?? [];
  const plugin = await commands('docs/plugin.md');
  expect(plugin).toContain(install);
  expect(plugin).toContain(page.take('docker run').trim());
  const host = await commands('docs/install.md');
  const lines = [...readme.matchAll(/`(\.\/docker-volume-ebs-\S+ install [^`]*)`/g)].map(([, line]) => line);
  expect(lines).toHaveLength(2);
  for (const line of lines) expect(host).toContain(line);
});
