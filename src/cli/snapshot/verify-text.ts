import { shellWord } from '../../errors.ts';
import type { Verification, VerificationPlan } from '../../volumes/types.ts';
import type { Awaited } from '../progress.ts';

/** What each step is waited for, as a clause, and how much is behind it. */
const steps: Readonly<Record<Verification['step'], readonly [what: string, share: number]>> = {
  waiting: ['its turn: a node verifies one snapshot at a time', 0],
  make: ['EC2 to make a scratch volume of it', 0.05],
  attach: ['the scratch volume to be attached', 0.2],
  replay: ['its journal to be replayed', 0.4],
  check: ['all of its filesystem to be checked', 0.5],
  mount: ['it to be mounted read-only', 0.8],
  command: ['the command of --run', 0.85],
  'take away': ['the scratch volume to be deleted', 0.9],
  ended: ['its end', 1],
};

/** How far a verification is. Pure. */
export function progressText({ step, waitingFor }: Verification): Awaited {
  const [what, share] = steps[step];
  return { what: waitingFor ?? what, share };
}

/** What a verification takes and costs, for people. Pure. */
export function planText(plan: VerificationPlan): string {
  const { snapshotId, volume, state, sizeGiB, type, zone, dollarsPerHour, heldGiB, initializationSeconds, denied } =
    plan;
  const of = volume === undefined ? '' : ` of ${volume}`;
  const price =
    dollarsPerHour === undefined
      ? ''
      : `, about $${dollarsPerHour.toFixed(4)} an hour while it is there, by the list prices of us-east-1`;
  const held = heldGiB === undefined ? '' : `The snapshot holds ${heldGiB} GiB. `;
  const fetch =
    initializationSeconds === undefined
      ? 'What the check reads, metadata mostly, EC2 fetches as it is read: that takes minutes, on a large filesystem more.'
      : `EC2 fetches all of it in about ${initializationSeconds} s, and charges for that by the GiB.`;
  return [
    `${snapshotId}${of} would be verified by a scratch volume of ${sizeGiB} GiB (${type}) in ${zone}${price}.`,
    `${held}${fetch}`,
    ...(state === 'completed' ? [] : [`It is ${state}: only a completed snapshot can be verified.`]),
    ...(denied === undefined
      ? []
      : [
          `This node's role may not make that volume: ec2:CreateVolume is denied (${denied}). docs/iam.md says what to allow.`,
        ]),
    'Nothing was done.',
    '',
  ].join('\n');
}

/** How a verification ended, for people, and what to do. Pure. */
export function verdictText({ snapshotId, volume, verdict, seconds, notes }: Verification): string {
  if (verdict === undefined) return '';
  const of = volume === undefined ? '' : ` of ${volume}`;
  const lines = verdict.ok
    ? [`${snapshotId}${of} is proven: ${verdict.words}, in ${seconds} s. A volume can be restored from it.`]
    : [`${snapshotId}${of} FAILED: ${verdict.words}.`, failedTodo(volume)];
  return `${[...lines, ...notes].join('\n')}\n`;
}

/** What to do about a snapshot that failed, as sentences. */
export function failedTodo(volume: string | undefined): string {
  if (volume === undefined) return 'Verify another snapshot, and take a new one.';
  const name = shellWord(volume);
  return (
    `Verify an earlier one (docker-volume-ebs snapshot ls ${name}), then take a new one and verify that: ` +
    `if it fails, too, the volume itself is damaged, and docker-volume-ebs rescue ${name} is the way.`
  );
}
