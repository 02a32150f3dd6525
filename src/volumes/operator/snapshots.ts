import { randomUUID } from 'node:crypto';
import { attachmentOf } from '../../ebs/volume-record.ts';
import { DriverError } from '../../errors.ts';
import { askOwner } from '../copies/ask.ts';
import { listSnapshots, removeSnapshot } from '../copies/find.ts';
import type { VolumeSnapshot } from '../copies/snapshot-tags.ts';
import { readyFor, takeSnapshot, volumeNow } from '../copies/take.ts';
import type { Taken } from '../copies/taken.ts';
import { type RolledBack, rollback } from '../requests/rollback.ts';
import { heldAs } from '../state/held.ts';
import { noSuchVolume } from '../state/lookup.ts';
import { type Node, ofNode, waiting } from '../state/node.ts';

/** Snapshots as an operator asks for them. */
export interface SnapshotOperator {
  /** Of the cluster, or of one volume; the newest first. NO_SUCH_VOLUME where neither a volume nor a snapshot has the name. */
  list(name: string | undefined): Promise<readonly VolumeSnapshot[]>;
  /**
   * Waits until a snapshot could be taken at once, here. INVALID_REQUEST where another node has the volume: what is to be
   * run around the freeze belongs there.
   */
  ready(name: string): Promise<void>;
  /** Where another node has the volume, that one is asked. @param snapshot its name; the time of now without. */
  take(name: string, snapshot: string | undefined, options: { readonly crash: boolean }): Promise<Taken>;
  /** One that this driver took, by its id or name. */
  remove(name: string, snapshot: string): Promise<VolumeSnapshot>;
  /**
   * Makes a name mean a new volume made from a snapshot: its id, its name, `latest`, or a time; what had the name goes into the
   * trash. IN_USE_HERE, ATTACHED_ELSEWHERE while it is mounted. `dryRun` only tells.
   */
  rollback(name: string, snapshot: string, how: { readonly dryRun: boolean }): Promise<RolledBack>;
}

/** What a snapshot may be called: it stands in tags, and in command lines unquoted. */
const snapshotName = /^[\w.@+:-]{1,100}$/;

export function createSnapshotOperator(node: Node): SnapshotOperator {
  return {
    list: async (name) => {
      const all = await waiting(node, ofNode, 'EC2 to list the snapshots', () => listSnapshots(node, name));
      if (name !== undefined && all.length === 0 && (await node.lookup.named(name, { lane: 'list' })).length === 0)
        throw noSuchVolume(name, 'list its snapshots');
      return all;
    },
    ready: async (name) => {
      const tried = 'prepare a snapshot of it';
      const volume = await volumeNow(node, name);
      if (heldAs(node.held, name) === undefined && attachmentOf(volume) !== undefined) {
        const why = `${attachmentOf(volume)?.instanceId ?? 'AWS'} has it: what holds its writers has to be run there`;
        throw new DriverError('INVALID_REQUEST', { volume: name, tried, why, todo: 'Run this command on that node' });
      }
      await readyFor(node, name, volume);
    },
    take: async (name, snapshot = timeName(new Date()), { crash }) => {
      if (!snapshotName.test(snapshot) || snapshot.startsWith('snap-')) {
        const why = `${JSON.stringify(snapshot)} is no name for a snapshot`;
        const todo = 'Give up to 100 letters, digits and . _ @ + : -, not an id';
        throw new DriverError('INVALID_REQUEST', { volume: name, tried: 'take a snapshot of it', why, todo });
      }
      const wanted = { request: randomUUID(), name: snapshot };
      if (!crash && heldAs(node.held, name) === undefined) {
        const volume = await volumeNow(node, name);
        if (attachmentOf(volume) !== undefined) return askOwner(node, name, volume, wanted);
      }
      return takeSnapshot(node, name, wanted, crash ? 'crash' : 'consistent');
    },
    remove: (name, snapshot) => removeSnapshot(node, name, snapshot),
    rollback: (name, snapshot, how) => node.queue.run(name, () => rollback(node, name, snapshot, how)),
  };
}

/** As "2026-11-30T12:00:05Z". */
const timeName = (now: Date): string => `${now.toISOString().slice(0, 19)}Z`;
