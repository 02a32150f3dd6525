import { tagKeys } from '../../ebs/tags.ts';
import type { EbsVolume } from '../../ebs/types.ts';
import { isGone } from '../../ebs/volume-record.ts';
import { DriverError, isCode } from '../../errors.ts';
import { readAudit } from '../../fencing/audit-file.ts';
import { pauseTag, readPause } from '../../fencing/records.ts';
import { type Node, ofNode, waiting } from '../state/node.ts';
import { confirm } from './confirm.ts';
import { explain } from './explain.ts';
import { historyText } from './history.ts';
import type { PermissionCheck } from './permission-check.ts';
import type { FenceHistory, FenceOperator } from './types.ts';

/** EC2 takes up to 1,000 resources a call; fewer keep a call that fails from concerning many. */
const tagBatch = 200;
/** The takeovers that a pause is to stop must not go before it. */
const lane = { lane: 'takeover' } as const;
/** What of a reason fits into a tag beside the node and the time. */
const longestReason = 90;

interface FenceAccess {
  /** Where this node's audit is kept. */
  readonly auditFile: string;
  readonly permissions: PermissionCheck;
}

/** Fencing as an operator of this node sees and steers it. */
export function createFenceOperator(node: Node, { auditFile, permissions }: FenceAccess): FenceOperator {
  return {
    explain: (name) => explain(node, permissions, name),
    history: (limit) => history(node, auditFile, limit),
    confirm: (name, victim, reason, { evenIfRunning }) =>
      confirm(node, name, { victim, reason: said(reason, 'confirm it'), evenIfRunning }),
    pause: (reason) => pause(node, said(reason, 'pause fencing')),
    resume: () => resume(node),
  };
}

async function history({ fencing }: Node, file: string, limit: number): Promise<FenceHistory> {
  const lines = await readAudit(file, limit);
  const entries = lines.map((entry) => ({ at: entry.at, text: historyText(entry), entry }));
  return { entries, counters: structuredClone(fencing.audit.counters) };
}

/**
 * One tagged volume pauses the whole cluster, so volumes that are made meanwhile need no tag, and it does no harm if some
 * do not take it: all are tagged only so that removing one does not end the pause. A volume keeps the reason that it has.
 */
async function pause(node: Node, reason: string): Promise<number> {
  const { ec2, instanceId, fencing, log } = node;
  const list = () => ec2.listVolumes(lane);
  const volumes = (await waiting(node, ofNode, 'EC2 to list the volumes of the cluster', list)).filter(
    (volume) => !isGone(volume),
  );
  const untold = volumes.filter(({ tags }) => readPause(tags) === undefined);
  if (untold.length > 0) await fencing.audit.operated({ act: 'pause', reason, volumes: untold.length });
  const at = `${new Date().toISOString().slice(0, 19)}Z`;
  const value = pauseTag(`${reason.slice(0, longestReason)}, by ${instanceId}`, at);
  const failures = await forAll(untold, (ids) => ec2.createTags(ids, { [tagKeys.paused]: value }, lane));
  if (failures.length === 0 && volumes.length > 0) fencing.audit.sawPause(reason);
  const volumeIds = failures.flatMap(({ ids }) => ids);
  if (failures[0] === undefined) return volumes.length;
  if (volumeIds.length === volumes.length) throw failures[0].error;
  log.warn({ op: 'fence', volumeIds, err: failures[0].error }, 'fencing is paused, but not all volumes say so');
  return volumes.length - volumeIds.length;
}

/** One volume that still says it keeps the pause up, unless it is gone itself. */
async function resume({ ec2, fencing }: Node): Promise<number> {
  const volumes = await ec2.findTagged(tagKeys.paused, lane);
  if (volumes.length > 0) await fencing.audit.operated({ act: 'resume', volumes: volumes.length });
  const failures = await forAll(volumes, (ids) => ec2.deleteTags(ids, { [tagKeys.paused]: undefined }, lane));
  const failure = failures.find(({ error }) => !isCode(error, 'EC2_NO_SUCH_VOLUME'));
  if (failure !== undefined) throw failure.error;
  fencing.audit.sawPause(undefined);
  return volumes.length - failures.length;
}

/** Volumes whose tags could not be written. */
interface Failure {
  readonly ids: readonly string[];
  readonly error: unknown;
}

type Write = (ids: readonly string[]) => Promise<void>;

/** Writes tags of all these volumes, in calls of many; one that fails keeps no other from being made. */
async function forAll(volumes: readonly EbsVolume[], write: Write): Promise<Failure[]> {
  const ids = volumes.map(({ id }) => id);
  const batches = Array.from({ length: Math.ceil(ids.length / tagBatch) }, (_, n) =>
    ids.slice(n * tagBatch, (n + 1) * tagBatch),
  );
  return (await Promise.all(batches.map((batch) => writeOrHalve(batch, write)))).flat();
}

/** EC2 fails a whole call for one volume that is gone or has no room for a tag; halves tell which it is. */
async function writeOrHalve(ids: readonly string[], write: Write): Promise<Failure[]> {
  try {
    await write(ids);
    return [];
  } catch (error) {
    if (ids.length < 2 || !isCode(error, 'EC2_NO_SUCH_VOLUME', 'EC2_LIMIT')) return [{ ids, error }];
    const middle = Math.ceil(ids.length / 2);
    const halves = [ids.slice(0, middle), ids.slice(middle)];
    return (await Promise.all(halves.map((half) => writeOrHalve(half, write)))).flat();
  }
}

/** @throws DriverError INVALID_REQUEST for a reason that says nothing. */
function said(reason: string, tried: string): string {
  const text = reason.trim();
  if (text !== '') return text;
  throw new DriverError('INVALID_REQUEST', { tried, why: 'no reason is given', todo: 'Say why with --reason' });
}
