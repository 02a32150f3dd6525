import { beforeEach, describe, expect, it, vi } from 'vitest';
import { tagKeys } from '../../../src/ebs/tags.ts';
import type { Notice } from '../../../src/host/notices.ts';
import { FakeEc2 } from '../../support/fake-ec2.ts';
import { stopped } from '../../support/fake-takeover.ts';
import { failure, pass, played, useVirtualTime } from '../../support/virtual-time.ts';
import { bench, onFiles } from './driven.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

describe('draining by the operator', () => {
  it('begins, shows and ends, and Mounts that are refused meanwhile do not hold it up', async () => {
    const { driver, operator } = await bench();
    await played(driver.create('a', {}));
    await played(driver.create('b', {}));
    await played(driver.mount('a', 'id-1'));
    expect(await played(operator.drain('maintenance'))).toMatchObject({
      draining: { reason: 'maintenance', by: 'operator' },
      volumes: [{ name: 'a' }],
    });
    // A scheduler that keeps trying: each refusal must not make a container seem about to start.
    for (let tries = 0; tries < 9; tries++) {
      expect(await failure(driver.mount('b', `id-${tries}`))).toMatchObject({ code: 'DRAINING' });
      await pass(5000);
    }
    expect((await played(operator.drainStatus())).volumes).toMatchObject([{ name: 'a', state: 'released' }]);
    expect(await played(operator.cancelDrain())).toMatchObject({ reason: 'maintenance' });
    expect(await played(operator.cancelDrain())).toBeUndefined();
    await played(driver.mount('b', 'id-b'));
  });

  it('ends a takeover that has not touched the owner yet', async () => {
    const { driver, operator, elsewhere, ec2 } = await bench();
    const { volume } = await elsewhere();
    ec2.setInstance('i-2', stopped);
    const mounting = failure(driver.mount('a', 'id-1'));
    await pass(1000);
    await operator.drain('maintenance');
    expect(await mounting).toMatchObject({ code: 'DRAINING' });
    expect(volume.attachments).toMatchObject([{ instanceId: 'i-2', state: 'attached' }]);
    expect(ec2.count('detachVolume')).toBe(0);
  });

  it('is not needed where EC2 gives notice, unless the notices are off', async () => {
    const notice: Notice = { id: 'n', text: 'EC2 will stop this instance', at: Date.now() + 60_000, until: undefined };
    const { driver, announced } = await bench();
    await played(driver.create('a', {}));
    announced()?.([notice]);
    expect(String(await failure(driver.mount('a', 'id-1')))).toContain('EC2 will stop this instance');
    announced()?.([]);
    await played(driver.mount('a', 'id-1'));
    expect((await bench({ notices: 'off' })).announced()).toBeUndefined();
  });
});

it('fence history tells what was written, newest first, also by an earlier daemon', async () => {
  const ec2 = new FakeEc2();
  ec2.addInstance('i-1');
  ec2.addVolume({ tags: { [tagKeys.cluster]: 'default' } });
  const { driver, again } = await onFiles(ec2);
  expect(await driver.operator.fence.history(10)).toMatchObject({
    entries: [],
    counters: { decisions: {}, aborted: 0 },
  });
  await driver.operator.fence.pause('the network is maintained');
  await driver.operator.fence.resume();
  const volume = ec2.addVolume({ tags: { [tagKeys.cluster]: 'default', [tagKeys.name]: 'a' } });
  ec2.addInstance('i-2', 'eu-west-1a', 'stopped');
  ec2.addAttachment(volume, 'i-2');
  await driver.operator.fence.confirm('a', 'i-2', 'it burnt', { evenIfRunning: false });
  const { fence } = (await again()).operator;
  expect((await fence.history(10)).entries).toMatchObject([
    { text: 'an operator confirms that i-2 (stopped) is finished with a (vol-2, /dev/xvdba): it burnt' },
    { text: 'an operator resumes fencing, on 1 volume', entry: { event: 'operator', act: 'resume' } },
    { text: 'an operator pauses fencing, on 1 volume: the network is maintained' },
  ]);
  expect((await fence.history(1)).entries).toMatchObject([{ entry: { act: 'confirm' } }]);
});
