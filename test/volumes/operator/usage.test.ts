import { beforeEach, expect, it, vi } from 'vitest';
import type { FilesystemUsage } from '../../../src/host/types.ts';
import { createUsageReader } from '../../../src/volumes/operator/usage.ts';
import { played, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

const usage: FilesystemUsage = { bytes: { total: 9, used: 4, available: 5 }, inodes: { total: 3, used: 1 } };

/** A reader whose filesystems answer once they are told to. */
function bench() {
  const asked: string[] = [];
  const answers = new Map<string, () => void>();
  const read = createUsageReader({
    filesystemUsage: (target) => {
      asked.push(target);
      return new Promise((resolve) => answers.set(target, () => resolve(usage)));
    },
  });
  return { asked, read, answer: (target: string) => answers.get(target)?.() };
}

it('gives up on a filesystem after a second, and neither asks it again nor waits for it before it has answered', async () => {
  const { asked, read, answer } = bench();
  const joining = Promise.all([read('/a'), read('/a')]);
  expect(await played(joining)).toEqual([undefined, undefined]);
  const begun = Date.now();
  expect(await played(read('/a'))).toBeUndefined();
  expect(Date.now()).toBe(begun);
  expect(asked).toEqual(['/a']);
  answer('/a');
  await vi.advanceTimersByTimeAsync(0);
  const next = read('/a');
  await vi.advanceTimersByTimeAsync(0);
  answer('/a');
  expect(await played(next)).toBe(usage);
  expect(asked).toEqual(['/a', '/a']);
});

it('has two under way and no more; those that hang give their places to others', async () => {
  const { asked, read, answer } = bench();
  const three = Promise.all(['/a', '/b', '/c'].map(read));
  expect(await played(three)).toEqual([undefined, undefined, undefined]);
  expect(asked).toEqual(['/a', '/b', '/c']);
  answer('/c');
  await vi.advanceTimersByTimeAsync(0);
  const again = Promise.all(['/a', '/b', '/c'].map(read));
  await vi.advanceTimersByTimeAsync(0);
  answer('/c');
  expect(await played(again)).toEqual([undefined, undefined, usage]);
  expect(asked).toEqual(['/a', '/b', '/c', '/c']);
});

it('asks two at first, and the others as these answer', async () => {
  const { asked, read, answer } = bench();
  const three = Promise.all(['/a', '/b', '/c'].map(read));
  await vi.advanceTimersByTimeAsync(0);
  expect(asked).toEqual(['/a', '/b']);
  answer('/a');
  await vi.advanceTimersByTimeAsync(0);
  expect(asked).toEqual(['/a', '/b', '/c']);
  answer('/b');
  answer('/c');
  expect(await played(three)).toEqual([usage, usage, usage]);
});

it('gives nothing where the filesystem fails, and asks it again the next time', async () => {
  let fails = true;
  const read = createUsageReader({ filesystemUsage: async () => (fails ? Promise.reject(new Error('EIO')) : usage) });
  expect(await played(read('/a'))).toBeUndefined();
  fails = false;
  expect(await played(read('/a'))).toBe(usage);
});
