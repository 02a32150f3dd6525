import { Ec2Error, invalid } from './ec2-error.ts';
import type { Shape } from './model.ts';

interface Range {
  readonly min: number;
  readonly max: number;
}
interface TypeRules {
  readonly size: Range;
  /** Absent where the caller cannot choose IOPS. */
  readonly iops?: Range & { readonly perGib: number; readonly preset?: number };
  readonly throughput?: Range & { readonly perIops: number; readonly preset: number };
}

/** EBS volume types and their limits (GiB, IOPS, MiB/s), as documented since September 2025. */
const rules: Readonly<Record<string, TypeRules>> = {
  gp3: {
    size: { min: 1, max: 65_536 },
    iops: { min: 3000, max: 80_000, perGib: 500, preset: 3000 },
    throughput: { min: 125, max: 2000, perIops: 0.25, preset: 125 },
  },
  gp2: { size: { min: 1, max: 16_384 } },
  io1: { size: { min: 4, max: 16_384 }, iops: { min: 100, max: 64_000, perGib: 50 } },
  io2: { size: { min: 4, max: 65_536 }, iops: { min: 100, max: 256_000, perGib: 1000 } },
  st1: { size: { min: 125, max: 16_384 } },
  sc1: { size: { min: 125, max: 16_384 } },
  standard: { size: { min: 1, max: 1024 } },
};

function within(value: number, { min, max }: Range, what: string): void {
  if (value < min) throw invalid(`${what} of ${value} is too low; minimum is ${min}.`);
  if (value > max) throw invalid(`${what} of ${value} is too high; maximum is ${max}.`);
}

const unsupported = (name: string, type: string): Ec2Error =>
  new Ec2Error('InvalidParameterCombination', `The parameter ${name} is not supported for ${type} volumes.`);

/**
 * Checks what a caller asks of a volume and fills in what EBS presets.
 * @throws Ec2Error UnknownVolumeType, InvalidParameterValue, InvalidParameterCombination
 */
export function checkShape(wanted: Shape): Shape {
  const { type, sizeGib } = wanted;
  const rule = rules[type];
  if (rule === undefined) throw new Ec2Error('UnknownVolumeType', `Unknown volume type: ${type}`);
  within(sizeGib, rule.size, 'Volume size in GiB');
  const iops = checkIops(wanted, rule);
  return { type, sizeGib, iops, throughput: checkThroughput(wanted, rule, iops ?? 0) };
}

function checkIops({ type, sizeGib, iops }: Shape, rule: TypeRules): number | undefined {
  if (rule.iops === undefined) {
    if (iops !== undefined) throw unsupported('iops', type);
    // EBS gives gp2 three IOPS for every GiB, between 100 and 16 000.
    return type === 'gp2' ? Math.min(16_000, Math.max(100, sizeGib * 3)) : undefined;
  }
  const chosen = iops ?? rule.iops.preset;
  if (chosen === undefined)
    throw new Ec2Error('InvalidParameterCombination', `The parameter iops must be specified for ${type} volumes.`);
  within(chosen, rule.iops, 'Volume iops');
  if (iops !== undefined && chosen !== rule.iops.preset && chosen > sizeGib * rule.iops.perGib) {
    throw invalid(`Iops to volume size ratio of ${chosen / sizeGib} is too high; maximum is ${rule.iops.perGib}.`);
  }
  return chosen;
}

function checkThroughput({ type, throughput }: Shape, rule: TypeRules, iops: number): number | undefined {
  if (rule.throughput === undefined) {
    if (throughput !== undefined) throw unsupported('throughput', type);
    return undefined;
  }
  const chosen = throughput ?? rule.throughput.preset;
  within(chosen, rule.throughput, 'Volume throughput');
  if (chosen > iops * rule.throughput.perIops) {
    throw invalid(`Throughput (MiBps) to iops ratio of ${chosen / iops} is too high; maximum is 0.25.`);
  }
  return chosen;
}
