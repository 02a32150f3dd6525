import { nothingCounted } from '../../src/fencing/audit.ts';
import { readSnapshot } from '../../src/volumes/copies/snapshot-tags.ts';
import type { ModifyReport, Operator, Verification, VerificationPlan, VolumeDriver } from '../../src/volumes/types.ts';

export interface FakeDriver extends VolumeDriver {
  /** Every call, as [method, ...arguments without the caller]. */
  readonly calls: unknown[][];
}

/** A driver that agrees to everything and notes it; `own` replaces methods. */
export function fakeDriver(own: Partial<VolumeDriver> = {}): FakeDriver {
  const calls: unknown[][] = [];
  const noted: Noted = <A extends unknown[], R>(name: string, result: (...given: A) => R) =>
    (async (...given: A) => {
      calls.push([name, ...given.filter((value) => !isCaller(value))]);
      return result(...given);
    }) as (...given: A) => Promise<Awaited<R>>;
  return {
    calls,
    create: noted('create', own.create ?? (async () => {})),
    remove: noted('remove', own.remove ?? (async () => {})),
    mount: noted('mount', own.mount ?? (async (name: string) => `/mnt/${name}`)),
    unmount: noted('unmount', own.unmount ?? (async () => {})),
    path: noted('path', own.path ?? (async () => '')),
    get: noted(
      'get',
      own.get ?? (async (name: string) => ({ name, mountpoint: undefined, createdAt: undefined, status: {} })),
    ),
    list: noted('list', own.list ?? (async () => [])),
    waitingFor: own.waitingFor ?? (() => undefined),
    awaited: own.awaited ?? (() => undefined),
    health: noted(
      'health',
      own.health ??
        (async () => ({
          problems: [],
          instanceId: 'i-1',
          draining: undefined,
          ec2: { answeredAt: undefined, answeredSecondsAgo: undefined, failing: undefined },
        })),
    ),
    operator: own.operator ?? idleOperator(noted),
  };
}

type Noted = <A extends unknown[], R>(name: string, result: (...given: A) => R) => (...given: A) => Promise<Awaited<R>>;

const shape = { sizeGiB: 16, type: 'gp3', iops: 3000, throughput: 125 };
const modified = (name: string): ModifyReport => ({
  name,
  volumeId: 'vol-1',
  before: shape,
  after: shape,
  changes: [],
  sent: false,
  modification: undefined,
  filesystem: undefined,
  done: true,
  notes: [],
  next: undefined,
});

const planned: VerificationPlan = {
  snapshotId: 'snap-1',
  volume: 'a',
  state: 'completed',
  sizeGiB: 16,
  type: 'gp3',
  zone: 'eu-west-1a',
  dollarsPerHour: 0.002,
  heldGiB: undefined,
  initializationSeconds: undefined,
  denied: undefined,
};
const verified: Verification = {
  snapshotId: 'snap-1',
  volume: 'a',
  since: '2026-11-22T10:00:00.000Z',
  step: 'ended',
  waitingFor: undefined,
  mountpoint: undefined,
  verdict: { at: '2026-11-22T10:00:09.000Z', ok: true, words: 'ext4 in order' },
  error: undefined,
  seconds: 9,
  notes: [],
};

