import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { fakeDriver } from '../dvdi/fake-driver.ts';
import { serving } from '../dvdi/serving.ts';

test('a command of --run that cannot see the copy says nothing of the snapshot: no verdict is asked for', async () => {
  const driver = fakeDriver();
  const { operator } = driver;
  const mounted = async (snapshotId: string) => ({
    ...(await operator.verify.look(snapshotId)),
    step: 'command' as const,
    mountpoint: '/nowhere/to/be/seen',
    verdict: undefined,
  });
  let ended = 0;
  const commandEnded = async () => {
    ended += 1;
  };
  const verify = { ...operator.verify, begin: mounted, look: mounted, commandEnded };
  const { socketPath } = await serving(fakeDriver({ operator: { ...operator, verify } }));
  const main = join(import.meta.dirname, '../../src/cli/main.ts');
  const argv = [main, 'snapshot', 'verify', 'snap-0123456789abcdef0', '--run', 'true', '--socket', socketPath];
  const { code, stderr } = await new Promise<{ code: unknown; stderr: string }>((resolve) => {
    execFile(process.execPath, argv, (error, _stdout, text) => resolve({ code: error?.code, stderr: text }));
  });
  expect([code, ended]).toEqual([1, 0]);
  expect(stderr).toContain('/nowhere/to/be/seen');
});
