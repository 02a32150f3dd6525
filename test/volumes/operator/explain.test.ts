import { beforeEach, describe, expect, it, vi } from 'vitest';
import { tagKeys } from '../../../src/ebs/tags.ts';
import type { DriverError } from '../../../src/errors.ts';
import { stopped } from '../../support/fake-takeover.ts';
import { failure, pass, setTimeout as pause, played, useVirtualTime } from '../../support/virtual-time.ts';
import { addAskable, bench } from './driven.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

describe('fence explain', () => {
  it('says what stands against an owner that runs, and changes nothing', async () => {
    const { ec2, fence, elsewhere, audit } = await bench();
    const { attachment } = await elsewhere();
    ec2.calls.length = 0;
    expect(await played(fence.explain('a'))).toMatchObject({
      volumeId: 'vol-1',
      outcome: 'refuse',
      policy: expect.stringContaining('instance-not-running'),
      owner: { instanceId: 'i-2', device: attachment.device, attachTime: attachment.attachTime },
      evidenceFor: [],
      evidenceAgainst: ['EC2 shows i-2 as running', "no suspicion: EC2's checks of it are ok"],
      todo: expect.stringContaining('aws ec2 stop-instances --instance-ids i-2'),
      denied: [],
    });
    expect(ec2.calls.filter(({ method }) => !/^(find|list|describe|denied)/.test(method))).toEqual([]);
    expect(audit.entries).toEqual([]);
  });

  it('tells the steps of a takeover, from its proof on', async () => {
    const { ec2, fence, elsewhere } = await bench();
    await elsewhere();
    ec2.setInstance('i-2', stopped);
    const { outcome, evidenceFor, steps, todo } = await played(fence.explain('a'));
    expect([outcome, todo]).toEqual(['take', undefined]);
    expect(evidenceFor).toEqual([expect.stringMatching(/^proof: i-2 has been stopped/)]);
    expect(steps).toEqual([
      expect.stringContaining('second time'),
      expect.stringContaining('detach vol-1 from i-2'),
      expect.stringContaining('attach it here'),
      'check its filesystem',
      'mount it',
    ]);
  });

  it('shows the stricter policy of the volume, and suspicions beside what forbids to act on them', async () => {
    const { ec2, fence, elsewhere } = await bench({ fencePolicy: 'stonith' });
    const { volume } = await elsewhere();
    await pass(20 * 60_000);
    const impaired = { status: 'impaired', impairedSince: new Date(Date.now() - 400_000).toISOString() };
    ec2.health.set('i-2', { system: impaired, instance: impaired });
    const seen = await played(fence.explain('a'));
    expect(seen.outcome).toBe('refuse');
    expect(seen.evidenceFor).toEqual([
      expect.stringMatching(/^suspicion: EC2's system check is impaired/),
      expect.stringMatching(/^suspicion: EC2's instance check is impaired/),
    ]);
    expect(seen.evidenceAgainst.join('\n')).toContain(`does not carry the tag ${tagKeys.cluster}=default`);
    volume.tags[tagKeys.fencePolicy] = 'never';
    expect(await played(fence.explain('a'))).toMatchObject({
      policy: "never (the volume's own; this daemon's is stonith)",
      outcome: 'refuse',
    });
  });

  it('says so where nothing needs to be taken over', async () => {
    const { fence, driver } = await bench();
    await played(driver.create('a', {}));
    expect(await played(fence.explain('a'))).toMatchObject({ outcome: 'free', owner: undefined });
    await played(driver.mount('a', 'id-1'));
    expect(await played(fence.explain('a'))).toMatchObject({ outcome: 'here', reason: 'this node has it (mounted)' });
    expect(await failure(fence.explain('nothing'))).toMatchObject({ code: 'NO_SUCH_VOLUME' });
    await played(driver.create('b', {}));
    await played(driver.operator.drain('maintenance'));
    expect(await played(fence.explain('b'))).toMatchObject({
      outcome: 'refuse',
      reason: expect.stringMatching(/being drained since .*maintenance/),
    });
  });

  it('refuses what a mount would refuse before it looks at the owner, in the same words', async () => {
    const { fence, elsewhere, driver } = await bench({}, { maximum: 0 });
    const { volume } = await elsewhere();
    volume.multiAttach = true;
    await played(driver.get('a'));
    const expectTheSame = async (name: string, why: string) => {
      const error = await failure(driver.mount(name, 'id-1'));
      expect(error).toMatchObject({ parts: { why: expect.stringContaining(why) } });
      const { why: reason, todo } = (error as DriverError).parts;
      expect(await played(fence.explain(name))).toMatchObject({ outcome: 'refuse', reason, todo, steps: [] });
    };
    await expectTheSame('a', 'Multi-Attach volume, attached to i-2');
    volume.attachments = [];
    await expectTheSame('a', 'Multi-Attach volume, attached to no instance now');
    await elsewhere('b');
    await played(driver.create('c', {}));
    await expectTheSame('b', 'this node is full');
    await expectTheSame('c', 'this node is full');
    expect(driver.waitingFor('c')).toBeUndefined();
  });

  it('names the calls that the policy needs and this role may not make', async () => {
    const { ec2, fence, elsewhere, lines } = await bench({ fencePolicy: 'stonith' });
    await elsewhere();
    ec2.setInstance('i-1', { tags: { [tagKeys.cluster]: 'default' } });
    ec2.denials.set('StopInstances', 'You are not authorized to perform this operation.');
    const { denied } = await played(fence.explain('a'));
    expect(denied).toEqual([
      expect.stringMatching(/^StopInstances: You are not authorized.*no suspect owner is stopped/),
    ]);
    expect(lines.filter(({ level }) => level === 50)).toMatchObject([{ action: 'StopInstances' }]);
    ec2.denials.clear();
    await pass(3 * 60_000);
    expect((await played(fence.explain('a'))).denied).toEqual([]);
  });

  it('does not wait for the permissions, and what is missing is not asked for at each call', async () => {
    const { ec2, fence, elsewhere } = await bench();
    await elsewhere();
    addAskable(ec2);
    ec2.denials.set('AttachVolume', 'You are not authorized to perform this operation.');
    const denied = ec2.denied.bind(ec2);
    vi.spyOn(ec2, 'denied').mockImplementation(async (permission) => {
      await pause(20_000);
      return denied(permission);
    });
    const began = Date.now();
    expect(await played(fence.explain('a'))).toMatchObject({ outcome: 'refuse', denied: undefined });
    expect(Date.now() - began).toBeLessThan(5000);
    await pass(10 * 20_000);
    const asked = ec2.count('denied');
    expect((await played(fence.explain('a'))).denied).toEqual([expect.stringContaining('AttachVolume')]);
    await pass(60_000);
    expect(ec2.count('denied')).toBe(asked);
  });
});
