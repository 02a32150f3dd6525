import { existsSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { requires } from '../support/requirements.ts';
import { eventually, type TestSandbox, testSandbox } from '../support/sandbox.ts';

describe.skipIf(requires('root', 'loop', 'aws').skip)('a volume restored from a snapshot', () => {
  let box: TestSandbox;
  let snapshotId: string;

  beforeAll(async () => {
    box = await testSandbox({ nodes: 1, nodeEnv: { DVE_SIZE: '1', DVE_LINGER: '0.2' } });
    await box.ok(0, 'Create', { Name: 'db', Opts: { subdirectory: '/' } });
    const { Mountpoint = '' } = await box.ok(0, 'Mount', { Name: 'db', ID: 'a' });
    await writeFile(join(Mountpoint, 'PG_VERSION'), '17', { flush: true });
    await box.ok(0, 'Unmount', { Name: 'db', ID: 'a' });
    await box.detached('db');
    const [volume] = await box.volumes('db');
    const tags = 'ResourceType=snapshot,Tags=[{Key=docker-volume-ebs:cluster,Value=default}]';
    const made = await box.aws('create-snapshot', '--volume-id', volume?.VolumeId ?? '', '--tag-specifications', tags);
    snapshotId = (made as { SnapshotId: string }).SnapshotId;
    await eventually(async () => {
      const { Snapshots } = (await box.aws('describe-snapshots', '--snapshot-ids', snapshotId)) as {
        Snapshots: { State: string }[];
      };
      return Snapshots[0]?.State === 'completed';
    });
  });
  afterAll(() => box?.close());

  it('whose data is at its root is not handed out as an empty directory', async () => {
    await box.ok(0, 'Create', { Name: 'restored', Opts: { snapshotId } });
    const message = await box.refused(0, 'Mount', { Name: 'restored', ID: 'a' });
    expect(message).toMatch(/holds "PG_VERSION", and no such directory/);
    expect(message).toContain('docker-volume-ebs set restored --subdirectory /');
    await box.detached('restored');
    expect(existsSync(join(box.node(0).root, 'volumes/restored'))).toBe(false);
  });

  it('is as it was with the option that the error names, and got no new directory by the refusal', async () => {
    await box.ok(0, 'Create', { Name: 'again', Opts: { snapshotId, subdirectory: '/' } });
    const { Mountpoint = '' } = await box.ok(0, 'Mount', { Name: 'again', ID: 'a' });
    expect(await readFile(join(Mountpoint, 'PG_VERSION'), 'utf8')).toBe('17');
    expect((await readdir(Mountpoint)).sort()).toEqual(['PG_VERSION', 'lost+found']);
    await box.ok(0, 'Unmount', { Name: 'again', ID: 'a' });
  });
});
