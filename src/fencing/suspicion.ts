/** What speaks for and against a running owner having failed. None of it proves that nothing writes. Pure. */

import { tagKeys } from '../ebs/tags.ts';
import type { HealthCheck, Instance, InstanceHealth } from '../ebs/types.ts';
import { dampedUntil } from './damping.ts';
import { ownerOf, readFenceLog, unknownFormats } from './records.ts';
import type { Owned, Rules, Testimony } from './types.ts';

/** A check must have failed for three of its minutely rounds. */
const impairedMs = 180_000;
/** A younger attachment is left alone unless there is proof, so that two nodes do not pass a volume to and fro. */
const minimumHoldMs = 600_000;
/** More suspects than this, and as a share of all members, and the fault is likelier on our side. */
const stormSuspects = 3;
const stormShare = 0.2;

/** `source` tells independent ones apart. */
interface Suspicion {
  readonly source: 'host' | 'guest' | 'scheduler';
  readonly detail: string;
}

export interface Veto {
  /** For counters, as "mesos". */
  readonly source: string;
  readonly reason: string;
  readonly todo: string;
}

/** EC2's checks of the owner; those of another instance are none. */
function healthOf({ health, instanceId }: Owned): InstanceHealth | undefined {
  return health?.instanceId === instanceId ? health : undefined;
}

/**
 * What suspects the owner. Three sources count as independent: the host's side (EC2's system check or its attached-EBS
 * check, which look at the machine from outside: together one source), the guest's side (EC2's instance check, which
 * asks the guest's network stack), and the scheduler. A dead host fails both of EC2's: then two sources agree rightly.
 */
export function suspicionsOf(seen: Owned): Suspicion[] {
  const health = healthOf(seen);
  const checks = health === undefined ? [] : checksOf(health);
  return [
    ...checks
      .filter(({ check }) => isImpaired(seen, check, health?.answeredAt ?? ''))
      .map(({ source, name, check }) => ({ source, detail: `EC2's ${name} check is ${since(check)}` })),
    ...seen.testimony
      .filter((testimony) => isSuspicion(seen, testimony))
      .map(({ detail }) => ({ source: 'scheduler' as const, detail })),
  ];
}

export function independentSources(suspicions: readonly Suspicion[]): number {
  return new Set(suspicions.map(({ source }) => source)).size;
}

function checksOf({ system, attachedEbs, instance }: InstanceHealth) {
  return [
    { source: 'host', name: 'system', check: system },
    { source: 'host', name: 'attached-EBS', check: attachedEbs },
    { source: 'guest', name: 'instance', check: instance },
  ] as const;
}

const since = ({ status, impairedSince }: HealthCheck) =>
  impairedSince === undefined ? status : `${status} since ${impairedSince}`;

/** Impaired for long enough, and only since the attachment was made. */
function isImpaired(seen: Owned, check: HealthCheck, answeredAt: string): boolean {
  return check.status === 'impaired' && whyNot(seen, check, answeredAt) === undefined;
}

/** Why an impaired check does not count, as a clause; undefined when it does. All three times are EC2's. */
function whyNot({ attachment }: Owned, { impairedSince = '' }: HealthCheck, answeredAt: string): string | undefined {
  const from = Date.parse(impairedSince);
  if (Number.isNaN(from)) return 'EC2 does not tell since when';
  if (!(from > Date.parse(attachment.attachTime))) return 'it was so before the volume was attached there';
  if (Date.parse(answeredAt) - from >= impairedMs) return undefined;
  return `only what has lasted ${impairedMs / 60_000} minutes does`;
}

/**
 * Only about the identity that the holder stamped on this very attachment: agent ids change, addresses are used again.
 * Here alone a scheduler's clock is compared with EC2's: only to tell a mark that is left from before the attachment.
 */
function isSuspicion({ volume, attachment }: Owned, { source, identity, says, since = '' }: Testimony): boolean {
  const stamped = ownerOf(volume.tags, attachment)?.scheduler === `${source}:${identity}`;
  const lost = says === 'unreachable' || says === 'gone';
  return stamped && lost && Date.parse(since) > Date.parse(attachment.attachTime);
}

/** What is known of a running owner, for people: whatever its checks and schedulers say. */
export function factsOf(seen: Owned): string[] {
  const health = healthOf(seen);
  const checks = health === undefined ? [] : checksOf(health);
  const bad = checks.filter(({ check }) => check.status !== 'ok');
  return [
    ...(checks.length > 0 && bad.length === 0 ? ["EC2's checks of it are ok"] : []),
    ...bad.map(({ name, check }) => `EC2's ${name} check is ${since(check)}${discount(seen, check, health)}`),
    ...seen.testimony.map(({ detail }) => detail),
  ];
}

function discount(seen: Owned, check: HealthCheck, health: InstanceHealth | undefined): string {
  const why = check.status === 'impaired' ? whyNot(seen, check, health?.answeredAt ?? '') : undefined;
  return why === undefined ? '' : `, which does not count: ${why}`;
}

/** What forbids to stop this owner, however suspect it is. Nothing here delays a proof. */
export function vetoesOnStop(rules: Rules, seen: Owned, owner: Instance): Veto[] {
  return [...vetoesOnPull(seen), ...seen.testimony.flatMap(testimonyVetoes), ...ownerVetoes(rules, seen, owner)];
}

