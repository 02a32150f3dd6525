import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { knownOptions } from '../../../src/volumes/options/options.ts';
import { parse, refusal } from './reading.ts';

/** A value of every option, and how it is read. */
const samples: [option: string, text: string, read: Record<string, unknown>][] = [
  ['size', '20', { size: 20 }],
  ['type', 'io2', { type: 'io2' }],
  ['volumeType', 'io1', { type: 'io1' }],
  ['iops', '5000', { iops: 5000 }],
  ['throughput', '500', { throughput: 500 }],
  ['encrypted', 'true', { encrypted: true }],
  ['kmsKeyId', 'alias/mine', { kmsKeyId: 'alias/mine' }],
  ['encryptionKey', 'arn:aws:kms:eu-west-1:1:key/a-b', { kmsKeyId: 'arn:aws:kms:eu-west-1:1:key/a-b' }],
  ['snapshotId', 'snap-0123456789abcdef0', { snapshotId: 'snap-0123456789abcdef0' }],
  ['snapshot', 'snap-01234567', { snapshotId: 'snap-01234567' }],
  ['from', 'db', { from: 'db' }],
  ['clone-from', 'db', { from: 'db' }],
  ['volumeName', 'db', { from: 'db' }],
  ['fromSnapshot', 'latest', { fromSnapshot: 'latest' }],
  ['snapshotName', 'before', { fromSnapshot: 'before' }],
  ['initializationRate', '200', { initializationRate: 200 }],
  ['volumeInitializationRate', '300', { initializationRate: 300 }],
  ['ttl', '1d', { ttl: 86_400 }],
  ['availabilityZone', 'eu-west-1b', { availabilityZone: 'eu-west-1b' }],
  ['fsType', 'xfs', { fsType: 'xfs' }],
  ['newFsType', 'btrfs', { fsType: 'btrfs' }],
  ['overwriteFs', 'true', { overwriteFs: true }],
  ['mountOptions', 'noatime,discard', { mountOptions: 'noatime,discard' }],
  ['mkfsOptions', '-i 8192', { mkfsOptions: '-i 8192' }],
  ['subdirectory', 'a/b', { subdirectory: 'a/b' }],
  ['uid', '999', { uid: 999 }],
  ['gid', '0', { gid: 0 }],
  ['mode', '0750', { mode: 0o750 }],
  ['onRemove', 'retain', { onRemove: 'retain' }],
  ['snapshots', 'weekly:4, hourly:24', { snapshots: 'hourly:24,weekly:4' }],
  ['verify', 'Weekly', { verify: 'weekly' }],
  ['fencePolicy', 'never', { fencePolicy: 'never' }],
  ['autoGrow', '80 %', { autoGrow: '80%' }],
  ['autoGrowBy', '50G', { autoGrowBy: '50' }],
  ['autoGrowMax', '1T', { autoGrowMax: 1024 }],
  ['tags', 'team=db,cost centre=4 2', { tags: { team: 'db', 'cost centre': '4 2' } }],
];

it('there is a sample of every option', () => {
  expect(samples.map(([option]) => option).sort()).toEqual([...knownOptions].sort());
});

describe('names of options', () => {
  it.each(samples)('%s=%s is read', (option, text, read) => {
    expect(parse({ [option]: text })).toEqual(read);
  });

  it('are case-insensitive, and values are trimmed', () => {
    const sample = fc.constantFrom(...samples);
    fc.assert(
      fc.property(
        sample,
        fc.infiniteStream(fc.boolean()),
        fc.constantFrom('', ' ', '\t\n'),
        ([option, text, read], upper, space) => {
          const spelled = [...option]
            .map((letter) => (upper.next().value ? letter.toUpperCase() : letter.toLowerCase()))
            .join('');
          expect(parse({ [spelled]: space + text + space })).toEqual(read);
        },
      ),
    );
  });

  it('are each read on their own', () => {
    const some = fc.uniqueArray(fc.constantFrom(...samples), { selector: ([, , read]) => Object.keys(read)[0] });
    fc.assert(
      fc.property(some, (chosen) => {
        const raw = Object.fromEntries(chosen.map(([option, text]) => [option, text]));
        expect(parse(raw)).toEqual(Object.assign({}, ...chosen.map(([, , read]) => read)));
      }),
    );
  });

  it('an unknown one is refused with the nearest and all that are known', () => {
    const message = refusal({ sise: '20' });
    expect(message).toContain('volume "data"');
    expect(message).toContain('there is no option "sise"');
    expect(message).toContain('Did you mean size?');
    for (const option of knownOptions) expect(message).toContain(option);
  });

  it.each(['__proto__', 'constructor', 'toString', ''])('%j is not one', (option) => {
    expect(refusal(JSON.parse(`{${JSON.stringify(option)}: "1"}`))).toContain('there is no option');
  });

  it('without a guess where nothing is near', () => {
    const message = refusal({ overwriteEverything: 'true' });
    expect(message).toContain('there is no option "overwriteEverything"');
    expect(message).not.toContain('Did you mean');
  });

  it('an alias that says the same is taken, one that contradicts is refused', () => {
    expect(parse({ type: 'gp2', volumeType: 'gp2', Type: ' gp2 ' })).toEqual({ type: 'gp2' });
    expect(parse({ size: '20', SIZE: '20GB' })).toEqual({ size: 20 });
    expect(refusal({ type: 'gp2', volumetype: 'gp3' })).toContain('type=gp2 and volumetype=gp3 contradict each other');
    expect(refusal({ size: '1', SIZE: '2' })).toContain('size=1 and SIZE=2 contradict each other');
  });

  it('none at all is nothing', () => {
    expect(parse({})).toEqual({});
  });
});

