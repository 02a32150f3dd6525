import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Logger, pino } from 'pino';
import { onTestFinished } from 'vitest';
import { createWire, type WireOptions } from '../../src/dvdi/wire.ts';
import { type DvdiClient, dvdi } from '../support/dvdi-client.ts';

/** A log whose lines are kept. */
export function memoryLog(): { log: Logger; lines: Record<string, unknown>[] } {
  const lines: Record<string, unknown>[] = [];
  return { log: pino({ level: 'debug' }, { write: (line: string) => void lines.push(JSON.parse(line)) }), lines };
}

/** A directory that goes with the test. */
export async function scratch(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'dvdi-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** A wire on a real socket for the length of the test. */
export async function serving(
  driver: WireOptions['driver'],
  options: Partial<WireOptions> = {},
): Promise<DvdiClient & { socketPath: string; lines: Record<string, unknown>[] }> {
  const { log, lines } = memoryLog();
  const wire = createWire({ driver, log, mountTimeoutMs: 60_000, ...options });
  const socketPath = join(await scratch(), 'ebs.sock');
  await wire.listen({ path: socketPath });
  onTestFinished(async () => {
    wire.server.closeAllConnections();
    await wire.close();
  });
  return { ...dvdi(socketPath), socketPath, lines };
}
