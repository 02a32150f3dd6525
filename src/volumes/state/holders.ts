import type { ProcessIdentity } from '../../host/types.ts';

/** A caller with a mount not yet undone. */
export interface Holder {
  /**
   * Docker's mount id; null is the one holder that all callers without an id are (dvdcli, Mesos); {@link adopted} stands
   * for whoever holds a mount that was found without a record, {@link rescuer} for a person who looks at the disk.
   */
  readonly id: string | null;
  /** RFC 3339. */
  readonly since: string;
  /**
   * The process that asked for the mount: only once it has ended may anybody but itself end the holder. Undefined where
   * none was known, as for {@link adopted}.
   */
  readonly engine?: ProcessIdentity | undefined;
  /** Of {@link rescuer}: what was on the volume before. */
  readonly snapshotId?: string | undefined;
}

export const adopted = 'adopted';
/** Holds a volume alone, attached and not mounted; no caller can end it. */
export const rescuer = 'rescue';

/** The holder of a volume that is rescued here; undefined for any other. */
export const rescueOf = (held: { readonly holders: readonly Holder[] } | undefined): Holder | undefined =>
  held?.holders.find(({ id }) => id === rescuer);

/** Whether a record is that of the volume of its name, in the hands of its callers or nobody's: not renamed, nor rescued. */
export const isOrdinary = (held: {
  readonly holders: readonly Holder[];
  readonly removing?: true | undefined;
  readonly giving?: true | undefined;
}): boolean => !held.removing && !held.giving && rescueOf(held) === undefined;

/**
 * With this caller among the holders. The same id again is the same holder, young again: `docker cp` repeats a live one,
 * and dockerd after a crash an old one, whose next container is yet to start; the engine is the one that asked last.
 */
export function addHolder(
  holders: readonly Holder[],
  id: string | undefined,
  now: Date,
  engine?: ProcessIdentity,
): readonly Holder[] {
  const key = id ?? null;
  const holder = { id: key, since: now.toISOString(), ...(engine && { engine }) };
  const known = holders.some((each) => each.id === key);
  return known ? holders.map((each) => (each.id === key ? holder : each)) : [...holders, holder];
}

/**
 * Without this caller; an unknown one changes nothing. Holders that were adopted end with any Unmount: which of them the
 * caller is cannot be told, and the mount stays as long as a container has it.
 */
export function removeHolder(holders: readonly Holder[], id: string | undefined): readonly Holder[] {
  const key = id ?? null;
  return holders.filter((holder) => holder.id === rescuer || (holder.id !== key && holder.id !== adopted));
}
