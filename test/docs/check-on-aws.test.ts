import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { liveChecks } from '../../src/cli/doctor/live/checks.ts';
import { accessKeyOf } from '../../src/sandbox/imds.ts';
import { requires } from '../support/requirements.ts';
import { type TestSandbox, testSandbox } from '../support/sandbox.ts';
import { nodeShell } from './node-shell.ts';
import { openPage, projectRoot } from './page.ts';

const page = openPage('docs/check-on-aws.md');
const text = readFileSync(join(projectRoot, 'docs/check-on-aws.md'), 'utf8');

it('the page says of each check what hangs on it', () => {
  const rows = [...text.matchAll(/^\| ([a-z ,]+) \| [^|]{20,} \|$/gm)].flatMap(([, titles = '']) => titles.split(', '));
  expect(new Set(rows)).toEqual(new Set(liveChecks.map(({ title }) => title)));
});

describe.skipIf(requires('root', 'loop').skip)('the checks, with the policy that the page names', () => {
  let box: TestSandbox;
  let env: Record<string, string>;
  beforeAll(async () => {
    const file = readFileSync(join(projectRoot, 'iam/instance-not-running.json'), 'utf8');
    const policy = JSON.parse(file.replaceAll(`\${CLUSTER}`, 'blue'));
    box = await testSandbox({ nodes: 1, zones: 2, policy, nodeEnv: { DVE_CLUSTER: 'blue' } });
    const { instanceId, availabilityZone } = box.node(0);
    const own = { DVE_CLUSTER: 'blue', DVE_INSTANCE_ID: instanceId, DVE_AVAILABILITY_ZONE: availabilityZone };
    env = { ...(await nodeShell(box, 0)), ...own, AWS_ACCESS_KEY_ID: accessKeyOf(instanceId) };
  });
  afterAll(() => box?.close());

  it('says what it will do, and does nothing', async () => {
    const { stdout } = await page.run('docker-volume-ebs doctor --live ||', { env });
    expect(stdout).toContain('Nothing was done');
    expect(await box.volumes()).toEqual([]);
  });

  it('agrees with the sandbox, in calls that the policy allows', async () => {
    const { stdout } = await page.run('docker-volume-ebs doctor --live --yes\n', { env });
    expect(stdout).toMatch(new RegExp(`^${liveChecks.length} agree, 0 disagree, 0 stay open\\.$`, 'm'));
    await page.run('docker-volume-ebs doctor --live --yes --json', { env, cwd: box.dir });
    const { checks } = JSON.parse(readFileSync(join(box.dir, 'live.json'), 'utf8'));
    expect(checks.map(({ check }: { check: string }) => check)).toEqual(liveChecks.map(({ title }) => title));
  });
});
