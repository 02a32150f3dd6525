import { describe, expect, it } from 'vitest';
import { tagKeys } from '../../../src/ebs/tags.ts';
import type { EbsVolume } from '../../../src/ebs/types.ts';
import { createLookup } from '../../../src/volumes/state/lookup.ts';
import { createNameMemory } from '../../../src/volumes/state/memory.ts';
import { FakeEc2 } from '../../support/fake-ec2.ts';
import { asSeen, bench, tagsOf, unlist } from './lookup-bench.ts';

describe('what is remembered', () => {
  it('of names is what was seen last, about 2,000 of them', async () => {
    const ec2 = new FakeEc2();
    let kept: ReadonlyMap<string, EbsVolume> = new Map();
    const memory = {
      known: new Map<string, EbsVolume>(),
      keep: async (known: ReadonlyMap<string, EbsVolume>) => {
        kept = known;
      },
    };
    const names = createNameMemory(memory);
    const lookup = createLookup(ec2, names);
    for (let index = 0; index < 1999; index++) {
      names.made(`v${index}`, await asSeen(ec2, ec2.addVolume({ tags: tagsOf(`v${index}`) }).id));
    }
    await lookup.find('v0');
    for (const name of ['x', 'y', 'z']) {
      names.made(name, await asSeen(ec2, ec2.addVolume({ tags: tagsOf(name) }).id));
    }
    expect(kept.size).toBe(2000);
    expect(['v0', 'v1', 'v2', 'v3', 'z'].map((name) => kept.has(name))).toEqual([true, false, false, true, true]);
    expect((await lookup.find('v1'))?.tags).toEqual(tagsOf('v1'));
  });

  it('of generations is those whose tokens EC2 is sure to remember: other nodes must come to the same next one', async () => {
    const { ec2, names } = bench();
    const hourMs = 3_600_000;
    const removed = async (name: string, ageMs: number) => {
      const createdAt = new Date(Date.now() - ageMs).toISOString();
      const { id } = ec2.addVolume({ createdAt, tags: tagsOf(name, { [tagKeys.generation]: '0' }) });
      names.removed(name, await asSeen(ec2, id));
    };
    await removed('young', 5 * hourMs);
    await removed('old', 7 * hourMs);
    expect([names.nextGeneration('young'), names.nextGeneration('old')]).toEqual([1, 0]);
  });

  it('of generations outlives the daemon', async () => {
    const ec2 = new FakeEc2();
    let kept: ReadonlyMap<string, EbsVolume> = new Map();
    const keep = async (known: ReadonlyMap<string, EbsVolume>) => {
      kept = known;
    };
    const volume = await asSeen(ec2, ec2.addVolume({ tags: tagsOf('a', { [tagKeys.generation]: '3' }) }).id);
    createNameMemory({ known: new Map(), keep }).removed('a', volume);
    const names = createNameMemory({ known: kept, keep });
    expect(names.nextGeneration('a')).toBe(4);
    expect([names.known('a'), names.all()]).toEqual([undefined, []]);
  });

  it('of a volume that another node removed is that it is gone, once no read can be from before it came', async () => {
    const { ec2, clock, names, lookup } = bench();
    const { id } = ec2.addVolume({ tags: tagsOf('a', { [tagKeys.generation]: '0' }) });
    await lookup.find('a');
    clock.ms += 20_001;
    unlist(ec2, id);
    expect([names.isEnded('a'), await lookup.find('a'), names.isEnded('a')]).toEqual([false, undefined, true]);
    expect(names.nextGeneration('a')).toBe(1);
    ec2.addVolume({ tags: tagsOf('b', { [tagKeys.generation]: '0' }) });
    await lookup.find('b');
    unlist(ec2, 'vol-2');
    expect([await lookup.find('b'), names.isEnded('b'), names.nextGeneration('b')]).toEqual([undefined, false, 0]);
  });

  it('before EC2 answers for the first time, the names of an earlier daemon are listed', async () => {
    const ec2 = new FakeEc2();
    const volume = await asSeen(ec2, ec2.addVolume({ tags: tagsOf('a') }).id);
    const lookup = createLookup(ec2, createNameMemory({ known: new Map([['a', volume]]), keep: async () => {} }));
    ec2.failNext('listVolumes', 'EC2_THROTTLED');
    expect(await lookup.list()).toMatchObject({ value: [{ id: volume.id }], stale: expect.stringContaining('before') });
  });
});
