import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { tagKeys } from '../../src/ebs/tags.ts';
import type { Tags } from '../../src/ebs/types.ts';
import { actsOnLive } from '../../src/fencing/damping.ts';
import {
  confirmationOf,
  confirmationTag,
  fenceLogTag,
  intentKey,
  intentsOf,
  intentTag,
  nextEpoch,
  ownerTag,
  pauseTag,
  readConfirmation,
  readEpoch,
  readFenceLog,
  readIntents,
  readOwner,
  readPause,
  unknownFormats,
} from '../../src/fencing/records.ts';
import { type Evidence, type FenceLogEntry, fencePolicies, type Intent } from '../../src/fencing/types.ts';
import { attachmentWith } from '../support/fake-volume.ts';
import { token } from './observations.ts';

const evidences: Evidence[] = [
  'clean',
  'terminated',
  'stopped',
  'stopped-by-force',
  'confirmed',
  'suspected',
  'preempted',
];
const anyInstance = fc.stringMatching(/^i-[0-9a-f]{8}([0-9a-f]{9})?$/);
const anyTime = fc
  .integer({ min: 1_000_000_000, max: 4_000_000_000 })
  .map((seconds) => new Date(seconds * 1000).toISOString());
const anyDevice = fc.stringMatching(/^\/dev\/(xvd[b-d][a-z]|sd[f-p])$/);
const anyWord = fc.oneof(
  fc.stringMatching(/^[0-9a-zA-Z:.-]{1,40}$/),
  fc.string({ minLength: 1, maxLength: 20 }),
  fc.constantFrom('-', '%', '/', ' ', '%0020'),
);
const anyToken = { device: anyDevice, attachTime: anyTime };
const anyIntent: fc.Arbitrary<Intent> = fc.record({
  ...anyToken,
  fenceId: fc.oneof(fc.uuid(), anyWord),
  taker: anyInstance,
  victim: anyInstance,
  launchTime: fc.option(anyTime, { nil: undefined }),
  policy: fc.constantFrom(...fencePolicies),
  evidence: fc.constantFrom(...evidences),
});
const anyEntry: fc.Arbitrary<FenceLogEntry> = fc.record({
  at: anyTime,
  fenceId: fc.oneof(fc.uuid(), anyWord),
  victim: anyInstance,
  taker: anyInstance,
  evidence: fc.constantFrom(...evidences),
});
const tagsOf = (intents: readonly Intent[]): Tags =>
  Object.fromEntries(intents.map((intent) => [intentKey(intent.taker, intent.fenceId), intentTag(intent)]));
const attachmentOf = ({ victim, device, attachTime }: Intent) =>
  attachmentWith({ instanceId: victim, device, attachTime });
const logged = (entries: readonly FenceLogEntry[]): Tags =>
  entries.reduceRight<Tags>((tags, entry) => ({ [tagKeys.fenceLog]: fenceLogTag(tags, entry) }), {});

/** Reads everything that there is to read. */
const readAll = (tags: Tags) => [
  readOwner(tags),
  readIntents(tags),
  readConfirmation(tags),
  readFenceLog(tags),
  readEpoch(tags),
  readPause(tags),
  unknownFormats(tags),
];

describe('the owner record', () => {
  it('is read as it was written', () => {
    const anyOwner = fc.record({
      ...anyToken,
      instanceId: anyInstance,
      boot: fc.stringMatching(/^[0-9a-f]{8}$/),
      scheduler: fc.option(anyWord, { nil: undefined }),
    });
    fc.assert(
      fc.property(anyOwner, (record) => {
        const value = ownerTag(record);
        expect(value.length).toBeLessThanOrEqual(256);
        expect(readOwner({ [tagKeys.owner]: value })).toEqual(record);
      }),
    );
  });

  it('looks like this', () => {
    const record = { ...token, instanceId: 'i-0123456789abcdef0', boot: 'b00t1234', scheduler: 'mesos:S1' };
    expect(ownerTag(record)).toBe(`1 i-0123456789abcdef0 /dev/xvdba ${token.attachTime} b00t1234 mesos:S1`);
    expect(ownerTag({ ...record, scheduler: undefined })).toMatch(/ b00t1234 -$/);
  });

  it('leaves out a scheduler identity that does not fit', () => {
    const record = { ...token, instanceId: 'i-a', boot: 'b', scheduler: `mesos:${'x'.repeat(250)}` };
    expect(readOwner({ [tagKeys.owner]: ownerTag(record) })).toEqual({ ...record, scheduler: undefined });
  });
});

