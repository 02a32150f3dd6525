/** Processes that have the lock of an instance, or the socket that was the lock of version 0.1.0. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { LockPlace } from '../../src/host/instance-lock.ts';

const module = join(import.meta.dirname, '../../src/host/instance-lock.ts');

export interface LockHolder {
  readonly said: string;
  /** Ends it by SIGKILL. */
  kill(): Promise<void>;
}

/** A process that asks for the lock as a daemon does, says "locked" and its warnings, or the error, and stays. */
export const daemon = (place: LockPlace): Promise<LockHolder> =>
  holder(
    [process.execPath],
    `
    const { lockInstance } = await import(${JSON.stringify(module)});
    const warnings = [];
    const said = await lockInstance(${JSON.stringify(place)}, (each) => warnings.push(each)).then(() => 'locked', String);
    console.log([said, ...warnings].join('; '));`,
  );

/**
 * A process that makes the socket by which daemons of version 0.1.0 see each other, says "bound" or the error's code, and
 * stays. @param program Node, and what starts it with other rights
 */
export function squatter({ instanceId, cluster }: LockPlace, program = [process.execPath]): Promise<LockHolder> {
  const name = `docker-volume-ebs.${createHash('sha256').update(`${instanceId}\0${cluster}`).digest('hex')}`;
  return holder(
    program,
    `
    const { createServer } = await import('node:net');
    createServer().on('error', ({ code }) => console.log(code)).listen('\\0${name}', () => console.log('bound'));`,
  );
}

async function holder([command = '', ...args]: readonly string[], code: string): Promise<LockHolder> {
  const script = `${code}\nsetInterval(() => {}, 60_000);`;
  const child: ChildProcess = spawn(command, [...args, '--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const [said] = await once(child.stdout!, 'data');
  return {
    said: String(said).trim(),
    async kill() {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    },
  };
}
