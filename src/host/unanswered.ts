import type { Unanswered } from './types.ts';

interface Question {
  readonly subject: string;
  readonly doing: string;
  readonly patienceMs: number;
  readonly since: number;
}

const open = new Set<Question>();

/** Gives what the work gives; until then, and after its patience, {@link unanswered} tells of it. */
export async function asked<T>(subject: string, doing: string, patienceMs: number, work: Promise<T>): Promise<T> {
  const question = { subject, doing, patienceMs, since: performance.now() };
  open.add(question);
  try {
    return await work;
  } finally {
    open.delete(question);
  }
}

/** What disks and filesystems have not answered in time, the oldest first. */
export function unanswered(): Unanswered[] {
  const now = performance.now();
  return [...open]
    .filter(({ since, patienceMs }) => now - since >= patienceMs)
    .map(({ subject, doing, since }) => ({ subject, doing, seconds: Math.round((now - since) / 1000) }));
}
