import { writeFile } from 'node:fs/promises';
import { onTestFinished } from 'vitest';
import { run } from '../../src/host/run.ts';
import { loopsBelow } from '../../src/sandbox/loops.ts';
import type { TestSandbox } from './sandbox.ts';

const controller = '/sys/fs/cgroup/blkio';

/**
 * Lets the disk of a sandbox's volume answer no read until the test ends, or until what this gives is called: the
 * kernel's throttling of block I/O (cgroup v1) at a byte a second. Who reads is in state D meanwhile.
 */
export async function stallReads(box: TestSandbox, volumeId: string): Promise<() => Promise<void>> {
  const loop = (await loopsBelow(box.dir)).find(({ file }) => file.includes(volumeId));
  if (loop === undefined) throw new Error(`${volumeId} is plugged in nowhere`);
  const throttle = (bytesPerSecond: number) =>
    writeFile(`${controller}/blkio.throttle.read_bps_device`, `${loop.number} ${bytesPerSecond}`);
  await throttle(1);
  const end = () => throttle(0);
  onTestFinished(end);
  return end;
}

/** The children of a process, each with the words of its command line. */
export async function childrenOf(pid: number): Promise<string[]> {
  const { stdout } = await run('ps', ['-o', 'args=', '--ppid', String(pid)]);
  return stdout.split('\n').filter((line) => line !== '');
}
