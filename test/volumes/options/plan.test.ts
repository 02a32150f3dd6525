import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { tagKeys } from '../../../src/ebs/tags.ts';
import { isCode } from '../../../src/errors.ts';
import { type CreateOptions, parseOptions } from '../../../src/volumes/options/options.ts';
import { clientToken, differences, planVolume } from '../../../src/volumes/options/plan.ts';
import { volumeWith } from '../../support/fake-volume.ts';
import { mountRaw, plan, settings, zone } from './planned.ts';

const refusal = (raw: Record<string, string>): string => {
  try {
    return `planned ${JSON.stringify(plan(raw))}`;
  } catch (error) {
    if (!isCode(error, 'INVALID_OPTION')) throw error;
    return error.message;
  }
};

describe('planVolume', () => {
  it('asks for the defaults where the options are silent', () => {
    expect(plan({})).toEqual({
      zone,
      type: 'gp3',
      sizeGib: 16,
      iops: undefined,
      throughput: undefined,
      encrypted: undefined,
      kmsKeyId: undefined,
      snapshotId: undefined,
      tags: {
        Name: 'data',
        [tagKeys.cluster]: 'default',
        [tagKeys.name]: 'data',
        [tagKeys.fsType]: 'ext4',
        [tagKeys.subdirectory]: 'data',
      },
    });
  });

  it('keeps the schedule of snapshots in one spelling, which a second create may give in another', () => {
    const asked = plan({ snapshots: 'weekly:4, hourly:24' }).tags;
    expect(asked[tagKeys.snapshots]).toBe('hourly:24,weekly:4');
    const there = volumeWith({ tags: asked });
    expect(differences(parseOptions('data', { snapshots: 'HOURLY:24,weekly:4' }), there)).toEqual([]);
    expect(differences(parseOptions('data', { snapshots: 'daily:7' }), there)).toEqual([
      'snapshots is hourly:24,weekly:4, asked daily:7',
    ]);
  });

  it('keeps how often snapshots are verified, which a second create must give the same', () => {
    const asked = plan({ verify: 'weekly' }).tags;
    expect(asked[tagKeys.verify]).toBe('weekly');
    expect(differences(parseOptions('data', { verify: 'daily' }), volumeWith({ tags: asked }))).toEqual([
      'verify is weekly, asked daily',
    ]);
  });

  it('asks for what the options say', () => {
    const raw = { size: '100', type: 'io2', iops: '5000', availabilityZone: zone, uid: '999', mode: '750' };
    expect(plan(raw, { size: 1, type: 'gp2' })).toMatchObject({
      type: 'io2',
      sizeGib: 100,
      iops: 5000,
      tags: { [tagKeys.uid]: '999', [tagKeys.mode]: '0750' },
    });
  });

  it.each(['never', 'NEVER', 'instance-not-running'])(
    'takes the fence policy %s, as strict as the daemon or more',
    (policy) => {
      expect(plan({ fencePolicy: policy }).tags).toMatchObject({ [tagKeys.fencePolicy]: policy.toLowerCase() });
    },
  );

  it('refuses a fence policy laxer than the daemon', () => {
    expect(refusal({ fencePolicy: 'stonith' })).toContain(
      "fencePolicy=stonith is laxer than the policy of this node, instance-not-running; a volume's may only be stricter",
    );
    expect(plan({ fencePolicy: 'stonith' }, { fencePolicy: 'preempt' }).tags[tagKeys.fencePolicy]).toBe('stonith');
  });

  it('leaves the size to a snapshot unless it is given', () => {
    const snapshotId = 'snap-0123456789abcdef0';
    expect(plan({ snapshotId })).toMatchObject({ snapshotId, sizeGib: undefined });
    expect(plan({ snapshotId, size: '40' })).toMatchObject({ snapshotId, sizeGib: 40 });
  });

  it.each<[string, Record<string, string>, Partial<typeof settings>, object]>([
    ['nothing said', {}, {}, { encrypted: undefined, kmsKeyId: undefined }],
    ['asked', { encrypted: 'true' }, {}, { encrypted: true, kmsKeyId: undefined }],
    ['by a key', { kmsKeyId: 'alias/k' }, {}, { encrypted: true, kmsKeyId: 'alias/k' }],
    ['by default', {}, { encrypted: true }, { encrypted: true, kmsKeyId: undefined }],
    ['by default with a key', {}, { encrypted: true, kmsKeyId: 'd' }, { encrypted: true, kmsKeyId: 'd' }],
    ['asked, with the default key', { encrypted: 'true' }, { kmsKeyId: 'd' }, { encrypted: true, kmsKeyId: 'd' }],
    ['own key before the default one', { kmsKeyId: 'k' }, { kmsKeyId: 'd' }, { encrypted: true, kmsKeyId: 'k' }],
    ['a default key alone does not encrypt', {}, { kmsKeyId: 'd' }, { encrypted: undefined, kmsKeyId: undefined }],
    [
      'declined',
      { encrypted: 'false' },
      { encrypted: true, kmsKeyId: 'd' },
      { encrypted: undefined, kmsKeyId: undefined },
    ],
  ])('encryption: %s', (_, raw, own, expected) => {
    expect(plan(raw, own)).toMatchObject(expected);
  });

  it('refuses combinations that cannot be', () => {
    expect(refusal({ encrypted: 'false', kmsKeyId: 'k' })).toContain('encrypted=false and a KMS key contradict');
    expect(refusal({ type: 'io1' })).toContain('type io1 needs iops');
    expect(refusal({ availabilityZone: 'eu-west-1b' })).toMatch(
      /availabilityZone is eu-west-1b and this node is in eu-west-1a/,
    );
    const long = Array.from({ length: 40 }, () => '-i 8192').join(' ');
    expect(refusal({ mkfsOptions: long })).toContain('does not fit a tag of 256 characters');
  });

  it.each<[Record<string, string>, RegExp]>([
    [{ mkfsOptions: '-d etc' }, /mkfsOptions holds "-d"/],
    [{ mkfsOptions: '-b size=4096' }, /mkfsOptions has -b, which takes one of/],
    [{ mkfsOptions: '-i size=512', snapshotId: 'snap-01234567', fsType: 'ext4' }, /mkfsOptions has -i/],
    [{ mountOptions: 'noatim' }, /mountOptions holds "noatim": there is no "noatim" here \(did you mean noatime\?\)/],
    [{ mountOptions: 'inode64' }, /mountOptions holds "inode64"/],
    [{ mountOptions: 'suid' }, /is for the owner of the host to allow/],
    [{ mountOptions: 'noatime,ro' }, /holds "ro", and a new disk has nothing to read/],
    [{ mountOptions: 'subvol=x', fsType: 'btrfs' }, /names a subvolume, and a new disk has none/],
    [{ mountOptions: 'prjquota' }, /Give mkfsOptions "-O project,quota" as well/],
  ])('refuses at create what could not be mounted: %j', (raw, why) => {
    expect(refusal(raw)).toMatch(why);
  });

  it('takes what some filesystem takes where only the snapshot knows which it has', () => {
    const snapshotId = 'snap-0123456789abcdef0';
    for (const mountOptions of ['ro', 'inode64', 'subvol=x', 'data=ordered', 'ro,norecovery']) {
      expect(plan({ snapshotId, mountOptions }).tags[tagKeys.mountOptions]).toBe(mountOptions);
    }
    expect(refusal({ snapshotId, mountOptions: 'data=ordered,inode64' })).toContain('mountOptions holds "inode64"');
    expect(plan({ mountOptions: 'prjquota', mkfsOptions: '-O project,quota' })).toBeDefined();
    expect(plan({ mountOptions: 'suid' }, { mountAllow: ['suid'] })).toBeDefined();
  });

  it('puts our tags above default ones and those of the options', () => {
    const { tags } = plan({ tags: 'team=db,stage=prod' }, { tags: 'team=none,owner=a=b', cluster: 'blue' });
    expect(tags).toMatchObject({ team: 'db', stage: 'prod', owner: 'a=b', [tagKeys.cluster]: 'blue', Name: 'data' });
  });

  it('tags a name in its encoded form', () => {
    expect(plan({}, {}, 'a*b').tags).toMatchObject({ Name: 'a=2Ab', [tagKeys.name]: 'a=2Ab' });
  });
});