describe('intents', () => {
  it('are read as they were written, each under the key of its taker', () => {
    fc.assert(
      fc.property(fc.uniqueArray(anyIntent, { selector: ({ taker }) => taker, maxLength: 4 }), (intents) => {
        const tags = tagsOf(intents);
        for (const value of Object.values(tags)) expect(value.length).toBeLessThanOrEqual(256);
        expect(readIntents(tags)).toEqual(intents);
      }),
    );
  });

  it('are about one attachment', () => {
    fc.assert(
      fc.property(anyIntent, anyInstance, (intent, other) => {
        fc.pre(other !== intent.victim);
        const tags = tagsOf([intent]);
        const attachment = attachmentOf(intent);
        expect(intentsOf(tags, attachment)).toEqual([intent]);
        expect(intentsOf(tags, { ...attachment, instanceId: other })).toEqual([]);
        expect(intentsOf(tags, { ...attachment, instanceId: undefined })).toEqual([]);
        expect(intentsOf(tags, { ...attachment, device: '/dev/sdz' })).toEqual([]);
        expect(intentsOf(tags, { ...attachment, attachTime: '2000-01-01T00:00:00.000Z' })).toEqual([]);
      }),
    );
  });
});

describe('a confirmation', () => {
  it('is read as it was written, its reason in one line that fits', () => {
    const anyReason = fc.string({ unit: 'grapheme', maxLength: 300 });
    fc.assert(
      fc.property(fc.record({ ...anyToken, victim: anyInstance, reason: anyReason }), (confirmation) => {
        const value = confirmationTag(confirmation);
        expect(value.length).toBeLessThanOrEqual(256);
        expect(value.isWellFormed()).toBe(true);
        const read = readConfirmation({ [tagKeys.confirmed]: value });
        expect(read).toMatchObject({ ...confirmation, reason: expect.stringMatching(/^[^\n]{0,120}$/u) });
        // What was read once is read the same for ever.
        expect(confirmationTag(read!)).toBe(value);
      }),
    );
    const reason = '  its rack\n burnt\tdown - see 1/2 ';
    expect(
      readConfirmation({ [tagKeys.confirmed]: confirmationTag({ ...token, victim: 'i-a', reason }) })?.reason,
    ).toBe('its rack burnt down - see 1/2');
  });

  it('is about one attachment', () => {
    const tags = { [tagKeys.confirmed]: confirmationTag({ ...token, victim: 'i-a', reason: 'gone' }) };
    expect(confirmationOf(tags, attachmentWith(token))).toMatchObject({ victim: 'i-a', reason: 'gone' });
    expect(confirmationOf(tags, attachmentWith({ ...token, instanceId: 'i-b' }))).toBeUndefined();
    expect(confirmationOf(tags, attachmentWith({ ...token, device: '/dev/xvdbb' }))).toBeUndefined();
    expect(confirmationOf(tags, attachmentWith())).toBeUndefined();
  });
});

describe('the fence log', () => {
  it('keeps the newest entries that fit, as they were written', () => {
    fc.assert(
      fc.property(fc.array(anyEntry, { minLength: 1, maxLength: 6 }), (entries) => {
        const tags = logged(entries);
        expect(tags[tagKeys.fenceLog]!.length).toBeLessThanOrEqual(256);
        const read = readFenceLog(tags);
        expect(read[0]).toEqual(entries[0]);
        expect(
          entries.filter((entry) => read.some(({ fenceId, at }) => fenceId === entry.fenceId && at === entry.at)),
        ).toEqual(expect.arrayContaining(read));
      }),
    );
  });

  const entry = (at: string, evidence: Evidence): FenceLogEntry => ({
    at: `2026-01-02T${at}:00.000Z`,
    fenceId: `01993f0e-7d3c-7f1a-8b2c-${at.replace(':', '')}89abcdef`,
    victim: 'i-0123456789abcdef0',
    taker: 'i-0fedcba9876543210',
    evidence,
  });

  it('has room for three entries with the longest ids', () => {
    const entries = [entry('03:30', 'suspected'), entry('03:20', 'stopped'), entry('03:10', 'preempted')];
    expect(readFenceLog(logged(entries))).toEqual(entries);
    const [newest = entries[0]!, ...older] = [entry('05:00', 'clean'), ...entries];
    expect(readFenceLog(logged([newest, ...older]))).toEqual([newest, ...older.slice(0, 2)]);
  });

  it('drops proofs before what damping counts, while that is within the hour', () => {
    const counted = [entry('03:20', 'suspected'), entry('03:10', 'preempted')];
    const entries = [entry('03:50', 'stopped'), entry('03:40', 'terminated'), ...counted];
    expect(readFenceLog(logged(entries))).toEqual([entries[0], ...counted]);
    expect(readFenceLog(logged(entries)).filter(({ evidence }) => actsOnLive(evidence))).toEqual(counted);
  });

  it('forgets the part of a second', () => {
    const precise = { ...entry('03:20', 'clean'), at: '2026-01-02T03:20:00.987Z' };
    expect(readFenceLog(logged([precise]))).toEqual([entry('03:20', 'clean')]);
  });
});

