import { uptime } from 'node:os';
import { tagKeys } from '../../ebs/tags.ts';
import type { Tags } from '../../ebs/types.ts';
import { askFor, type Missing, questionsOf } from '../../fencing/permissions.ts';
import { operation, over } from '../../log.ts';
import { spreadOf } from '../state/alarms.ts';
import type { Allowance } from '../state/journal.ts';
import type { Node } from '../state/node.ts';

/** Soon enough for whoever set the role up to see it, and spread: a fleet that starts at once must not ask at once. */
const firstMs = 120_000;
const spreadMs = 600_000;
const daySeconds = 24 * 3600;
/** What is missing is not asked for again at each look, but soon enough for whoever mends it. */
const missingMs = 3 * 60_000;

/** Knows which calls that the settings need this node's role may not make. */
export interface PermissionCheck {
  /**
   * As EC2 says: that nothing is missing, today; what is, within the last minutes; undefined where it does not tell, or
   * there is no volume yet to ask about and nothing else is missing.
   */
  missing(): Promise<readonly Missing[] | undefined>;
  close(): void;
}

/**
 * Checks the permissions of this node some minutes after its start, in up to fourteen EC2 calls. Once nothing is missing it is
 * not asked again that day, whatever restarts. What is missing becomes an error in the log.
 */
export function createPermissionCheck(node: Node): PermissionCheck {
  const { settings, journal, log, ec2, instanceId, zone, host } = node;
  const { fencePolicy: policy, onRemove, cluster } = settings;
  const asked = [policy, onRemove, cluster, instanceId].join(' ');
  let running: Promise<readonly Missing[] | undefined> | undefined;
  let found: { readonly missing: readonly Missing[]; readonly at: number } | undefined;

  /** What was asked for volumes with such options follows the rest. */
  const isAsked = (text: string) => {
    const more = text.startsWith(`${asked} `) ? text.slice(asked.length + 1).split(' ') : [];
    const here = optionsOf([...node.held.values()].map(({ volume }) => volume));
    return (text === asked || more.length > 0) && here.every((word) => more.includes(word));
  };
  const holds = (allowed: Allowance | undefined) =>
    allowed?.bootId === host.bootId && isAsked(allowed.asked) && uptime() - (allowed.uptime ?? 0) < daySeconds;
  const ask = async (): Promise<readonly Missing[] | undefined> => {
    if (found !== undefined && performance.now() - found.at < missingMs) return found.missing;
    if (holds(await journal.loadAllowance())) return [];
    const listed = await ec2.listVolumes({ lane: 'list' });
    const { needs, later } = questionsOf({ policy, onRemove, cluster, instanceId, zone }, listed);
    const findings = await askFor(ec2, needs);
    for (const missing of findings.missing) {
      log.error(
        missing,
        `this node's role may not call ${missing.action}, so that ${missing.without}: allow it in IAM`,
      );
    }
    if (findings.missing.length > 0) {
      found = { missing: findings.missing, at: performance.now() };
      return findings.missing;
    }
    if (findings.unknown.length > 0) {
      log.warn({ unknown: findings.unknown }, 'EC2 did not tell whether this role may make these calls');
      return undefined;
    }
    if (later.length > 0) {
      log.info({ later }, 'whether this role may make some calls that the settings need can be asked only later');
      found = { missing: [], at: performance.now() };
      return [];
    }
    const allowance = { bootId: host.bootId, asked: [asked, ...optionsOf(listed)].join(' '), uptime: uptime() };
    await journal.saveAllowance(allowance).catch(() => undefined);
    return [];
  };
  const missing = (): Promise<readonly Missing[] | undefined> => {
    running ??= operation
      .run({ op: 'permissions' }, ask)
      .then((missing) => {
        over(log, { op: 'permissions' });
        return missing;
      })
      .catch((error: unknown) => {
        log.warn({ op: 'permissions', err: error }, 'the permissions of this role could not be checked');
        return undefined;
      })
      .finally(() => {
        running = undefined;
      });
    return running;
  };
  const timer = setTimeout(() => void missing(), firstMs + spreadMs * spreadOf(instanceId)).unref();
  return { missing, close: () => clearTimeout(timer) };
}

/** Options for which a role needs more, and the word for each in what was asked. */
const demanding = [
  [tagKeys.autoGrow, 'grow'],
  [tagKeys.snapshots, 'snapshots'],
] as const;
const optionsOf = (volumes: readonly { readonly tags: Tags }[]): string[] =>
  demanding.flatMap(([key, word]) => (volumes.some(({ tags }) => key in tags) ? [word] : []));
