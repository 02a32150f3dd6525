import { once } from 'node:events';
import { globSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { pino } from 'pino';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { loadSettings } from '../../src/config.ts';
import { DriverError } from '../../src/errors.ts';
import { publish } from '../../src/events.ts';
import { createMetrics, openMetrics } from '../../src/metrics/metrics.ts';
import type { NodeStatus, NodeVolume, Operator } from '../../src/volumes/types.ts';
import { parseScrape, type Scrape } from './exposition.ts';

const volume: NodeVolume = {
  name: 'data',
  volumeId: 'vol-1',
  phase: 'mounted',
  device: '/dev/xvdba',
  mountpoint: '/ebs/volumes/data/data',
  holders: [{ id: 'a', since: '2026-01-01T00:00:00Z' }],
  since: '2026-01-01T00:00:00Z',
  waitingFor: undefined,
  rescue: undefined,
  users: [],
  ghost: false,
  fault: undefined,
  size: { diskBytes: 1200, filesystemBytes: 1000, refused: undefined },
  proof: undefined,
  autoGrow: undefined,
  snapshots: undefined,
  usage: { bytes: { total: 1000, used: 300, available: 650 }, inodes: { total: 64, used: 11 } },
};
const status: NodeStatus = {
  node: { instanceId: 'i-1', zone: 'eu-west-1a', cluster: 'default', fencePolicy: 'never', version: '1.2.3' },
  since: '2026-01-01T00:00:00Z',
  unready: undefined,
  reserveUsedSince: undefined,
  draining: undefined,
  slots: { used: 2, limit: 28 },
  volumes: [volume],
  foreign: [],
  takeovers: [],
  paused: undefined,
  fencesDone: {
    decisions: { 'stonith suspected stop': 2, 'never - refuse': 1 },
    refusals: { 'owner running': 1 },
    stops: { graceful: 1, forced: 0 },
    forcedDetaches: 0,
    lostRaces: 3,
    aborted: 0,
  },
  ec2: { answeredAt: undefined, answeredSecondsAgo: undefined, failing: undefined },
  ghosts: [],
  impaired: undefined,
  verifications: [],
  notices: [],
};

const driverOf = (read: () => Promise<NodeStatus>) =>
  Promise.resolve({ operator: { status: read } as unknown as Operator });

/** A log that keeps its lines. */
function keptLog() {
  const lines: Record<string, unknown>[] = [];
  return { lines, log: pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line)) }) };
}

/** Metrics of a node whose status is what `now` says. */
function metricsOf(now: () => Promise<NodeStatus>) {
  const { log, lines } = keptLog();
  const read = createMetrics(driverOf(now), log);
  return { lines, scrape: async (): Promise<Scrape> => parseScrape((await read()).text) };
}

const ours = (name: string) => `docker_volume_ebs_${name}`;

