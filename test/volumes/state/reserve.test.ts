import { link, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { run } from '../../../src/host/run.ts';
import { openJournal } from '../../../src/volumes/state/journal.ts';
import { createReserve } from '../../../src/volumes/state/reserve.ts';
import { requires } from '../../support/requirements.ts';
import { fillDisk, heldAs } from '../../support/small-disk.ts';

const { skip } = requires('root', 'loop', 'mkfs.xfs');

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp('/var/tmp/dve-reserve-');
  onTestFinished(async () => {
    await run('umount', [dir]);
    await rm(dir, { recursive: true, force: true });
    await rm(`${dir}.img`, { force: true });
  });
});

const must = async (program: string, ...args: string[]) => {
  const { code, stderr } = await run(program, args);
  if (code !== 0) throw new Error(`${program}: ${stderr}`);
};
const image = async (size: string, ...mkfs: [string, ...string[]]) => {
  await must('truncate', '-s', size, `${dir}.img`);
  await must(...mkfs, `${dir}.img`);
  await must('mount', '-o', 'loop', `${dir}.img`, dir);
};
const disks: Record<string, () => Promise<void>> = {
  'a full tmpfs': () => must('mount', '-t', 'tmpfs', '-o', 'size=1m', 'none', dir),
  'a tmpfs without another inode': () => must('mount', '-t', 'tmpfs', '-o', 'nr_inodes=60', 'none', dir),
  'a full ext4': () => image('8M', 'mkfs.ext4', '-q', '-m', '0'),
  'a full xfs': () => image('300M', 'mkfs.xfs', '-q'),
};

describe.skipIf(skip)('where the disk is full', () => {
  it.each(Object.entries(disks))('volumes leave, and nothing new comes: %s', async (what, make) => {
    await make();
    const root = join(dir, 'state');
    await mkdir(root);
    const journal = await openJournal(root);
    const names = Array.from({ length: 20 }, (_, index) => `v${index}`);
    for (const name of names) await journal.save(heldAs(name));
    await fillDisk(dir);
    await expect(journal.save(heldAs('new'))).rejects.toThrow('ENOSPC');
    await expect(journal.save(heldAs('v0'))).rejects.toThrow('ENOSPC');
    expect(journal.reserveUsedSince()).toBeUndefined();
    // Whatever space a step gives back is taken at once.
    const step = async (held: ReturnType<typeof heldAs>) => {
      await journal.save(held, true);
      if (!what.includes('inode')) await fillDisk(dir);
    };
    await Promise.all(names.map((name) => step(heldAs(name, { holders: [] }))));
    for (const name of names) await step(heldAs(name, { holders: [], phase: 'attached', directory: undefined }));
    for (const name of names) await step(heldAs(name, { holders: [], phase: 'detaching', directory: undefined }));
    expect(journal.reserveUsedSince()).toEqual(expect.any(String));
    const { held, damaged } = await (await openJournal(root)).load();
    expect([held.map(({ phase }) => phase), damaged]).toEqual([names.map(() => 'detaching'), []]);
    for (const name of names) await journal.forget(name);
    expect((await journal.load()).held).toEqual([]);
  });

  it('a crash at any point of it leaves the records and the reserve apart', async () => {
    await disks['a full tmpfs']?.();
    const reserve = createReserve(join(dir, 'reserve'));
    await reserve.fill();
    const record = join(dir, 'record');
    await writeFile(record, 'old');
    // Between the link and the rename.
    await link(record, join(dir, 'reserve/0.next'));
    await rm(join(dir, 'reserve/1'));
    await link(record, join(dir, 'reserve/1'));
    await fillDisk(dir);
    await reserve.replace(record, 'new');
    await reserve.replace(record, 'newer');
    expect((await readFile(record, 'utf8')).trim()).toBe('newer');
    const next = createReserve(join(dir, 'reserve'));
    await next.fill();
    for (const name of await readdir(join(dir, 'reserve'))) {
      expect((await stat(join(dir, 'reserve', name))).nlink).toBe(1);
    }
    await next.replace(record, 'newest');
    expect((await readFile(record, 'utf8')).trim()).toBe('newest');
  });

  it('the reserve is whole again once there is room, and is not used then', async () => {
    await disks['a full tmpfs']?.();
    const reserve = createReserve(join(dir, 'reserve'));
    await reserve.fill();
    const record = join(dir, 'record');
    await writeFile(record, 'old');
    const filler = await fillDisk(dir);
    await reserve.replace(record, 'new');
    expect(reserve.usedSince()).toEqual(expect.any(String));
    for (const file of filler) await rm(file);
    await reserve.replace(record, 'newer');
    expect(reserve.usedSince()).toBeUndefined();
    expect(await readFile(record, 'utf8')).toBe('newer');
    const sizes = await Promise.all(
      (await readdir(join(dir, 'reserve'))).map(async (name) => (await stat(join(dir, 'reserve', name))).size),
    );
    expect(sizes).toEqual([16384, 16384, 16384, 16384]);
  });
});
