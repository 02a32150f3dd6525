/**
 * Runs the daemon over a driver that mounts after MOUNT_MS, and says on standard output, beside the log, what becomes
 * of it. OPEN is how opening the driver goes; CLOSE how closing it goes.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { loadSettings } from '../../../src/config.ts';
import { type OpenDriver, runDaemon } from '../../../src/daemon.ts';
import { createLogger } from '../../../src/log.ts';
import { fakeDriver } from '../fake-driver.ts';

const { MOUNT_MS = '0', OPEN, CLOSE, STRAY } = process.env;
const say = (text: string) => process.stdout.write(`${JSON.stringify({ said: text })}\n`);
const settings = loadSettings(process.argv.slice(2), process.env);

async function openDriver(): Promise<OpenDriver> {
  say('opening');
  if (OPEN === 'fails') throw new Error('no journal');
  if (OPEN === 'hangs') await new Promise(() => {});
  setTimeout(() => {}, 1e9);
  const driver = fakeDriver({ mount: (name) => sleep(Number(MOUNT_MS), `/mnt/${name}`) });
  return {
    ...driver,
    operator: {
      ...driver.operator,
      drain: (reason) => {
        say(`drain: ${reason}`);
        return driver.operator.drain(reason);
      },
    },
    close: async () => {
      say('closing');
      if (CLOSE === 'fails') throw new Error('cannot close');
      if (CLOSE === 'hangs') await new Promise(() => {});
    },
  };
}

if (STRAY === 'rejection') setTimeout(() => void Promise.reject(new Error('stray')), 300);
if (STRAY === 'exception')
  setTimeout(() => {
    throw new Error('stray');
  }, 300);
await runDaemon(settings, { openDriver, log: createLogger(settings) }).catch((error: Error) => {
  say(`failed: ${error.message}`);
  process.exit(1);
});
process.exit(0);
