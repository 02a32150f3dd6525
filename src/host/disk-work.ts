import { DriverError, type ErrorCode } from '../errors.ts';
import { isDeviceBusy } from './busy.ts';
import { readContent, wasEverMounted } from './content.ts';
import { openSubdirectory } from './directory.ts';
import { soundExt4 } from './sound-ext4.ts';
import { isCleanExt4, readFilesystemSize, readNewFeatures } from './superblock.ts';

/** All that reads a disk, or opens something in a mounted volume, without a tool. It may never return: a disk worker does it. */
const diskWork = {
  isCleanExt4,
  isDeviceBusy,
  openSubdirectory,
  readContent,
  readFilesystemSize,
  readNewFeatures,
  soundExt4,
  wasEverMounted,
};

export type DiskWork = typeof diskWork;

/** What a worker is asked: one thing at a time. */
export interface DiskRequest {
  readonly method: keyof DiskWork;
  readonly args: readonly unknown[];
}

/** What it answers; an error of the catalogue with its parts. */
export type DiskAnswer =
  | { readonly result: unknown }
  | { readonly failure: { readonly code: ErrorCode; readonly parts: DriverError['parts'] } }
  | { readonly message: string };

/** Serves what its parent asks, over the channel that Node gives a child. It ends with the parent, and begins nothing after it. */
export function serveDiskWork(): Promise<never> {
  process.on('disconnect', () => process.exit(0));
  process.on('message', async (request: DiskRequest) => {
    const answer = await done(request);
    if (process.connected) process.send?.(answer);
  });
  return new Promise(() => undefined);
}

async function done({ method, args }: DiskRequest): Promise<DiskAnswer> {
  try {
    const work: (...given: never[]) => Promise<unknown> = diskWork[method];
    return { result: await work(...(args as never[])) };
  } catch (error) {
    if (!(error instanceof DriverError)) return { message: error instanceof Error ? error.message : String(error) };
    const { cause: _, ...parts } = error.parts;
    return { failure: { code: error.code, parts } };
  }
}
