const letters = 'abcdefghijklmnopqrstuvwxyz';
const series = (prefix: string, suffixes: string): string[] => [...suffixes].map((letter) => `/dev/${prefix}${letter}`);

const driverNames: readonly string[] = [...series('xvdb', letters), ...series('xvdc', letters)];

/** /dev/xvd[b-c][a-z] and /dev/sd[f-p]: what AWS lists as available for EBS data volumes (AWS "Device names for volumes"). */
const listedNames: readonly string[] = [...driverNames, ...series('sd', 'fghijklmnop')];

/**
 * What EC2 takes beyond that, up to /dev/xvddx, without the root disk's /dev/xvda (device_names.go of the EBS CSI driver).
 * They are used only once no listed one can be: Nitro instances alone take so many volumes, up to 128 with the root disk,
 * and their kernels give disks names of their own.
 */
const furtherNames: readonly string[] = [
  ...series('xvdd', letters.slice(0, -2)),
  ...series('xvda', letters),
  ...series('xvd', 'bcde'),
  ...series('xvd', 'qrstuvwxyz'),
];

/** The device names we attach under, preferred ones first. More than these cannot be attached at a time. */
export const deviceNames: readonly string[] = [...listedNames, ...furtherNames];

/**
 * True for a name that this driver takes first and people do not: AWS recommends /dev/sd[f-p] for data volumes, and lists
 * these only as available (AWS "Device names for volumes").
 */
export const isDriverName = (name: string): boolean => driverNames.includes(name);

interface DeviceNameUse {
  /** Names in use on the instance, by EC2's, the kernel's or our own account; "/dev/" may be left out. */
  readonly taken: ReadonlySet<string>;
  /** Names of earlier attachments, oldest first; a repeated name counts by its last use. */
  readonly recent: readonly string[];
}

/**
 * The device name for the next attachment: a free one that was not used recently, else the free one whose last use is
 * longest ago; undefined when all are taken. A name that EC2 or the guest has not quite let go of is thus tried last.
 */
export function chooseDeviceName({ taken, recent }: DeviceNameUse): string | undefined {
  const takenSlots = new Set([...taken].map(slotOf));
  const lastUse = new Map(recent.map((name, index) => [slotOf(name), index]));
  const restingSince = (name: string): number => lastUse.get(slotOf(name)) ?? -1;
  const freeOf = (names: readonly string[]): string | undefined =>
    names
      .filter((name) => !takenSlots.has(slotOf(name)))
      .reduce<string | undefined>(
        (best, name) => (best === undefined || restingSince(name) < restingSince(best) ? name : best),
        undefined,
      );
  return freeOf(listedNames) ?? freeOf(furtherNames);
}

/** What a device name takes: Xen guests see sdX and xvdX as one disk, and "sda1" takes its whole disk's name. */
export function slotOf(name: string): string {
  return name.replace(/^\/dev\//, '').replace(/^(?:xvd|sd)([a-z]+)\d*$/, '$1');
}