describe('values', () => {
  it.each([
    ['size', '0'],
    ['size', '2147483648'],
    ['size', '-1'],
    ['size', '1.5'],
    ['size', '10PiB'],
    ['size', '1000M'],
    ['size', '0.3T'],
    ['size', ''],
    ['size', '1e3'],
    ['type', 'gp4'],
    ['iops', '0'],
    ['iops', '2147483648'],
    ['iops', 'fast'],
    ['throughput', '2147483648'],
    ['throughput', '0'],
    ['encrypted', 'maybe'],
    ['encrypted', 'constructor'],
    ['encrypted', ''],
    ['kmsKeyId', 'a key'],
    ['kmsKeyId', ''],
    ['snapshotId', 'vol-0123456789abcdef0'],
    ['snapshotId', 'snap-xyz'],
    ['availabilityZone', 'eu west'],
    ['fsType', 'ntfs'],
    ['fsType', 'ext3'],
    ['uid', '4294967295'],
    ['uid', '-1'],
    ['gid', 'root'],
    ['mode', '0999'],
    ['mode', '75'],
    ['mode', 'rwxr-x---'],
    ['fencePolicy', 'lease'],
    ['fencePolicy', ''],
    ['tags', 'a'],
    ['tags', 'a=1,b'],
    ['tags', '=1'],
    ['tags', 'a=1, =2'],
    ['tags', 'a=1,a=2'],
  ])('%s=%j is refused with its name and value', (option, text) => {
    const message = refusal({ [option]: text });
    expect(message).toContain(`${option} takes`);
    expect(message).toContain(JSON.stringify(text));
  });

  it('the message spells the option as the caller did', () => {
    expect(refusal({ VolumeType: 'gp9' })).toContain('VolumeType takes one of gp3, gp2');
  });

  it.each(['20', '20g', '20 GB', '20GiB', '020', '20480M', '20480 mib', '20.0G'])('size=%j is 20 GiB', (text) => {
    expect(parse({ size: text })).toEqual({ size: 20 });
  });

  it('a size is written in M, G or T, and a refusal says so', () => {
    expect(parse({ size: '10GB' })).toEqual({ size: 10 });
    expect(parse({ size: '1T' })).toEqual({ size: 1024 });
    expect(parse({ size: '1.5TiB' })).toEqual({ size: 1536 });
    expect(parse({ size: '10240M' })).toEqual({ size: 10 });
    expect(refusal({ size: '10241M' })).toContain(
      'size takes a whole number of GiB, 1 to 2147483647, also as 20GB, 10240M or 1.5T, not "10241M"',
    );
  });

  it.each(['ro', 'readonly', 'ReadOnly', 'read_only'])('%s is said for a container, not for the volume', (option) => {
    expect(refusal({ [option]: 'true' })).toMatch(/is not taken: .* docker run -v NAME:\/data:ro.*\. Leave it out\.$/);
  });

  it.each([
    ['true', true],
    ['TRUE', true],
    ['1', true],
    ['yes', true],
    ['false', false],
    ['No', false],
    ['0', false],
  ])('encrypted=%s is %s', (text, read) => {
    expect(parse({ encrypted: text })).toEqual({ encrypted: read });
  });

  it.each([
    ['0750', 0o750],
    ['750', 0o750],
    ['1777', 0o1777],
    ['07777', 0o7777],
  ])('mode=%s is octal', (text, read) => {
    expect(parse({ mode: text })).toEqual({ mode: read });
  });
});

describe('tags', () => {
  it.each(['aws:x=1', 'AWS:x=1', 'docker-volume-ebs:filesystem=ext4', 'Name=x', 'a=1, Name=x'])(
    '%j are reserved',
    (text) => {
      expect(refusal({ tags: text })).toContain('tags cannot set the reserved key');
    },
  );

  it('keep what follows the first equals sign', () => {
    expect(parse({ tags: 'a=b=c, d =' })).toEqual({ tags: { a: 'b=c', d: '' } });
  });

  it('are at most 30, with keys of 127 and values of 256 characters', () => {
    const many = (count: number) => Array.from({ length: count }, (_, index) => `k${index}=v`).join(',');
    expect(Object.keys(parse({ tags: many(30) }).tags ?? {})).toHaveLength(30);
    expect(refusal({ tags: many(31) })).toContain('at most 30 tags');
    const longest = `${'k'.repeat(127)}=${'v'.repeat(256)}`;
    expect(parse({ tags: longest }).tags).toEqual({ ['k'.repeat(127)]: 'v'.repeat(256) });
    expect(refusal({ tags: `k${longest}` })).toContain('at most 127');
    expect(refusal({ tags: `${longest}v` })).toContain('at most 256');
  });
});
