import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { tryFormat } from '../../src/host/try-format.ts';
import { requires } from '../support/requirements.ts';

const gib = 2 ** 30;
const { skip } = requires('mkfs.xfs');

describe.skipIf(skip)('a dry run of mkfs', () => {
  it.each([
    ['ext4', ['-J', 'size=4096', '-L', 'data'], '-J size=4096', /journal size too big/],
    ['ext4', ['-L', 'data', '-N', '99999999999'], '-N 99999999999', /^too many inodes/],
    ['ext4', ['-b', '65536'], '-b 65536', /blocks too big for system/],
    ['xfs', ['-L', 'data', '-d', 'agcount=9999'], '-d agcount=9999', /./],
    ['xfs', ['-l', 'size=2g'], '-l size=2g', /^Invalid value 2g for -l size option\. Value is too large$/],
  ] as const)('of %s %j on 1 GiB names what cannot be', async (type, options, option, words) => {
    expect(await tryFormat(type, options, gib)).toEqual({ option, words: expect.stringMatching(words) });
  });

  it.each([
    ['ext4', ['-J', 'size=4096'], 64 * gib],
    ['ext4', ['-b', '4096', '-E', 'stride=16', '-O', '^has_journal'], gib],
    ['xfs', ['-l', 'size=1g', '-i', 'size=1024'], 64 * gib],
    ['ext4', [], gib],
    ['btrfs', ['-n', '99'], gib],
    // Too small for any options.
    ['xfs', ['-i', 'size=1024'], 4096],
    // No file here is that large.
    ['ext4', ['-J', 'size=4096'], 2 ** 60],
  ] as const)('of %s %j on %i bytes has nothing to say', async (type, options, bytes) => {
    expect(await tryFormat(type, options, bytes)).toBeUndefined();
  });

  it('leaves nothing behind', async () => {
    const place = await mkdtemp(join(tmpdir(), 'dve-try-'));
    onTestFinished(() => rm(place, { recursive: true }));
    vi.stubEnv('TMPDIR', place);
    onTestFinished(() => void vi.unstubAllEnvs());
    expect(await tryFormat('ext4', ['-b', '65536'], gib)).toBeDefined();
    expect(await readdir(place)).toEqual([]);
  });
});
