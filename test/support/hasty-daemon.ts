/**
 * The daemon for an EC2 whose reads do not lag, as the sandbox: what waits for them to catch up waits a second, not twenty.
 * Where the variable HASTE says so, the hours in which volumes grow pass so many times as fast.
 */
import { loadSettings } from '../../src/config.ts';
import { runDaemon } from '../../src/daemon.ts';
import { createLogger } from '../../src/log.ts';
import { openDriver, realWorld } from '../../src/volumes/driver.ts';

// The daemon starts its workers by the program that it runs itself.
if (process.argv[2] === 'disk-worker') await (await import('../../src/host/disk-work.ts')).serveDiskWork();

const haste = Number(process.env['HASTE'] ?? 1);
const settings = loadSettings([], process.env);
await runDaemon(settings, {
  log: createLogger(settings),
  openDriver: (given, log) => openDriver(given, log, { ...realWorld, visibleMs: 1000, haste }),
});
process.exit(0);