/** What forbids to act on any owner that may live, whatever the policy. */
export function vetoesOnPull(seen: Owned): Veto[] {
  const { volume, instanceId, taker } = seen;
  const vetoes: Veto[] = [];
  if (instanceId === taker) {
    vetoes.push({ source: 'self', reason: 'it is attached to this node itself', todo: 'Mount it here' });
  }
  const unknown = unknownFormats(volume.tags);
  if (unknown.length > 0) {
    vetoes.push({
      source: 'format',
      reason: `another version of docker-volume-ebs wrote ${unknown.join(' and ')} in a format that this one does not know`,
      todo: 'Use the same version of docker-volume-ebs on all nodes',
    });
  }
  return [...vetoes, ...capVetoes(seen)];
}

/** Two sick nodes must not pass a volume to and fro. Without EC2's clock the minimum hold waits for that. */
function capVetoes(seen: Owned): Veto[] {
  const now = healthOf(seen)?.answeredAt;
  const until = now === undefined ? undefined : dampedUntil(readFenceLog(seen.volume.tags), now);
  if (until === undefined) return [];
  return [
    {
      source: 'cap',
      reason: 'it was taken from owners that perhaps lived three times within an hour',
      todo: `Find out why its owners fail; it is taken again after ${until}`,
    },
  ];
}

function testimonyVetoes(testimony: Testimony): Veto[] {
  const { source, answered, says, detail, otherMemberThere, takerRegistered, suspects, members } = testimony;
  if (!answered) return [unanswered(testimony)];
  const vetoes: Veto[] = [];
  if (says === 'registered') {
    vetoes.push({ source, reason: detail, todo: `Ask ${source} why it still counts the owner as a ready member` });
  }
  if (otherMemberThere !== undefined) {
    vetoes.push({
      source,
      reason: `${otherMemberThere} is a ready member of ${source} on the same machine`,
      todo: 'Stop the containers that use it there',
    });
  }
  if (!takerRegistered) {
    vetoes.push({
      source: 'taker',
      reason: `${source} does not list this node as a ready member, so that the fault may be on this side`,
      todo: `Join this node to ${source} again, or mount the volume on a node that is a member`,
    });
  }
  if (suspects >= stormSuspects && suspects > members * stormShare) {
    vetoes.push({
      source: 'storm',
      reason: `${source} has lost ${suspects} of ${members} members, so that the fault is likelier with the network or with ${source}`,
      todo: 'Mend that first; volumes of instances that are stopped or terminated are taken over meanwhile',
    });
  }
  return vetoes;
}

/** One that is set up and cannot be asked may still count the owner as alive: its `detail` says why it cannot. */
function unanswered({ source, identity }: Testimony): Veto {
  const reason = `without the answer of ${source}, which may count it as a ready member, it is not stopped`;
  const todo = identity === undefined ? withoutRecord : withoutAnswer[source];
  return { source: identity === undefined ? 'unrecorded' : 'unanswered', reason, todo };
}

const withoutRecord = `Stop the instance by hand; why it wrote no tag ${tagKeys.owner} about this attachment is in its daemon's log`;

const withoutAnswer: Readonly<Record<Testimony['source'], string>> = {
  mesos:
    "Mend the Mesos masters, or start this daemon with DVE_MESOS_MASTERS empty, so that EC2's checks alone are counted",
  swarm:
    "Mount the volume on a Swarm manager, or start this daemon with DVE_SWARM_SOCKET empty, so that EC2's checks alone are counted",
};

function ownerVetoes({ cluster }: Rules, { attachment }: Owned, owner: Instance): Veto[] {
  const vetoes: Veto[] = [];
  if (owner.tags[tagKeys.cluster] !== cluster) {
    vetoes.push({
      source: 'cluster',
      reason: `${owner.id} does not carry the tag ${tagKeys.cluster}=${cluster}, without which it is never stopped`,
      todo: `Tag the instances that may be stopped, or stop ${owner.id} by hand`,
    });
  }
  if (attachment.deleteOnTermination) {
    vetoes.push({
      source: 'delete-on-termination',
      reason: `EC2 would delete the volume with ${owner.id}, should the stop end in a termination`,
      todo: `Turn DeleteOnTermination off for ${attachment.device} of ${owner.id}`,
    });
  }
  if (!(Date.parse(owner.launchTime) <= Date.parse(attachment.attachTime))) {
    vetoes.push({
      source: 'restarted',
      reason: `${owner.id} started again at ${owner.launchTime}, after it attached the volume, and releases it once its daemon runs`,
      todo: `Start docker-volume-ebs on ${owner.id}, or stop the instance by hand`,
    });
  }
  return vetoes;
}

/** Until when the attachment is too young to be taken without proof, RFC 3339; "unknown" without EC2's clock. */
export function heldUntil(seen: Owned): string | undefined {
  const attached = Date.parse(seen.attachment.attachTime);
  const age = Date.parse(healthOf(seen)?.answeredAt ?? '') - attached;
  if (Number.isNaN(age)) return 'unknown';
  return age >= minimumHoldMs ? undefined : new Date(attached + minimumHoldMs).toISOString();
}
