import type { Attachment, EbsVolume, Instance } from '../../src/ebs/types.ts';
import type { FakeEc2 } from './fake-ec2.ts';

/** A volume as EC2 might describe it. */
export function volumeWith(change: Partial<EbsVolume> = {}): EbsVolume {
  return {
    id: 'vol-1',
    zone: 'eu-west-1a',
    state: 'available',
    createdAt: '2026-01-01T00:00:00.000Z',
    type: 'gp3',
    sizeGib: 16,
    iops: 3000,
    throughput: 125,
    encrypted: false,
    kmsKeyId: undefined,
    snapshotId: undefined,
    multiAttach: false,
    attachments: [],
    tags: {},
    ...change,
  };
}

/** Its attachment to i-a. */
export function attachmentWith(change: Partial<Attachment> = {}): Attachment {
  return {
    volumeId: 'vol-1',
    instanceId: 'i-a',
    device: '/dev/xvdba',
    state: 'attached',
    attachTime: '2026-01-02T03:04:05.678Z',
    deleteOnTermination: false,
    ...change,
  };
}

/** The instance i-a. */
export function instanceWith(change: Partial<Instance> = {}): Instance {
  return {
    id: 'i-a',
    state: 'running',
    zone: 'eu-west-1a',
    type: 'm5.large',
    launchTime: '2026-01-01T00:00:00.000Z',
    stateReason: undefined,
    stopAskedAt: undefined,
    hibernationConfigured: false,
    tags: {},
    disks: [],
    answeredAt: undefined,
    ...change,
  };
}

/** The device names that were asked of an EC2 in memory, in order. */
export const devicesOf = (ec2: Pick<FakeEc2, 'calls'>): string[] =>
  ec2.calls.flatMap(({ method, args }) => (method === 'attachVolume' ? [(args[0] as { device: string }).device] : []));
