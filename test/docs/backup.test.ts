import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseOptions } from '../../src/volumes/options/options.ts';
import { requires } from '../support/requirements.ts';
import { type TestSandbox, testSandbox } from '../support/sandbox.ts';
import { nodeShell } from './node-shell.ts';
import { openPage } from './page.ts';

const page = openPage('docs/backup.md');

it('docs/backup.md makes a volume with a schedule that the driver reads', () => {
  const [, schedule = ''] = /-o snapshots=(\S+)/.exec(page.take('docker volume create')) ?? [];
  expect(parseOptions('data', { snapshots: schedule })).toMatchObject({ snapshots: schedule });
});

describe.skipIf(requires('root', 'loop').skip)('snapshots of a volume, as docs/backup.md has them', () => {
  let box: TestSandbox;
  beforeAll(async () => {
    box = await testSandbox({ nodes: 1, nodeEnv: { DVE_SIZE: '1', DVE_LINGER: '60' } });
  });
  afterAll(() => box?.close());

  it('are taken, listed and scheduled while it is in use, and tell afterwards what a rollback would do', async () => {
    const env = await nodeShell(box, 0);
    const replace = { VOLUME: 'data' };
    await box.ok(0, 'Create', { Name: 'data' });
    await box.ok(0, 'Mount', { Name: 'data', ID: 'one' });
    const taken = await page.run('docker-volume-ebs snapshot take', { env, replace });
    expect(taken.stdout).toMatch(
      /^snap-\w+ \(\S+\) of data: its writers stood still for \d+ ms\. EC2 completes it by itself\.\n$/,
    );
    const { stdout: listed } = await page.run('docker-volume-ebs snapshot ls', { env, replace });
    expect(listed.match(/^data +snap-\w+ .* frozen /gm)).toHaveLength(2);
    const set = await page.run('docker-volume-ebs set', { env, replace });
    expect(set.stdout).toContain('snapshots: not set -> hourly:24,daily:7\nThe next one is taken at ');

    await box.ok(0, 'Unmount', { Name: 'data', ID: 'one' });
    const told = await page.run('docker-volume-ebs rollback', { env, replace: { ...replace, SNAPSHOT: 'latest' } });
    expect(told.stdout).toMatch(/snap-\w+/);
    expect(page.take('docker-volume-ebs rollback VOLUME SNAPSHOT\n')).toBe(
      'docker-volume-ebs rollback VOLUME SNAPSHOT\n',
    );
  });
});
