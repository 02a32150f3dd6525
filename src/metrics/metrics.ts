import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { Gauge, Registry } from 'prom-client';
import about from '../../package.json' with { type: 'json' };
import type { ListenAddress } from '../kinds.ts';
import type { NodeStatus, VolumeDriver } from '../volumes/types.ts';
import { countEvents } from './event-metrics.ts';
import { fenceCounters } from './fence-counters.ts';
import { type Page, serveMetrics } from './listener.ts';
import { prefix, showCounter, showGauge } from './measures.ts';
import { nodeGauges } from './node-gauges.ts';
import { measureProcess } from './process-metrics.ts';

/** The driver answers within 2 s once it is open; Prometheus waits 10 s unless told otherwise. */
const statusMs = 5_000;

type Driver = Pick<VolumeDriver, 'operator'>;

/**
 * Counts what the daemon does from now on, and serves it as Prometheus metrics.
 * @param driver may come later: until then the metrics of the node are left out.
 */
export function openMetrics(address: ListenAddress, driver: Promise<Driver>, log: Logger): { close(): Promise<void> } {
  return serveMetrics(address, createMetrics(driver, log), log);
}

/** @returns a function that gives the metrics as they are now. It costs no EC2 call, and waits for no disk. */
export function createMetrics(driver: Promise<Driver>, log: Logger): () => Promise<Page> {
  const registry = new Registry();
  const registers = [registry];
  new Gauge({
    name: `${prefix}build_info`,
    help: 'This daemon: always 1.',
    labelNames: ['version', 'node_version'],
    registers,
  }).set({ version: about.version, node_version: process.version }, 1);
  const up = new Gauge({
    name: `${prefix}up`,
    help: '1 when the driver has told how this node is; 0 leaves out all that only it knows.',
    registers,
  });
  const shows = [
    ...nodeGauges.map((each) => showGauge(registry, each)),
    ...fenceCounters.map((each) => showCounter(registry, each)),
  ];
  measureProcess(registry);
  countEvents(registry, (error) => log.error({ op: 'metrics', err: error }, 'an event could not be counted'));
  const status = statusReader(driver, log);

  return async () => {
    const now = await status();
    up.set(Number(now !== undefined));
    for (const show of shows) show(now);
    return { contentType: registry.contentType, text: await registry.metrics() };
  };
}

/** Reads the status with a deadline; one read at a time, however many ask. */
function statusReader(driver: Promise<Driver>, log: Logger): () => Promise<NodeStatus | undefined> {
  let reading: Promise<NodeStatus | undefined> | undefined;
  const read = async () => {
    try {
      return await (await driver).operator.status();
    } catch (error) {
      log.warn({ op: 'metrics', err: error }, 'the driver does not tell how this node is');
      return undefined;
    } finally {
      reading = undefined;
    }
  };
  return () => {
    reading ??= read();
    return Promise.race([reading, sleep(statusMs, undefined, { ref: false })]);
  };
}
