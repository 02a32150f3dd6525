import { existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { DriverError } from '../../errors.ts';
import { run } from '../../host/run.ts';

/** True where systemd is this machine's init (sd_booted(3)). */
const systemdRuns = (): boolean => existsSync('/run/systemd/system');

/** Runs systemctl. @throws DriverError HOST_FAILED with what it said. */
export async function systemctl(...args: readonly string[]): Promise<void> {
  const { code, stderr } = await run('systemctl', args);
  if (code === 0) return;
  throw new DriverError('HOST_FAILED', {
    tried: `run systemctl ${args.join(' ')}`,
    why: stderr.trim().replaceAll('\n', ' ').replace(/\.$/, '') || `it ended with ${code}`,
    todo: 'See journalctl -u docker-volume-ebs -u docker-volume-ebs.socket',
  });
}

/** Whether a unit is running, or listening. */
export const isActive = async (unit: string): Promise<boolean> =>
  (await run('systemctl', ['is-active', '--quiet', unit])).code === 0;

/** What a unit that is loaded listens on, as "/run/x.sock (Stream)". */
export const listensOn = (unit: string): Promise<string> => property(unit, 'Listen');

/** True for a unit that was started before one of these files was changed: it does not do yet what they say. */
export async function isBehind(unit: string, ...paths: readonly string[]): Promise<boolean> {
  const startedUs = Number(await property(unit, 'ActiveEnterTimestampMonotonic'));
  const started = Date.now() - Number(process.hrtime.bigint()) / 1e6 + startedUs / 1e3;
  const changed = await Promise.all(paths.map(async (path) => (await stat(path)).ctimeMs));
  return startedUs === 0 || Math.max(...changed) >= started;
}

const property = async (unit: string, name: string): Promise<string> =>
  (await run('systemctl', ['show', `--property=${name}`, '--value', unit])).stdout.trim();

/** @throws DriverError HOST_FAILED for anybody but root, and where systemd is not this machine's init. */
export function requireRootAndSystemd(command: string): void {
  if (process.getuid?.() !== 0) throw refusal(command, 'this is not root', 'Run it as root');
  if (systemdRuns()) return;
  const todo = 'Run docker-volume-ebs serve under the init that there is, or give --root to write into another root';
  throw refusal(command, 'systemd does not run here', todo);
}

export const refusal = (command: string, why: string, todo: string): DriverError =>
  new DriverError('HOST_FAILED', { tried: command, why, todo });