describe('clientToken', () => {
  const key = fc.tuple(fc.string(), fc.string(), fc.nat(300));

  it('is at most 64 ASCII characters, and the same for the same', () => {
    fc.assert(
      fc.property(key, ([cluster, name, generation]) => {
        const token = clientToken(cluster, name, generation);
        expect(token).toMatch(/^[\x21-\x7e]{1,64}$/);
        expect(clientToken(cluster, name, generation)).toBe(token);
      }),
    );
  });

  it('differs across cluster, name and generation', () => {
    fc.assert(
      fc.property(key, key, (a, b) => {
        fc.pre(JSON.stringify(a) !== JSON.stringify(b));
        expect(clientToken(...a)).not.toBe(clientToken(...b));
      }),
    );
    expect(clientToken('a', 'b1', 1)).not.toBe(clientToken('a', 'b', 11));
    expect(clientToken('ab', 'c', 1)).not.toBe(clientToken('a', 'bc', 1));
  });
});

describe('differences', () => {
  const volume = volumeWith({
    encrypted: true,
    kmsKeyId: 'arn:aws:kms:eu-west-1:1:key/a-b',
    tags: { ...plan({ uid: '1', mode: '0750', tags: 'team=db', mountOptions: 'noatime' }).tags },
  });
  const asked = (raw: Record<string, string>) => differences(parseOptions('data', raw), volume);

  it('compares only what was asked', () => {
    expect(asked({})).toEqual([]);
    expect(differences({}, volumeWith({ sizeGib: 7, type: 'st1', tags: {} }))).toEqual([]);
  });

  it.each<[Record<string, string>]>([
    [{ size: '16', type: 'gp3', iops: '3000', throughput: '125' }],
    [{ encrypted: 'true', kmsKeyId: 'a-b' }],
    [{ kmsKeyId: 'arn:aws:kms:eu-west-1:1:key/a-b' }],
    [{ kmsKeyId: 'alias/any' }],
    [{ availabilityZone: zone, fsType: 'ext4', subdirectory: 'data', uid: '1', mode: '750', tags: 'team=db' }],
    [{ mountOptions: 'noatime' }],
    [{ encrypted: 'false' }],
  ])('finds none in %j', (raw) => {
    expect(asked(raw)).toEqual([]);
  });

  it.each<[Record<string, string>, string]>([
    [{ size: '17' }, 'size in GiB is 16, asked 17'],
    [{ type: 'gp2' }, 'type is gp3, asked gp2'],
    [{ iops: '4000' }, 'iops is 3000, asked 4000'],
    [{ throughput: '200' }, 'throughput is 125, asked 200'],
    [{ kmsKeyId: 'b' }, 'KMS key is arn:aws:kms:eu-west-1:1:key/a-b, asked b'],
    [{ snapshotId: 'snap-01234567' }, 'snapshot is unset, asked snap-01234567'],
    [{ availabilityZone: 'eu-west-1b' }, 'availability zone is eu-west-1a, asked eu-west-1b'],
    [{ fsType: 'xfs' }, 'filesystem is ext4, asked xfs'],
    [{ mountOptions: 'ro' }, 'mount options is noatime, asked ro'],
    [{ mkfsOptions: '-i 1' }, 'mkfs options is unset, asked -i 1'],
    [{ subdirectory: '/' }, 'subdirectory is data, asked /'],
    [{ uid: '2' }, 'uid is 1, asked 2'],
    [{ gid: '0' }, 'gid is unset, asked 0'],
    [{ mode: '0755' }, 'mode is 750, asked 755'],
    [{ fencePolicy: 'never' }, 'fence policy is unset, asked never'],
    [{ tags: 'team=ops' }, 'tag team is db, asked ops'],
  ])('finds the one in %j', (raw, clause) => {
    expect(asked(raw)).toEqual([clause]);
  });

  it('judges the filesystem by what was made, not by what was planned', () => {
    const made = volumeWith({ tags: { [tagKeys.fsType]: 'ext4', [tagKeys.formatted]: 'xfs' } });
    expect(differences({ fsType: 'xfs' }, made)).toEqual([]);
    expect(differences({ fsType: 'ext4' }, made)).toEqual(['filesystem is xfs, asked ext4']);
  });

  it('an alias is no key of a volume without one', () => {
    expect(differences({ kmsKeyId: 'alias/k' }, volumeWith())).toEqual(['KMS key is unset, asked alias/k']);
  });

  it('finds none between options and the volume that was planned from them', () => {
    fc.assert(
      fc.property(mountRaw, (given) => {
        const raw = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
        const options: CreateOptions = parseOptions('data', raw);
        const { tags } = planVolume('data', options, settings, zone);
        expect(differences(options, volumeWith({ tags }))).toEqual([]);
      }),
    );
  });
});
