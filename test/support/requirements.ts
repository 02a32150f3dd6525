import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';

interface Requirement {
  readonly met: () => boolean;
  /** What to do about it, as an imperative sentence without a full stop. */
  readonly todo: string;
}

const isRoot = (): boolean => process.getuid?.() === 0;

function hasProgram(name: string): boolean {
  const path = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`;
  return path.split(delimiter).some((dir) => existsSync(join(dir, name)));
}

function hasLoopDevices(): boolean {
  try {
    execFileSync('losetup', ['--find'], { stdio: 'pipe', env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } });
    return true;
  } catch {
    return false;
  }
}

const program = (name: string, debianPackage: string): Requirement => ({
  met: () => hasProgram(name),
  todo: `Install ${name}: apt-get install ${debianPackage}`,
});

const known = {
  root: { met: isRoot, todo: 'Run the tests as root' },
  loop: {
    met: hasLoopDevices,
    todo: 'Give this machine loop devices: modprobe loop, and /dev/loop-control in a container',
  },
  blkio: {
    met: () => existsSync('/sys/fs/cgroup/blkio/blkio.throttle.read_bps_device'),
    todo: 'Mount the blkio controller of cgroup v1, with which tests stop a disk from answering',
  },
  dockerd: program('dockerd', 'docker.io'),
  'dpkg-query': program('dpkg-query', 'dpkg'),
  curl: program('curl', 'curl'),
  ip: program('ip', 'iproute2'),
  systemd: program('systemctl', 'systemd'),
  'mkfs.xfs': program('mkfs.xfs', 'xfsprogs'),
  'mkfs.btrfs': program('mkfs.btrfs', 'btrfs-progs'),
  aws: program('aws', 'awscli'),
  promtool: program('promtool', 'prometheus'),
  'redis-server': program('redis-server', 'redis-server'),
  chromium: program('chromium', 'chromium'),
  fish: program('fish', 'fish'),
  mandoc: program('mandoc', 'mandoc'),
  zsh: program('zsh', 'zsh'),
  'redis-cli': program('redis-cli', 'redis-tools'),
} as const satisfies Readonly<Record<string, Requirement>>;

export type RequirementName = keyof typeof known;

/**
 * Whether tests that need these things must be skipped, for `describe.skipIf(requires('root', 'loop').skip)`. Says
 * loudly what is missing.
 * @throws Error where CI=true: there nothing may be missing
 */
export function requires(...names: readonly RequirementName[]): { readonly skip: boolean; readonly reason: string } {
  const missing = names.filter((name) => !known[name].met());
  if (missing.length === 0) return { skip: false, reason: '' };
  const reason = `missing ${missing.join(', ')}. ${missing.map((name) => known[name].todo).join('. ')}.`;
  if (process.env['CI'] === 'true') throw new Error(`these tests may not be skipped in CI: ${reason}`);
  process.stderr.write(`\n!!! TESTS SKIPPED: ${reason}\n\n`);
  return { skip: true, reason };
}

const capabilities = BigInt(
  `0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0'}`,
);
/** CAP_SYS_RESOURCE, without which the kernel does not grow a mounted ext4; not every root has it. */
export const mayGrowExt4 = (capabilities & (1n << 24n)) !== 0n;
