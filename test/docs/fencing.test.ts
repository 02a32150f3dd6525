import type { VolumeAttachment } from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { requires } from '../support/requirements.ts';
import { type TestSandbox, testSandbox } from '../support/sandbox.ts';
import { nodeShell } from './node-shell.ts';
import { openPage } from './page.ts';

const page = openPage('docs/fencing.md');

describe.skipIf(requires('root', 'loop', 'aws').skip)(
  'a volume that does not come up, as docs/fencing.md follows it',
  () => {
    let box: TestSandbox;
    let env: Record<string, string>;
    let owner: VolumeAttachment;

    beforeAll(async () => {
      box = await testSandbox({ nodeEnv: { DVE_SIZE: '1', DVE_FENCE_POLICY: 'never' } });
      env = await nodeShell(box, 1);
      await box.ok(0, 'Create', { Name: 'data' });
      await box.ok(0, 'Mount', { Name: 'data', ID: 'a' });
      const [attachment] = (await box.volumes('data'))[0]?.Attachments ?? [];
      owner = attachment ?? {};
    });
    afterAll(() => box?.close());

    it('is the owner running?', async () => {
      const { stdout } = await page.run('aws ec2 describe-instances', {
        env,
        replace: { OWNER: owner.InstanceId ?? '' },
      });
      expect(stdout).toMatch(/"running"[\s\S]*"Status": "ok"/);
    });

    it('a word about one that runs is refused; about one that was stopped it counts', async () => {
      const replace = { VOLUME: 'data', OWNER: owner.InstanceId ?? '' };
      const confirm = 'docker-volume-ebs fence confirm';
      await expect(page.run(confirm, { env, replace })).rejects.toThrow('EC2 shows');
      await box.aws('stop-instances', '--instance-ids', replace.OWNER);
      await box.aws('wait', 'instance-stopped', '--instance-ids', replace.OWNER);
      const { stdout } = await page.run(confirm, { env, replace });
      expect(stdout).toContain('data');
    });

    it('under the policy never it is detached by hand, by all three names', async () => {
      const replace = { ID: owner.VolumeId ?? '', OWNER: owner.InstanceId ?? '', DEVICE: owner.Device ?? '' };
      await page.run('aws ec2 detach-volume', { env, replace });
      await box.detached('data');
      // The stopped one is no longer among the running.
      await box.ok(0, 'Mount', { Name: 'data', ID: 'b' });
    });
  },
);