describe('a node as it is', () => {
  it('each scrape shows what holds then, and nothing of what was', async () => {
    let now: NodeStatus = status;
    const { scrape } = metricsOf(async () => now);
    const first = await scrape();
    const labels = { volume: 'data', volume_id: 'vol-1' };
    expect(first.value(ours('volumes'), { phase: 'mounted' })).toBe(1);
    expect(first.value(ours('volume_holders'), labels)).toBe(1);
    expect(first.value(ours('filesystem_size_bytes'), labels)).toBe(1000);
    expect(first.value(ours('filesystem_failed'), labels)).toBe(0);
    expect(first.value(ours('filesystem_available_bytes'), labels)).toBe(650);
    expect(first.value(ours('filesystem_used_inodes'), labels)).toBe(11);
    expect(first.value(ours('attachment_slots_limit'))).toBe(28);
    expect(first.value(ours('oldest_detach_timestamp_seconds'))).toBeUndefined();
    expect(first.value(ours('fence_decisions_total'), { policy: 'stonith', decision: 'stop' })).toBe(2);
    expect(first.value(ours('fence_lost_races_total'))).toBe(3);

    const detaching = { ...volume, phase: 'detaching', usage: undefined, holders: [], waitingFor: 'EC2' } as const;
    now = {
      ...status,
      volumes: [
        { ...detaching, name: 'a', since: '1970-01-01T00:00:50Z' },
        { ...detaching, name: 'b', since: '1970-01-01T00:00:07Z' },
        { ...detaching, name: 'c', since: undefined },
      ],
      slots: { used: 3, limit: undefined },
      draining: { reason: 'r', by: 'notice', since: '1970-01-01T00:01:00Z' },
      notices: ['EC2 will stop it'],
    };
    const second = await scrape();
    expect(second.value(ours('volume_holders'), labels)).toBeUndefined();
    expect(second.value(ours('filesystem_size_bytes'))).toBeUndefined();
    expect(second.value(ours('attachment_slots_limit'))).toBeUndefined();
    expect(second.value(ours('volumes'), { phase: 'mounted' })).toBe(0);
    expect(second.value(ours('waiting_volumes'), { phase: 'detaching' })).toBe(3);
    expect(second.value(ours('oldest_detach_timestamp_seconds'))).toBe(7);
    expect(second.value(ours('drain_start_timestamp_seconds'), { by: 'notice' })).toBe(60);
    expect(second.value(ours('notices'))).toBe(1);
    // Counters do not add up from scrape to scrape.
    expect(second.value(ours('fence_lost_races_total'))).toBe(3);
  });

  it('names with quotes and backslashes stay what they are', async () => {
    const { scrape } = metricsOf(async () => ({ ...status, volumes: [{ ...volume, name: 'a"b\\c\nd' }] }));
    const { samples } = await scrape();
    expect(samples.find(({ name }) => name === ours('volume_holders'))?.labels['volume']).toBe('a\\"b\\\\c\\nd');
  });

  it('a driver that fails leaves out what only it knows, and says so', async () => {
    const { scrape, lines } = metricsOf(async () => {
      throw new DriverError('HOST_FAILED', { tried: 'look', why: 'it hangs', todo: 'Wait' });
    });
    const seen = await scrape();
    expect(seen.value(ours('up'))).toBe(0);
    expect(seen.value(ours('volumes'))).toBeUndefined();
    expect(seen.value('process_resident_memory_bytes')).toBeGreaterThan(1e6);
    expect(lines).toMatchObject([{ err: { message: expect.stringContaining('it hangs') } }]);
  });

  it('a driver that does not answer holds up no scrape, and is asked once', async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    vi.resetModules();
    vi.doMock('node:timers/promises', () => import('../support/virtual-time.ts'));
    onTestFinished(() => void vi.doUnmock('node:timers/promises'));
    const { createMetrics: create } = await import('../../src/metrics/metrics.ts');
    let asked = 0;
    const read = create(
      driverOf(() => {
        asked += 1;
        return new Promise(() => undefined);
      }),
      keptLog().log,
    );
    for (let scrapes = 0; scrapes < 3; scrapes += 1) {
      const page = read();
      await vi.advanceTimersByTimeAsync(5_000);
      expect(parseScrape((await page).text).value(ours('up'))).toBe(0);
    }
    expect(asked).toBe(1);
  });
});

describe('what is counted', () => {
  it('every event by what it says', async () => {
    const { scrape } = metricsOf(async () => status);
    expect((await scrape()).value(ours('ec2_last_success_timestamp_seconds'))).toBeUndefined();
    publish('operation', { verb: 'mount', outcome: 'ok', seconds: 2 });
    publish('operation', { verb: 'mount', outcome: 'NODE_FULL', seconds: 9 });
    publish('ec2-call', { action: 'AttachVolume', outcome: 'EC2_THROTTLED', seconds: 0.1, waitedSeconds: 0 });
    publish('ec2-call', { action: 'AttachVolume', outcome: 'ok', seconds: 0.2, waitedSeconds: 4 });
    publish('attach', { seconds: 3 });
    publish('detach', { seconds: 4 });
    publish('mkfs', { seconds: 0.5 });
    publish('freeze', { seconds: 0.02 });
    publish('takeover', { policy: 'stonith', outcome: 'fenced', seconds: 70 });
    publish('ghost', { volume: 'data' });
    publish('trash', { count: 2, gib: 3 });
    publish('purge', { id: 'vol-1' });
    const seen = await scrape();
    expect(seen.value(ours('operations_total'), { verb: 'mount', outcome: 'ok' })).toBe(1);
    expect(seen.value(ours('operations_total'), { verb: 'mount', outcome: 'NODE_FULL' })).toBe(1);
    // The time of what failed says nothing about how long it takes.
    expect(seen.value(ours('operation_duration_seconds_sum'), { verb: 'mount' })).toBe(2);
    expect(seen.value(ours('ec2_calls_total'), { outcome: 'EC2_THROTTLED' })).toBe(1);
    expect(seen.value(ours('ec2_call_wait_seconds_sum'))).toBe(4);
    expect(seen.value(ours('ec2_last_success_timestamp_seconds'))).toBeCloseTo(Date.now() / 1000, -2);
    expect(seen.value(ours('attach_duration_seconds_sum'))).toBe(3);
    expect(seen.value(ours('detach_duration_seconds_bucket'), { le: '5' })).toBe(1);
    expect(seen.value(ours('filesystem_step_duration_seconds_count'), { step: 'mkfs' })).toBe(1);
    expect(seen.value(ours('freeze_duration_seconds_count'), {})).toBe(1);
    expect(seen.value(ours('takeover_duration_seconds_count'), { policy: 'stonith', outcome: 'fenced' })).toBe(1);
    expect(seen.value(ours('ghosts_total'))).toBe(1);
    expect(['trash_items', 'trash_bytes', 'purges_total'].map((name) => seen.value(ours(name)))).toEqual([
      2,
      3 * 2 ** 30,
      1,
    ]);
  });

  it('an event that cannot be counted is logged, and harms nobody', () => {
    const { lines } = metricsOf(async () => status);
    publish('attach', { seconds: Number.NaN });
    publish('detach', { seconds: 1 });
    expect(lines).toMatchObject([{ msg: 'an event could not be counted' }]);
  });
});

