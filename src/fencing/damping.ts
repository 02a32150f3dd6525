/** How often a volume may be taken from owners that perhaps live: two sick nodes must not pass it to and fro. Pure. */
import type { Evidence, FenceLogEntry } from './types.ts';

/** Takeovers of one volume in {@link windowMs} that may act on a possibly live instance. */
const mostInWindow = 3;
export const windowMs = 3_600_000;

/**
 * Does a takeover on this evidence count? Proofs do not: nothing live is disturbed by them, and a spot fleet may lose
 * four nodes in an hour. That its host cut an owner off is one of them; an owner that we stop, gracefully or by force,
 * goes down as suspected.
 */
export function actsOnLive(evidence: Evidence): boolean {
  return evidence === 'suspected' || evidence === 'preempted';
}

/**
 * When the volume may be taken from a possibly live owner again, RFC 3339; undefined when it may now. It bears on a
 * `stop` or a `pull`, never on a `take`.
 * @param entries what the volume's tag lists, newest first.
 * @param now RFC 3339 by EC2's clock, as the entries' times are; one that cannot be read lets every entry count.
 */
export function dampedUntil(entries: readonly FenceLogEntry[], now: string): string | undefined {
  const since = Date.parse(now) - windowMs;
  const counted = entries
    .filter(({ evidence }) => actsOnLive(evidence))
    .map(({ at }) => Date.parse(at))
    .filter((at) => !(at <= since))
    .sort((a, b) => b - a);
  const last = counted[mostInWindow - 1];
  return last === undefined ? undefined : new Date(last + windowMs).toISOString();
}
