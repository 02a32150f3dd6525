import fc from 'fast-check';
import { loadSettings } from '../../../src/config.ts';
import { parseOptions } from '../../../src/volumes/options/options.ts';
import { planVolume } from '../../../src/volumes/options/plan.ts';

export const zone = 'eu-west-1a';
export const settings = loadSettings([], {});

/** What is asked of EC2 for a volume with these options. */
export const plan = (raw: Record<string, string>, own: Partial<typeof settings> = {}, name = 'data') =>
  planVolume(name, parseOptions(name, raw), { ...settings, ...own }, zone);

const word = fc.stringMatching(/^[a-z][a-z0-9_]{0,8}$/);

/** Options that say how to mount, as users write them. */
export const mountRaw = fc.record(
  {
    fsType: fc.constantFrom('ext4', 'xfs', 'btrfs'),
    mountOptions: fc.subarray(['noatime', 'discard', 'nodiratime', 'sync', 'nodev'], { minLength: 1 }).map(String),
    // What every one of the three mkfs takes.
    mkfsOptions: fc.subarray(['-K', '-q', '-L  name'], { minLength: 1 }).map((words) => words.join('  ')),
    subdirectory: fc.oneof(
      fc.array(word, { maxLength: 4 }).map((parts) => `/${parts.join('/')}`),
      fc.constant('Über uns/ä'),
    ),
    uid: fc.nat(4294967294).map(String),
    gid: fc.nat(65535).map(String),
    mode: fc.nat(0o7777).map((bits) => bits.toString(8).padStart(3, '0')),
    fencePolicy: fc.constantFrom('never', 'instance-not-running'),
  },
  { requiredKeys: [] },
);
