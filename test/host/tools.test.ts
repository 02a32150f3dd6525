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

test.each([
  [
    'resize2fs 1.47.0 (5-Feb-2023)\n/usr/sbin/resize2fs: Permission denied to resize filesystem\n',
    'Permission denied to resize filesystem',
  ],
  ['mke2fs 1.47.0 (5-Feb-2023)\nmkfs.ext4: invalid block size - 3', 'invalid block size - 3'],
  ['btrfs-progs v6.2\nSee http://btrfs.wiki.kernel.org for more information.\n\nERROR: no space', 'ERROR: no space'],
  [
    'xfs_growfs: XFS_IOC_FSGROWFSDATA xfsctl failed: Input/output error',
    'XFS_IOC_FSGROWFSDATA xfsctl failed: Input/output error',
  ],
  ['/dev/xvdba: recovering journal', '/dev/xvdba: recovering journal'],
  ['mount: /mnt: wrong fs type.', 'mount: /mnt: wrong fs type'],
  ['mke2fs 1.47.0 (5-Feb-2023)', 'mke2fs 1.47.0 (5-Feb-2023)'],
])('the words of %j are without the name and version of the command', (stderr, words) => {
  expect(wordsOf({ code: 1, stdout: '', stderr })).toBe(words);
});
