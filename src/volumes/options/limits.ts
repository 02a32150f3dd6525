/**
 * What each EBS volume type takes (AWS "Amazon EBS volume types", as of September 2025: gp3 to 64 TiB and 80 000 IOPS). The
 * upper ends rise from time to time: what is above them is EC2's to judge.
 */
interface TypeLimits {
  /** GiB. */
  readonly size: readonly [number, number];
  /** Absent where the type takes no iops parameter. */
  readonly iops?: readonly [number, number];
  readonly iopsPerGib?: number;
  readonly iopsRequired?: boolean;
  /** MiB/s; absent where the type takes no throughput parameter. */
  readonly throughput?: readonly [number, number];
}

/** The largest size, IOPS or throughput that EC2's API can be asked for: a signed integer of 32 bits. */
export const mostAsked = 2 ** 31 - 1;

export const volumeTypes = ['gp3', 'gp2', 'io1', 'io2', 'st1', 'sc1', 'standard'] as const;
export type VolumeType = (typeof volumeTypes)[number];

const limits: Record<VolumeType, TypeLimits> = {
  gp3: { size: [1, 65536], iops: [3000, 80000], iopsPerGib: 500, throughput: [125, 2000] },
  gp2: { size: [1, 16384] },
  io1: { size: [4, 16384], iops: [100, 64000], iopsPerGib: 50, iopsRequired: true },
  io2: { size: [4, 65536], iops: [100, 256000], iopsPerGib: 1000, iopsRequired: true },
  st1: { size: [125, 16384] },
  sc1: { size: [125, 16384] },
  standard: { size: [1, 1024] },
};

/** gp3 gives at most 0.25 MiB/s of throughput per provisioned IOPS. */
const gp3ThroughputPerIops = 0.25;

/** The largest size of a type, GiB, as far as this version knows; of an unknown type as much as EC2 can be asked for. */
export const mostGibOf = (type: string): number => {
  const known = volumeTypes.find((each) => each === type);
  return known === undefined ? mostAsked : limits[known].size[1];
};

export interface Performance {
  readonly type: VolumeType;
  /** GiB; undefined when a snapshot decides. */
  readonly sizeGib: number | undefined;
  readonly iops: number | undefined;
  readonly throughput: number | undefined;
}

/**
 * Why EC2 would refuse this combination, as a clause: a value below what the type takes, or one it does not take at all.
 * Undefined for all others.
 */
export function limitViolation({ type, sizeGib, iops, throughput }: Performance): string | undefined {
  const limit = limits[type];
  return (
    tooSmall('size', sizeGib, limit.size, type, 'GiB') ??
    tooSmall('iops', iops, limit.iops, type, 'IOPS') ??
    tooSmall('throughput', throughput, limit.throughput, type, 'MiB/s') ??
    (limit.iopsRequired && iops === undefined ? `type ${type} needs iops, ${rangeOf(limit.iops)}` : undefined)
  );
}

function tooSmall(
  option: string,
  value: number | undefined,
  range: readonly [number, number] | undefined,
  type: VolumeType,
  unit: string,
): string | undefined {
  if (value === undefined) return undefined;
  if (range === undefined) return `volumes of type ${type} take no ${option}`;
  const [min] = range;
  return value >= min ? undefined : `${option} ${value} is too low: type ${type} takes ${rangeOf(range)} ${unit}`;
}

const rangeOf = ([min, max]: readonly [number, number] = [1, mostAsked]): string => `${min} to ${max}`;

/** What is above the limits that this version knows, a clause each, with the value that would be within them. */
export function beyondLimits({ type, sizeGib, iops, throughput }: Performance): string[] {
  const limit = limits[type];
  return [
    tooLarge('size', sizeGib, limit.size, type, 'GiB'),
    tooLarge('iops', iops, limit.iops, type, 'IOPS'),
    tooLarge('throughput', throughput, limit.throughput, type, 'MiB/s'),
    iopsForSize({ type, sizeGib, iops }, limit),
    throughputForIops({ type, iops, throughput }),
  ].filter((clause) => clause !== undefined);
}

function tooLarge(
  option: string,
  value: number | undefined,
  range: readonly [number, number] | undefined,
  type: VolumeType,
  unit: string,
): string | undefined {
  if (value === undefined || range === undefined || value <= range[1]) return undefined;
  return `${option} ${value} is above ${range[1]} ${unit}, the most of type ${type}`;
}

function iopsForSize({ type, sizeGib, iops }: Omit<Performance, 'throughput'>, { iopsPerGib }: TypeLimits) {
  // gp3 has 3000 IOPS whatever its size: the ratio binds only what is asked beyond.
  const free = type === 'gp3' ? 3000 : 0;
  if (iops === undefined || sizeGib === undefined || iopsPerGib === undefined) return undefined;
  if (iops <= Math.max(free, sizeGib * iopsPerGib)) return undefined;
  return `type ${type} gives at most ${iopsPerGib} IOPS per GiB: ${iops} IOPS need ${Math.ceil(iops / iopsPerGib)} GiB`;
}

function throughputForIops({ type, iops = 3000, throughput }: Omit<Performance, 'sizeGib'>): string | undefined {
  if (type !== 'gp3' || throughput === undefined || throughput <= iops * gp3ThroughputPerIops) return undefined;
  return `type gp3 gives at most ${gp3ThroughputPerIops} MiB/s per IOPS: ${throughput} MiB/s need iops=${throughput / gp3ThroughputPerIops}`;
}
