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
  expect(await openSubdirectory(root, subdirectory, nobody, 'make')).toBe(root);
});

describe.skipIf(root.skip)('a directory that is not there', () => {
  test('is made for its owner, the ones on the way for root', async () => {
    const root = await tempDirectory();
    const path = await openSubdirectory(root, '/a/b', { uid: 1000, gid: 2000, mode: 0o2770 }, 'make');
    expect(path).toBe(join(root, 'a/b'));
    expect(await permissions(path)).toEqual({ uid: 1000, gid: 2000, mode: 0o2770 });
    expect(await permissions(join(root, 'a'))).toEqual({ uid: 0, gid: 0, mode: 0o755 });
  });

  test('has usual permissions without an owner', async () => {
    const root = await tempDirectory();
    expect(await permissions(await openSubdirectory(root, 'data', nobody, 'make'))).toEqual({
      uid: 0,
      gid: 0,
      mode: 0o755,
    });
  });

  test('is finished if a crash left it half made', async () => {
    const root = await tempDirectory();
    await mkdir(join(root, 'data'));
    await chmod(join(root, 'data'), 0);
    const path = await openSubdirectory(root, 'data', { ...nobody, uid: 7 }, 'make');
    expect(await permissions(path)).toMatchObject({ uid: 7, mode: 0o755 });
  });
});

describe.skipIf(root.skip)('a directory that is not there, in a volume that may have its data elsewhere', () => {
  const open = (mountpoint: string, subdirectory: string) =>
    openSubdirectory(mountpoint, subdirectory, nobody, 'make in empty');

  test('is made where nothing is but lost+found', async () => {
    const root = await tempDirectory();
    await mkdir(join(root, 'lost+found'));
    expect(await open(root, 'a/b')).toBe(join(root, 'a/b'));
    expect(await open(root, 'a/b')).toBe(join(root, 'a/b'));
  });

  test('is finished where a crash left only its first part', async () => {
    const root = await tempDirectory();
    await mkdir(join(root, 'a'));
    expect(await open(root, 'a/b')).toBe(join(root, 'a/b'));
  });

  test.each([
    ['data', 'data'],
    ['deep/data', 'deep'],
  ])('%s is not made beside other things, which are named', async (subdirectory, first) => {
    const root = await tempDirectory();
    for (const entry of ['PG_VERSION', 'base', 'global', 'pg_wal', 'pg_xact', 'more']) await mkdir(join(root, entry));
    await expect(open(root, subdirectory)).rejects.toMatchObject({
      code: 'NO_SUBDIRECTORY',
      message: expect.stringMatching(/holds ("\w+", ){4}…, and no such directory.*subdirectory=\//),
    });
    await expect(stat(join(root, first))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('is not made below one that has other things', async () => {
    const root = await tempDirectory();
    await mkdir(join(root, 'a'));
    await writeFile(join(root, 'a/file'), '');
    await expect(open(root, 'a/b')).rejects.toMatchObject({ message: expect.stringContaining('holds "file"') });
  });

  test('is opened when it is there', async () => {
    const root = await tempDirectory();
    for (const entry of ['data', 'other']) await mkdir(join(root, entry));
    expect(await open(root, 'data')).toBe(join(root, 'data'));
  });

  test('is refused as what it is where a file has its place', async () => {
    const root = await tempDirectory();
    for (const entry of ['data', 'other']) await writeFile(join(root, entry), '');
    await expect(open(root, 'data')).rejects.toMatchObject({ message: expect.stringContaining('symbolic link') });
  });
});

describe.skipIf(root.skip)('a directory that is there', () => {
  test('keeps its owner and mode', async () => {
    const root = await tempDirectory();
    const data = join(root, 'data');
    await mkdir(data);
    await chmod(data, 0o700);
    await chown(data, 55, 66);
    await openSubdirectory(root, 'data', { uid: 1, gid: 1, mode: 0o777 }, 'make');
    expect(await permissions(data)).toEqual({ uid: 55, gid: 66, mode: 0o700 });
  });

  test('on another filesystem is refused', async () => {
    const root = await tempDirectory();
    await mkdir(join(root, 'data'));
    await must('mount', '-t', 'tmpfs', 'other', join(root, 'data'));
    await expect(openSubdirectory(root, 'data', nobody, 'make')).rejects.toThrow(/another filesystem/);
  });
});

describe('a way out of the volume is refused', () => {
  test.each(['..', 'a/../..', '../etc', 'a\0b'])('%j', async (subdirectory) => {
    const root = await tempDirectory();
    await expect(openSubdirectory(root, subdirectory, nobody, 'make')).rejects.toMatchObject({ code: 'HOST_FAILED' });
  });

  test.each(['link', 'link/inner', 'file', 'file/inner', 'dangling'])('%s', async (subdirectory) => {
    const outside = await tempDirectory();
    const root = await tempDirectory();
    await symlink(outside, join(root, 'link'));
    await symlink(join(outside, 'absent'), join(root, 'dangling'));
    await writeFile(join(root, 'file'), '');
    await expect(openSubdirectory(root, subdirectory, nobody, 'make')).rejects.toMatchObject({
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
    expect(await openSubdirectory(join(root, 'alias'), 'data', nobody, 'make')).toBe(join(root, 'real/data'));
  });
});
