import { execFile } from 'node:child_process';
import { watch } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { deviceNames } from '../../../src/ebs/device-names.ts';
import { tagKeys } from '../../../src/ebs/tags.ts';
import type { EbsVolume } from '../../../src/ebs/types.ts';
import { isCode } from '../../../src/errors.ts';
import type { Held } from '../../../src/volumes/state/held.ts';
import { type Journal, openJournal } from '../../../src/volumes/state/journal.ts';
import { volumeWith } from '../../support/fake-volume.ts';

const run = promisify(execFile);
const asRoot = process.getuid?.() === 0;

async function scratch(): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'journal-'));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  return root;
}

const heldAs = (name: string, change: Partial<Held> = {}): Held => ({
  name,
  volume: volumeWith({ tags: { Name: name } }),
  phase: 'mounted',
  instanceId: 'i-1',
  device: '/dev/xvdba',
  attachTime: '2026-01-02T03:04:05.678Z',
  bootId: 'boot-1',
  filesystem: 'ext4',
  directory: `/ebs/volumes/${name}/data`,
  holders: [{ id: null, since: '2026-01-02T03:04:05.678Z' }],
  ...change,
});
/** What a record says, without the fields that are undefined and without its version. */
const plain = ({ ...held }: Held): unknown => {
  const { version: _, ...rest } = JSON.parse(JSON.stringify(held));
  return rest;
};
const recordsOf = async (journal: Journal) => {
  const { held, damaged } = await journal.load();
  return { records: held.map(plain), damaged };
};

