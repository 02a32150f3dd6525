import { appendFile, mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createAudit, openAudit, readAudit, type Subject } from '../../src/fencing/audit.ts';
import { createChain } from '../../src/fencing/chain.ts';
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
const take: Decision = { kind: 'take', evidence: 'stopped', reason: 'it is stopped' };
const refuse = (reason: string): Decision => ({ kind: 'refuse', reason, todo: 'Wait' });

function chainOf(file: string, maxBytes = 1_000_000) {
  const broken: string[] = [];
  return { broken, chain: createChain(file, { maxBytes, onBroken: (why) => broken.push(why) }) };
}
const numbers = async (file: string, limit = 1000) => (await readAudit(file, limit)).lines.map(({ n }) => n);

describe('the chain', () => {
  it('keeps the order of the calls, over restarts, each line bound to the one before it', async () => {
    const file = await scratch();
    const first = chainOf(file).chain;
    await Promise.all([1, 2, 3].map((n) => first.append({ n })));
    const { chain, broken } = chainOf(file);
    await chain.append({ n: 4 });
    expect(await numbers(file)).toEqual([1, 2, 3, 4]);
    expect(await numbers(file, 2)).toEqual([3, 4]);
    expect([broken, (await readAudit(file, 9)).broken]).toEqual([[], undefined]);
    const [line = ''] = (await readFile(file, 'utf8')).split('\n');
    expect(JSON.parse(line)).toMatchObject({ previous: '0'.repeat(64), n: 1 });
  });

  it.each<[string, (lines: string[]) => string[]]>([
    ['changed', (lines) => lines.map((line) => line.replace('"n":2', '"n":7'))],
    ['taken out', (lines) => lines.filter((line) => !line.includes('"n":2'))],
    ['put in', (lines) => [lines[0] ?? '', lines[0] ?? '', ...lines.slice(1)]],
    ['moved', ([a = '', b = '', ...rest]) => [b, a, ...rest]],
  ])('tells of a line that was %s, and goes on', async (_, change) => {
    const file = await scratch();
    const { chain } = chainOf(file);
    for (const n of [1, 2, 3]) await chain.append({ n });
    const lines = (await readFile(file, 'utf8')).trimEnd().split('\n');
    await writeFile(file, `${change(lines).join('\n')}\n`);
    const { chain: next, broken } = chainOf(file);
    await next.append({ n: 4 });
    expect(broken).toEqual([expect.stringContaining('does not follow the one before it')]);
    expect((await readAudit(file, 9)).broken).toMatch(/does not follow the one before it/);
    expect((await numbers(file)).at(-1)).toBe(4);
  });

  it.each([1, 2, 40, 80])('goes on after a crash that cut %d bytes off its last line', async (cut) => {
    const file = await scratch();
    const { chain } = chainOf(file);
    for (const n of [1, 2]) await chain.append({ n });
    const { length } = await readFile(file);
    await truncate(file, length - cut);
    const { chain: next, broken } = chainOf(file);
    await next.append({ n: 3 });
    await next.append({ n: 4 });
    expect(await numbers(file)).toEqual(cut === 1 ? [1, 2, 3, 4] : [1, 3, 4]);
    expect([broken, (await readAudit(file, 9)).broken]).toEqual([[], undefined]);
  });

  it('is kept in two files at most, and is one chain over both', async () => {
    const file = await scratch();
    const { chain } = chainOf(file, 500);
    for (let n = 0; n < 20; n++) await chain.append({ n });
    const read = await numbers(file);
    expect(read.at(-1)).toBe(19);
    expect(read.length).toBeLessThan(20);
    expect((await readAudit(file, 99)).broken).toBeUndefined();
    const { chain: next, broken } = chainOf(file, 500);
    await next.append({ n: 20 });
    expect([broken, (await readAudit(file, 99)).broken]).toEqual([[], undefined]);
  });

  it('is empty before the first line', async () => {
    expect(await readAudit(await scratch(), 9)).toEqual({ lines: [], broken: undefined });
  });

  it('that cannot be written says so, and is written again once it can', async () => {
    const file = await scratch();
    await mkdir(file, { recursive: true });
    const { chain } = chainOf(file);
    await expect(chain.append({ n: 1 })).rejects.toMatchObject({ code: 'JOURNAL_FAILED' });
    await rm(file, { recursive: true });
    await chain.append({ n: 2 });
    expect(await numbers(file)).toEqual([2]);
  });

  it('closes off what a write that failed half-way has left', async () => {
    const file = await scratch();
    const { chain } = chainOf(file);
    await chain.append({ n: 1 });
    await appendFile(file, '{"at":"2026');
    const { chain: next, broken } = chainOf(file);
    await next.append({ n: 2 });
    expect([await numbers(file), broken]).toEqual([[1, 2], []]);
  });
});

describe('the audit', () => {
  it('keeps a decision with what it was made of, each call before it is made, and how it went', async () => {
    const file = await scratch();
    const audit = openAudit(file, log);
    await audit.decided(subject, 'stonith', observation, take);
    await audit.calling(subject, 'DetachVolume', 'stopped', false);
    await audit.ended(subject, 'detached');
    expect((await readAudit(file, 9)).lines).toMatchObject([
      { event: 'decision', fenceId: 'f-1', policy: 'stonith', decision: take, observation: { taker: 'i-b' } },
      { event: 'call', call: 'DetachVolume', evidence: 'stopped', force: false, instanceId: 'i-a' },
      { event: 'outcome', outcome: 'detached' },
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
