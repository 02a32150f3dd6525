import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { tagKeys } from '../../../src/ebs/tags.ts';
import { isCode } from '../../../src/errors.ts';
import { checkDefaults } from '../../../src/volumes/options/defaults.ts';
import { planFormat, planMount } from '../../../src/volumes/options/mount-plan.ts';
import { parseOptions } from '../../../src/volumes/options/options.ts';
import { planVolume } from '../../../src/volumes/options/plan.ts';
import { mountRaw, plan, settings, zone } from './planned.ts';

describe('planMount', () => {
  it('reads from the tags what planVolume wrote', () => {
    fc.assert(
      fc.property(mountRaw, (given) => {
        const raw = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
        const options = parseOptions('data', raw);
        const { tags } = planVolume('data', options, settings, zone);
        const mount = planMount('data', tags, settings);
        const fsType = options.fsType ?? 'ext4';
        const always = ['nosuid', 'nodev', ...(fsType === 'ext4' ? ['errors=remount-ro'] : [])];
        expect(planFormat('data', tags, mount)).toEqual(options.mkfsOptions?.split(' ') ?? []);
        expect(mount).toEqual({
          fsType,
          mountOptions: [...always, ...(options.mountOptions?.split(',') ?? [])],
          subdirectory: options.subdirectory ?? 'data',
          owner: { uid: options.uid, gid: options.gid, mode: options.mode },
          formatted: undefined,
        });
      }),
    );
  });

  it('gives the same on a node with other defaults for filesystem and subdirectory', () => {
    const { tags } = plan({});
    const elsewhere = { ...settings, fsType: 'xfs', subdirectory: 'other' } as const;
    expect(planMount('data', tags, elsewhere)).toEqual(planMount('data', tags, settings));
  });

  it("takes the node's settings where the tags are silent", () => {
    const defaults = { ...settings, fsType: 'xfs', mountOptions: 'noatime,,ro', subdirectory: '/' } as const;
    expect(planMount('data', {}, defaults)).toMatchObject({
      fsType: 'xfs',
      mountOptions: ['nosuid', 'nodev', 'noatime', 'ro'],
      subdirectory: '/',
      owner: { uid: undefined, gid: undefined, mode: undefined },
    });
  });

  it("gives a new directory the node's owner and mode where its tags say none, and refuses what is no number", () => {
    const remapped = { ...settings, uid: '231072', gid: '231073', mode: '0770' };
    expect(planMount('data', {}, remapped).owner).toEqual({ uid: 231072, gid: 231073, mode: 0o770 });
    const tags = { [tagKeys.uid]: '5', [tagKeys.mode]: '0700' };
    expect(planMount('data', tags, remapped).owner).toEqual({ uid: 5, gid: 231073, mode: 0o700 });
    expect(() => checkDefaults({ ...settings, uid: 'postgres' })).toThrow(/^cannot use DVE_UID="postgres"/);
  });

  it('tells what was formatted, and refuses a filesystem that nobody knows', () => {
    expect(planMount('data', { [tagKeys.formatted]: 'xfs' }, settings).formatted).toBe('xfs');
    expect(() => planMount('data', { [tagKeys.fsType]: 'zfs' }, settings)).toThrow(/says "zfs", which is none of ext4/);
  });
});

describe('a tag that anybody may have written', () => {
  const read = (key: string, value: string, tags: object = {}) => {
    try {
      const plan = planMount('a b', { ...tags, [key]: value }, settings);
      return { ...plan, mkfs: planFormat('a b', { ...tags, [key]: value }, plan) };
    } catch (error) {
      if (!isCode(error, 'INVALID_OPTION')) throw error;
      return error.message;
    }
  };

  it.each([
    [tagKeys.uid, '99999999999', 'it takes a whole number from 0 to 4294967294, not "99999999999"', 'uid'],
    [tagKeys.gid, 'root', 'it takes a whole number', 'gid'],
    [tagKeys.mode, '10777777', 'it takes octal permission bits', 'mode'],
    [tagKeys.subdirectory, '../..', 'it cannot leave the volume', 'subdirectory'],
    [
      tagKeys.mountOptions,
      'noatime,errors=panic',
      'it holds "errors=panic": errors takes only remount-ro',
      'mount-options',
    ],
    [tagKeys.mountOptions, 'bind', 'it holds "bind"', 'mount-options'],
    [tagKeys.mkfsOptions, '-d etc', 'it holds "-d"', 'mkfs-options'],
  ])('%s=%s is refused with the command that corrects it', (key, value, why, flag) => {
    const message = read(key, value);
    expect(message).toContain(`volume "a b": cannot use its tag ${key}: ${why}`);
    expect(message).toContain(`docker-volume-ebs set 'a b' --${flag}='…'`);
  });

  it('an unused one is nobody’s trouble: mkfs options of what was formatted, mount options of another filesystem', () => {
    const plan = planMount('a', { [tagKeys.mkfsOptions]: '-d etc', [tagKeys.formatted]: 'ext4' }, settings);
    expect(plan.mountOptions).toEqual(['nosuid', 'nodev', 'errors=remount-ro']);
    const adopted = planMount('a', { [tagKeys.mountOptions]: 'inode64' }, settings, 'xfs');
    expect(adopted.mountOptions).toEqual(['nosuid', 'nodev', 'inode64']);
  });

  it('a disk without a filesystem is not mounted for reading alone', () => {
    expect(read(tagKeys.mountOptions, 'ro')).toContain('say ro, and a new disk has nothing to read');
  });
});
