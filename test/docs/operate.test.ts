import { CreateVolumeCommand } from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { requires } from '../support/requirements.ts';
import { type TestSandbox, testSandbox } from '../support/sandbox.ts';
import { nodeShell } from './node-shell.ts';
import { openPage } from './page.ts';

const page = openPage('docs/operate.md');

describe.skipIf(requires('root', 'loop', 'aws').skip)(
  'a node and its cluster, as docs/operate.md looks at them',
  () => {
    let box: TestSandbox;
    let env: Record<string, string>;
    const replace = { VOLUME: 'data' };

    beforeAll(async () => {
      box = await testSandbox({ nodes: 1, nodeEnv: { DVE_SIZE: '1' } });
      env = await nodeShell(box, 0);
      await Promise.all(['data', 'spare'].map((Name) => box.ok(0, 'Create', { Name })));
      await box.ok(0, 'Mount', { Name: 'data', ID: 'a' });
    });
    afterAll(() => box?.close());

    it('what the node holds', async () => {
      const { stdout } = await page.run('docker-volume-ebs status', { env });
      expect(stdout).toMatch(
        /^node i-\w+ in us-east-1a, .*\n\nNAME .*\ndata +vol-\w+ +mounted +\/dev\/\w+ .* 1 \(a\) /,
      );
      const { stdout: json } = await page.run('docker-volume-ebs status --json', { env, replace });
      expect(JSON.parse(json)).toMatchObject({ volumes: [{ name: 'data', phase: 'mounted' }] });
    });

    it('what the cluster has, and a name that two volumes carry until one loses it', async () => {
      const tags = { cluster: 'default', name: 'spare' };
      const { VolumeId = '' } = await box.ec2.send(
        new CreateVolumeCommand({
          AvailabilityZone: 'us-east-1a',
          Size: 1,
          TagSpecifications: [
            {
              ResourceType: 'volume',
              Tags: Object.entries(tags).map(([key, Value]) => ({ Key: `docker-volume-ebs:${key}`, Value })),
            },
          ],
        }),
      );
      const { stdout } = await page.run('docker-volume-ebs ls', { env });
      expect(stdout).toMatch(
        new RegExp(`\ndata .*\n[^]*\nDUPLICATE NAME: 2 EBS volumes are called spare: .*${VolumeId}`),
      );
      const free = await page.run('docker-volume-ebs ls --free', { env, replace: { ZONE: 'us-east-1a' } });
      expect(free.stdout).toMatch(/^NAME .*\nspare +vol-\w+ .*available /);
      expect(free.stdout).not.toMatch(/^data /m);
      expect(await box.refused(0, 'Mount', { Name: 'spare', ID: 'b' })).toContain(VolumeId);
      await page.run('aws ec2 create-tags', { env, replace: { ID: VolumeId, VOLUME: 'spare' } });
      await box.ok(0, 'Mount', { Name: 'spare', ID: 'b' });
      await box.ok(0, 'Unmount', { Name: 'spare', ID: 'b' });
    });

    it('how a volume is mounted, changed', async () => {
      const { stdout } = await page.run('docker-volume-ebs set VOLUME --mount-options', { env, replace });
      expect(stdout).toMatch(/^data \(vol-\w+\), were it not a dry run:\n/);
      expect(stdout).toMatch(/\ndata \(vol-\w+\):\n {2}mountOptions: not set -> noatime,commit=30\n/);
      const there = await page.run('docker-volume-ebs set VOLUME --subdirectory', { env, replace });
      expect(there.stdout).toContain('subdirectory: data -> /\n');
      expect(there.stdout).toContain('subdirectory: / -> data\n');
    });

    it('what fencing did, and would do', async () => {
      expect((await page.run('docker-volume-ebs fence history', { env })).stdout).toContain('decided nothing yet');
      expect((await page.run('docker-volume-ebs fence explain', { env, replace })).stdout).toContain('data (vol-');
    });

    it('the node emptied, and in use again', async () => {
      await box.ok(0, 'Unmount', { Name: 'data', ID: 'a' });
      expect((await page.run('docker-volume-ebs drain --reason', { env })).stdout).toContain('kernel update');
      expect(await box.refused(0, 'Mount', { Name: 'spare', ID: 'b' })).toContain('kernel update');
      await page.run('docker-volume-ebs drain --cancel', { env });
      await box.ok(0, 'Mount', { Name: 'spare', ID: 'b' });
    });
  },
);
