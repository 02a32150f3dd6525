import { deviceNames } from '../../ebs/device-names.ts';
import { shellWord } from '../../errors.ts';
import type { Check } from './check.ts';

/** How many things a line names. */
const namedAtMost = 8;

/** Whether the disks that EC2 attaches show up, and may be opened. */
export const devices: Check = {
  title: 'devices',
  async run({ machine, settings }) {
    const { deviceRoot } = settings;
    const [disks, mount] = await Promise.all([machine.disks(), machine.deviceMount()]);
    const hidden = disks.filter(({ path }) => path === undefined).map(({ volumeId }) => volumeId);
    const refused = disks.filter(({ refused }) => refused !== undefined);
    const bind = `Give the daemon the host's ${deviceRoot}, not a copy of it: in a container, -v /dev:/dev`;
    if (hidden.length > 0) {
      const found = `the kernel has disks without a node in ${deviceRoot}: ${hidden.join(', ')}`;
      return { level: 'fail', found, todo: bind };
    }
    if (refused[0] !== undefined) {
      return {
        level: 'fail',
        found: `a disk cannot be opened (${refused[0].refused})`,
        todo: 'Run the daemon as root and allow it all devices: in a container, --privileged or --device-cgroup-rule',
      };
    }
    const seen = `${disks.length} EBS ${disks.length === 1 ? 'disk is' : 'disks are'} seen and can be opened`;
    if (mount.type === 'devtmpfs')
      return { level: 'ok', found: `${deviceRoot} is the kernel's own (devtmpfs); ${seen}` };
    const type = `${deviceRoot} is not the kernel's own (${mount.type})`;
    if (disks.length > 0) return { level: 'ok', found: `${type}, but ${seen}` };
    const found = `${type}, and there is no EBS disk to see by whether new ones appear`;
    return { level: 'warn', found, todo: bind };
  },
};

/** What AWS gives for kernels before 4.15, and more than a stall of EBS lasts (AWS "NVMe I/O operation timeout"). */
const enoughSeconds = 255;

/**
 * How long the NVMe driver waits for EBS: the kernel's own 30 s are less than a stall of EBS may last, and filesystems
 * turn read-only then (coreos/bugs#2484, kubernetes/kops#5694).
 */
export const nvmeTimeout: Check = {
  title: 'NVMe timeout',
  async run({ machine }) {
    const seconds = await machine.nvmeTimeout();
    if (seconds === undefined)
      return { level: 'ok', found: 'the NVMe driver is not loaded here, or has no timeout to read' };
    if (seconds >= enoughSeconds) return { level: 'ok', found: `the NVMe driver waits ${seconds} s for a disk` };
    return {
      level: 'warn',
      found: `the NVMe driver waits only ${seconds} s for a disk: a stall of EBS turns filesystems read-only`,
      todo: 'Put nvme_core.io_timeout=4294967295 on the kernel command line, as the images of Amazon have it, and reboot',
    };
  },
};

/** Whether volumes are mounted here by somebody else, too: such a mount keeps a volume from leaving. */
export const foreign: Check = {
  title: 'other mounts',
  async run({ machine }) {
    const mounts = await machine.foreignMounts();
    if (mounts.length === 0) return { level: 'ok', found: 'no volume is mounted on this host but by the driver' };
    return {
      level: 'warn',
      found: "volumes are mounted on this host beside the driver's own mountpoints, which keeps them from leaving",
      details: mounts.map(({ name, mountpoint }) => `${name}: umount ${shellWord(mountpoint)}`),
      todo: 'Take away each of these mounts that no task needs any more, with its umount: the kernel refuses it while something uses the mount (mesos-module-dvdi without filesystem/linux leaves such behind)',
    };
  },
};

/** Room for more volumes on this instance. */
export const slots: Check = {
  title: 'slots',
  async run(facts) {
    const instance = await facts.instance();
    if (instance === undefined) throw new Error('EC2 does not list this instance');
    const { type, disks } = instance;
    const limit = await facts.ec2.attachmentLimit(type);
    if (limit === undefined) return { level: 'unknown', found: `EC2 does not say how many volumes ${type} takes` };
    const maximum = Math.min(limit.maximum, deviceNames.length + 1);
    const free = Math.max(0, maximum - disks.length);
    const shared = limit.kind === 'shared' ? ', fewer with more network interfaces' : '';
    const found = `${disks.length} of ${maximum} volumes attached (${type}${shared}): room for ${free}`;
    if (free > 0) return { level: 'ok', found };
    return { level: 'warn', found, todo: 'Move containers to another node, or use an instance type that takes more' };
  },
};

/** What EC2 has attached here of the cluster, against the journal of this node. */
export const attachments: Check = {
  title: 'attachments',
  async run(facts) {
    const { instanceId } = await facts.identity();
    const [volumes, records] = await Promise.all([facts.volumes(), facts.machine.records()]);
    const here = volumes.filter(({ attachments }) => attachments.some((each) => each.instanceId === instanceId));
    const recorded = new Set(records.map(({ volumeId }) => volumeId));
    const attached = new Set(here.map(({ id }) => id));
    const unknown = here.filter(({ id }) => !recorded.has(id)).map(({ id }) => id);
    // While one is attached or detached the two may differ.
    const lost = records.filter(({ volumeId, phase }) => !attached.has(volumeId) && settled.has(phase));
    if (unknown.length + lost.length === 0) {
      return { level: 'ok', found: `${here.length} of the cluster's volumes attached here, as the journal says` };
    }
    return {
      level: 'warn',
      found: "EC2 and this node's journal differ",
      details: [
        ...(unknown.length === 0 ? [] : [`attached here without a record: ${some(unknown)}`]),
        ...(lost.length === 0
          ? []
          : [`recorded as attached, and not so in EC2: ${some(lost.map(({ name }) => name))}`]),
      ],
      todo: 'Run this again in a minute; if it stays, look at docker-volume-ebs status: what somebody attached by hand is named there with what to do, and of all else a restart of the daemon makes the two agree',
    };
  },
};

const settled = new Set(['attached', 'mounted']);

function some(names: readonly string[]): string {
  const more = names.length > namedAtMost ? ` and ${names.length - namedAtMost} more` : '';
  return `${names.slice(0, namedAtMost).join(', ')}${more}`;
}
