import { type ChildProcess, spawn } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { DiskRequest } from '../../src/host/disk-work.ts';
import { createDiskWorkers } from '../../src/host/disk-workers.ts';

vi.mock('node:child_process', () => ({ spawn: vi.fn() }));

afterEach(() => vi.mocked(spawn).mockReset());

const disk = { path: '/dev/x', number: '1:1', volumeId: 'vol-1', serialVolumeId: undefined, sizeBytes: 1 };

const quiet = () => undefined;

/** A worker that answers every request with true. */
function answering(): ChildProcess {
  const child = new EventEmitter();
  const send = (_: DiskRequest, sent: (error: Error | null) => void) => {
    sent(null);
    setImmediate(() => child.emit('message', { result: true }));
  };
  return Object.assign(child, { channel: { ref: quiet, unref: quiet }, ref: quiet, unref: quiet, send }) as never;
}

/** What Node gives where no file descriptor is left for its channel. */
function stillborn(): ChildProcess {
  const child = Object.assign(new EventEmitter(), { ref: quiet, unref: quiet });
  setImmediate(() => child.emit('error', new Error('spawn EMFILE')));
  return child as never;
}

describe('a worker that cannot be started', () => {
  it.each<[string, () => ChildProcess]>([
    [
      'for want of memory',
      () => {
        throw new Error('spawn ENOMEM');
      },
    ],
    ['for want of files', stillborn],
  ])('%s fails what it was to do, and holds up nothing that comes later', async (_, start) => {
    const workers = createDiskWorkers(['node', 'worker']);
    const busy = () => workers.work('the disk of vol-1', 'isDeviceBusy', disk);
    vi.mocked(spawn).mockImplementation(start);
    workers.expectWork();
    const failed = [busy(), busy()];
    for (const work of failed) await expect(work).rejects.toMatchObject({ code: 'HOST_FAILED' });
    vi.mocked(spawn).mockImplementation(answering);
    expect(await busy()).toBe(true);
  });
});
