import { lstat, readFile, readlink, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { holdDisk, letDiskGo } from '../../src/host/disk-holder.ts';
import { run } from '../../src/host/run.ts';
import { requires } from '../support/requirements.ts';
import { loopDisk, must, tempDirectory } from './lab.ts';

async function bench() {
  const directory = await tempDirectory();
  const disk = await loopDisk(directory, 16);
  await disk.write(0, Buffer.from('this very disk'));
  const path = join(directory, 'rescue', 'a');
  onTestFinished(() => letDiskGo(path));
  const text = async () => (await readFile(path)).toString('latin1', 0, 14);
  return { directory, ...disk, path, text };
}

describe.skipIf(requires('root', 'loop').skip)('the path of a rescued disk', () => {
  it('leads to the disk, in a directory of root alone, and keeps no check from having it for itself', async () => {
    const { device, path, text } = await bench();
    await holdDisk(device, path);
    expect(await text()).toBe('this very disk');
    expect((await lstat(join(path, '..'))).mode & 0o777).toBe(0o700);
    await must('mkfs.ext4', '-q', path);
    await must('e2fsck', '-f', '-n', path);
  });

  it('never means another disk that gets the number of this one', async () => {
    const { directory, device, path } = await bench();
    await holdDisk(device, path);
    const before = await readlink(path);
    // The number is asked to be free for the next disk: while the path is there, it is not.
    await run('losetup', ['-d', device.path]);
    const other = await loopDisk(directory, 16, 'other.img');
    await other.write(0, Buffer.from('another disk!!'));
    expect(other.device.number).not.toBe(device.number);
    const seen = await readFile(path).then(
      (bytes) => bytes.toString('latin1', 0, 14),
      () => 'nothing',
    );
    expect(['this very disk', 'nothing']).toContain(seen);
    expect(await readlink(path)).toBe(before);
  });

  it('is the same when it is asked for again', async () => {
    const { device, path } = await bench();
    await holdDisk(device, path);
    const before = await readlink(path);
    await holdDisk(device, path);
    expect(await readlink(path)).toBe(before);
  });

  it('is made anew when what held the disk is gone, and leads nowhere meanwhile', async () => {
    const { device, path, text } = await bench();
    await holdDisk(device, path);
    const pid = Number((await readlink(path)).split('/')[2]);
    process.kill(pid, 'SIGKILL');
    await expect.poll(() => text().catch(() => 'nothing')).toBe('nothing');
    await holdDisk(device, path);
    expect(await text()).toBe('this very disk');
  });

  it('is gone when it is let go, twice is once, and whatever else the link leads to is let live', async () => {
    const { directory, device, path } = await bench();
    await holdDisk(device, path);
    await letDiskGo(path);
    await letDiskGo(path);
    await expect(lstat(path)).rejects.toMatchObject({ code: 'ENOENT' });
    const stranger = join(directory, 'stranger');
    await symlink(`/proc/${process.pid}/fd/0`, stranger);
    await letDiskGo(stranger);
    await expect(lstat(stranger)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('is not made for a disk that is not there', async () => {
    const { device, path } = await bench();
    await expect(holdDisk({ ...device, path: '/nowhere' }, path)).rejects.toMatchObject({
      code: 'HOST_FAILED',
      message: expect.stringContaining('the disk of vol-0123456789abcdef0'),
    });
    await expect(lstat(path)).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
