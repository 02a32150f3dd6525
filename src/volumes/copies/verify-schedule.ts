import { tagKeys } from '../../ebs/tags.ts';
import type { Tags } from '../../ebs/types.ts';
import { operation } from '../../log.ts';
import { type VerifyEvery, verifyIntervals } from '../options/verify.ts';
import type { Held } from '../state/held.ts';
import type { Node } from '../state/node.ts';
import { listSnapshots } from './find.ts';
import { claimText, type Proof, readClaim, readProof } from './verdict.ts';
import type { Verifications } from './verifications.ts';
import { tagVolume } from './verify.ts';
import { dueAt, patienceOf, type VerifySlot, verifySlot } from './verify-slots.ts';

/** What is held is looked through from memory. */
const lookMs = 60_000;
/** A verification that could not be made is tried again. */
const retryMs = 3_600_000;

/** How often a volume is verified; undefined where it is not, or its tag is nonsense. */
export const verifyEvery = (tags: Tags): VerifyEvery | undefined =>
  verifyIntervals.find((each) => each === tags[tagKeys.verify]);

/**
 * Verifies the newest snapshot of each volume that is attached here and asks for it, once in a slot, one at a time: whoever has
 * the volume does it, and claims the slot by a tag of the volume. Costs no call between.
 */
export function createVerifySchedule(node: Node, verifications: Verifications, signal: AbortSignal): void {
  /** When each volume is looked at again, by id. */
  const notBefore = new Map<string, number>();
  const busy = new Set<string>();

  const verify = async (held: Held, slot: VerifySlot): Promise<void> => {
    const { name, volume } = held;
    const before = readClaim(volume.tags[tagKeys.verifySlot]);
    const claim = { slot: slot.id, by: node.instanceId, since: before?.since ?? new Date().toISOString() };
    await tagVolume(node, name, volume.id, tagKeys.verifySlot, claimText(claim));
    const newest = (await listSnapshots(node, name)).find(
      ({ kind, state }) => kind !== 'foreign' && state === 'completed',
    );
    if (newest === undefined) {
      node.log.warn({ volume: name }, 'it has no snapshot that could be verified');
      return;
    }
    await verifications.run(newest);
  };
  const look = (): void => {
    const now = Date.now();
    for (const held of node.held.values()) {
      const slot = dueSlot(node, held, now);
      const { id } = held.volume;
      if (slot === undefined || busy.has(id) || now < (notBefore.get(id) ?? 0)) continue;
      busy.add(id);
      notBefore.set(id, slot.end);
      void operation
        .run({ op: 'verify', volume: held.name }, () => verify(held, slot))
        .catch((error: unknown) => {
          notBefore.set(id, Date.now() + retryMs);
          node.log.warn(
            { volume: held.name, err: error },
            'its newest snapshot was not verified: tried again in an hour',
          );
        })
        .finally(() => busy.delete(id));
    }
  };
  const timer = setInterval(look, lookMs).unref();
  signal.addEventListener('abort', () => clearInterval(timer));
}

/** The slot in which the volume is to be verified here and now. One that another node has claimed is that node's. */
function dueSlot(node: Node, { phase, volume, removing, giving }: Held, now: number): VerifySlot | undefined {
  const every = verifyEvery(volume.tags);
  if (every === undefined || removing || giving || node.drain.now !== undefined) return undefined;
  if (phase !== 'mounted' && phase !== 'attached') return undefined;
  const slot = verifySlot(every, now);
  const claim = readClaim(volume.tags[tagKeys.verifySlot]);
  const last = readProof(volume.tags[tagKeys.proof]);
  const isDone = last !== undefined && Date.parse(last.at) >= slot.begin;
  const isOthers = claim?.slot === slot.id && claim.by !== node.instanceId;
  return isDone || isOthers || now < dueAt(slot, volume.id) ? undefined : slot;
}

/** How it stands with the proof of a volume's snapshots. */
export interface ProofNote {
  /** How often they are verified by themselves; undefined where a person does it. */
  readonly every: VerifyEvery | undefined;
  /** Undefined where none was verified yet. */
  readonly last: Proof | undefined;
  /** Since when there should have been a newer proof, RFC 3339; undefined while there need not be. */
  readonly overdueSince: string | undefined;
}

/** What a volume's tags say of its proof; undefined where nobody asks for it, and nobody has had one. Pure. */
export function proofNote(tags: Tags, now: number): ProofNote | undefined {
  const every = verifyEvery(tags);
  const last = readProof(tags[tagKeys.proof]);
  if (every === undefined) return last && { every, last, overdueSince: undefined };
  const from = last?.provenAt ?? readClaim(tags[tagKeys.verifySlot])?.since;
  const due = from === undefined ? undefined : Date.parse(from) + patienceOf(every);
  return { every, last, overdueSince: due !== undefined && due < now ? new Date(due).toISOString() : undefined };
}
