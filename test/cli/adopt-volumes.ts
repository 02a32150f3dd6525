import { type Candidate, judge, type Region } from '../../src/cli/adopt/judge.ts';
import { tagKeys } from '../../src/ebs/tags.ts';
import type { Attachment, EbsVolume, Tags } from '../../src/ebs/types.ts';
import { encodeName } from '../../src/volumes/options/names.ts';

export const idOf = (n: number) => `vol-${String(n).padStart(8, '0')}`;

/** A volume of REX-Ray's age, by number. */
export function volume(n: number, tags: Tags, change: Partial<EbsVolume> = {}): EbsVolume {
  return {
    id: idOf(n),
    zone: 'eu-west-1a',
    state: 'available',
    createdAt: '2018-01-01T00:00:00.000Z',
    type: 'gp2',
    sizeGib: 16,
    iops: 100,
    throughput: undefined,
    encrypted: false,
    kmsKeyId: undefined,
    snapshotId: undefined,
    multiAttach: false,
    attachments: [],
    tags,
    ...change,
  };
}

export const attached = (change: Partial<Attachment> = {}): Partial<EbsVolume> => ({
  state: 'in-use',
  attachments: [
    {
      volumeId: 'vol-1',
      instanceId: 'i-1',
      device: '/dev/xvdf',
      state: 'attached',
      attachTime: '2019-01-01T00:00:00Z',
      deleteOnTermination: false,
      ...change,
    },
  ],
});

/** The tags of a volume of the cluster "prod". */
export const ourTags = (name: string, more: Tags = {}): Tags => ({
  Name: name,
  [tagKeys.cluster]: 'prod',
  [tagKeys.name]: encodeName(name),
  ...more,
});

/** A region with these volumes that carry a Name tag, of which `ours` are the cluster's. */
export const region = (named: EbsVolume[], ours: EbsVolume[] = []): Region => ({
  cluster: 'prod',
  named: [...named, ...ours],
  ours,
  rootDevices: new Map([['i-1', '/dev/xvda']]),
});

/** What is judged of the first of them. */
export const only = (named: EbsVolume[], ours?: EbsVolume[]): Candidate => {
  const [first] = judge(region(named, ours));
  if (first === undefined) throw new Error('nobody to judge');
  return first;
};
