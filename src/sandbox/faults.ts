export const faultKinds = [
  'delay',
  'throttle',
  'error',
  'deny',
  'drop-request',
  'drop-reply',
  'stale-reads',
  'stuck-attaching',
  'stuck-detaching',
  'stuck-snapshot',
  'snapshot-fails',
  'create-vanishes',
  'late',
  'stuck-stopping',
  'stop-reason',
  'partition',
  'health',
  'volume-status',
  'linger-attachments',
  'event',
  'spot',
  'rebalance',
] as const;
export type FaultKind = (typeof faultKinds)[number];

/** What is to go wrong, as POSTed to the switchboard. */
interface FaultSpec {
  readonly kind: FaultKind;
  /** An action, or a pattern with `*` as "Describe*"; every action without. */
  readonly action?: string;
  /** Only calls that name it, as an id or in a filter. */
  readonly volume?: string;
  readonly instance?: string;
  /** Only calls signed with this instance's credentials. */
  readonly caller?: string;
  /** How often; without, until cleared. */
  readonly times?: number;
  /**
   * delay: milliseconds. stale-reads: age of the answer. late: when the call arrives; without, once this is cleared.
   * health: how far ahead the Date header of DescribeInstanceStatus is, so that attachments and failures look older.
   */
  readonly ms?: number;
  /**
   * RFC 3339. stale-reads: answer as of this moment instead of an age. spot: when it acts (in 2 minutes). event: its
   * "not before" (in an hour). rebalance: when it was noticed (now). stop-reason: when it was asked for (now).
   */
  readonly at?: string;
  /** stale-reads: each answer has an age of its own between 0 and the age asked for, so time seems to go back. */
  readonly nonMonotonic?: boolean;
  /** stuck-detaching: the volume side shows "busy" meanwhile. */
  readonly busy?: boolean;
  readonly status?: number;
  /**
   * error: EC2's error code. stop-reason: the StateReason of the next stop or termination. event: as "instance-stop".
   * spot: "terminate", "stop" or "hibernate". volume-status: "impaired", "warning" or "insufficient-data".
   */
  readonly code?: string;
  readonly message?: string;
  /** health: what EC2's system, instance and attached-EBS checks say, as "impaired"; without, "ok". */
  readonly system?: string;
  readonly guest?: string;
  readonly attachedEbs?: string;
  /** health: since when, RFC 3339; without, since it was set. */
  readonly since?: string;
}

export interface Fault extends FaultSpec {
  readonly id: number;
  /** When it was set, RFC 3339. */
  readonly setAt: string;
  /** How often it may still strike. */
  remaining: number;
}

/** What a fault is matched against. */
export interface FaultTarget {
  readonly action: string;
  readonly volumes: readonly string[];
  readonly instances: readonly string[];
  readonly caller: string | undefined;
}

/** The switchboard: faults in the order they were set; one that has struck often enough stays listed, spent. */
export class Faults {
  #faults: Fault[] = [];
  #lastId = 0;

  add(spec: FaultSpec): Fault {
    this.#lastId += 1;
    const fault = {
      ...spec,
      id: this.#lastId,
      setAt: new Date().toISOString(),
      remaining: spec.times ?? Number.POSITIVE_INFINITY,
    };
    this.#faults.push(fault);
    return fault;
  }

  list(): readonly Fault[] {
    return this.#faults;
  }

  clear(id?: number): void {
    this.#faults = id === undefined ? [] : this.#faults.filter((fault) => fault.id !== id);
  }

  /** Lets the first matching fault of this kind strike; undefined when there is none. */
  take(kind: FaultKind, target: FaultTarget): Fault | undefined {
    const fault = this.#faults.find((each) => each.kind === kind && each.remaining > 0 && matches(each, target));
    if (fault !== undefined) fault.remaining -= 1;
    return fault;
  }

  /** What holds for an instance until it is cleared, as its health or its notices, in the order it was set. */
  standing(kind: FaultKind, instanceId: string): readonly Fault[] {
    return this.#faults.filter(
      (fault) => fault.kind === kind && (fault.instance === undefined || fault.instance === instanceId),
    );
  }

  /** What was last set for a volume, until it is cleared. */
  ofVolume(kind: FaultKind, volumeId: string): Fault | undefined {
    return this.#faults.findLast(
      (fault) => fault.kind === kind && (fault.volume === undefined || fault.volume === volumeId),
    );
  }

  /** True until the fault is cleared, even when it is spent. */
  isListed(fault: Fault): boolean {
    return this.#faults.includes(fault);
  }
}

function matches(fault: Fault, target: FaultTarget): boolean {
  const { action = '*', volume, instance, caller } = fault;
  const pattern = new RegExp(`^${action.replaceAll('*', '.*')}$`);
  return (
    pattern.test(target.action) &&
    (volume === undefined || target.volumes.includes(volume)) &&
    (instance === undefined || target.instances.includes(instance)) &&
    (caller === undefined || target.caller === caller)
  );
}

/** Checks a POSTed fault. @throws TypeError saying what is wrong with it */
export function readFaultSpec(value: unknown): FaultSpec {
  if (typeof value !== 'object' || value === null) throw new TypeError('a fault is a JSON object');
  const { kind } = value as { kind?: unknown };
  if (!faultKinds.some((known) => known === kind)) throw new TypeError(`kind is one of ${faultKinds.join(', ')}`);
  for (const [name, member] of Object.entries(value)) {
    const wanted = memberTypes[name];
    if (wanted === undefined) throw new TypeError(`a fault has no member ${JSON.stringify(name)}`);
    if (typeof member !== wanted) throw new TypeError(`${name} is a ${wanted}`);
    if (times.has(name) && Number.isNaN(Date.parse(String(member)))) throw new TypeError(`${name} is an RFC 3339 time`);
  }
  return value as FaultSpec;
}

const times = new Set(['at', 'since']);

const memberTypes: Readonly<Record<string, string>> = {
  kind: 'string',
  action: 'string',
  volume: 'string',
  instance: 'string',
  caller: 'string',
  times: 'number',
  ms: 'number',
  nonMonotonic: 'boolean',
  busy: 'boolean',
  status: 'number',
  code: 'string',
  message: 'string',
  at: 'string',
  system: 'string',
  guest: 'string',
  attachedEbs: 'string',
  since: 'string',
};
