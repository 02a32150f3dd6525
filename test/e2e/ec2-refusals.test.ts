import { ModifyVolumeCommand } from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { requires } from '../support/requirements.ts';
import { eventually, type TestSandbox, testSandbox } from '../support/sandbox.ts';

describe.skipIf(requires('root', 'loop', 'aws').skip)('what EC2 refuses for a while', () => {
  let box: TestSandbox;
  beforeAll(async () => {
    box = await testSandbox({ nodes: 1, times: { modify: 6_000 }, nodeEnv: { DVE_LINGER: '0' } });
  });
  afterAll(() => box?.close());

  it('a mount during a modification of the volume waits until EC2 attaches it, and says so', async () => {
    await box.ok(0, 'Create', { Name: 'grown', Opts: { size: '1' } });
    const VolumeId = (await box.volumes('grown'))[0]?.VolumeId;
    await box.ec2.send(new ModifyVolumeCommand({ VolumeId, Size: 2 }));
    const mounting = box.ok(0, 'Mount', { Name: 'grown', ID: 'one' });
    const status = async () => (await box.ok(0, 'Get', { Name: 'grown' })).Volume.Status;
    await eventually(async () => (await status()).waitingFor?.startsWith(`EC2 to finish modifying ${VolumeId}`));
    expect((await mounting).Mountpoint).toContain('/grown/');
    expect(await status()).toMatchObject({ state: 'mounted' });
    expect(box.sandbox.calls()['AttachVolume']).toBeLessThanOrEqual(5);
    await box.ok(0, 'Unmount', { Name: 'grown', ID: 'one' });
    await box.detached('grown');
  });
});