describe('the listener', () => {
  const loopback = { host: '127.0.0.1', port: 0 };
  const served = async (lines: Record<string, unknown>[]) =>
    (await vi.waitUntil(() => lines.find(({ msg }) => msg === 'metrics are served')))['port'];

  it('serves /metrics and nothing else', async () => {
    const { log, lines } = keptLog();
    const listener = openMetrics(
      loopback,
      driverOf(async () => status),
      log,
    );
    onTestFinished(() => listener.close());
    const base = `http://127.0.0.1:${await served(lines)}`;
    const answer = await fetch(`${base}/metrics`);
    expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(parseScrape(await answer.text()).value(ours('up'))).toBe(1);
    expect((await fetch(`${base}/metrics`, { method: 'HEAD' })).status).toBe(200);
    expect((await fetch(`${base}/metrics`, { method: 'POST' })).status).toBe(405);
    expect((await fetch(`${base}/`)).status).toBe(404);
    await listener.close();
    await expect(fetch(`${base}/metrics`)).rejects.toThrow();
  });

  it('an address in use is logged once, and taken as soon as it is free', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const other = createServer().listen(loopback);
    await once(other, 'listening');
    const address = other.address();
    const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
    const { log, lines } = keptLog();
    const listener = openMetrics(
      { ...loopback, port },
      driverOf(async () => status),
      log,
    );
    onTestFinished(() => listener.close());
    const tries = () => vi.getTimerCount();
    for (let round = 0; round < 2; round += 1) {
      while (tries() === 0) await new Promise(setImmediate);
      vi.runOnlyPendingTimers();
    }
    expect(lines).toMatchObject([
      { level: 50, err: { code: 'EADDRINUSE' }, msg: expect.stringContaining('DVE_METRICS') },
    ]);
    await new Promise((closed) => other.close(closed));
    while (!lines.some(({ msg }) => msg === 'metrics are served')) {
      vi.runOnlyPendingTimers();
      await new Promise(setImmediate);
    }
    expect(lines).toMatchObject([{ level: 50 }, { port }]);
  });
});

describe('DVE_METRICS', () => {
  const read = (value: string) => loadSettings([], { DVE_METRICS: value }).metrics;

  it.each([
    ['', 'off'],
    ['9119', { host: '127.0.0.1', port: 9119 }],
    ['0.0.0.0:9119', { host: '0.0.0.0', port: 9119 }],
    ['node-1.internal:0', { host: 'node-1.internal', port: 0 }],
    ['[::1]:9119', { host: '::1', port: 9119 }],
  ])('%j', (value, expected) => {
    expect(read(value)).toEqual(expected);
  });

  // A colon alone means every address elsewhere: here that must be said.
  it.each([':9119', '65536', '::1:9119', '127.0.0.1', 'on', '127.0.0.1:', '-1', '/run/x.sock', 'a b:1'])(
    '%j is refused',
    (value) => {
      expect(() => read(value)).toThrow('it takes PORT or HOST:PORT');
    },
  );
});

it('a daemon without metrics loads nothing of them', () => {
  const importers = globSync('src/**/*.ts').filter((file) => {
    const statics = readFileSync(file, 'utf8').matchAll(/^(?:import|export)[^;]*from '([^']+)'/gm);
    return [...statics].some(([, from = '']) => from === 'prom-client' || from.includes('/metrics/'));
  });
  expect(importers.length).toBeGreaterThan(0);
  expect(importers.filter((file) => !file.startsWith('src/metrics/'))).toEqual([]);
});
