import { tagKeys } from '../ebs/tags.ts';
import type { EbsVolume } from '../ebs/types.ts';
import { DriverError } from '../errors.ts';
import { readAudit } from '../fencing/audit.ts';
import { pauseTag, readPause } from '../fencing/records.ts';
import { confirm } from './fence-confirm.ts';
import { explain } from './fence-explain.ts';
import { historyText } from './fence-history.ts';
import type { Node } from './node.ts';
import type { PermissionCheck } from './permission-check.ts';
import type { FenceOperator, HistoryEntry } from './types.ts';

/** EC2 takes up to 1,000 resources a call; fewer keep one volume that is refused from holding up many. */
const tagBatch = 200;
/** What of a reason fits into a tag beside the node and the time. */
const longestReason = 90;

export interface FenceAccess {
  /** Where this node's audit is kept. */
  readonly auditFile: string;
  readonly permissions: PermissionCheck;
}

/** Fencing as an operator of this node sees and steers it. */
export function createFenceOperator(node: Node, { auditFile, permissions }: FenceAccess): FenceOperator {
  return {
    explain: (name) => explain(node, permissions, name),
    history: (limit) => history(auditFile, limit),
    confirm: (name, victim, reason) => confirm(node, name, { victim, reason: said(reason, 'confirm it') }),
    pause: (reason) => pause(node, said(reason, 'pause fencing')),
    resume: () => resume(node),
  };
}

async function history(file: string, limit: number): Promise<readonly HistoryEntry[]> {
  const { lines, broken } = await readAudit(file, limit);
  const entries = lines.map((entry) => ({ at: entry.at, text: historyText(entry), entry })).reverse();
  if (broken === undefined) return entries;
  const text = `somebody has changed this record: ${broken}`;
  return [{ at: new Date().toISOString(), text, entry: { event: 'broken', broken } }, ...entries];
}

/**
 * One tagged volume pauses the whole cluster, so volumes that are made meanwhile need no tag: all are tagged only so
 * that removing one does not end the pause. A volume keeps the reason that it has.
 */
async function pause({ ec2, instanceId, fencing }: Node, reason: string): Promise<number> {
  const volumes = await ec2.listVolumes();
  const untold = volumes.filter(({ tags }) => readPause(tags) === undefined);
  if (untold.length > 0) await fencing.audit.operated({ act: 'pause', reason, volumes: untold.length });
  const at = `${new Date().toISOString().slice(0, 19)}Z`;
  const value = pauseTag(`${reason.slice(0, longestReason)}, by ${instanceId}`, at);
  for (const ids of batches(untold)) await ec2.createTags(ids, { [tagKeys.paused]: value });
  return volumes.length;
}

async function resume({ ec2, fencing }: Node): Promise<number> {
  const volumes = await ec2.findTagged(tagKeys.paused);
  if (volumes.length > 0) await fencing.audit.operated({ act: 'resume', volumes: volumes.length });
  for (const ids of batches(volumes)) await ec2.deleteTags(ids, { [tagKeys.paused]: undefined });
  return volumes.length;
}

function batches(volumes: readonly EbsVolume[]): string[][] {
  const ids = volumes.map(({ id }) => id);
  return Array.from({ length: Math.ceil(ids.length / tagBatch) }, (_, n) =>
    ids.slice(n * tagBatch, (n + 1) * tagBatch),
  );
}

/** @throws DriverError INVALID_REQUEST for a reason that says nothing. */
function said(reason: string, tried: string): string {
  const text = reason.trim();
  if (text !== '') return text;
  throw new DriverError('INVALID_REQUEST', { tried, why: 'no reason is given', todo: 'Say why with --reason' });
}
