import { hostFailed, runTool, wordsOf } from './tools.ts';
import type { FilesystemUsage } from './types.ts';
import { asked } from './unanswered.ts';

const patienceMs = 5_000;

/**
 * How full the filesystem at `target` is, as df (coreutils) tells in a process of its own: while the filesystem does not
 * answer, this does not return. df looks at the directory first, which an XFS that was shut down refuses.
 * @throws DriverError HOST_FAILED
 */
export async function filesystemUsage(target: string): Promise<FilesystemUsage> {
  const tried = `tell how full the filesystem at ${target} is`;
  const columns = '--output=size,used,avail,itotal,iused';
  const result = await asked(
    target,
    'to tell how full it is',
    patienceMs,
    runTool('df', ['--block-size=1', columns, '--', target], tried),
  );
  // A filesystem without a fixed number of inodes has 0 of them, or a dash.
  const numbers = result.stdout.trim().split('\n').at(-1)?.trim().split(/\s+/) ?? [];
  const [total, used, available, inodes, usedInodes] = numbers.map((text) => (text === '-' ? 0 : Number(text)));
  if (result.code !== 0 || total === undefined || used === undefined || available === undefined) {
    throw hostFailed(tried, new Error(wordsOf(result)), `Look at it with df ${target}`);
  }
  return { bytes: { total, used, available }, inodes: { total: inodes ?? 0, used: usedInodes ?? 0 } };
}
