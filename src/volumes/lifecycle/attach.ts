import type { Attachment, EbsVolume } from '../../ebs/types.ts';
import { attachmentOf } from '../../ebs/volume-record.ts';
import { waitUntilCreated } from '../../ebs/volume-waits.ts';
import { DriverError } from '../../errors.ts';
import { type Fenced, type Takeover, takeOver } from '../../fencing/takeover.ts';
import type { Held } from '../state/held.ts';
import { refuseLeaving } from '../state/leaving.ts';
import { nameOf } from '../state/lookup.ts';
import { type Node, waiting } from '../state/node.ts';
import { replacementIn } from '../state/succession.ts';
import { attachFree } from './attempt.ts';
import { refuseWhileDraining } from './drain.ts';
import { refuseForeign } from './foreign.ts';
import { releaseLeftover } from './leftover.ts';
import { roomHere } from './room.ts';

/** Each round begins with what EC2 said last; more of them than this means that somebody else keeps winning. */
const maxRounds = 4;

/**
 * Attaches a volume here, whatever its state: waits for one that is being made, releases a left-over attachment of our
 * own, takes it over from an owner that is proven gone.
 * @returns the volume in phase attached, its disk present. @throws DriverError WRONG_ZONE, ATTACHED_ELSEWHERE,
 * NODE_FULL, EC2_*.
 */
export async function acquire(node: Node, name: string, found: EbsVolume): Promise<Held> {
  let volume = found;
  let fenced: Fenced | undefined;
  let refusal: DriverError | undefined;
  let freed = false;
  for (let round = 0; round < maxRounds; round++) {
    refuseForeign(node, name, volume);
    refuseLeaving(name, volume, `attach ${volume.id}`);
    const attachment = attachmentOf(volume);
    if (attachment !== undefined) {
      ({ volume, fenced } = await makeFree(node, name, volume, attachment));
      freed =
        attachment.instanceId !== node.instanceId && nameOf(volume) === name && replacementIn(volume) === undefined;
    } else {
      const outcome = await attachFree(node, name, await whenMade(node, name, volume), fenced, freed);
      if ('held' in outcome) return outcome.held;
      ({ volume, refusal } = outcome);
      freed = false;
      if (fenced !== undefined && attachmentOf(volume) !== undefined) {
        await node.fencing.audit.ended(fenced.subject, `lost: ${attachmentOf(volume)?.instanceId} was quicker`);
      }
    }
  }
  // Nobody has it, so that nobody was quicker: what EC2 refused it for is what is so.
  if (refusal !== undefined && attachmentOf(volume) === undefined) throw refusal;
  throw new DriverError('ATTACHED_ELSEWHERE', {
    volume: name,
    tried: `attach ${volume.id} to ${node.instanceId}`,
    why: `it was attached or detached by somebody else each time it seemed free${refusal === undefined ? '' : `; EC2 said last: ${refusal.parts.why}`}`,
    todo: 'Find out which other instance wants it (docker-volume-ebs ls shows its owner), stop its container there, and try again',
  });
}

async function makeFree(node: Node, name: string, volume: EbsVolume, attachment: Attachment): Promise<Takeover> {
  if (attachment.instanceId === node.instanceId) {
    return { volume: await releaseLeftover(node, name, volume, attachment), fenced: undefined };
  }
  const { ec2, log, instanceId, fencing } = node;
  return takeOver(
    {
      ...fencing,
      ec2,
      log,
      name,
      instanceId,
      rules: fencing.rulesOf(volume.tags),
      room: () => roomHere(node, name, volume),
      mayGoOn: () => refuseWhileDraining(node, name, undefined),
      waiting: (reason, work, ms) => waiting(node, name, reason, work, ms),
    },
    volume,
    attachment,
  );
}

/** The volume once EC2 has made it. @throws DriverError EC2_INCORRECT_STATE for one whose data is lost. */
export async function whenMade(node: Node, name: string, volume: EbsVolume): Promise<EbsVolume> {
  if (volume.state === 'error') {
    throw new DriverError('EC2_INCORRECT_STATE', {
      volume: name,
      tried: `attach ${volume.id}`,
      why: 'EC2 shows it as "error": its data cannot be read any more',
      todo: 'Look at the AWS Health events of the volume, and restore its latest snapshot',
    });
  }
  if (volume.state === 'available' || volume.state === 'in-use') return volume;
  return waiting(node, name, `EC2 to make ${volume.id}`, () =>
    waitUntilCreated(node.ec2, volume, { timeoutMs: node.settings.attachTimeout * 1000 }),
  );
}
