import { expect, test } from 'vitest';
import { run } from '../../src/host/run.ts';
import { isMissingProgram, notRun, wordsOf } from '../../src/host/tools.ts';

test('a missing program is told with its Debian package', async () => {
  const error = await run('no-such-program', []).catch((caught: unknown) => caught);
  expect(isMissingProgram(error)).toBe(true);
  expect(notRun('mkfs.xfs', 'format /dev/x', error)).toMatchObject({
    code: 'HOST_FAILED',
    message: expect.stringMatching(/mkfs\.xfs is not installed\. Install the package xfsprogs/),
  });
});

test('a program that a signal ended is no missing one', async () => {
  const error = await run('sh', ['-c', 'kill -9 $$']).catch((caught: unknown) => caught);
  expect(isMissingProgram(error)).toBe(false);
  expect(notRun('e2fsck', 'check /dev/x', error)).toMatchObject({ code: 'HOST_FAILED' });
});

test('the words of a command are one line', () => {
  expect(wordsOf({ code: 1, stdout: 'x', stderr: 'a:\n   b.\n' })).toBe('a:; b');
  expect(wordsOf({ code: 7, stdout: '', stderr: ' ' })).toMatch(/exit code 7/);
});
