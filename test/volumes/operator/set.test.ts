import { beforeEach, describe, expect, it, vi } from 'vitest';
import { tagKeys } from '../../../src/ebs/tags.ts';
import { failure, pass, played, useVirtualTime } from '../../support/virtual-time.ts';
import { bench as driven } from './driven.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

const target = '/ebs/volumes/a';

/** A driver with a volume "a". */
async function bench(options: Record<string, string> = {}) {
  const { ec2, host, driver, operator, journal } = await driven();
  await played(driver.create('a', options));
  const volume = ec2.volumes.get('vol-1');
  if (volume === undefined) throw new Error('no volume');
  const set = (given: Record<string, string>, dryRun = false) => played(operator.setOptions('a', given, { dryRun }));
  return { ec2, host, driver, operator, journal, volume, set };
}

describe('set', () => {
  it('writes what is asked to the tags, takes off what is empty, and says what was', async () => {
    const { volume, set, ec2 } = await bench({ uid: '5', mountOptions: 'noatime' });
    const answer = await set({ mountOptions: 'relatime, discard', uid: '', subdirectory: '/', mode: '750', gid: '' });
    expect(answer).toEqual({
      volumeId: 'vol-1',
      changes: [
        { option: 'mountOptions', was: 'noatime', is: 'relatime,discard' },
        { option: 'uid', was: '5', is: undefined },
        { option: 'subdirectory', was: 'data', is: '/' },
        { option: 'mode', was: undefined, is: '0750' },
      ],
      effective: 'They take effect at the next mount',
    });
    expect(volume.tags).toMatchObject({
      [tagKeys.mountOptions]: 'relatime,discard',
      [tagKeys.subdirectory]: '/',
      [tagKeys.mode]: '0750',
    });
    expect(volume.tags).not.toHaveProperty([tagKeys.uid]);
    const writes = ec2.count('createTags') + ec2.count('deleteTags');
    expect((await set({ subdirectory: '/' })).changes).toEqual([]);
    expect(ec2.count('createTags') + ec2.count('deleteTags')).toBe(writes);
  });

  it('a dry run tells the same and writes nothing', async () => {
    const { volume, set } = await bench();
    const before = { ...volume.tags };
    expect((await set({ subdirectory: '/' }, true)).changes).toEqual([
      { option: 'subdirectory', was: 'data', is: '/' },
    ]);
    expect(volume.tags).toEqual(before);
  });

  it('while it is mounted nothing changes, and the next mount goes by it, also without attaching it anew', async () => {
    const { driver, set, host, journal } = await bench();
    await played(driver.mount('a', 'id-1'));
    expect(await set({ mountOptions: 'noatime', subdirectory: '/' })).toMatchObject({
      effective: expect.stringMatching(/^It is mounted here: they take effect when all who use it have ended/),
    });
    expect(journal.records.get('a')?.volume.tags).toMatchObject({
      [tagKeys.formatted]: 'ext4',
      [tagKeys.subdirectory]: '/',
    });
    expect(host.mounted.get(target)).toMatchObject({ options: ['nosuid', 'nodev', 'errors=remount-ro'] });
    expect(await played(driver.mount('a', 'id-2'))).toBe(`${target}/data`);
    for (const id of ['id-1', 'id-2']) await played(driver.unmount('a', id));
    expect(await played(driver.mount('a', 'id-3'))).toBe(target);
    expect(host.mounted.get(target)).toMatchObject({ options: ['nosuid', 'nodev', 'errors=remount-ro', 'noatime'] });
  });

  it('of a volume that another node has, it says when it counts', async () => {
    const { ec2, volume, set } = await bench();
    ec2.addInstance('i-2');
    ec2.addAttachment(volume, 'i-2');
    expect((await set({ mountOptions: 'noatime' })).effective).toBe(
      'i-2 has it: they take effect when it is attached anew',
    );
  });

  it('gives a volume a schedule, and says when its snapshots begin', async () => {
    const { ec2, volume, set, driver, journal } = await bench();
    vi.setSystemTime(new Date('2026-11-30T12:30:00Z'));
    expect(await set({ snapshots: ' daily:7,hourly:24' })).toEqual({
      volumeId: 'vol-1',
      changes: [{ option: 'snapshots', was: undefined, is: 'hourly:24,daily:7' }],
      effective: expect.stringMatching(/^The first one is taken at the beginning of a slot in which it is in use/),
    });
    expect(volume.tags[tagKeys.snapshots]).toBe('hourly:24,daily:7');
    await played(driver.mount('a', 'id-1'));
    expect((await set({ snapshots: 'hourly:5' })).effective).toMatch(
      /^The next one is taken at 2026-11-30T13:0\d UTC if it is in use then, or when it is given back$/,
    );
    expect(journal.records.get('a')?.volume.tags).toMatchObject({ [tagKeys.snapshots]: 'hourly:5' });
    // What another node has set counts here once the same is set here.
    volume.tags[tagKeys.snapshots] = 'hourly:6';
    expect((await set({ snapshots: 'hourly:6' })).changes).toEqual([]);
    expect(journal.records.get('a')?.volume.tags).toMatchObject({ [tagKeys.snapshots]: 'hourly:6' });
    expect((await set({ snapshots: '' })).effective).toBe('No more are taken by a schedule; those that are there stay');
    expect(volume.tags).not.toHaveProperty([tagKeys.snapshots]);
    await played(driver.unmount('a', 'id-1'));
    await pass(10_000);
    ec2.addInstance('i-2');
    ec2.addAttachment(volume, 'i-2');
    expect((await set({ snapshots: 'daily:7' })).effective).toMatch(
      /^i-2 has it, and goes by this from its next slot on/,
    );
  });

  it.each<[string, Record<string, string>, RegExp]>([
    ['what is no schedule', { snapshots: 'yearly:2' }, /snapshots takes hourly, daily, weekly, each with how many/],
    ['an option that cannot be set', { size: '5' }, /size is no option of an existing volume. These can be set/],
    ['a name that is misspelt', { mountOption: 'ro' }, /Did you mean mountOptions\?/],
    [
      'what mount would not take',
      { mountOptions: 'errors=panic' },
      /mountOptions holds "errors=panic": errors takes only/,
    ],
    ['options of another filesystem', { mountOptions: 'inode64' }, /mountOptions holds "inode64"/],
    ['ro while nothing has been written', { mountOptions: 'ro' }, /a new disk has nothing to read/],
    ['what mkfs would not take', { mkfsOptions: '-d etc' }, /mkfsOptions holds "-d"/],
    ['a way out of the volume', { subdirectory: '../x' }, /subdirectory cannot leave the volume/],
    ['a number that is none', { uid: '99999999999' }, /uid takes a whole number/],
  ])('refuses %s, and then writes nothing of all that was asked', async (_, given, why) => {
    const { volume, set } = await bench();
    const before = { ...volume.tags };
    const error = await failure(set({ gid: '7', ...given }));
    expect(error).toMatchObject({ code: 'INVALID_OPTION' });
    expect(String(error)).toMatch(/volume "a": cannot set its options: /);
    expect(String(error)).toMatch(why);
    expect(volume.tags).toEqual(before);
  });

  it('corrects one bad tag while another is bad, too', async () => {
    const { volume, set, driver } = await bench();
    Object.assign(volume.tags, {
      [tagKeys.mountOptions]: 'errors=panic',
      [tagKeys.uid]: 'root',
      [tagKeys.mkfsOptions]: '-F',
    });
    for (const [option, value] of [
      ['mountOptions', 'noatime'],
      ['mkfsOptions', ''],
      ['uid', '7'],
    ] as const) {
      expect(String(await failure(driver.mount('a', 'id-1')))).toMatch(/docker-volume-ebs set a --/);
      await pass(10_000);
      await set({ [option]: value });
    }
    expect(await played(driver.mount('a', 'id-1'))).toBe(`${target}/data`);
  });

  it('mkfs options are for a volume that has not been formatted', async () => {
    const { set, driver } = await bench();
    expect((await set({ mkfsOptions: '-b 1024' })).changes).toHaveLength(1);
    await played(driver.mount('a', 'id-1'));
    expect(String(await failure(set({ mkfsOptions: '' })))).toContain('it is formatted (ext4), and never again');
  });

  it('what a removal does is set, shown, and counts', async () => {
    const { set, driver, ec2 } = await bench();
    expect(await set({ onRemove: 'retain' })).toMatchObject({
      changes: [{ option: 'onRemove', was: undefined, is: 'retain' }],
      effective: expect.stringContaining('when the volume is removed'),
    });
    expect(String(await failure(set({ onRemove: 'burn' })))).toContain('trash, delete, snapshot, retain');
    await played(driver.mount('a', 'id-1'));
    expect((await driver.get('a')).status).toMatchObject({ onRemove: 'retain' });
    await played(driver.unmount('a', 'id-1'));
    await played(driver.remove('a'));
    expect(ec2.volumes.get('vol-1')?.tags).toMatchObject({ [tagKeys.retained]: 'a' });
  });

  it('a name that nobody has is told', async () => {
    const { operator } = await bench();
    expect(await failure(operator.setOptions('b', { uid: '1' }, { dryRun: false }))).toMatchObject({
      code: 'NO_SUCH_VOLUME',
    });
  });
});

describe('a volume without room for its directory', () => {
  it('says how its root is mounted, and is mounted then', async () => {
    const { driver, host, set } = await bench();
    host.failNext('openSubdirectory', 'UNMADE_SUBDIRECTORY');
    expect(String(await failure(driver.mount('a', 'id-1')))).toMatch(
      /Run docker-volume-ebs set a --subdirectory \/ to have its root mounted; free space there/,
    );
    await set({ subdirectory: '/' });
    expect(await played(driver.mount('a', 'id-1'))).toBe(target);
  });
});
