/** What became of verifications, as tags keep it: on the snapshot, and on the volume that it is of. Pure. */

/** How the verification of a snapshot ended. */
export interface Verdict {
  /** RFC 3339. */
  readonly at: string;
  readonly ok: boolean;
  /** What was proven, or why it failed, as a clause. */
  readonly words: string;
}

/** The last verification of a volume's snapshots, and the last that succeeded. */
export interface Proof extends Verdict {
  /** When a snapshot of it was last proven; undefined where none ever was. RFC 3339. */
  readonly provenAt: string | undefined;
  readonly snapshotId: string;
}

/** EC2's limit of a tag's value. */
const mostCharacters = 256;

/** The verdict as a tag. */
export const verdictText = ({ at, ok, words }: Verdict): string => fitted(`${at} ${ok ? 'ok' : 'failed'} ${words}`);

/** What such a tag says; undefined where there is none, or another wrote it. */
export function readVerdict(text: string | undefined): Verdict | undefined {
  const [, at = '', word, words = ''] = /^(\S+) (ok|failed) (.*)$/s.exec(text ?? '') ?? [];
  return Number.isNaN(Date.parse(at)) ? undefined : { at, ok: word === 'ok', words };
}

/** The proof as a tag. */
export const proofText = ({ provenAt, snapshotId, ...verdict }: Proof): string =>
  fitted(`${provenAt ?? '-'} ${snapshotId} ${verdictText(verdict)}`);

/** What such a tag says; undefined where there is none, or another wrote it. */
export function readProof(text: string | undefined): Proof | undefined {
  const [, proven = '', snapshotId = '', rest] = /^(\S+) (snap-\S+) (.*)$/s.exec(text ?? '') ?? [];
  const verdict = readVerdict(rest);
  if (verdict === undefined || (proven !== '-' && Number.isNaN(Date.parse(proven)))) return undefined;
  return { provenAt: proven === '-' ? undefined : proven, snapshotId, ...verdict };
}

/** The proof after one more verification. */
export const proofAfter = (before: Proof | undefined, snapshotId: string, verdict: Verdict): Proof => ({
  ...verdict,
  snapshotId,
  provenAt: verdict.ok ? verdict.at : before?.provenAt,
});

/** Which node verifies for which slot, and since when the volume is verified by itself. */
export interface VerifyClaim {
  readonly slot: string;
  readonly by: string;
  /** RFC 3339. */
  readonly since: string;
}

/** The claim as a tag. */
export const claimText = ({ slot, by, since }: VerifyClaim): string => `${slot} ${by} ${since}`;

/** What such a tag says; undefined where there is none, or another wrote it. */
export function readClaim(text: string | undefined): VerifyClaim | undefined {
  const [slot, by, since = '', ...more] = text?.split(' ') ?? [];
  if (slot === undefined || by === undefined || more.length > 0 || Number.isNaN(Date.parse(since))) return undefined;
  return { slot, by, since };
}

const fitted = (text: string): string =>
  text.length <= mostCharacters ? text : `${text.slice(0, mostCharacters - 2)} …`;
