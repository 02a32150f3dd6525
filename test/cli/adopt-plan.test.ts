import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Region } from '../../src/cli/adopt/judge.ts';
import { planAdoption, planGivingBack, type Step, type Wishes } from '../../src/cli/adopt/plan.ts';
import { tagKeys } from '../../src/ebs/tags.ts';
import type { EbsVolume } from '../../src/ebs/types.ts';
import { attached, idOf, ourTags, region, volume } from './adopt-volumes.ts';

const wishes = (change: Partial<Wishes> = {}): Wishes => ({
  words: [],
  all: false,
  as: undefined,
  zone: undefined,
  subdirectory: 'data',
  insists: false,
  now: '2026-11-22T10:00:00.000Z',
  ...change,
});
const shown = (step: Step) =>
  step.kind === 'adopt' ? `adopt ${step.candidate.volume.id} as ${step.candidate.name}` : step.kind;
const planned = (world: Region, change: Partial<Wishes>) => planAdoption(world, wishes(change)).map(shown);
const refusal = (world: Region, change: Partial<Wishes>): string => {
  const [step] = planAdoption(world, wishes(change));
  return step?.kind === 'refused' ? `${step.why}. ${step.todo}` : JSON.stringify(step);
};

describe('adopting', () => {
  const twins = region([
    volume(1, { Name: 'data' }),
    volume(2, { Name: 'data' }, { zone: 'eu-west-1b' }),
    volume(3, { Name: 'logs' }, attached()),
    volume(4, { Name: 'web' }, attached({ device: '/dev/xvda' })),
  ]);

  it('writes the name, the cluster, the directory and when', () => {
    expect(planAdoption(region([volume(1, { Name: 'a b' })]), wishes({ words: ['a b'], subdirectory: '/' }))).toEqual([
      expect.objectContaining({
        kind: 'adopt',
        tags: {
          [tagKeys.cluster]: 'prod',
          [tagKeys.name]: 'a=20b',
          [tagKeys.subdirectory]: '/',
          [tagKeys.adopted]: '2026-11-22T10:00:00.000Z',
        },
        clear: [],
      }),
    ]);
  });

  it('forgets that a disk was made here and never written: others may have had it since', () => {
    const tags = { Name: 'a', [tagKeys.cluster]: 'prod', [tagKeys.retained]: 'a', [tagKeys.generation]: '0' };
    const [step] = planAdoption(region([volume(1, tags)]), wishes({ words: [idOf(1)] }));
    expect(step).toMatchObject({ kind: 'adopt', clear: [tagKeys.retained, tagKeys.generation] });
  });

  it('takes of all only those that are free, in the zone asked for', () => {
    expect(planned(twins, { all: true })).toEqual([`adopt ${idOf(3)} as logs`]);
    expect(planned(twins, { all: true, zone: 'eu-west-1b' })).toEqual([]);
  });

  it('of twins takes none by name, and either by its id, but not both', () => {
    expect(refusal(twins, { words: ['data'] })).toMatch(
      /several.*vol-00000001 \(eu-west-1a\), vol-00000002.*by its id/,
    );
    expect(refusal(twins, { words: ['data'], zone: 'eu-west-1b' })).toMatch(
      /shares its name.*by its id: .* vol-00000002/,
    );
    expect(planned(twins, { words: [idOf(2)] })).toEqual([`adopt ${idOf(2)} as data`]);
    expect(planned(twins, { words: [idOf(1), idOf(2), 'logs'] })).toEqual([
      'refused',
      'refused',
      `adopt ${idOf(3)} as logs`,
    ]);
  });

  it('takes a volume once, however often it is named', () => {
    expect(planned(twins, { words: ['logs', idOf(3), 'logs'] })).toEqual([`adopt ${idOf(3)} as logs`]);
  });

  it('never takes a root disk, by its id and another name either', () => {
    expect(refusal(twins, { words: [idOf(4)], as: 'data' })).toMatch(/root disk/);
  });

  it('under another name asks for that name alone', () => {
    const world = region([volume(1, { Name: 'team/data' }), volume(2, { Name: '' })], [volume(3, ourTags('logs'))]);
    expect(planned(world, { words: ['team/data'], as: 'data' })).toEqual([`adopt ${idOf(1)} as data`]);
    expect(planned(world, { words: [idOf(2)], as: 'data' })).toEqual([`adopt ${idOf(2)} as data`]);
    expect(refusal(world, { words: [idOf(2)] })).toMatch(/it is empty.*--as NAME/);
    expect(refusal(world, { words: [idOf(1)], as: 'logs' })).toMatch(
      /taken in this cluster by vol-00000003.*--as NAME/,
    );
    expect(refusal(world, { words: [idOf(1)], as: '' })).toMatch(/it is empty/);
  });

  it('has nothing to do for what is in the cluster, and says what a name was meant to be', () => {
    const world = region([volume(1, { Name: 'Data' })], [volume(3, ourTags('logs'))]);
    expect(planned(world, { words: ['logs', idOf(3)] })).toEqual(['done', 'done']);
    expect(refusal(world, { words: ['data'] })).toMatch(/no volume.*did you mean Data/);
    expect(refusal(world, { words: ['nothing'] })).toMatch(/no volume.*see them all/);
    expect(refusal(world, { words: ['vol-99999999'] })).toMatch(/no such volume/);
  });

  it('does not call that done which is not as it is wished', () => {
    const world = region([], [volume(3, ourTags('logs', { [tagKeys.subdirectory]: 'data' }))]);
    expect(refusal(world, { words: [idOf(3)], as: 'other' })).toMatch(/already, as "logs".*--undo/);
    expect(planned(world, { words: [idOf(3)], as: 'logs' })).toEqual(['done']);
    expect(refusal(world, { words: ['logs'], subdirectory: '/', insists: true })).toMatch(/directory data.*--undo/);
    expect(planned(world, { words: ['logs'], subdirectory: '/' })).toEqual(['done']);
  });

  it('does not call a name done that two volumes of the cluster have', () => {
    const world = region([], [volume(3, ourTags('logs', { [tagKeys.adopted]: 'then' })), volume(4, ourTags('logs'))]);
    for (const word of ['logs', idOf(3), idOf(4)]) {
      expect(refusal(world, { words: [word] })).toMatch(
        /several.*vol-00000003 \(eu-west-1a, adopted\), vol-00000004 \(eu-west-1a, made here\)/,
      );
    }
  });

  it('whatever is wished, no two volumes get one name, and no taken name is given', () => {
    const name = fc.constantFrom('a', 'A', 'b', 'vol-00000001', '');
    const some = fc.array(name, { maxLength: 6 });
    const words = fc.array(fc.oneof(name, fc.integer({ min: 1, max: 8 }).map(idOf)), { maxLength: 6 });
    fc.assert(
      fc.property(
        some,
        fc.constantFrom<string[]>([], ['a'], ['b']),
        words,
        fc.boolean(),
        (strange, own, given, all) => {
          const ours = own.map((each, n) => volume(100 + n, ourTags(each)));
          const world = region(
            strange.map((each, n) => volume(n + 1, { Name: each })),
            ours,
          );
          const steps = planAdoption(world, wishes({ words: all ? [] : given, all }));
          const names = steps.flatMap((step) => (step.kind === 'adopt' ? [step.candidate.name] : []));
          expect(new Set(names).size).toBe(names.length);
          expect(names.filter((each) => own.includes(each) || each === '')).toEqual([]);
        },
      ),
    );
  });
});

