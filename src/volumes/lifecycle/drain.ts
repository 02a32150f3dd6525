import { DriverError, toDriverError } from '../../errors.ts';
import { over } from '../../log.ts';
import type { Draining } from '../state/draining.ts';
import type { Held } from '../state/held.ts';
import type { Node } from '../state/node.ts';
import { seenUse } from './detach.ts';
import { createLooks, sweepHolders } from './sweep.ts';

/** How far the drain has come with a volume that was held when it began. */
export interface DrainedVolume {
  readonly name: string;
  readonly volumeId: string;
  readonly state: 'released' | 'releasing' | 'in-use';
  /** Docker's mount ids, or "anonymous" for callers without one; empty once nobody holds it. */
  readonly holders: readonly string[];
  /** What uses it, or what its release waits for, as a clause; undefined once it is released. */
  readonly why: string | undefined;
}

export interface DrainReport {
  /** Undefined while the node takes mounts. */
  readonly draining: Draining | undefined;
  /** By name; empty unless draining. */
  readonly volumes: readonly DrainedVolume[];
}

/**
 * How often volumes are looked at whose users may go without an Unmount: oftener than the keeper sweeps, since somebody
 * waits for the drain, and reads in its report what still uses each.
 */
const lookMs = 5000;

/** The drain of a node: it takes no new mounts, and gives back what nobody uses as soon as nobody does. */
export interface Drain {
  /** Begins it; again, with another reason, changes nothing but who ends it: an operator's drain outlasts a notice. */
  start(reason: string, by: Draining['by']): DrainReport;
  /** Ends it. @returns what it was. */
  cancel(): Draining | undefined;
  report(): DrainReport;
  /** Ends its looks for good. */
  close(): void;
}

/** The drain of this node, not begun. Its work runs in the volumes' queues, side by side. */
export function createDrain(node: Node): Drain {
  /** What was held when it began, or came to be since: volume id by name. */
  const volumes = new Map<string, string>();
  /** What uses a volume, as last seen, by name. */
  const uses = new Map<string, string>();
  let timer: NodeJS.Timeout | undefined;
  let isDone = false;
  /** Says once that all is released. */
  const tellWhenDone = () => {
    const { now } = node.drain;
    if (now === undefined || isDone || node.held.size > 0) return;
    isDone = true;
    node.log.info(
      { op: 'drain', reason: now.reason, volumes: [...volumes.keys()] },
      'drained: all volumes are released',
    );
  };

  /** Ends the holders if nothing uses it. @returns what does, or may be about to. */
  const unlessEnded = async (name: string): Promise<string | undefined> => {
    const outcome = await sweepHolders(node, name);
    if (outcome !== 'ended') return outcome.keptBy;
    node.scheduleRelease(name, 0);
    return undefined;
  };
  const look = async (name: string): Promise<void> => {
    const held = node.held.get(name);
    if (node.drain.now === undefined || held === undefined) return;
    if (held.holders.length === 0) {
      uses.delete(name);
      return;
    }
    const use = (await seenUse(node, held)) ?? (await unlessEnded(name));
    if (use === undefined || use === uses.get(name)) return;
    uses.set(name, use);
    node.log.warn({ volume: name, holders: held.holders, usedBy: use }, 'drain: it is still in use');
  };
  const lookInTurn = createLooks(node, 'drain', (name) =>
    look(name).then(
      () => over(node.log, { op: 'drain', volume: name }),
      (error: unknown) => {
        uses.set(name, toDriverError(error, 'release it').message);
        node.log.warn(
          { volume: name, op: 'drain', err: error },
          'whether it is still in use could not be told; it is looked at again',
        );
      },
    ),
  );
  const lookAtAll = () => {
    for (const [name, { volume }] of node.held) {
      volumes.set(name, volume.id);
      void lookInTurn(name);
    }
    tellWhenDone();
  };
  const stateOf = (name: string, volumeId: string): DrainedVolume => {
    const held = node.held.get(name);
    if (held === undefined) return { name, volumeId, state: 'released', holders: [], why: undefined };
    const holders = held.holders.map(({ id }) => id ?? 'anonymous');
    if (holders.length > 0 && uses.has(name)) return { name, volumeId, state: 'in-use', holders, why: uses.get(name) };
    return { name, volumeId, state: 'releasing', holders, why: node.waits.get(name) ?? 'what was begun with it' };
  };
  const report = (): DrainReport => ({
    draining: node.drain.now,
    volumes: [...volumes].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, volumeId]) => stateOf(name, volumeId)),
  });

  return {
    start(reason, by) {
      const now = node.drain.now;
      if (now !== undefined) {
        if (by === 'operator' && now.by === 'notice') node.drain.now = { ...now, by };
        return report();
      }
      node.drain.now = { reason, by, since: new Date().toISOString() };
      isDone = false;
      node.log.warn({ op: 'drain', reason, by, volumes: [...node.held.keys()] }, 'draining: no new mounts here');
      for (const { name, holders } of node.held.values()) if (holders.length === 0) node.scheduleRelease(name, 0);
      lookAtAll();
      timer = setInterval(lookAtAll, lookMs).unref();
      return report();
    },
    cancel() {
      const ended = node.drain.now;
      clearInterval(timer);
      node.drain.now = undefined;
      volumes.clear();
      uses.clear();
      if (ended !== undefined) node.log.warn({ op: 'drain', ...ended }, 'the drain is ended: this node takes mounts');
      return ended;
    },
    report,
    close: () => clearInterval(timer),
  };
}

/**
 * Lets a Mount pass unless the node is drained. Of a drained node only the container that has the volume may mount it
 * again, as `docker cp` does under its id: refused, that would fail for nothing.
 * @throws DriverError DRAINING
 */
export async function refuseWhileDraining(node: Node, name: string, id: string | undefined): Promise<void> {
  const { now } = node.drain;
  if (now === undefined) return;
  const held = node.held.get(name);
  if (held !== undefined && (await isLiveHolder(node, held, id))) return;
  throw new DriverError('DRAINING', {
    volume: name,
    tried: `mount it on ${node.instanceId}`,
    why: `this node is being drained since ${now.since}: ${now.reason}`,
    todo: 'Run the container on another node; to take mounts here again, run docker-volume-ebs drain --cancel, or restart this daemon',
  });
}

async function isLiveHolder(node: Node, held: Held, id: string | undefined): Promise<boolean> {
  if (id === undefined || held.phase !== 'mounted' || !held.holders.some((holder) => holder.id === id)) return false;
  return (await seenUse(node, held)) !== undefined;
}
