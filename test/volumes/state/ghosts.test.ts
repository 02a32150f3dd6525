import { pino } from 'pino';
import { expect, test } from 'vitest';
import { openGhosts } from '../../../src/volumes/state/ghosts.ts';
import { FakeJournal } from '../../support/fake-node.ts';

const log = pino({ level: 'silent' });
const ghost = (volumeId: string, at: number) => ({
  name: 'a',
  volumeId,
  at: new Date(at).toISOString(),
  users: ['container 1'],
});

test('ghosts are told of for a day, also after a restart, and until they are acknowledged', async () => {
  const journal = new FakeJournal();
  let now = Date.parse('2026-01-20T10:00:00Z');
  const ghosts = await openGhosts(journal, log, () => now);
  await ghosts.add(ghost('vol-1', now));
  await ghosts.add(ghost('vol-2', now + 1000));
  await ghosts.add(ghost('vol-2', now + 1000));
  const again = await openGhosts(journal, log, () => now);
  expect(again.all().map(({ volumeId }) => volumeId)).toEqual(['vol-1', 'vol-2']);
  now += 24 * 3_600_000 + 500;
  expect(again.all().map(({ volumeId }) => volumeId)).toEqual(['vol-2']);
  expect(await again.acknowledge()).toBe(1);
  expect(again.all()).toEqual([]);
  expect(await (await openGhosts(journal, log, () => now)).acknowledge()).toBe(0);
});

test('a journal that cannot be written leaves the ghost to this daemon and the log', async () => {
  const journal = { loadGhosts: async () => [], saveGhosts: () => Promise.reject(new Error('ENOSPC')) };
  const ghosts = await openGhosts(journal, log);
  await ghosts.add(ghost('vol-1', Date.now()));
  expect(ghosts.all()).toHaveLength(1);
});
