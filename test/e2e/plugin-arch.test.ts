import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { run } from '../support/run.ts';

/** Stands in for docker on an amd64 machine: writes down what it is asked, and answers as docker does. */
const docker = `#!/bin/sh
echo "$@" >> "$CALLS"
case $1 in
  version) echo amd64 ;;
  build) printf sha256:1 > "$3" ;;
  create) echo container ;;
  export) tar -c -f "$3" -T /dev/null ;;
  plugin) cat "$4/config.json" > "$CALLS.config"; test -d "$4/rootfs" ;;
esac
`;

/** What the script asks of docker for a plugin of this architecture, and what it prints. */
async function builds(...args: string[]): Promise<{ calls: string[]; stdout: string }> {
  const dir = await mkdtemp(join(tmpdir(), 'dve-plugin-arch-'));
  onTestFinished(() => rm(dir, { recursive: true }));
  const [bin, calls] = [join(dir, 'bin'), join(dir, 'calls')];
  await mkdir(bin);
  await writeFile(join(bin, 'docker'), docker);
  await chmod(join(bin, 'docker'), 0o755);
  const path = [bin, process.env['PATH']].join(delimiter);
  const { code, stdout, stderr } = await run('env', [
    `PATH=${path}`,
    `CALLS=${calls}`,
    process.execPath,
    'scripts/plugin.ts',
    ...args,
  ]);
  expect(code, stderr).toBe(0);
  expect(await readFile(`${calls}.config`, 'utf8')).toBe(await readFile('plugin-config.json', 'utf8'));
  return { calls: (await readFile(calls, 'utf8')).split('\n'), stdout: stdout.trim() };
}

it('builds for another architecture than the engine has, under a tag of its own', async () => {
  const { calls, stdout } = await builds('--name', 'localhost:5000/ebs', '--arch', 'arm64');
  expect(stdout).toMatch(/^localhost:5000\/ebs:\d+\.\d+\.\d+-arm64$/);
  expect(calls.find((each) => each.startsWith('build '))).toContain(' --platform linux/arm64 ');
  expect(calls.find((each) => each.startsWith('create '))).toContain(' --platform linux/arm64 ');
  expect(calls.find((each) => each.startsWith('plugin create '))).toContain(` ${stdout} `);
});

it('builds for the architecture that the engine has, unless told', async () => {
  const { calls, stdout } = await builds();
  expect(stdout).toMatch(/^ebs:\d+\.\d+\.\d+-amd64$/);
  expect(calls.join('\n')).not.toContain('--platform');
});
