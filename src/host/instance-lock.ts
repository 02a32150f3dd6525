import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { DriverError } from '../errors.ts';
import { errnoOf, hostFailed } from './tools.ts';

/**
 * Makes this process the only daemon of a cluster on an instance. Two of them, say a managed plugin and a service of
 * systemd, would each take the other's attachments for leftovers and detach them.
 * The lock is an abstract Unix socket (unix(7)): seen by every process of the host's network, whatever its filesystems,
 * and gone with its process. Until then nothing gives it back: what a driver has under way may outlive its closing.
 * @throws DriverError HOST_FAILED where another process has it, or it cannot be had at all.
 */
export async function lockInstance(instanceId: string, cluster: string): Promise<void> {
  const server = createServer((connection) => connection.destroy());
  try {
    server.listen(`\0${lockName(instanceId, cluster)}`);
    await once(server, 'listening');
  } catch (error) {
    const tried = `serve the cluster ${cluster} on ${instanceId}`;
    if (errnoOf(error) !== 'EADDRINUSE') {
      throw hostFailed(
        `${tried} (take its lock)`,
        error,
        'Let this process make Unix sockets (seccomp, AppArmor, SELinux)',
      );
    }
    throw new DriverError('HOST_FAILED', {
      tried,
      why: 'another daemon serves it here, and would detach what this one attaches',
      todo: 'Stop or uninstall one of the two (a managed plugin, a service of systemd), or give this one another cluster with DVE_CLUSTER',
      cause: error,
    });
  }
  server.unref();
}

/** The lock's name without the zero byte that begins it: as /proc/net/unix shows it after an "@". */
export function lockName(instanceId: string, cluster: string): string {
  // An abstract name has at most 107 bytes, a cluster's name any number.
  return `docker-volume-ebs.${createHash('sha256').update(`${instanceId}\0${cluster}`).digest('hex')}`;
}
