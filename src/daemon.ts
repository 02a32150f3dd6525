import { chmod, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { Settings } from './config.ts';
import { listenOnInherited, takeInheritedFd } from './dvdi/inherited.ts';
import { listenOn, type OwnedSocket } from './dvdi/socket.ts';
import { createWire } from './dvdi/wire.ts';
import { DriverError } from './errors.ts';
import { type Lock, takeLock } from './lock.ts';
import type { VolumeDriver } from './volumes/types.ts';

/** A driver that runs until it is closed; what it has in hand then is taken up again by the next start. */
export type OpenDriver = VolumeDriver & { close(): Promise<void> };

interface DaemonParts {
  /** Opens the driver. It is called once the socket answers, and need not wait for EC2 or the metadata service. */
  readonly openDriver: (settings: Settings, log: Logger) => OpenDriver | Promise<OpenDriver>;
  readonly log: Logger;
}

/** Docker kills a plugin 10 s after SIGTERM (moby daemon/pkg/plugin, shutdownTimeout): 7.5 s for callers, the rest for us, also on a busy machine. */
const finishMs = 7_500;
const closeMs = 1_500;

/**
 * Runs the daemon until SIGTERM or SIGINT: owns its root, listens, then opens the driver; at the end finishes the calls in hand, closes
 * the driver and removes the socket. A second signal, and any error nobody handles, end the process at once.
 * @throws DriverError where the socket cannot be had, or what opening the driver throws.
 */
export async function runDaemon(settings: Settings, { openDriver, log }: DaemonParts): Promise<void> {
  crashOnStrayErrors(log);
  const stopped = stopSignal(log);
  const opened = Promise.withResolvers<OpenDriver>();
  drainOnSignal(opened.promise, log);
  const wire = createWire({ driver: opened.promise, log, mountTimeoutMs: settings.mountTimeout * 1000 });
  await wire.ready();
  // First what it may end for: dockerd takes a plugin that listens for one that works.
  const root = await ownRoot(settings.root);
  const socket = await listen(wire, settings, log);
  let driver: OpenDriver | undefined;
  const metrics = await openMetrics(settings, opened.promise, log);
  try {
    await closeRoot(settings.root, log);
    driver = await Promise.race([openDriver(settings, log), stopped.then(() => undefined)]);
    if (driver !== undefined) opened.resolve(driver);
    log.info({ signal: await stopped }, 'stopping');
  } finally {
    socket?.withdraw();
    // Without a driver nobody can be answered: a closed connection makes dockerd try again, an error makes it forget.
    await finish(wire, log, driver === undefined ? 0 : finishMs);
    if (driver !== undefined) await close(driver, log);
    await metrics?.close();
    root.release();
    socket?.release();
  }
  log.info('stopped');
}

/** Listens on the socket that systemd hands over, else on one of our own, which it gives. */
async function listen(wire: FastifyInstance, settings: Settings, log: Logger): Promise<OwnedSocket | undefined> {
  const about = { socket: settings.socket, pid: process.pid };
  const fd = takeInheritedFd(process.env);
  if (fd === undefined) {
    const socket = await listenOn(wire.server, settings.socket);
    log.info(about, 'listening');
    return socket;
  }
  const given = await listenOnInherited(wire.server, fd);
  if (given !== settings.socket) {
    log.warn({ ...about, given }, 'the socket unit has another path than DVE_SOCKET: callers reach this daemon there');
  }
  log.info({ ...about, socket: given, by: 'systemd' }, 'listening');
  return undefined;
}

/** Loaded only where it is asked for; what goes wrong with it stops nothing else. */
async function openMetrics({ metrics }: Settings, driver: Promise<OpenDriver>, log: Logger) {
  if (metrics === 'off') return undefined;
  try {
    return (await import('./metrics/metrics.ts')).openMetrics(metrics, driver, log);
  } catch (error) {
    log.error({ op: 'metrics', err: error }, 'metrics are not served; volumes are');
    return undefined;
  }
}

/** Two daemons on one journal would each undo what the other does. */
async function ownRoot(root: string): Promise<Lock> {
  await mkdir(root, { recursive: true });
  const lock = takeLock(join(root, 'lock'));
  if (lock !== undefined) return lock;
  throw new DriverError('HOST_FAILED', {
    tried: `use the root directory ${root}`,
    why: 'another daemon uses it',
    todo: 'Stop that one, or give this one a directory of its own with --root',
  });
}

/** What the driver makes in its root, and a filesystem of its own there. */
const entries: readonly string[] = ['lock', 'state', 'volumes', 'rescue', 'lost+found'];

/**
 * Lets nobody but root into the root, an earlier version's too: a set-user-ID program or a device node of a container would
 * be the host's as well (as with moby's CVE-2021-41091). One that holds something else keeps its own mode; its volumes are closed.
 */
async function closeRoot(root: string, log: Logger): Promise<void> {
  try {
    const there = await readdir(root);
    if (there.includes('volumes')) await chmod(join(root, 'volumes'), 0o700);
    if (there.every((entry) => entries.includes(entry))) await chmod(root, 0o700);
  } catch (error) {
    log.warn({ root, err: error }, 'the root directory cannot be closed to users other than root');
  }
}

/** Lets calls in hand finish. Later ones on kept connections are answered too, and their connections closed. */
async function finish(wire: FastifyInstance, log: Logger, ms: number): Promise<void> {
  const cut = setTimeout(() => {
    log.warn('connections are still open: closing them; calls in hand are left to the next start');
    wire.server.closeAllConnections();
  }, ms);
  await wire.close();
  clearTimeout(cut);
}

async function close(driver: OpenDriver, log: Logger): Promise<void> {
  const done = driver.close().then(
    () => true,
    (error: unknown) => {
      log.error({ err: error }, 'closing the driver failed');
      return true;
    },
  );
  if (!(await Promise.race([done, sleep(closeMs, false)])))
    log.warn('the driver is not closed: leaving it to the next start');
}

/** The first SIGTERM or SIGINT. As PID 1 a process gets neither unless it handles them. */
function stopSignal(log: Logger): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  let asked = false;
  const handle = (signal: 'SIGTERM' | 'SIGINT') => {
    if (asked) {
      log.warn({ signal }, 'stopping at once');
      process.exit(signal === 'SIGTERM' ? 143 : 130);
    }
    asked = true;
    resolve(signal);
  };
  process.on('SIGTERM', handle);
  process.on('SIGINT', handle);
  return promise;
}

/** SIGUSR2 drains the node, as the command does. Without a handler it would end the process, also while the driver opens. */
function drainOnSignal(driver: Promise<OpenDriver>, log: Logger): void {
  process.on('SIGUSR2', () => {
    driver
      .then(({ operator }) => operator.drain('SIGUSR2 was sent to this daemon'))
      .catch((error: unknown) => log.error({ err: error }, 'SIGUSR2: this node is not drained'));
  });
}

/** State after an error nobody handled is unknown; a supervisor starts us anew, and the journal says where we were. */
function crashOnStrayErrors(log: Logger): void {
  process.on('uncaughtException', (error, origin) => {
    log.fatal({ err: error, origin }, 'stopping: an error that nobody handled');
    process.exit(1);
  });
}
