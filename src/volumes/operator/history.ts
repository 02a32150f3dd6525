import type { AuditLine } from '../../fencing/audit-file.ts';

/** An entry of the audit as one line for people; see fencing/audit.ts for what is written. */
export function historyText(entry: AuditLine): string {
  const text = (key: string) => (typeof entry[key] === 'string' ? entry[key] : '');
  const subject = `${text('volume')} (${text('volumeId')} on ${text('instanceId')}, ${text('device')})`;
  const takeover = text('fenceId') === '' ? '' : ` [${text('fenceId')}]`;
  switch (entry['event']) {
    case 'decision':
      return `${subject}: ${decisionText(entry['decision'], text('policy'))}${repeatedText(entry['repeated'])}${takeover}`;
    case 'call': {
      const force = entry['force'] === true ? ' by force' : '';
      return `${subject}: calls ${text('call')}${force}, evidence: ${text('evidence')}${takeover}`;
    }
    case 'outcome':
      return `${subject}: ${text('outcome')}${takeover}`;
    case 'operator':
      return operatorText(entry);
    default:
      return JSON.stringify(entry);
  }
}

function decisionText(decision: unknown, policy: string): string {
  const { kind, evidence, reason } = asRecord(decision);
  const on = typeof evidence === 'string' ? ` on evidence ${evidence}` : '';
  return `decides to ${kind}${on} (policy ${policy}): ${reason}`;
}

const repeatedText = (repeated: unknown) =>
  typeof repeated === 'number' && repeated > 0 ? ` (${repeated} more times before)` : '';

function operatorText(entry: AuditLine): string {
  const { volume, volumeId, instanceId, device } = asRecord(entry['about']);
  const reason = typeof entry['reason'] === 'string' ? `: ${entry['reason']}` : '';
  if (entry['act'] === 'confirm') {
    const state = typeof entry['ownerState'] === 'string' ? ` (${entry['ownerState']})` : '';
    return `an operator confirms that ${instanceId}${state} is finished with ${volume} (${volumeId}, ${device})${reason}`;
  }
  const volumes = entry['volumes'] === 1 ? '1 volume' : `${entry['volumes']} volumes`;
  return `an operator ${entry['act'] === 'pause' ? 'pauses' : 'resumes'} fencing, on ${volumes}${reason}`;
}

const asRecord = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
