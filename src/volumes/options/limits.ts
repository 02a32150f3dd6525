/** What each EBS volume type takes (AWS "Amazon EBS volume types", as of September 2025: gp3 to 64 TiB and 80 000 IOPS). */
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

export interface Performance {
  readonly type: VolumeType;
  /** GiB; undefined when a snapshot decides. */
  readonly sizeGib: number | undefined;
  readonly iops: number | undefined;
  readonly throughput: number | undefined;
}

/** Why EC2 would refuse this combination, as a clause; undefined when it is within the published limits. */
export function limitViolation({ type, sizeGib, iops, throughput }: Performance): string | undefined {
  const limit = limits[type];
  return (
    outOfRange('size', sizeGib, limit.size, type, 'GiB') ??
    outOfRange('iops', iops, limit.iops, type, 'IOPS') ??
    outOfRange('throughput', throughput, limit.throughput, type, 'MiB/s') ??
    ratioViolation({ type, sizeGib, iops, throughput }, limit)
  );
}

function outOfRange(
  option: string,
  value: number | undefined,
  range: readonly [number, number] | undefined,
  type: VolumeType,
  unit: string,
): string | undefined {
  if (value === undefined) return undefined;
  if (range === undefined) return `volumes of type ${type} take no ${option}`;
  const [min, max] = range;
  return value >= min && value <= max
    ? undefined
    : `${option} ${value} is outside ${min} to ${max} ${unit} of type ${type}`;
}

function ratioViolation(wanted: Performance, limit: TypeLimits): string | undefined {
  const { type, sizeGib, iops, throughput } = wanted;
  if (limit.iopsRequired && iops === undefined) return `type ${type} needs iops`;
  // gp3 has 3000 IOPS whatever its size: the ratio binds only what is asked beyond.
  const free = type === 'gp3' ? 3000 : 0;
  if (iops !== undefined && sizeGib !== undefined && iops > free && iops > sizeGib * (limit.iopsPerGib ?? 0)) {
    return `type ${type} gives at most ${limit.iopsPerGib} IOPS per GiB: ${iops} IOPS need ${Math.ceil(iops / (limit.iopsPerGib ?? 1))} GiB`;
  }
  if (type === 'gp3' && throughput !== undefined && throughput > (iops ?? 3000) * gp3ThroughputPerIops) {
    return `type gp3 gives at most ${gp3ThroughputPerIops} MiB/s per IOPS: ${throughput} MiB/s need iops=${throughput / gp3ThroughputPerIops}`;
  }
  return undefined;
}
