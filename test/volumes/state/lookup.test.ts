import { describe, expect, it, vi } from 'vitest';
import { tagKeys } from '../../../src/ebs/tags.ts';
import { isCode } from '../../../src/errors.ts';
import { createLookup, nameOf } from '../../../src/volumes/state/lookup.ts';
import { createNameMemory } from '../../../src/volumes/state/memory.ts';
import { ec2Error, FakeEc2 } from '../../support/fake-ec2.ts';
import { pass, useVirtualTime } from '../../support/virtual-time.ts';
import { asSeen, bench, hide, listedIds, tagsOf, unlist } from './lookup-bench.ts';

describe('find', () => {
  it('gives the volume whose tag is the encoded name', async () => {
    const { ec2, lookup } = bench();
    const { id } = ec2.addVolume({ tags: tagsOf('a=2Fb') });
    ec2.addVolume({ tags: tagsOf('other') });
    expect((await lookup.find('a/b'))?.id).toBe(id);
    expect(await lookup.find('a')).toBeUndefined();
  });

  it('refuses a name that several volumes carry, naming each', async () => {
    const { ec2, lookup } = bench();
    ec2.addVolume({ tags: tagsOf('a') });
    ec2.addVolume({ tags: tagsOf('a'), zone: 'eu-west-1b', state: 'creating' });
    const error = await lookup.find('a').catch((each: unknown) => each);
    expect(isCode(error, 'AMBIGUOUS_NAME')).toBe(true);
    expect(String(error)).toMatch(/vol-1 \(eu-west-1a, available, .*; vol-2 \(eu-west-1b, creating, /);
  });

  it.each(['deleting', 'deleted'] as const)('does not count a volume that EC2 shows as %s', async (state) => {
    const { ec2, lookup } = bench();
    ec2.addVolume({ tags: tagsOf('a'), state });
    expect(await lookup.find('a')).toBeUndefined();
    const { id } = ec2.addVolume({ tags: tagsOf('a') });
    expect((await lookup.find('a'))?.id).toBe(id);
  });

  it.each(['EC2_THROTTLED', 'EC2_UNAVAILABLE', 'EC2_DENIED'] as const)(
    'a read that fails with %s is never "absent"',
    async (code) => {
      const { ec2, lookup } = bench();
      ec2.addVolume({ tags: tagsOf('a') });
      await lookup.find('a');
      ec2.failNext('findVolumes', code);
      await expect(lookup.find('a')).rejects.toMatchObject({ code });
      ec2.failNext('listVolumes', code);
      await expect(lookup.list()).rejects.toMatchObject({ code });
    },
  );

  it('refuses a name that cannot be encoded without asking EC2', async () => {
    const { ec2, lookup } = bench();
    await expect(lookup.find('')).rejects.toMatchObject({ code: 'INVALID_NAME' });
    expect(ec2.calls).toEqual([]);
  });
});

describe('a volume made here', () => {
  it('is there though no listing shows it, as long as EC2 knows its id', async () => {
    const { ec2, clock, names, lookup } = bench();
    const volume = ec2.addVolume({ tags: tagsOf('a') });
    names.made('a', await asSeen(ec2, volume.id));
    hide(ec2);
    expect((await lookup.find('a'))?.id).toBe(volume.id);
    clock.ms += 60_000;
    expect((await lookup.find('a'))?.id).toBe(volume.id);
    unlist(ec2, volume.id);
    expect(await lookup.find('a')).toBeUndefined();
    ec2.findVolumes = () => Promise.reject(ec2Error('EC2_THROTTLED'));
    await expect(lookup.look('a')).rejects.toMatchObject({ code: 'EC2_THROTTLED' });
  });

  it('is gone once EC2 does not know its id either, or has listed it before', async () => {
    const { ec2, names, lookup } = bench();
    const volume = ec2.addVolume({ tags: tagsOf('a') });
    names.made('a', await asSeen(ec2, volume.id));
    expect((await lookup.find('a'))?.id).toBe(volume.id);
    unlist(ec2, volume.id);
    expect(await lookup.find('a')).toBeUndefined();
  });

  it('is there for 20 s though no read of EC2 shows it yet, and known here after that', async () => {
    const { ec2, clock, names, lookup } = bench();
    const volume = ec2.addVolume({ tags: tagsOf('a') });
    names.made('a', await asSeen(ec2, volume.id));
    unlist(ec2, volume.id);
    expect((await lookup.find('a'))?.id).toBe(volume.id);
    clock.ms += 19_999;
    expect((await lookup.look('a'))?.value.id).toBe(volume.id);
    ec2.volumes.set(volume.id, volume);
    hide(ec2);
    clock.ms += 10_000;
    expect((await lookup.find('a'))?.id).toBe(volume.id);
    unlist(ec2, volume.id);
    expect(await lookup.find('a')).toBeUndefined();
  });

  it('is gone when a read shows it as such, whatever the next one says', async () => {
    const { ec2, names, lookup } = bench();
    const volume = ec2.addVolume({ tags: tagsOf('a') });
    names.made('a', await asSeen(ec2, volume.id));
    volume.state = 'deleting';
    expect(await lookup.find('a')).toBeUndefined();
    unlist(ec2, volume.id);
    expect(await lookup.find('a')).toBeUndefined();
  });

  it('is there though it was made while its name was being read', async () => {
    const { ec2, names, lookup } = bench();
    const earlier = ec2.addVolume({ tags: tagsOf('a') });
    names.made('a', await asSeen(ec2, earlier.id));
    await lookup.find('a');
    unlist(ec2, earlier.id);
    const volume = { ...(await asSeen(ec2, ec2.addVolume({ tags: tagsOf('a') }).id)) };
    unlist(ec2, volume.id);
    ec2.describeVolume = async () => {
      names.made('a', volume);
      return undefined;
    };
    expect((await lookup.find('a'))?.id).toBe(volume.id);
    ec2.describeVolume = async () => undefined;
    expect((await lookup.find('a'))?.id).toBe(volume.id);
  });

  it('is listed too though EC2 does not list it, and once when it does', async () => {
    const { ec2, clock, names, lookup } = bench();
    const volume = ec2.addVolume({ tags: tagsOf('a') });
    names.made('a', await asSeen(ec2, volume.id));
    expect(await listedIds(lookup)).toEqual([volume.id]);
    unlist(ec2, volume.id);
    expect(await listedIds(lookup)).toEqual([volume.id]);
    clock.ms += 20_001;
    expect(await listedIds(lookup)).toEqual([]);
  });

  it('is read as EC2 shows it once it is listed', async () => {
    const { ec2, names, lookup } = bench();
    const volume = ec2.addVolume({ tags: tagsOf('a'), state: 'creating' });
    names.made('a', await asSeen(ec2, volume.id));
    volume.state = 'available';
    expect((await lookup.find('a'))?.state).toBe('available');
  });

  it('is not there any more once it is removed', async () => {
    const { ec2, names, lookup } = bench();
    const volume = ec2.addVolume({ tags: tagsOf('a') });
    const seen = await asSeen(ec2, volume.id);
    names.made('a', seen);
    names.removed('a', seen);
    expect(await lookup.find('a')).toBeUndefined();
    ec2.failNext('findVolumes', 'EC2_THROTTLED');
    await expect(lookup.look('a')).rejects.toMatchObject({ code: 'EC2_THROTTLED' });
  });
});

describe('a volume removed here', () => {
  it('is hidden for 20 s though reads still list it', async () => {
    const { ec2, clock, names, lookup } = bench();
    const volume = ec2.addVolume({ tags: tagsOf('a') });
    names.removed('a', await asSeen(ec2, volume.id));
    expect(await lookup.find('a')).toBeUndefined();
    expect(await listedIds(lookup)).toEqual([]);
    clock.ms += 20_001;
    await lookup.find('b');
    expect((await lookup.find('a'))?.id).toBe(volume.id);
  });

  it('is listed again after that, if EC2 still has it', async () => {
    const { ec2, clock, names, lookup } = bench();
    const volume = ec2.addVolume({ tags: tagsOf('a') });
    names.removed('a', await asSeen(ec2, volume.id));
    clock.ms += 20_001;
    expect(await listedIds(lookup)).toEqual([volume.id]);
    expect((await lookup.find('a'))?.id).toBe(volume.id);
  });

  it('does not hide another of its name', async () => {
    const { ec2, names, lookup } = bench();
    names.removed('a', await asSeen(ec2, ec2.addVolume({ tags: tagsOf('a') }).id));
    const { id } = ec2.addVolume({ tags: tagsOf('a') });
    expect((await lookup.find('a'))?.id).toBe(id);
  });

  it('uses up its generation of tokens', async () => {
    const { ec2, names } = bench();
    const removed = async (tags: Record<string, string>) =>
      names.removed('a', await asSeen(ec2, ec2.addVolume({ tags: tagsOf('a', tags) }).id));
    expect(names.nextGeneration('a')).toBe(0);
    await removed({ [tagKeys.generation]: '3' });
    expect(names.nextGeneration('a')).toBe(4);
    await removed({ [tagKeys.generation]: '1' });
    expect(names.nextGeneration('a')).toBe(4);
    await removed({});
    expect(names.nextGeneration('a')).toBe(4);
    expect(names.nextGeneration('b')).toBe(0);
    // No token made it, so that others find the first one unused.
    names.removed('b', await asSeen(ec2, ec2.addVolume({ tags: tagsOf('b', { [tagKeys.generation]: 'x' }) }).id));
    expect(names.nextGeneration('b')).toBe(0);
  });
});

describe('an answer', () => {
  it('is old after a second, also where the clock on the wall was set back meanwhile', async () => {
    useVirtualTime();
    const ec2 = new FakeEc2();
    const lookup = createLookup(ec2, createNameMemory());
    const { id } = ec2.addVolume({ tags: tagsOf('a') });
    expect((await lookup.look('a'))?.value.id).toBe(id);
    await lookup.list();
    vi.setSystemTime(Date.now() - 3_600_000);
    await pass(1500);
    ec2.volumes.clear();
    expect(await lookup.look('a')).toBeUndefined();
    expect(await lookup.list()).toEqual({ value: [] });
  });
});

describe('a read that began before something was learnt', () => {
  it('does not bring back what was known then', async () => {
    const { ec2, clock, names, lookup } = bench();
    const older = await asSeen(ec2, ec2.addVolume({ tags: tagsOf('a') }).id);
    const newer = { ...older, id: 'vol-newer' };
    ec2.findVolumes = async () => {
      clock.ms += 10;
      names.learn('a', newer);
      return [older];
    };
    await lookup.look('a');
    expect(names.known('a')?.value.id).toBe('vol-newer');
  });
});

describe('nameOf', () => {
  it('reads the tag, and nothing from one that encodes no name', async () => {
    const { ec2 } = bench();
    const named = async (tag?: string) =>
      nameOf(await asSeen(ec2, ec2.addVolume({ tags: tag === undefined ? {} : { [tagKeys.name]: tag } }).id));
    expect(await named('a=2Fb')).toBe('a/b');
    expect(await named('a/b')).toBeUndefined();
    expect(await named()).toBeUndefined();
  });
});
