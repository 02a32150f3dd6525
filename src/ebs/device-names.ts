const letters = 'abcdefghijklmnopqrstuvwxyz';
const series = (prefix: string, suffixes: string): string[] => [...suffixes].map((letter) => `/dev/${prefix}${letter}`);

/**
 * The device names we attach under, preferred ones first: /dev/xvd[b-c][a-z], then /dev/sd[f-p], the two ranges AWS
 * recommends for EBS data volumes (AWS "Device names for volumes"). More than these cannot be attached at a time.
 */
export const deviceNames: readonly string[] = [
  ...series('xvdb', letters),
  ...series('xvdc', letters),
  ...series('sd', 'fghijklmnop'),
];

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
  return deviceNames
    .filter((name) => !takenSlots.has(slotOf(name)))
    .reduce<string | undefined>(
      (best, name) => (best === undefined || restingSince(name) < restingSince(best) ? name : best),
      undefined,
    );
}

/** What a device name takes: Xen guests see sdX and xvdX as one disk, and "sda1" takes its whole disk's name. */
export function slotOf(name: string): string {
  return name.replace(/^\/dev\//, '').replace(/^(?:xvd|sd)([a-z]+)\d*$/, '$1');
}