/** An operator whose node holds one volume, which another instance has. */
function idleOperator(noted: Noted): Operator {
  const draining = { reason: 'why', by: 'operator', since: '2026-11-22T10:00:00.000Z' } as const;
  const report = { draining: undefined, volumes: [] };
  const a = { name: 'a', volumeId: 'vol-1', state: 'in-use', holders: ['id-1'], why: 'a container has it' } as const;
  return {
    status: noted('status', (_how?: { readonly checks: boolean }) => ({
      node: { instanceId: 'i-1', zone: 'eu-west-1a', cluster: 'default', fencePolicy: 'never', version: '1.2.3' },
      since: draining.since,
      unready: undefined,
      reserveUsedSince: undefined,
      draining: undefined,
      slots: { used: 2, limit: 27 },
      volumes: [],
      foreign: [],
      takeovers: [],
      paused: undefined,
      fencesDone: nothingCounted(),
      ec2: { answeredAt: undefined, answeredSecondsAgo: undefined, failing: undefined },
      ghosts: [],
      impaired: undefined,
      verifications: [],
      notices: [],
    })),
    acknowledge: noted('acknowledge', () => 0),
    volumes: noted('volumes', () => ({ cluster: 'default', volumes: [], paused: undefined, stale: undefined })),
    drain: noted('drain', (reason: string) => ({ draining: { ...draining, reason }, volumes: [a] })),
    drainStatus: noted('drainStatus', () => report),
    cancelDrain: noted('cancelDrain', () => draining),
    setOptions: noted(
      'setOptions',
      (_name: string, options: Readonly<Record<string, string>>, _how: { readonly dryRun: boolean }) => ({
        volumeId: 'vol-1',
        changes: Object.entries(options).map(([option, is]) => ({ option, was: undefined, is })),
        effective: 'They take effect at the next mount',
      }),
    ),
    modify: noted(
      'modify',
      (name: string, _options: Readonly<Record<string, string>>, _how: { readonly dryRun: boolean }) => modified(name),
    ),
    modification: noted('modification', (name: string) => modified(name)),
    rescue: noted('rescue', (name: string, { snapshot }: { readonly snapshot: boolean }) => ({
      name,
      volumeId: 'vol-1',
      path: '/root/rescue/a',
      since: draining.since,
      snapshotId: snapshot ? 'snap-1' : undefined,
      found: 'it holds a filesystem of type ext4',
      steps: [{ command: 'e2fsck -f -n /root/rescue/a', what: 'shows the damage' }],
    })),
    endRescue: noted('endRescue', (_name: string) => undefined),
    endHolder: noted('endHolder', (_name: string, _holder: string) => undefined),
    trash: {
      list: noted('trash', () => []),
      undelete: noted('undelete', (which: string, as: string | undefined) => ({
        volumeId: 'vol-1',
        name: as ?? which,
        removed: draining.since,
        snapshotId: undefined,
        others: [],
      })),
      collect: noted('gc', () => []),
      purge: noted('purge', (_which: readonly string[] | 'all', _how: { readonly dryRun: boolean }) => []),
    },
    snapshots: {
      list: noted('snapshots', (_name: string | undefined) => []),
      ready: noted('snapshotReady', (_name: string) => undefined),
      take: noted('snapshotTake', (_name: string, name = 'now', { crash }: { readonly crash: boolean }) => ({
        snapshotId: 'snap-1',
        name,
        volumeId: 'vol-1',
        consistency: crash ? ('crash' as const) : ('frozen' as const),
        frozenSeconds: crash ? undefined : 0.012,
      })),
      remove: noted('snapshotRemove', (name: string, id: string) =>
        readSnapshot({ ...snapshot, id, description: name }),
      ),
      rollback: noted('rollback', (name: string, id: string, { dryRun }: { readonly dryRun: boolean }) => ({
        name,
        volumeId: dryRun ? undefined : 'vol-2',
        sizeGiB: 8,
        snapshotId: id,
        takenAt: draining.since,
        consistency: 'frozen' as const,
        former: 'vol-1',
        expires: draining.since,
      })),
    },
    verify: {
      plan: noted('verifyPlan', (snapshotId: string) => ({ ...planned, snapshotId })),
      begin: noted('verify', (snapshotId: string, _options: object) => ({ ...verified, snapshotId })),
      look: noted('verification', (snapshotId: string) => ({ ...verified, snapshotId })),
      commandEnded: noted('verifyCommandEnded', (_snapshotId: string, _why: string | undefined) => undefined),
    },
    fence: {
      explain: noted('explain', (name: string) => ({
        name,
        volumeId: 'vol-1',
        policy: 'never',
        outcome: 'refuse' as const,
        reason: 'it is attached to i-2',
        todo: 'Detach it',
        owner: { instanceId: 'i-2', device: '/dev/xvdba', attachTime: '2026-11-22T10:00:00Z' },
        evidenceFor: [],
        evidenceAgainst: ['the policy'],
        steps: ['refuse'],
        paused: undefined,
        denied: [],
      })),
      history: noted('history', (_limit: number) => ({
        entries: [{ at: draining.since, text: 'a line', entry: { event: 'call' } }],
        counters: {
          decisions: { 'stonith suspected stop': 2, 'stonith - refuse': 1 },
          refusals: { 'veto mesos': 1 },
          stops: { graceful: 2, forced: 0 },
          forcedDetaches: 0,
          lostRaces: 1,
          aborted: 0,
        },
      })),
      confirm: noted(
        'confirm',
        (_name: string, victim: string, _reason: string, _options: { readonly evenIfRunning: boolean }) =>
          `${victim} is finished.`,
      ),
      pause: noted('pause', (_reason: string) => 3),
      resume: noted('resume', () => 2),
    },
  };
}

const isCaller = (value: unknown) => typeof value === 'object' && value !== null && 'signal' in value;

const snapshot = {
  state: 'completed',
  message: undefined,
  volumeId: 'vol-1',
  sizeGib: 8,
  startedAt: '2026-11-30T12:00:00.000Z',
  encrypted: false,
  tags: {},
} as const;
