import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { CommandResult } from '../../src/host/run.ts';
import { makeDebian } from './plugin-images.ts';
import { run } from './run.ts';
import { eventually } from './sandbox.ts';

/** A Debian whose process 1 is systemd, with this machine's kernel and network and nothing else of it. */
export interface SystemdMachine {
  /** Its process 1 as this machine numbers it. */
  readonly pid: number;
  /** A path of the machine's as seen from here, mounts included. */
  path(inside: string): string;
  /** Runs commands in it as root's shell does that stops at the first failure. */
  shell(script: string): Promise<CommandResult>;
  /** The same, failing the test unless they succeed; gives what they printed. */
  ok(script: string): Promise<string>;
  /** Ends everything that runs in it. */
  stop(): Promise<void>;
}

/**
 * Boots one.
 * @param packages what it has of Debian, besides what every Debian has.
 * @param shared directories of this machine that it has at the same paths.
 */
export async function bootMachine(
  dir: string,
  packages: readonly string[],
  shared: readonly string[],
): Promise<SystemdMachine> {
  const root = join(dir, 'machine');
  await makeDebian(root, ['bash', 'coreutils', 'dash', 'findutils', 'systemd', 'mount', 'util-linux', ...packages]);
  for (const each of ['dev', 'etc', 'proc', 'run', 'sys', 'tmp', 'var', 'root', 'old', ...shared]) {
    await mkdir(join(root, each), { recursive: true });
  }
  await writeFile(join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534::/:/bin/false\n');
  await writeFile(join(root, 'etc/group'), 'root:x:0:\nnogroup:x:65534:\n');
  await writeFile(join(root, 'etc/machine-id'), `${'5'.repeat(32)}\n`);

  const group = basename(dir);
  const args = ['--mount', '--propagation', 'private', 'sh', '-c', enterGroup, 'sh', root, group, boot, ...shared];
  const child = spawn('unshare', args, { stdio: ['ignore', 'inherit', 'inherit'] });
  const children = `/proc/${child.pid}/task/${child.pid}/children`;
  const pid = await eventually(async () => {
    if (child.exitCode !== null) throw new Error(`the machine ended with ${child.exitCode}`);
    const first = Number((await readFile(children, 'utf8')).split(' ')[0]);
    return first > 0 && (await readFile(`/proc/${first}/comm`, 'utf8').catch(() => '')) === 'systemd\n' && first;
  });
  const shell = (script: string) => {
    const entered = ['--target', String(pid), '--all', '--root', 'env', '-i', '--chdir=/root', 'HOME=/root'];
    const path = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin';
    return run('nsenter', [...entered, path, 'bash', '--norc', '-euo', 'pipefail', '-c', script]);
  };
  const machine: SystemdMachine = {
    pid,
    path: (inside) => join(`/proc/${pid}/root`, inside),
    shell,
    async ok(script) {
      const { code, stdout, stderr } = await shell(script);
      if (code !== 0) throw new Error(`${script}\nended with ${code}: ${stderr}${stdout}`);
      return stdout.trim();
    },
    async stop() {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
      await eventually(async () => (await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')) === '');
      await run('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', removeGroup, 'sh', root, group]);
      await rm(root, { recursive: true, force: true });
    },
  };
  await eventually(async () => /^(running|degraded)/.test((await shell('systemctl is-system-running')).stdout));
  return machine;
}

/** Into a control group that systemd will take for the root of all, whichever way this machine has mounted its own. */
const enterGroup = `
set -e
root=$1; group=$2; boot=$3; shift 3
mount -t cgroup2 cgroup2 "$root/sys"
mkdir "$root/sys/$group"
echo $$ > "$root/sys/$group/cgroup.procs"
umount "$root/sys"
exec unshare --mount --pid --fork --kill-child --cgroup --uts --ipc sh -c "$boot" sh "$root" "$@"
`;

const removeGroup = `
mount -t cgroup2 cgroup2 "$1/sys" && find "$1/sys/$2" -depth -type d -exec rmdir {} +
`;

/** Mounts of this machine stay outside: a copy would keep them in use. What is this kernel's is not the machine's to write. */
const boot = `
set -e
root=$1; shift
mount --bind "$root" "$root"
for each; do mount --rbind "$each" "$root$each"; done
cd "$root"
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount --bind /sys sys
mount -o remount,bind,ro sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs dev
for each in null zero full random urandom tty; do cp -a "/dev/$each" dev/; done
mkdir dev/pts dev/shm
pivot_root . old
umount --lazy /old
# As systemd has it where it takes itself for no container.
mount --make-rshared /
exec env -i container=test /lib/systemd/systemd
`;
