import { chmod, chown, mkdir, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openSubdirectory } from '../../src/host/directory.ts';
import { requires } from '../support/requirements.ts';
import { must, tempDirectory } from './lab.ts';

const root = requires('root');

const nobody = { uid: undefined, gid: undefined, mode: undefined };
const permissions = async (path: string) => {
  const { uid, gid, mode } = await stat(path);
  return { uid, gid, mode: mode & 0o7777 };
};

test.each(['', '/', '//', './'])('%j is the volume itself', async (subdirectory) => {
  const root = await tempDirectory();
  expect(await openSubdirectory(root, subdirectory, nobody)).toBe(root);
});

describe.skipIf(root.skip)('a directory that is not there', () => {
  test('is made for its owner, the ones on the way for root', async () => {
    const root = await tempDirectory();
    const path = await openSubdirectory(root, '/a/b', { uid: 1000, gid: 2000, mode: 0o2770 });
    expect(path).toBe(join(root, 'a/b'));
    expect(await permissions(path)).toEqual({ uid: 1000, gid: 2000, mode: 0o2770 });
    expect(await permissions(join(root, 'a'))).toEqual({ uid: 0, gid: 0, mode: 0o755 });
  });

  test('has usual permissions without an owner', async () => {
    const root = await tempDirectory();
    expect(await permissions(await openSubdirectory(root, 'data', nobody))).toEqual({ uid: 0, gid: 0, mode: 0o755 });
  });

  test('is finished if a crash left it half made', async () => {
    const root = await tempDirectory();
    await mkdir(join(root, 'data'));
    await chmod(join(root, 'data'), 0);
    const path = await openSubdirectory(root, 'data', { ...nobody, uid: 7 });
    expect(await permissions(path)).toMatchObject({ uid: 7, mode: 0o755 });
  });
});

describe.skipIf(root.skip)('a directory that is there', () => {
  test('keeps its owner and mode', async () => {
    const root = await tempDirectory();
    const data = join(root, 'data');
    await mkdir(data);
    await chmod(data, 0o700);
    await chown(data, 55, 66);
    await openSubdirectory(root, 'data', { uid: 1, gid: 1, mode: 0o777 });
    expect(await permissions(data)).toEqual({ uid: 55, gid: 66, mode: 0o700 });
  });

  test('on another filesystem is refused', async () => {
    const root = await tempDirectory();
    await mkdir(join(root, 'data'));
    await must('mount', '-t', 'tmpfs', 'other', join(root, 'data'));
    await expect(openSubdirectory(root, 'data', nobody)).rejects.toThrow(/another filesystem/);
  });
});

describe('a way out of the volume is refused', () => {
  test.each(['..', 'a/../..', '../etc', 'a\0b'])('%j', async (subdirectory) => {
    const root = await tempDirectory();
    await expect(openSubdirectory(root, subdirectory, nobody)).rejects.toMatchObject({ code: 'HOST_FAILED' });
  });

  test.each(['link', 'link/inner', 'file', 'file/inner', 'dangling'])('%s', async (subdirectory) => {
    const outside = await tempDirectory();
    const root = await tempDirectory();
    await symlink(outside, join(root, 'link'));
    await symlink(join(outside, 'absent'), join(root, 'dangling'));
    await writeFile(join(root, 'file'), '');
    await expect(openSubdirectory(root, subdirectory, nobody)).rejects.toMatchObject({
      code: 'HOST_FAILED',
      message: expect.stringContaining('symbolic link'),
    });
    await expect(stat(join(outside, 'inner'))).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(stat(join(outside, 'absent'))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('a mountpoint that is reached through a link is itself no way out', async () => {
    const root = await tempDirectory();
    await mkdir(join(root, 'real'));
    await symlink('real', join(root, 'alias'));
    expect(await openSubdirectory(join(root, 'alias'), 'data', nobody)).toBe(join(root, 'real/data'));
  });
});