describe('giving back', () => {
  const back = (...ours: EbsVolume[]) => planGivingBack(region([], ours), ['data'])[0];

  it("takes the driver's tags off, and no other", () => {
    const tags = ourTags('data', { [tagKeys.adopted]: 'then', [tagKeys.formatted]: 'ext4', team: 'db' });
    expect(back(volume(1, tags))).toMatchObject({
      kind: 'give-back',
      clear: [tagKeys.cluster, tagKeys.name, tagKeys.adopted, tagKeys.formatted],
    });
  });

  it('is refused for what was made here, what is in use, and what is not there', () => {
    const adopted = ourTags('data', { [tagKeys.adopted]: 'then' });
    expect(back(volume(1, ourTags('data')))).toMatchObject({ kind: 'refused', why: expect.stringMatching(/made by/) });
    expect(back(volume(1, adopted, attached()))).toMatchObject({
      kind: 'refused',
      why: expect.stringMatching(/i-1 has/),
    });
    expect(back()).toMatchObject({ kind: 'refused', why: expect.stringMatching(/no such volume/) });
  });

  it('by a name that two have is refused, and by the id is that one', () => {
    const adopted = ourTags('data', { [tagKeys.adopted]: 'then' });
    const both = region([], [volume(2, ourTags('data')), volume(1, adopted)]);
    expect(planGivingBack(both, ['data', idOf(1)])).toMatchObject([
      { kind: 'refused', why: expect.stringMatching(/several/) },
      { kind: 'give-back', volume: { id: idOf(1) } },
    ]);
  });
});
