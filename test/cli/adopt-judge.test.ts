import { describe, expect, it } from 'vitest';
import { judge } from '../../src/cli/adopt/judge.ts';
import { tagKeys } from '../../src/ebs/tags.ts';
import type { EbsVolume, Tags } from '../../src/ebs/types.ts';
import { attached, idOf, only, ourTags, region, volume } from './adopt-volumes.ts';

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
