import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { checks } from '../../src/cli/doctor/checks.ts';
import { requires } from '../support/requirements.ts';
import { run } from '../support/run.ts';
import { type TestSandbox, testSandbox } from '../support/sandbox.ts';
import { nodeShell } from './node-shell.ts';
import { openPage, projectRoot } from './page.ts';

const page = openPage('docs/doctor.md');
const text = readFileSync(join(projectRoot, 'docs/doctor.md'), 'utf8');

it('the page has a row for each line of the doctor, in its order', () => {
  const rows = [...text.matchAll(/^\| ([A-Za-z0-9 ]+) \|/gm)].map(([, title]) => title);
  const titles = checks.map(({ title }) => title);
  expect(rows.filter((row) => titles.some((title) => title === row))).toEqual(titles);
});

it("the task definition's check is the command of the image", () => {
  const { healthCheck } = JSON.parse(page.definition('json', 'healthCheck'));
  const image = readFileSync(join(projectRoot, 'Dockerfile'), 'utf8');
  const [, program = ''] = /^ENTRYPOINT (.*)$/m.exec(image) ?? [];
  expect(healthCheck.command).toEqual(['CMD', ...JSON.parse(program), 'health']);
});

describe.skipIf(requires('root', 'loop').skip)('doctor and health on a node', () => {
  let box: TestSandbox;
  let env: Record<string, string>;

  beforeAll(async () => {
    box = await testSandbox({ nodes: 1, nodeEnv: { DVE_SIZE: '1', DVE_FENCE_POLICY: 'stonith' } });
    const { PATH = '' } = await nodeShell(box, 0);
    env = { ...environmentOf(box.node(0).pid), PATH };
    await box.ok(0, 'Create', { Name: 'spare' });
    await box.ok(0, 'Create', { Name: 'data' });
    await box.ok(0, 'Mount', { Name: 'data', ID: 'a' });
  });
  afterEach(() => box.clearFaults());
  afterAll(() => box?.close());

  /** The results by title, and the exit status. */
  async function examined(change: Record<string, string> = {}, argv: readonly string[] = []) {
    const { status, stdout } = await command({ ...env, ...change }, 'doctor', '--json', ...argv);
    const { ok, checks } = JSON.parse(stdout) as { ok: boolean; checks: { check: string; level: string }[] };
    expect(ok).toBe(status === 0);
    return { status, ...Object.fromEntries(checks.map((each) => [each.check, each])) };
  }

  it('finds a node in order that works, in calls that change nothing', async () => {
    const before = await box.volumes();
    const { stdout } = await page.run('docker-volume-ebs doctor', { env });
    // What this process may do besides depends on where the tests run.
    const others = /^\w+ +(capabilities|processes|propagation) .*\n( {20}.*\n)*/gm;
    expect(stdout.replace(others, '')).toMatch(/^(ok +[^\n]+\n)+Nothing fails: [^\n]*, 0 unknown, 0 failed\.\n$/);
    expect(stdout).toMatch(/^ok +permissions +this role may do what DVE_FENCE_POLICY=stonith/m);
    expect(stdout).toMatch(/^ok +attachments +1 of the cluster's volumes attached here/m);
    expect(await box.volumes()).toEqual(before);
  });

  it('names a mount of a volume that is none of ours, with the umount to type', async () => {
    const place = join(box.dir, 'elsewhere');
    await mkdir(place);
    await run('mount', ['--bind', join(box.node(0).root, 'volumes/data'), place]);
    try {
      const warned = { level: 'warn', details: [`data: umount ${place}`] };
      expect(await examined()).toMatchObject({ 'other mounts': warned });
    } finally {
      await run('umount', [place]);
    }
    expect(await examined()).toMatchObject({ 'other mounts': { level: 'ok' } });
  });

  it('names what the role may not do, and the region that is wrong, and shows no credentials', async () => {
    for (const action of ['DetachVolume', 'StopInstances']) await box.fault({ kind: 'deny', action });
    const secret = { AWS_ACCESS_KEY_ID: 'AKIDOFTHETEST', AWS_SECRET_ACCESS_KEY: 'secretofthetest' };
    const results = await examined({ AWS_REGION: 'eu-west-1', ...secret });
    expect(JSON.stringify(results)).not.toMatch(/ofthetest/i);
    expect(results).toMatchObject({
      status: 1,
      credentials: { level: 'ok', found: 'those of the environment (AWS_ACCESS_KEY_ID); EC2 takes them' },
      region: { level: 'fail', found: expect.stringContaining('EC2 is asked in eu-west-1') },
      permissions: {
        level: 'fail',
        found: 'this role may not call ec2:DetachVolume, ec2:StopInstances',
        details: [expect.stringContaining('no volume leaves a node'), expect.stringContaining('no suspect owner')],
      },
    });
  });

  it('tells a dead metadata service from all that fails for want of it', async () => {
    const dead = { AWS_EC2_METADATA_SERVICE_ENDPOINT: 'http://127.0.0.1:1' };
    expect(await examined(dead)).toMatchObject({
      status: 1,
      identity: { level: 'fail' },
      metadata: { level: 'fail' },
      credentials: { level: 'fail' },
      EC2: { level: 'unknown', found: 'cannot be judged: see identity' },
      tools: { level: 'ok' },
      daemon: { level: 'ok' },
    });
  });

  it('sees credentials that EC2 refuses, and a disk that has no node', async () => {
    await box.fault({ kind: 'error', code: 'AuthFailure', message: 'not able to validate', status: 401 });
    expect(await examined({}, ['--device-root', box.node(0).root])).toMatchObject({
      status: 1,
      credentials: { level: 'fail', found: expect.stringContaining("those of the instance's role") },
      clock: { level: 'ok' },
      devices: { level: 'fail', found: expect.stringContaining('without a node') },
    });
  });

  it('refuses a setting that is wrong', async () => {
    const { status, stderr } = await command({ ...env, DVE_SIZE: 'ten' }, 'doctor');
    expect([status, stderr]).toEqual([
      2,
      expect.stringMatching(/^docker-volume-ebs: cannot use DVE_SIZE="ten"[^\n]*\n$/),
    ]);
  });

  it('health says ok by its status, and costs EC2 no call', async () => {
    box.sandbox.resetCalls();
    expect((await page.run('docker-volume-ebs health', { env })).stdout).toBe('ok\n');
    const curl = await page.run('curl', { env, replace: { SOCKET: box.node(0).socket } });
    const answer = JSON.parse(curl.stdout);
    const shown = JSON.parse(page.definition('json', '"status"'));
    expect(Object.keys(answer)).toEqual(Object.keys(shown));
    expect(Object.keys(answer.ec2)).toEqual(Object.keys(shown.ec2));
    expect(answer).toMatchObject({ status: 'ok', instanceId: box.node(0).instanceId });
    expect(box.sandbox.calls()).toEqual({});
  });

  it('health says what is wrong, and that nobody is there', async () => {
    await box.fault({ kind: 'error', code: 'AuthFailure', message: 'not able to validate', status: 401 });
    await box.refused(0, 'Create', { Name: 'other' });
    expect(await command(env, 'health')).toMatchObject({
      status: 1,
      stdout: expect.stringMatching(/^this node has no credentials that EC2 takes \(since [^)]+\)\n$/),
    });
    expect(await command(env, 'health', '--socket', '/nowhere/ebs.sock')).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/the daemon at \/nowhere\/ebs\.sock does not answer/),
    });
    expect(await command(env, 'health', 'word')).toMatchObject({ status: 2 });
  });
});

/** The environment that a process was started with. */
function environmentOf(pid: number): Record<string, string> {
  const lines = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
  return Object.fromEntries(lines.filter((line) => line !== '').map((line) => line.split(/=(.*)/s, 2)));
}

function command(env: Record<string, string>, ...argv: string[]) {
  return new Promise<{ status: unknown; stdout: string; stderr: string }>((resolve) => {
    execFile('docker-volume-ebs', argv, { env }, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : error.code, stdout, stderr });
    });
  });
}
