import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createAudit, openAudit, type Subject } from '../../src/fencing/audit.ts';
import { createAuditFile, readAudit } from '../../src/fencing/audit-file.ts';
import type { Decision, Observation } from '../../src/fencing/types.ts';
import { attachmentWith, instanceWith, volumeWith } from '../support/fake-volume.ts';

async function scratch(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'dve-audit-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return join(directory, 'state/fencing.jsonl');
}

const log = pino({ level: 'silent' });
const subject: Subject = {
  fenceId: 'f-1',
  volume: 'data',
  volumeId: 'vol-1',
  instanceId: 'i-a',
  device: '/dev/xvdba',
  attachTime: '2026-01-02T03:04:05Z',
};
const observation: Observation = {
  volume: volumeWith({ attachments: [attachmentWith()] }),
  attachment: attachmentWith(),
  owner: instanceWith(),
  health: undefined,
  testimony: [],
  paused: undefined,
  taker: 'i-b',
};
const take: Decision = { kind: 'take', evidence: 'stopped', reason: 'it is stopped', settleMs: 0 };
const refuse = (reason: string): Decision => ({ kind: 'refuse', reason, todo: 'Wait' });

const numbers = async (file: string, limit = 1000) => (await readAudit(file, limit)).map(({ n }) => n);
const megabyte = 1_000_000;

describe('the file of the audit', () => {
  it('keeps the order of the calls, over restarts, and is read from its end', async () => {
    const path = await scratch();
    const file = createAuditFile(path, megabyte);
    await Promise.all([1, 2, 3].map((n) => file.append({ n })));
    await createAuditFile(path, megabyte).append({ n: 4 });
    expect(await numbers(path)).toEqual([4, 3, 2, 1]);
    expect(await numbers(path, 2)).toEqual([4, 3]);
    const [line = ''] = (await readFile(path, 'utf8')).split('\n');
    expect(JSON.parse(line)).toEqual({ at: expect.stringMatching(/^\d{4}-.*Z$/), n: 1 });
  });

  it.each([1, 2, 20, 38])('goes on after a crash that cut %d bytes off its last line', async (cut) => {
    const path = await scratch();
    const file = createAuditFile(path, megabyte);
    for (const n of [1, 2]) await file.append({ n });
    const { length } = await readFile(path);
    await truncate(path, length - cut);
    const next = createAuditFile(path, megabyte);
    await next.append({ n: 3 });
    await next.append({ n: 4 });
    expect(await numbers(path)).toEqual(cut === 1 ? [4, 3, 2, 1] : [4, 3, 1]);
  });

  it('leaves out a line that a crash cut off, also while nothing follows it', async () => {
    const path = await scratch();
    await createAuditFile(path, megabyte).append({ n: 1 });
    await appendFile(path, '{"at":"2026');
    expect(await numbers(path)).toEqual([1]);
  });

  it('is kept in two files at most, and is read over both', async () => {
    const path = await scratch();
    const file = createAuditFile(path, 200);
    for (let n = 0; n < 20; n++) await file.append({ n });
    const read = await numbers(path);
    expect(read[0]).toBe(19);
    expect(read.length).toBeGreaterThan((await readFile(path, 'utf8')).trimEnd().split('\n').length);
    expect(read.length).toBeLessThan(20);
    expect(read).toEqual(read.map((_, index) => 19 - index));
    expect(await readdir(dirname(path))).toEqual(['fencing.jsonl', 'fencing.jsonl.1']);
  });

  it('is empty before the first line', async () => {
    expect(await readAudit(await scratch(), 9)).toEqual([]);
  });

  it('still has what version 0.1.0 wrote, each line with the hash of the one before', async () => {
    const path = await scratch();
    await mkdir(dirname(path));
    await writeFile(path, `{"at":"2026-01-02T03:04:05.000Z","previous":"${'0'.repeat(64)}","n":1}\n`);
    await createAuditFile(path, megabyte).append({ n: 2 });
    expect(await numbers(path)).toEqual([2, 1]);
  });

  it('is not read further than the lines that are asked for', async () => {
    const path = await scratch();
    const file = createAuditFile(path, 2 ** 40);
    await file.append({ n: 1 });
    // A hole of 8 GB: reading the whole file would fail.
    await truncate(path, 2 ** 33);
    for (const n of [2, 3, 4]) await file.append({ n });
    expect(await numbers(path, 2)).toEqual([4, 3]);
  });

  it('has lines of every length whole, also where they are read in parts', async () => {
    const path = await scratch();
    const file = createAuditFile(path, 10 * megabyte);
    const texts = [1, 40_000, 7, 200_000, 65_000, 3].map((length) => 'é'.repeat(length));
    for (const text of texts) await file.append({ text });
    expect((await readAudit(path, 9)).map(({ text }) => text)).toEqual(texts.toReversed());
  });

  it('that cannot be written says so, and is written again once it can', async () => {
    const path = await scratch();
    await mkdir(path, { recursive: true });
    const file = createAuditFile(path, megabyte);
    await expect(file.append({ n: 1 })).rejects.toMatchObject({ code: 'JOURNAL_FAILED' });
    await rm(path, { recursive: true });
    await file.append({ n: 2 });
    expect(await numbers(path)).toEqual([2]);
  });

  it('closes off what a write that failed half-way has left', async () => {
    const path = await scratch();
    await createAuditFile(path, megabyte).append({ n: 1 });
    await appendFile(path, '{"at":"2026');
    await createAuditFile(path, megabyte).append({ n: 2 });
    expect(await numbers(path)).toEqual([2, 1]);
  });
});

