import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Candidate, judge, type Region } from '../../src/cli/adopt/judge.ts';
import { planAdoption, planGivingBack, type Step, type Wishes } from '../../src/cli/adopt/plan.ts';
import { tagKeys } from '../../src/ebs/tags.ts';
import type { Attachment, EbsVolume, Tags } from '../../src/ebs/types.ts';
import { encodeName } from '../../src/volumes/options/names.ts';

const idOf = (n: number) => `vol-${String(n).padStart(8, '0')}`;

function volume(n: number, tags: Tags, change: Partial<EbsVolume> = {}): EbsVolume {
  return {
    id: idOf(n),
    zone: 'eu-west-1a',
    state: 'available',
    createdAt: '2018-01-01T00:00:00.000Z',
    type: 'gp2',
    sizeGib: 16,
    iops: 100,
    throughput: undefined,
    encrypted: false,
    kmsKeyId: undefined,
    snapshotId: undefined,
    multiAttach: false,
    attachments: [],
    tags,
    ...change,
  };
}

const attached = (change: Partial<Attachment> = {}): Partial<EbsVolume> => ({
  state: 'in-use',
  attachments: [
    {
      volumeId: 'vol-1',
      instanceId: 'i-1',
      device: '/dev/xvdf',
      state: 'attached',
      attachTime: '2019-01-01T00:00:00Z',
      deleteOnTermination: false,
      ...change,
    },
  ],
});

const ourTags = (name: string, more: Tags = {}): Tags => ({
  Name: name,
  [tagKeys.cluster]: 'prod',
  [tagKeys.name]: encodeName(name),
  ...more,
});

const region = (named: EbsVolume[], ours: EbsVolume[] = []): Region => ({
  cluster: 'prod',
  named: [...named, ...ours],
  ours,
  rootDevices: new Map([['i-1', '/dev/xvda']]),
});

const only = (named: EbsVolume[], ours?: EbsVolume[]): Candidate => {
  const [first] = judge(region(named, ours));
  if (first === undefined) throw new Error('nobody to judge');
  return first;
};

describe('a volume with a Name tag', () => {
  it.each<[verdict: string, what: string, tags: Tags, change: Partial<EbsVolume>, remark: RegExp]>([
    ['free', 'that an instance has', { Name: 'data' }, attached(), /i-1 has it, and keeps it until/],
    [
      'by-id',
      'of an instance whose root disk nobody knows',
      { Name: 'web' },
      attached({ instanceId: 'i-2' }),
      /i-2 has it, .* root disk/,
    ],
    ['never', 'that is a root disk', { Name: 'web' }, attached({ device: '/dev/xvda' }), /root disk of i-1/],
    [
      'never',
      'that goes with its instance',
      { Name: 'web' },
      attached({ deleteOnTermination: true }),
      /DeleteOnTermin/,
    ],
    ['never', 'that a task of AWS has', { Name: 'web' }, attached({ instanceId: undefined }), /AWS manages/],
    ['never', 'with Multi-Attach', { Name: 'data' }, { multiAttach: true }, /Multi-Attach/],
    ['never', 'in state error', { Name: 'data' }, { state: 'error' }, /state is error/],
    ['never', 'of Kubernetes (in-tree)', { Name: 'data', 'kubernetes.io/created-for/pvc/name': 'x' }, {}, /Kubernetes/],
    ['never', 'of Kubernetes (CSI)', { Name: 'data', 'ebs.csi.aws.com/cluster': 'true' }, {}, /Kubernetes/],
    ['never', 'of Kubernetes (old)', { Name: 'data', KubernetesCluster: 'k' }, {}, /Kubernetes/],
    ['never', 'of another cluster', { Name: 'data', [tagKeys.cluster]: 'test', [tagKeys.name]: 'data' }, {}, /"test"/],
    ['by-id', 'that AWS has made', { Name: 'data', 'aws:cloudformation:stack-id': 'x' }, {}, /aws:/],
    ['by-id', 'made from a snapshot', { Name: 'data' }, { snapshotId: 'snap-1' }, /snap-1/],
    ['by-id', 'that was retained here', { Name: 'data', [tagKeys.cluster]: 'prod' }, {}, /retained/],
    ['rename', 'with an empty name', { Name: '' }, {}, /it is empty/],
    ['rename', 'with a name too long', { Name: '£'.repeat(100) }, {}, /240/],
  ])('is %s to adopt: one %s', (verdict, _, tags, change, remark) => {
    expect(only([volume(1, tags, change)])).toMatchObject({ verdict, remarks: [expect.stringMatching(remark)] });
  });

  it('may be adopted as it is when nothing speaks against it', () => {
    expect(only([volume(1, { Name: 'data' })])).toMatchObject({ name: 'data', verdict: 'free', remarks: [] });
  });

  it('is not shown when it has a name in the cluster, or is gone', () => {
    expect(judge(region([volume(2, { Name: 'data' }, { state: 'deleting' })], [volume(1, ourTags('data'))]))).toEqual(
      [],
    );
  });

  it('needs another name when its own is taken, in whatever zone', () => {
    const taken = volume(9, ourTags('data'), { zone: 'eu-west-1c' });
    expect(only([volume(1, { Name: 'data' })], [taken])).toMatchObject({
      verdict: 'rename',
      remarks: [`its name is taken in this cluster by ${idOf(9)} (eu-west-1c)`],
    });
  });

  it('has as its name what it had when it was retained', () => {
    const tags = { Name: 'a=2Fb', [tagKeys.cluster]: 'prod', [tagKeys.retained]: 'a=2Fb' };
    expect(only([volume(1, tags)])).toMatchObject({ name: 'a/b', verdict: 'by-id' });
  });

  it("shares it with another, in another zone or another case: REX-Ray's duplicates", () => {
    const both = judge(region([volume(1, { Name: 'data' }), volume(2, { Name: 'Data' }, { zone: 'eu-west-1b' })]));
    expect(both.map(({ verdict }) => verdict)).toEqual(['by-id', 'by-id']);
    expect(both[0]?.remarks).toEqual([expect.stringContaining(`${idOf(2)} (eu-west-1b)`)]);
    expect(both[1]?.remarks).toEqual([expect.stringContaining(`${idOf(1)} (eu-west-1a)`)]);
  });

  it('gets the worst of several verdicts, and every remark', () => {
    const { verdict, remarks } = only([volume(1, { Name: '', KubernetesCluster: 'k' }, { snapshotId: 'snap-1' })]);
    expect(verdict).toBe('never');
    expect(remarks).toHaveLength(3);
  });
});

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
