import { mkdir, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { loadSettings } from '../src/config.ts';
import { tagKeys } from '../src/ebs/tags.ts';
import { command } from '../src/sandbox/command.ts';
import { type CloudState, emptyState, gib, newId, timestamp, type VolumeRecord } from '../src/sandbox/model.ts';
import { region } from '../src/sandbox/sandbox.ts';
import { planVolume } from '../src/volumes/options/plan.ts';

export interface Seed {
  readonly count: number;
  /** Makes an ext4 on each; without, they are blank and can only be looked at. */
  readonly formatted: boolean;
}

export const seedName = (index: number): string => `v${index}`;

/** Leaves a sandbox's directory as if these volumes, of 1 GiB each, had been made there earlier, and named v0, v1… */
export async function sow(dir: string, { count, formatted }: Seed): Promise<void> {
  const volumes = Array.from({ length: count }, (_, index) => record(seedName(index), formatted));
  await mkdir(join(dir, 'volumes'), { recursive: true });
  if (formatted) await makeFiles(dir, volumes);
  const state: CloudState = { ...emptyState(), volumes };
  await writeFile(join(dir, 'state.json'), JSON.stringify(state));
}

function record(name: string, formatted: boolean): VolumeRecord {
  const id = newId('vol');
  const zone = `${region}a`;
  const { tags } = planVolume(name, {}, loadSettings([], {}), zone);
  return {
    id,
    zone,
    createTime: timestamp(),
    snapshotId: undefined,
    encrypted: false,
    kmsKeyId: undefined,
    sizeGib: 1,
    type: 'gp3',
    iops: 3000,
    throughput: 125,
    state: 'available',
    attachment: undefined,
    tags: { ...tags, [tagKeys.generation]: '0', ...(formatted ? { [tagKeys.formatted]: 'ext4' } : {}) },
    file: `${id}.img`,
    modifications: [],
  };
}

/** One filesystem is made, completely, so that the kernel does not go on making it while others are measured, and copied. */
async function makeFiles(dir: string, volumes: readonly VolumeRecord[]): Promise<void> {
  const template = join(dir, 'template.img');
  await writeFile(template, '');
  await truncate(template, gib);
  await command('mkfs.ext4', '-q', '-m', '0', '-E', 'lazy_itable_init=0,lazy_journal_init=0,nodiscard', template);
  for (const { file } of volumes) await command('cp', '--sparse=always', template, join(dir, 'volumes', file));
  await rm(template);
}
