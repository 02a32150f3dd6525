import { spawnSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { DriverError } from './errors.ts';

/** A lock that no other process can take until it is released or this process ends, however it ends. */
export interface Lock {
  release(): void;
}

/**
 * Takes an exclusive lock on a file, made if absent and never removed; gives undefined where another process has it.
 * Node has no flock(2), but flock(1) locks the open file it inherits, and that lock stays with our descriptor.
 * @throws DriverError HOST_FAILED where the file cannot be opened or flock(1) does not run.
 */
export function takeLock(path: string): Lock | undefined {
  const file = open(path);
  const { status, error } = spawnSync('flock', ['-n', '3'], { stdio: ['ignore', 'ignore', 'ignore', file] });
  if (status === 0) return { release: () => closeSync(file) };
  closeSync(file);
  if (status === 1) return undefined;
  throw new DriverError('HOST_FAILED', {
    tried: `lock ${path}`,
    why: error === undefined ? `flock ended with status ${status}` : `flock does not run: ${error.message}`,
    todo: 'Install flock (package util-linux)',
    cause: error,
  });
}

function open(path: string): number {
  try {
    return openSync(path, 'a', 0o600);
  } catch (error) {
    throw new DriverError('HOST_FAILED', {
      tried: `open the lock file ${path}`,
      why: error instanceof Error ? error.message : String(error),
      todo: 'Make its directory writable for this process',
      cause: error,
    });
  }
}
