import { describe, expect, it } from 'vitest';
import { tagKeys } from '../../../src/ebs/tags.ts';
import { ownerTag } from '../../../src/fencing/records.ts';
import { ambiguous } from '../../../src/volumes/state/duplicates.ts';
import { FakeEc2 } from '../../support/fake-ec2.ts';

const made = { [tagKeys.name]: 'db', [tagKeys.generation]: '0' };
const owner = ownerTag({
  instanceId: 'i-7',
  device: '/dev/xvdba',
  attachTime: '2026-11-30T20:00:00Z',
  boot: '12345678',
  scheduler: '-',
});
const used = { ...made, [tagKeys.formatting]: 'ext4', [tagKeys.formatted]: 'ext4', [tagKeys.owner]: owner };

describe('several volumes of one name', () => {
  it('are told apart by what is known of each', () => {
    const ec2 = new FakeEc2();
    const one = ec2.addVolume({ tags: used, sizeGib: 8, createdAt: '2026-11-01T10:00:00Z' });
    const other = ec2.addVolume({ tags: { ...used, [tagKeys.formatted]: 'xfs' }, snapshotId: 'snap-1' });
    const { message } = ambiguous('db', [one, other]);
    expect(message).toContain('created 2026-11-01T10:00:00Z, 8 GiB, made empty, formatted with ext4, last on i-7');
    expect(message).toContain('made from snap-1, formatted with xfs');
  });

  it('of which one was never used: its name is to be taken away, by tags alone, and by its id', () => {
    const ec2 = new FakeEc2();
    const data = ec2.addVolume({ tags: used });
    const unused = ec2.addVolume({ tags: made });
    const { parts } = ambiguous('db', [data, unused]);
    expect(parts.todo).toContain(`take the name from that one (aws ec2 create-tags --resources ${unused.id} `);
    expect(parts.todo).toContain(`aws ec2 delete-tags --resources ${unused.id} --tags Key=docker-volume-ebs:name`);
    expect(parts.todo).not.toContain(data.id);
  });

  it.each([
    ['both were used', used, used],
    ['neither was', made, made],
    ['one was not made here, so that its tags prove nothing', used, { [tagKeys.name]: 'db' }],
  ])('are left to a person when %s', (_, first, second) => {
    const ec2 = new FakeEc2();
    const { parts } = ambiguous('db', [ec2.addVolume({ tags: first }), ec2.addVolume({ tags: second })]);
    expect(parts.todo).toMatch(/^Find out which has the data/);
  });

  it('are no more told to be deleted', () => {
    const ec2 = new FakeEc2();
    const { message } = ambiguous('db', [ec2.addVolume({ tags: used }), ec2.addVolume({ tags: made })]);
    expect(message).not.toMatch(/delete(?!-tags)|remove/);
  });
});
