import { DriverError } from '../../errors.ts';
import { unmounted } from '../lifecycle/agree.ts';
import { stillUsed, unmountOurs } from '../lifecycle/detach.ts';
import { letVolumeGo } from '../requests/hold.ts';
import { keep, type Node } from '../state/node.ts';

/** What callers without an id are called wherever holders are shown. */
const anonymous = 'anonymous';

/**
 * Ends a holder whose caller has forgotten it: mesos-module-dvdi forgets its mounts when its agent restarts. With the last
 * holder the filesystem is unmounted, and the detach lingers as after any Unmount. Runs in the volume's queue.
 * @param holder a mount id of Docker, or `anonymous` for callers without one, as status shows them.
 * @throws DriverError INVALID_REQUEST for a volume or holder that is not here; IN_USE_HERE while a container or program is seen to use
 * the volume. The holder stays then.
 */
export async function endHolder(node: Node, name: string, holder: string): Promise<void> {
  const tried = `end its holder ${JSON.stringify(holder)}`;
  const held = node.held.get(name);
  const holders = held?.holders ?? [];
  const found = holders.find(({ id }) => (id ?? anonymous) === holder);
  if (held === undefined || found === undefined) {
    const who = holders.map(({ id }) => id ?? anonymous).join(', ');
    throw new DriverError('INVALID_REQUEST', {
      volume: name,
      tried,
      why: held === undefined ? 'this node does not hold it' : `its holders here are ${who || 'none'}`,
      todo: 'Look at docker-volume-ebs status on the node that has it mounted',
    });
  }
  if (holders.length === 1 && held.phase === 'mounted') {
    const usedBy = await unmountOurs(node, held);
    if (usedBy !== undefined) throw inUse(node, name, tried, usedBy);
    const unseen = await stillUsed(node, await keep(node, unmounted(held)));
    // Processes may be hidden from us, as in a plugin; the container keeps its own mount, and a new Mount makes ours again.
    if (unseen !== undefined) throw inUse(node, name, tried, unseen);
  }
  await letVolumeGo(node, name, found.id ?? undefined);
}

function inUse({ instanceId }: Node, name: string, tried: string, why: string): DriverError {
  return new DriverError('IN_USE_HERE', {
    volume: name,
    tried,
    why,
    todo: `Stop what uses it on ${instanceId}, then try again`,
  });
}
