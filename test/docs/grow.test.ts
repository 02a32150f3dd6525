import { statfs } from 'node:fs/promises';
import { DescribeVolumesModificationsCommand } from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { policies } from '../../scripts/iam-policies.ts';
import type { IamPolicy } from '../../src/sandbox/iam.ts';
import { requires } from '../support/requirements.ts';
import { eventually, type TestSandbox, testSandbox } from '../support/sandbox.ts';
import { nodeShell } from './node-shell.ts';
import { openPage } from './page.ts';

const page = openPage('docs/grow.md');
const GiB = 2 ** 30;

/** Both policies on one role, for the cluster of the test. */
const role: IamPolicy = JSON.parse(
  JSON.stringify({
    ...policies.never,
    Statement: [...policies['instance-not-running'].Statement, ...policies.grow.Statement],
  }).replaceAll(`\${CLUSTER}`, 'default'),
);

describe.skipIf(requires('root', 'loop', 'mkfs.xfs').skip)('a volume that grows, as docs/grow.md has it', () => {
  let box: TestSandbox;
  const [owner, other] = [0, 1];
  beforeAll(async () => {
    box = await testSandbox({ nodes: 2, policy: role, times: { modify: 1500, optimize: 1500 } });
    await box.ok(owner, 'Create', { Name: 'data', Opts: { size: '10', fsType: 'xfs' } });
  });
  afterAll(() => box?.close());

  const status = async (which: number) => (await box.ok(which, 'Get', { Name: 'data' })).Volume.Status;
  const optimized = () =>
    eventually(async () => {
      const { VolumesModifications = [] } = await box.ec2.send(new DescribeVolumesModificationsCommand({}));
      return VolumesModifications.every(({ ModificationState }) => ModificationState === 'completed');
    });

  it('resize waits for the filesystem on the node that has it, and grows it from any other', async () => {
    const { Mountpoint } = await box.ok(owner, 'Mount', { Name: 'data', ID: 'one' });
    const size = async () => {
      const { blocks, bsize } = await statfs(Mountpoint);
      return blocks * bsize;
    };
    const here = await page.run('docker-volume-ebs resize data 200', { env: await nodeShell(box, owner) });
    expect(here.stdout).toMatch(/size: 10 -> 200\n.*\nIts filesystem had 10 GiB and has 200 GiB\.\n$/);
    expect(here.stderr).toMatch(/waiting for EC2 to modify vol-/);
    expect(await size()).toBeGreaterThan(195 * GiB);
    await optimized();
    const there = await page.run('docker-volume-ebs resize data +50', { env: await nodeShell(box, other) });
    expect(there.stdout).toMatch(/size: 200 -> 250\nEC2 is at it.*has it: its filesystem grows there within 10 s/s);
    await eventually(async () => (await size()) > 245 * GiB);
    expect([(await status(owner)).sizeGiB, (await status(other)).sizeGiB]).toEqual([250, 250]);
    await optimized();
  });

  it('modify tells what it would ask, and what that does to the bill', async () => {
    const { stdout } = await page.run('docker-volume-ebs modify', { env: await nodeShell(box, owner) });
    expect(stdout).toMatch(/iops: 3000 -> 6000\n {2}throughput: 125 -> 250\n.*\$20\.00 a month now and \$40\.00 then/s);
    expect(await status(owner)).toMatchObject({ iops: 3000, throughput: 125 });
  });

  it('modify has it grow by itself, which its tags say', async () => {
    const { stdout } = await page.run('docker-volume-ebs modify data --auto-grow', {
      env: await nodeShell(box, owner),
    });
    expect(stdout).toMatch(/autoGrow: not set -> 80%\n {2}autoGrowMax: not set -> 500/);
  });

  it('a role without the policy cannot, and is told what to allow', async () => {
    await box.fault({ kind: 'deny', action: 'ModifyVolume' });
    const shell = await nodeShell(box, owner);
    await expect(page.run('docker-volume-ebs resize data +50', { env: shell })).rejects.toThrow(
      /Allow ec2:ModifyVolume/,
    );
    await box.clearFaults();
  });
});