describe('the audit', () => {
  it('keeps a decision with what it was made of, each call before it is made, and how it went', async () => {
    const file = await scratch();
    const audit = openAudit(file, log);
    await audit.decided(subject, 'stonith', observation, take);
    await audit.calling(subject, 'DetachVolume', 'stopped', false);
    await audit.ended(subject, 'detached');
    expect(await readAudit(file, 9)).toMatchObject([
      { event: 'outcome', outcome: 'detached' },
      { event: 'call', call: 'DetachVolume', evidence: 'stopped', force: false, instanceId: 'i-a' },
      { event: 'decision', fenceId: 'f-1', policy: 'stonith', decision: take, observation: { taker: 'i-b' } },
    ]);
  });

  it('says at level info what stands and what has ended, and the steps between at debug', async () => {
    const said: string[] = [];
    const destination = { write: (line: string) => said.push(`${JSON.parse(line).level} ${JSON.parse(line).msg}`) };
    const audit = createAudit({ append: async () => undefined }, pino({ level: 'debug' }, destination));
    await audit.decided(subject, 'stonith', observation, refuse('it runs'));
    await audit.decided(subject, 'stonith', observation, take);
    await audit.ended(subject, 'aborted: another look');
    await audit.ended(subject, 'detached');
    await audit.ended(subject, 'attached to i-b');
    expect(said).toEqual([
      '30 fencing decision',
      '20 fencing decision',
      '20 fencing outcome',
      '20 fencing outcome',
      '30 a takeover has ended',
    ]);
  });

  it('counts', async () => {
    const audit = createAudit({ append: async () => undefined }, log);
    await audit.decided(subject, 'stonith', observation, take);
    await audit.decided(subject, 'stonith', observation, refuse('it runs'));
    await audit.decided(subject, 'stonith', observation, {
      ...refuse('no'),
      kind: 'refuse',
      veto: 'mesos',
    } as Decision);
    await audit.decided(subject, 'never', { ...observation, owner: undefined }, refuse('who?'));
    await audit.calling(subject, 'StopInstances', 'suspected', false);
    await audit.calling(subject, 'StopInstances', 'suspected', true);
    await audit.calling(subject, 'DetachVolume', 'stopped', true);
    await audit.ended(subject, 'lost: i-c was quicker');
    await audit.ended(subject, 'aborted: too late');
    expect(audit.counters).toEqual({
      decisions: { 'stonith stopped take': 1, 'stonith - refuse': 2, 'never - refuse': 1 },
      refusals: { 'owner running': 1, 'veto mesos': 1, 'owner not listed': 1 },
      stops: { graceful: 1, forced: 1 },
      forcedDetaches: 1,
      lostRaces: 1,
      aborted: 1,
    });
  });

  it('folds a refusal that repeats, for this attachment, until something else is decided', async () => {
    const lines: Record<string, unknown>[] = [];
    const append = async (line: object) => void lines.push(line as Record<string, unknown>);
    const audit = createAudit({ append }, log);
    const decide = (decision: Decision, device = '/dev/xvdba') =>
      audit.decided({ ...subject, device }, 'stonith', observation, decision);
    for (let n = 0; n < 5; n++) await decide(refuse('it runs'));
    await decide(refuse('it runs'), '/dev/xvdbb');
    await decide(refuse('it stops'));
    await decide(take);
    await decide(take);
    expect(lines.map(({ device, decision, repeated }) => [device, (decision as Decision).reason, repeated])).toEqual([
      ['/dev/xvdba', 'it runs', 0],
      ['/dev/xvdbb', 'it runs', 0],
      ['/dev/xvdba', 'it stops', 4],
      ['/dev/xvdba', 'it is stopped', 0],
      ['/dev/xvdba', 'it is stopped', 0],
    ]);
  });

  it('that is full refuses what allows something, and lets refusals stand', async () => {
    const full = async () => Promise.reject(new Error('disk full'));
    const audit = createAudit({ append: full }, log);
    await expect(audit.decided(subject, 'stonith', observation, take)).rejects.toThrow('disk full');
    await expect(audit.calling(subject, 'DetachVolume', 'stopped', false)).rejects.toThrow('disk full');
    await expect(audit.decided(subject, 'stonith', observation, refuse('no'))).resolves.toBeUndefined();
    await expect(audit.ended(subject, 'detached')).resolves.toBeUndefined();
  });
});
