import type {
  AttachmentLimit,
  CallOptions,
  Ec2,
  Instance,
  InstanceHealth,
  InstanceState,
  Permission,
  VolumeStatus,
} from '../../src/ebs/types.ts';
import { DriverError, type ErrorCode } from '../../src/errors.ts';

export type Mutable<T> = { -readonly [K in keyof T]: T[K] };
export type Method = keyof Ec2;

/** An EC2 error as the adapter would give it. */
export function ec2Error(code: ErrorCode, why = `EC2 said ${code}`): DriverError {
  return new DriverError(code, { tried: 'do as asked', why, todo: 'Look at the test' });
}

/** The instances of an EC2 in memory, and what all its calls have in common. Times are those of the global timers. */
export abstract class FakeInstances {
  readonly calls: { method: Method; args: unknown[] }[] = [];
  readonly instances = new Map<string, Mutable<Omit<Instance, 'disks' | 'answeredAt'>>>();
  /** What differs from a running instance's health in order, by instance. */
  readonly health = new Map<string, Partial<Omit<InstanceHealth, 'instanceId'>>>();
  /** EC2's checks of volumes; all others are in order. */
  readonly volumeStatus = new Map<string, VolumeStatus>();
  /** How many volumes an instance type takes; EC2 says it of no other type. */
  readonly attachmentLimits = new Map<string, AttachmentLimit>();
  /** The calls the role may not make, with EC2's words. */
  readonly denials = new Map<Permission['action'], string>();
  /** From StopInstances until stopped: gracefully, and by force. */
  stopMs = 30_000;
  forcedStopMs = 5_000;
  readonly #failures: { method: Method; error: unknown; when: 'instead' | 'after' }[] = [];
  readonly #watchers = new Set<() => void>();

  /** The next call of a method fails: instead of taking effect, or with its answer lost. */
  failNext(method: Method, code: ErrorCode, when: 'instead' | 'after' = 'instead'): void {
    this.#failures.push({ method, error: ec2Error(code), when });
  }

  count(method: Method): number {
    return this.calls.filter((call) => call.method === method).length;
  }

  addInstance(id: string, zone = 'eu-west-1a', state: InstanceState = 'running'): void {
    this.instances.set(id, {
      id,
      state,
      zone,
      type: 'm5.large',
      launchTime: '2026-01-01T00:00:00.000Z',
      stateReason: undefined,
      stopAskedAt: undefined,
      hibernationConfigured: false,
      tags: {},
    });
  }

  setInstance(id: string, change: Partial<Omit<Instance, 'id' | 'disks' | 'answeredAt'>>): void {
    Object.assign(this.instances.get(id) ?? {}, change);
  }

  /** Calls back when a disk comes or goes in a machine or an instance stops, until the returned function is called. */
  watch(changed: () => void): () => void {
    this.#watchers.add(changed);
    return () => this.#watchers.delete(changed);
  }

  describeHealth(instanceId: string): Promise<InstanceHealth | undefined> {
    return this.call('describeHealth', [instanceId], () => {
      const instance = this.instances.get(instanceId);
      if (instance === undefined) return undefined;
      const status = instance.state === 'running' ? 'ok' : 'not-applicable';
      const check = { status, impairedSince: undefined };
      const answeredAt = new Date().toISOString();
      const inOrder = { system: check, instance: check, attachedEbs: check, answeredAt };
      return { instanceId, ...inOrder, ...this.health.get(instanceId) };
    });
  }

  describeVolumeStatus(volumeId: string): Promise<VolumeStatus | undefined> {
    const inOrder = { status: 'ok', ioDisabled: false, findings: [] };
    return this.call('describeVolumeStatus', [volumeId], () => this.volumeStatus.get(volumeId) ?? inOrder);
  }

  attachmentLimit(instanceType: string): Promise<AttachmentLimit | undefined> {
    return this.call('attachmentLimit', [instanceType], () => this.attachmentLimits.get(instanceType));
  }

  stopInstance(instanceId: string, { force = false }: CallOptions & { readonly force?: boolean } = {}): Promise<void> {
    return this.call('stopInstance', force ? [instanceId, { force }] : [instanceId], () => {
      const instance = this.instances.get(instanceId);
      if (instance === undefined) throw ec2Error('EC2_NO_SUCH_INSTANCE');
      if (instance.state === 'stopped') return;
      if (instance.state !== 'running' && instance.state !== 'stopping') throw ec2Error('EC2_INCORRECT_STATE');
      this.setInstance(instanceId, { state: 'stopping', stateReason: 'Client.UserInitiatedShutdown' });
      later(force ? this.forcedStopMs : this.stopMs, () => {
        if (instance.state === 'stopping') this.setInstance(instanceId, { state: 'stopped' });
        this.changed();
      });
    });
  }

  denied(permission: Permission): Promise<string | undefined> {
    return this.call('denied', [permission], () => this.denials.get(permission.action));
  }

  /** Tells the machines of a change. */
  changed(): void {
    for (const changed of [...this.#watchers]) changed();
  }

  protected async call<T>(method: Method, args: unknown[], work: () => T): Promise<T> {
    this.calls.push({ method, args });
    const index = this.#failures.findIndex((failure) => failure.method === method);
    const [failure] = index === -1 ? [] : this.#failures.splice(index, 1);
    if (failure?.when === 'instead') throw failure.error;
    const answer = work();
    if (failure !== undefined) throw failure.error;
    return answer;
  }
}

export function later(ms: number, work: () => void): void {
  if (ms === 0) work();
  else setTimeout(work, ms);
}
