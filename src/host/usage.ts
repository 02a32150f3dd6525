import type { CommandResult } from './run.ts';
import { hostFailed, runTool, wordsOf } from './tools.ts';
import type { FilesystemUsage } from './types.ts';
import { asked } from './unanswered.ts';

const patienceMs = 5_000;
const columns = '--output=size,used,avail,itotal,iused';

const underWay = new Map<string, Promise<CommandResult>>();

/**
 * df (coreutils) of the filesystem at `target`, in a process of its own: while that does not answer, this does not return,
 * and whoever asks meanwhile waits for the same process. df looks at the directory first, which an XFS that was shut down refuses.
 * @throws DriverError HOST_FAILED when df cannot be run.
 */
export function askUsage(target: string): Promise<CommandResult> {
  const running = underWay.get(target);
  if (running !== undefined) return running;
  const df = runTool('df', ['--block-size=1', columns, '--', target], triedOf(target));
  const asking = asked(target, 'how full it is', patienceMs, df).finally(() => underWay.delete(target));
  underWay.set(target, asking);
  return asking;
}

const triedOf = (target: string): string => `tell how full the filesystem at ${target} is`;

/**
 * How full the filesystem at `target` is. Does not return while it does not answer.
 * @throws DriverError HOST_FAILED
 */
export async function filesystemUsage(target: string): Promise<FilesystemUsage> {
  const result = await askUsage(target);
  // A filesystem without a fixed number of inodes has 0 of them, or a dash.
  const numbers = result.stdout.trim().split('\n').at(-1)?.trim().split(/\s+/) ?? [];
  const [total, used, available, inodes, usedInodes] = numbers.map((text) => (text === '-' ? 0 : Number(text)));
  if (result.code !== 0 || total === undefined || used === undefined || available === undefined) {
    throw hostFailed(triedOf(target), new Error(wordsOf(result)), `Look at it with df ${target}`);
  }
  return { bytes: { total, used, available }, inodes: { total: inodes ?? 0, used: usedInodes ?? 0 } };
}
