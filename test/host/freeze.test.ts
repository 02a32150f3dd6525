import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { filesystemTypes } from '../../src/host/types.ts';
import { requires } from '../support/requirements.ts';
import { run } from '../support/run.ts';
import { lab, loopDisk, must } from './lab.ts';

/** Frozen or not: it answers EINVAL to a thaw when it was not, and stands still no more either way. */
const endFreeze = async (target: string) => (await run('fsfreeze', ['--unfreeze', target])).code === 0;

async function mounted(type: (typeof filesystemTypes)[number]) {
  const { directory, target, host } = await lab();
  const { device } = await loopDisk(directory, 320);
  await host.makeFilesystem(device, type, [], 'nothing');
  await host.mount(device, target, type, []);
  return { directory, target, host, device };
}

describe.skipIf(requires('root', 'loop', 'mkfs.xfs', 'mkfs.btrfs').skip)('a freeze', () => {
  test.each(filesystemTypes)(
    'of %s holds writers until it is thawed, and leaves one of somebody else alone',
    async (type) => {
      const { target, host, device } = await mounted(type);
      const freezer = await host.openFreezer(device, target);
      expect(await freezer.freeze()).toBe('frozen');
      let written = false;
      const write = writeFile(join(target, 'file'), 'x').then(() => {
        written = true;
      });
      const other = await host.openFreezer(device, target);
      expect(await other.freeze()).toBe('busy');
      expect(await other.thaw()).toBe(false);
      expect(written).toBe(false);
      expect(await freezer.thaw()).toBe(true);
      await write;
      expect(await endFreeze(target)).toBe(false);
      await host.unmount(target);
      expect(await host.isDeviceBusy(device)).toBe(false);
    },
  );

  test('that was lifted by somebody else is told as not held', async () => {
    const { target, host, device } = await mounted('ext4');
    const freezer = await host.openFreezer(device, target);
    await freezer.freeze();
    expect(await endFreeze(target)).toBe(true);
    expect(await freezer.thaw()).toBe(false);
    await host.unmount(target);
  });

  test('that is given up before it began holds nobody for a moment', async () => {
    const { directory, target, host, device } = await mounted('ext4');
    const [bin, told] = [join(directory, 'bin'), join(directory, 'told')];
    await mkdir(bin);
    await writeFile(join(bin, 'fsfreeze'), `#!/bin/sh\necho "$1" >> '${told}'\necho 'Invalid argument' >&2\nexit 1\n`, {
      mode: 0o755,
    });
    const { PATH } = process.env;
    process.env['PATH'] = `${bin}:${PATH}`;
    onTestFinished(() => {
      process.env['PATH'] = PATH;
    });
    const freezer = await host.openFreezer(device, target);
    expect(await freezer.thaw()).toBe(false);
    // It has ended once its directory can be unmounted.
    await expect
      .poll(() =>
        host.unmount(target).then(
          () => true,
          () => false,
        ),
      )
      .toBe(true);
    expect(new Set((await readFile(told, 'utf8')).trim().split('\n'))).toEqual(new Set(['--unfreeze']));
  });

  test('ends with the process that asked for it, whatever ends that', async () => {
    const { target, host, device } = await mounted('ext4');
    const program = `
      const { openFreezer } = await import(${JSON.stringify(new URL('../../src/host/freeze.ts', import.meta.url).href)});
      await (await openFreezer(${JSON.stringify(device)}, ${JSON.stringify(target)})).freeze();
      process.kill(process.pid, 'SIGKILL');`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: 'ignore' });
    expect(await once(child, 'exit')).toEqual([null, 'SIGKILL']);
    // A write returns once nothing holds it.
    const file = await open(join(target, 'file'), 'w');
    await file.write('x');
    await file.close();
    expect(await endFreeze(target)).toBe(false);
    await host.unmount(target);
  });

  test('is never begun at a place where another filesystem is mounted, or none', async () => {
    const { directory, target, host, device } = await mounted('ext4');
    await must('mount', '-t', 'tmpfs', 'above', target);
    await expect(host.openFreezer(device, target)).rejects.toMatchObject({ code: 'HOST_FAILED' });
    await host.unmount(target);
    await expect(host.openFreezer(device, directory)).rejects.toMatchObject({ code: 'HOST_FAILED' });
  });

  test.each(filesystemTypes)(
    'of %s is lifted before the unmount, and after one that somebody did by hand',
    async (type) => {
      const { target, host, device } = await mounted(type);
      await must('fsfreeze', '--freeze', target);
      await host.unmount(target);
      expect(await host.isDeviceBusy(device)).toBe(false);
      await host.mount(device, target, type, []);
      await must('fsfreeze', '--freeze', target);
      await must('umount', target);
      expect(await host.isDeviceBusy(device)).toBe(true);
      expect(await host.thaw(device, target, type)).toBe(true);
      expect(await host.isDeviceBusy(device)).toBe(false);
    },
  );
});
