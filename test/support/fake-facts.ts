import about from '../../package.json' with { type: 'json' };
import type { Facts } from '../../src/cli/doctor/facts.ts';
import type { Machine } from '../../src/cli/doctor/machine.ts';
import type { MountPoint } from '../../src/cli/doctor/mountpoints.ts';
import { loadSettings } from '../../src/config.ts';
import { tagKeys } from '../../src/ebs/tags.ts';
import { FakeEc2 } from './fake-ec2.ts';

export const sharedMount: MountPoint = {
  mountpoint: '/',
  type: 'ext4',
  readOnly: false,
  shared: '1',
  master: undefined,
};

/** A machine in good order; `own` replaces what it tells. */
export function fakeMachine(own: Partial<Machine> = {}): Machine {
  return {
    capabilities: async () => 0xffff_ffff_ffn,
    seesAllProcesses: async () => true,
    tools: async (programs) => Object.keys(programs).map((program) => ({ program, version: '1.2', todo: undefined })),
    disks: async () => [{ volumeId: 'vol-root', path: '/dev/nvme0n1', refused: undefined }],
    deviceMount: async () => ({ ...sharedMount, mountpoint: '/dev', type: 'devtmpfs' }),
    nvmeTimeout: async () => 4_294_967_295,
    root: async () => ({ path: '/ebs', exists: true, freeBytes: 2 ** 33, freeInodes: 100_000, mount: sharedMount }),
    hostMounts: async () => [sharedMount],
    foreignMounts: async () => [],
    records: async () => [],
    isServed: async () => true,
    ...own,
  };
}

export interface FakeFactsParts {
  readonly ec2?: FakeEc2;
  readonly argv?: readonly string[];
  readonly machine?: Partial<Machine>;
  readonly own?: Partial<Facts>;
}

/** What the checks of a doctor find on a node in good order: i-1 in eu-west-1a, whose cluster has one volume. */
export function fakeFacts({ ec2 = fakeCluster(), argv = [], machine, own }: FakeFactsParts = {}): Facts {
  const settings = loadSettings(['--root', '/ebs', ...argv], {});
  const identity = { instanceId: 'i-1', availabilityZone: 'eu-west-1a', region: 'eu-west-1' };
  return {
    settings,
    variables: { from: 'environment' },
    identity: async () => identity,
    metadata: async () => 'i-1',
    region: async () => 'eu-west-1',
    credentials: async () => ({ from: "the instance's role", expires: undefined }),
    instance: async () => {
      const found = await ec2.describeInstance('i-1');
      return found && { ...found, metadata: { enabled: true, tokensRequired: true, hopLimit: 2 } };
    },
    volumes: () => ec2.listVolumes(),
    ec2,
    clockAheadMs: async () => 400,
    schedulers: async () => [],
    daemon: async () => ({ status: 'ok', version: about.version, problems: [], instanceId: 'i-1' }),
    mounted: async () => [],
    machine: fakeMachine(machine),
    ...own,
  };
}

/** An EC2 with this node and one free volume. */
export function fakeCluster(): FakeEc2 {
  const ec2 = new FakeEc2();
  ec2.addInstance('i-1');
  ec2.attachmentLimits.set('m5.large', { maximum: 27, kind: 'shared' });
  ec2.addVolume({ tags: { [tagKeys.cluster]: 'default' } });
  return ec2;
}
