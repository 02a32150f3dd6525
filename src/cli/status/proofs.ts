import type { NodeStatus } from '../../volumes/types.ts';
import { failedTodo } from '../snapshot/verify-text.ts';

/** What is wrong with the proof of snapshots, a sentence each. Pure. */
export function proofTexts(volumes: NodeStatus['volumes'], verifications: NodeStatus['verifications'] = []): string[] {
  const held = volumes.flatMap(({ name, proof }) => [
    ...(proof?.last === undefined || proof.last.ok
      ? []
      : [failedText(name, proof.last.snapshotId, proof.last.at, proof.last.words)]),
    ...(proof?.overdueSince === undefined ? [] : [overdueText(name, proof.last?.provenAt)]),
  ]);
  const others = verifications.flatMap(({ volume, snapshotId, verdict }) =>
    verdict === undefined || verdict.ok || volumes.some(({ name }) => name === volume)
      ? []
      : [failedText(volume, snapshotId, verdict.at, verdict.words)],
  );
  return [...held, ...others];
}

const failedText = (volume: string | undefined, snapshotId: string, at: string, words: string): string =>
  `RESTORE FAILED: ${snapshotId}${volume === undefined ? '' : ` of ${volume}`} cannot be restored from, as of ${at}: ${words}. ${failedTodo(volume)}`;

const overdueText = (volume: string, provenAt: string | undefined): string =>
  `UNPROVEN: no snapshot of ${volume} has been proven ${provenAt === undefined ? 'yet' : `since ${provenAt}`}, though it is to be verified by itself: the daemon's log says why`;
