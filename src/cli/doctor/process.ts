import type { Check } from './check.ts';

/** By capabilities(7), and what each is for. */
const wanted = [
  { name: 'CAP_SYS_ADMIN', bit: 21n, level: 'fail', without: 'nothing can be mounted' },
  {
    name: 'CAP_SYS_PTRACE',
    bit: 19n,
    level: 'warn',
    without: 'which container uses a volume cannot be seen: each one in use is unmounted for some ms every 15 s',
  },
  { name: 'CAP_SYS_RESOURCE', bit: 24n, level: 'warn', without: 'an ext4 that is mounted is not grown' },
] as const;

/** What this process may do on the machine; the daemon may differ where it is started otherwise. */
export const capabilities: Check = {
  title: 'capabilities',
  async run({ machine }) {
    const held = await machine.capabilities();
    const lacking = wanted.filter(({ bit }) => (held & (1n << bit)) === 0n);
    const names = wanted.map(({ name }) => name).join(', ');
    if (lacking.length === 0) return { level: 'ok', found: `this process has ${names}` };
    return {
      level: lacking.some(({ level }) => level === 'fail') ? 'fail' : 'warn',
      found: `this process lacks ${lacking.map(({ name }) => name).join(', ')}`,
      details: lacking.map(({ name, without }) => `without ${name} ${without}`),
      todo: 'Run this, and the daemon, as root; in a container with --cap-add for each, or --privileged',
    };
  },
};

/** Whether the processes of containers can be seen. */
export const processes: Check = {
  title: 'processes',
  async run({ machine }) {
    if (await machine.seesAllProcesses()) return { level: 'ok', found: 'all processes of this machine are seen' };
    return {
      level: 'warn',
      found:
        'this process is in a PID namespace of its own: the processes of containers outside it are not seen, so that ' +
        'each volume in use is unmounted for some ms every 15 s to find out that it is',
      todo: "Use the host's process ids: in a container, --pid host",
    };
  },
};
