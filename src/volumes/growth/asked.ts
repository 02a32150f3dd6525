import type { EbsVolume } from '../../ebs/types.ts';
import { DriverError, shellWord } from '../../errors.ts';
import { readGib } from '../../sizes.ts';
import { limitViolation, type VolumeType, volumeTypes } from '../options/limits.ts';
import { readOption, whyBad } from '../options/options.ts';
import type { Change } from './modify.ts';

/** What may be changed of a volume by ModifyVolume, by the option's name at create. */
export const modifiable = ['size', 'type', 'iops', 'throughput'] as const;
type Modifiable = (typeof modifiable)[number];

/** gp3 and io1, io2 begin with so many IOPS where nothing is said (API reference of ModifyVolume). */
const presetIops = 3000;

/**
 * What a volume is to be, in absolute values, also where it is so already.
 * @param asked texts by option; a size may be "+50", so much more than now.
 * @throws DriverError INVALID_OPTION for what is not taken, for a smaller size, and below the limits of the type.
 */
export function readWanted(
  name: string,
  volume: EbsVolume,
  asked: Readonly<Partial<Record<Modifiable, string>>>,
): Change {
  const wanted: Change = {
    ...(asked.size === undefined ? {} : { sizeGib: readSize(name, volume, asked.size.trim()) }),
    ...(asked.type === undefined ? {} : { type: read(name, 'type', asked.type) }),
    ...(asked.iops === undefined ? {} : { iops: read(name, 'iops', asked.iops) }),
    ...(asked.throughput === undefined ? {} : { throughput: read(name, 'throughput', asked.throughput) }),
  };
  refuseBeyond(name, volume, wanted);
  return wanted;
}

function readSize(name: string, { id, sizeGib }: EbsVolume, text: string): number {
  const [, plus, amount = ''] = /^(\+?)\s*(.*)$/.exec(text) ?? [];
  const gib = readGib(amount);
  if (gib === undefined) {
    return refuse(name, `size takes GiB, as 200, +50 or 1T, not ${JSON.stringify(text)}`, 'Correct it');
  }
  const wanted = plus === '+' ? sizeGib + gib : gib;
  if (wanted >= sizeGib) return wanted;
  return refuse(
    name,
    `${id} has ${sizeGib} GiB, and no EBS volume becomes smaller`,
    `Make a new volume of ${wanted} GiB and copy the files of ${shellWord(name)} to it, with a container that mounts both`,
  );
}

function read<K extends 'type' | 'iops' | 'throughput'>(name: string, option: K, text: string) {
  try {
    return readOption(option, text.trim());
  } catch (error) {
    return refuse(name, ...whyBad(option, text, error));
  }
}

function refuseBeyond(name: string, volume: EbsVolume, wanted: Change): void {
  const known = volumeTypes.find((each) => each === (wanted.type ?? volume.type));
  if (known === undefined) return;
  const iops = wanted.iops ?? (known === 'io1' || known === 'io2' ? (volume.iops ?? presetIops) : undefined);
  const violation = limitViolation({
    type: known,
    sizeGib: wanted.sizeGib ?? volume.sizeGib,
    iops,
    throughput: wanted.throughput,
  });
  if (violation !== undefined) refuse(name, violation, 'Correct it, or choose another type');
}

/** What people overlook about a change, as sentences without their full stop. */
export function notesOn({ type, iops = 0 }: EbsVolume, change: Change): string[] {
  const isSlower =
    change.type === ('gp3' satisfies VolumeType) && type !== 'gp3' && change.iops === undefined && iops > presetIops;
  return isSlower
    ? [`As ${type} it has ${iops} IOPS, and as gp3 it gets ${presetIops} unless --iops asks for more`]
    : [];
}

const refuse = (volume: string, why: string, todo: string): never => {
  throw new DriverError('INVALID_OPTION', { volume, tried: 'modify it', why, todo });
};
