/** A caller with a mount not yet undone. */
export interface Holder {
  /** Docker's mount id; null is the one holder that all callers without an id are (dvdcli, Mesos). */
  readonly id: string | null;
  /** RFC 3339. */
  readonly since: string;
}

/** With this caller among the holders. The same id again is the same holder: `docker cp` repeats a live one. */
export function addHolder(holders: readonly Holder[], id: string | undefined, now: Date): readonly Holder[] {
  const key = id ?? null;
  return holders.some((holder) => holder.id === key) ? holders : [...holders, { id: key, since: now.toISOString() }];
}

/** Without this caller; an unknown one changes nothing. */
export function removeHolder(holders: readonly Holder[], id: string | undefined): readonly Holder[] {
  const key = id ?? null;
  return holders.filter((holder) => holder.id !== key);
}