describe('the journal', () => {
  it('gives back after a restart what was saved last', async () => {
    const name = fc.string({ unit: 'binary', minLength: 1, maxLength: 20 });
    const some = fc.uniqueArray(name, { minLength: 1, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(some, fc.string(), async (names, directory) => {
        const root = await mkdtemp(join(tmpdir(), 'journal-'));
        try {
          const journal = await openJournal(root);
          for (const each of names) await journal.save(heldAs(each));
          const last = names.map((each) => heldAs(each, { phase: 'attached', directory, attachTime: undefined }));
          for (const held of last) await journal.save(held);
          const { records, damaged } = await recordsOf(await openJournal(root));
          expect(damaged).toEqual([]);
          expect(new Set(records)).toEqual(new Set(last.map(plain)));
        } finally {
          await rm(root, { recursive: true, force: true });
        }
      }),
      { numRuns: 15 },
    );
  });

  it('forgets a record, and one that is not there', async () => {
    const journal = await openJournal(await scratch());
    await journal.save(heldAs('a'));
    await journal.save(heldAs('b'));
    await journal.forget('a');
    await journal.forget('never');
    expect((await journal.load()).held.map(({ name }) => name)).toEqual(['b']);
  });

  it('keeps each volume in a file of its own, for its owner only', async () => {
    const root = await scratch();
    const journal = await openJournal(join(root, 'state'));
    await journal.save(heldAs('../a/b'));
    const directory = join(root, 'state', 'volumes');
    expect(await readdir(directory)).toEqual(['=2E.=2Fa=2Fb.json']);
    expect((await stat(directory)).mode & 0o777).toBe(0o700);
    expect((await stat(join(directory, '=2E.=2Fa=2Fb.json'))).mode & 0o777).toBe(0o600);
  });

  it('reports a file it cannot read, and reads the others', async () => {
    const root = await scratch();
    const journal = await openJournal(root);
    await journal.save(heldAs('good'));
    await journal.save(heldAs('cut'));
    const file = (name: string) => join(root, 'volumes', name);
    const text = await readFile(file('cut.json'), 'utf8');
    await writeFile(file('cut.json'), text.slice(0, text.length / 2));
    await writeFile(file('old.json'), text.replace('"version":1', '"version":0'));
    await writeFile(file('garbage.json'), Buffer.from([0, 255, 1]));
    await writeFile(file('null.json'), 'null');
    await writeFile(file('hollow.json'), '{"version":1}');
    await writeFile(file('empty.json'), '');
    await mkdir(file('directory.json'));
    const { held, damaged } = await journal.load();
    expect(held.map(({ name }) => name)).toEqual(['good']);
    expect(new Set(damaged.map((each) => each.file))).toEqual(
      new Set(['cut', 'old', 'garbage', 'null', 'hollow', 'empty', 'directory'].map((name) => file(`${name}.json`))),
    );
    expect(damaged.find((each) => each.file.endsWith('old.json'))?.why).toBe(
      'it is of format 0, and this program writes 1',
    );
  });

  it('ignores what an interrupted write left behind, and writes over it', async () => {
    const root = await scratch();
    const journal = await openJournal(root);
    await journal.save(heldAs('a'));
    await writeFile(join(root, 'volumes', 'a.json.new'), '{"version":1,"na');
    await writeFile(join(root, 'volumes', 'b.json.new'), '{"version":1,"na');
    expect(await recordsOf(journal)).toEqual({ records: [plain(heldAs('a'))], damaged: [] });
    await journal.save(heldAs('b'));
    expect((await journal.load()).held.map(({ name }) => name).sort()).toEqual(['a', 'b']);
  });

  it('remembers the uses of device names, also as an earlier version kept them', async () => {
    const root = await scratch();
    const journal = await openJournal(root);
    expect(await journal.loadDevices()).toEqual([]);
    const uses = [
      { name: '/dev/xvdbb', volumeId: 'vol-1' },
      { name: '/dev/xvdba', volumeId: 'vol-2', freedAt: 12, quarantine: 'it was pulled' },
    ];
    await journal.saveDevices(uses);
    expect(await (await openJournal(root)).loadDevices()).toEqual(uses);
    await writeFile(join(root, 'devices.json'), '["/dev/xvdba"');
    expect(await journal.loadDevices()).toEqual([]);
    await writeFile(
      join(root, 'devices.json'),
      '["/dev/xvdba", 7, null, {"freedAt": 1}, {"name": "/dev/xvdbb", "freedAt": "x"}]',
    );
    expect(await journal.loadDevices()).toEqual([{ name: '/dev/xvdba' }]);
  });

  it('writes the uses of device names that come together once, and the last ones last', async () => {
    const root = await scratch();
    const journal = await openJournal(root);
    const saved = deviceNames.map((_, index) =>
      journal.saveDevices(deviceNames.slice(0, index).map((name) => ({ name }))),
    );
    const outcomes = await Promise.all(saved);
    expect(outcomes).toHaveLength(deviceNames.length);
    expect(await journal.loadDevices()).toEqual(deviceNames.slice(0, -1).map((name) => ({ name })));
    await journal.saveDevices([]);
    expect(await journal.loadDevices()).toEqual([]);
  });

  it('writes what is known of volumes as often as it can, not as often as it changes, and the last state last', async () => {
    const root = await scratch();
    const journal = await openJournal(root);
    const written: string[] = [];
    const seen = watch(root, (_, file) => written.push(String(file)));
    onTestFinished(() => seen.close());
    const known = new Map<string, EbsVolume>();
    for (let index = 0; index < 200; index++) {
      known.set(`v${index}`, volumeWith({ id: `vol-${index}`, tags: { [tagKeys.cluster]: 'default' } }));
      void journal.saveKnown(new Map(known));
    }
    await expect.poll(async () => (await journal.loadKnown('default')).size).toBe(200);
    expect(written.filter((file) => file === 'known.json').length).toBeLessThan(10);
  });

  it('knows volumes of its cluster alone, and leaves out what was spoilt by hand', async () => {
    const root = await scratch();
    const journal = await openJournal(root);
    const ours = volumeWith({ tags: { [tagKeys.cluster]: 'default' } });
    const saved = {
      ours,
      other: volumeWith({ tags: { [tagKeys.cluster]: 'staging' } }),
      spoilt: null,
      half: { id: 'x' },
    };
    await writeFile(join(root, 'known.json'), JSON.stringify(saved));
    expect([...(await journal.loadKnown('default'))]).toEqual([['ours', ours]]);
    for (const text of ['', '[1', 'null', '7']) {
      await writeFile(join(root, 'known.json'), text);
      expect([...(await journal.loadKnown('default'))]).toEqual([]);
    }
  });
});

describe('a journal that cannot be written', () => {
  /** A disk of its own that can be filled and made read-only; without root, a directory closed to writers. */
  async function smallDisk(): Promise<{ root: string; fill(): Promise<unknown>; close(): Promise<unknown> }> {
    const root = await scratch();
    if (!asRoot) {
      const setModes = (mode: number) => Promise.all([chmod(join(root, 'volumes'), mode), chmod(root, mode)]);
      onTestFinished(() => setModes(0o700).then(() => undefined));
      return { root, fill: () => setModes(0o500), close: () => setModes(0o500) };
    }
    await run('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', root]);
    onTestFinished(() => run('umount', [root]).then(() => undefined));
    return {
      root,
      fill: () => writeFile(join(root, 'filler'), Buffer.alloc(1 << 20)).catch(() => undefined),
      close: () => run('mount', ['-o', 'remount,ro', root]),
    };
  }

  it('says so and keeps the last record', async () => {
    const { root, fill } = await smallDisk();
    const journal = await openJournal(root);
    await journal.save(heldAs('a'));
    await fill();
    const error = await journal.save(heldAs('a', { phase: 'detaching' })).catch((each: unknown) => each);
    expect(isCode(error, 'JOURNAL_FAILED')).toBe(true);
    expect(String(error)).toMatch(/volume "a": cannot use the journal in .*: (ENOSPC|EACCES)/);
    const devices = await journal.saveDevices([{ name: '/dev/xvdba' }]).catch((each: unknown) => each);
    expect(isCode(devices, 'JOURNAL_FAILED')).toBe(true);
    expect(await recordsOf(journal)).toEqual({ records: [plain(heldAs('a'))], damaged: [] });
  });

  it('says so when the disk is read-only, for forgetting too', async () => {
    const { root, close } = await smallDisk();
    const journal = await openJournal(root);
    await journal.save(heldAs('a'));
    await close();
    const writes = [() => journal.save(heldAs('b')), () => journal.forget('a'), () => journal.saveDevices([])];
    for (const write of writes) {
      const error = await write().catch((each: unknown) => each);
      expect(isCode(error, 'JOURNAL_FAILED')).toBe(true);
      expect(String(error)).toMatch(/EROFS|EACCES/);
    }
    expect((await journal.load()).held.map(({ name }) => name)).toEqual(['a']);
  });
});