describe('the epoch', () => {
  it('grows by one with each new owner', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10 ** 14 }), (epoch) => {
        const tags = { [tagKeys.epoch]: String(epoch) };
        expect(readEpoch(tags)).toBe(epoch);
        expect(nextEpoch(tags, true)).toBe(epoch + 1);
        expect(nextEpoch(tags, false)).toBe(epoch);
      }),
    );
  });

  it.each([undefined, '', '0', '-1', '1.5', '1e3', ' 1', 'seven', '9'.repeat(30)])('begins at 1 after %j', (value) => {
    const tags: Tags = value === undefined ? {} : { [tagKeys.epoch]: value };
    expect(readEpoch(tags)).toBeUndefined();
    expect([nextEpoch(tags, true), nextEpoch(tags, false)]).toEqual([1, 1]);
  });
});

describe('the pause', () => {
  it('says why and since when', () => {
    expect(pauseTag('network\nmaintenance', '2026-01-02T03:00:00Z')).toBe(
      'network maintenance (since 2026-01-02T03:00:00Z)',
    );
    expect(pauseTag('x'.repeat(999), '2026-01-02T03:00:00Z').length).toBeLessThanOrEqual(256);
  });

  it('holds whatever its tag says', () => {
    expect(readPause({})).toBeUndefined();
    expect(readPause({ [tagKeys.paused]: ' ' })).toBe('no reason given');
    expect(readPause({ [tagKeys.paused]: 'because' })).toBe('because');
  });
});

describe('what is not ours', () => {
  const keys = [tagKeys.owner, intentKey('i-b', 'f-1'), tagKeys.confirmed, tagKeys.fenceLog, tagKeys.epoch];

  it('is read as absent', () => {
    const anyGarbage = fc.dictionary(
      fc.constantFrom(...keys),
      fc.oneof(fc.string(), fc.constant('1'), fc.constant('1 i-a -')),
    );
    fc.assert(
      fc.property(anyGarbage, (tags) => {
        const [owner, intents, confirmation] = readAll(tags);
        expect([owner, intents, confirmation]).toEqual([undefined, [], undefined]);
      }),
    );
    expect(readFenceLog({ [tagKeys.fenceLog]: '1 zzzzzzz f b a c/tgw74g f b a c/tgw74g f b a x/tgw74g' })).toHaveLength(
      2,
    );
  });

  it('a field too many is one that we do not know', () => {
    const owner = ownerTag({ ...token, instanceId: 'i-a', boot: 'b', scheduler: 'mesos:S1' });
    expect(readOwner({ [tagKeys.owner]: `${owner} x` })).toBeUndefined();
    fc.assert(
      fc.property(anyIntent, (intent) => {
        expect(readIntents({ [intentKey(intent.taker, intent.fenceId)]: `${intentTag(intent)} x` })).toEqual([]);
      }),
    );
  });

  it('is named when another version wrote it', () => {
    const tags = {
      [tagKeys.owner]: '2 i-a',
      [intentKey('i-b', 'f-1')]: '10 x',
      [tagKeys.confirmed]: '0',
      [tagKeys.fenceLog]: '1 ',
      [tagKeys.epoch]: '7',
      [tagKeys.paused]: '9 o’clock',
      other: '3 x',
    };
    expect(unknownFormats(tags)).toEqual([intentKey('i-b', 'f-1'), tagKeys.confirmed, tagKeys.owner].sort());
    expect(readAll(tags).slice(0, 4)).toEqual([undefined, [], undefined, []]);
    expect(unknownFormats({ [tagKeys.owner]: 'edited by hand', [tagKeys.fenceLog]: '' })).toEqual([]);
  });
});
