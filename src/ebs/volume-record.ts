/** What EC2's record of a volume says, and how far behind the truth it may be. Pure. */
import type { Attachment, EbsVolume } from './types.ts';

/**
 * A read may show EC2 as it was this many milliseconds ago: what changed before that is taken to be visible (Δ in
 * fencing). A reference value for eventual consistency; AWS gives no bound.
 */
export const visibilityMs = 20_000;

/** The attachment that counts: the one that is not over. Undefined when nobody has the volume. */
export function attachmentOf({ attachments }: Pick<EbsVolume, 'attachments'>): Attachment | undefined {
  return attachments.find(({ state }) => state !== 'detached');
}

/** Who has the volume, for people. */
export function ownerText({ instanceId }: Pick<Attachment, 'instanceId'>): string {
  return instanceId ?? 'a resource that AWS manages';
}

/** True for a volume that EC2 deletes, or has deleted: it still lists it for a while. */
export function isGone({ state }: Pick<EbsVolume, 'state'>): boolean {
  return state === 'deleting' || state === 'deleted';
}
