import { type Check, failed } from './check.ts';

/** Whether the daemon of this node answers, and what it says. */
export const daemon: Check = {
  title: 'daemon',
  async run(facts) {
    const { socket } = facts.settings;
    let health: Awaited<ReturnType<typeof facts.daemon>>;
    try {
      health = await facts.daemon();
    } catch (error) {
      const todo = 'Look at its log, and restart it: what it holds stays mounted meanwhile';
      return { ...failed(error), todo };
    }
    if (health === undefined) {
      const todo = 'Start it, or name its socket with --socket or DVE_SOCKET';
      return { level: 'warn', found: `no daemon listens at ${socket}`, todo };
    }
    const { default: own } = await import('../../../package.json', { with: { type: 'json' } });
    const found = `version ${health.version} answers at ${socket}`;
    if (health.status === 'failing') {
      const todo = 'See the other lines; the log of the daemon has the whole story';
      return { level: 'fail', found: `${found}, and is not in health`, details: health.problems, todo };
    }
    if (health.version !== own.version) {
      return { level: 'warn', found: `${found}, and this program is ${own.version}`, todo: 'Restart the daemon' };
    }
    if (health.draining !== undefined) {
      const { reason, since } = health.draining;
      const todo = 'End that with docker-volume-ebs drain --cancel once this node may take volumes again';
      return { level: 'warn', found: `${found}, and takes no mounts since ${since} (${reason})`, todo };
    }
    return { level: 'ok', found };
  },
};

/** One daemon alone may serve a cluster on an instance; it holds a lock by which it is seen wherever it runs. */
export const oneDaemon: Check = {
  title: 'one daemon',
  async run(facts) {
    const { cluster } = facts.settings;
    const { instanceId } = await facts.identity();
    const locked = await facts.machine.isServed(instanceId);
    const here = await facts.daemon().catch(() => undefined);
    const name = `cluster ${JSON.stringify(cluster)}`;
    const todo =
      'Stop one of the two (a managed plugin, a service of systemd), or give one another cluster with DVE_CLUSTER';
    if (!locked) return { level: 'ok', found: `none serves ${name} here yet` };
    if (here === undefined) {
      const found = `a daemon serves ${name} here, and not at ${facts.settings.socket}`;
      return { level: 'warn', found, todo: `Ask it with --socket, and start no other. ${todo}` };
    }
    if (here.instanceId !== undefined) return { level: 'ok', found: `one serves ${name} here` };
    const found = `a daemon serves ${name} here, and the one at ${facts.settings.socket} waits for it to end`;
    return { level: 'fail', found, todo };
  },
};
