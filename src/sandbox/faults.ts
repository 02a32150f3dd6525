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
  'create-vanishes',
] as const;
export type FaultKind = (typeof faultKinds)[number];

/** What is to go wrong, as POSTed to the switchboard. */
export interface FaultSpec {
  readonly kind: FaultKind;
  /** An action, or a pattern with `*` as "Describe*"; every action without. */
  readonly action?: string;
  readonly volume?: string;
  readonly instance?: string;
  /** Only calls signed with this instance's credentials. */
  readonly caller?: string;
  /** How often; without, until cleared. */
  readonly times?: number;
  /** delay: milliseconds. stale-reads: age of the answer, milliseconds. */
  readonly ms?: number;
  /** stale-reads: each answer has an age of its own between 0 and `ms`, so time seems to go back. */
  readonly nonMonotonic?: boolean;
  /** stuck-detaching: the volume side shows "busy" meanwhile. */
  readonly busy?: boolean;
  readonly status?: number;
  readonly code?: string;
  readonly message?: string;
}

export interface Fault extends FaultSpec {
  readonly id: number;
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
    const fault = { ...spec, id: this.#lastId, remaining: spec.times ?? Number.POSITIVE_INFINITY };
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
  }
  return value as FaultSpec;
}

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
};
