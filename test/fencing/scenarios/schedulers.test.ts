import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { openSchedulers, type Schedulers } from '../../../src/fencing/schedulers.ts';
import type { Testimony } from '../../../src/fencing/types.ts';
import { failureWithin, within } from '../../support/fake-takeover.ts';
import { type Fleet, fleet, ownedBy } from '../../support/fleet.ts';
import { type StandInMesos, startMesos } from '../../support/mesos.ts';
import { useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

/** The machine of i-a, as EC2 describes it. */
const machine = { privateIp: '10.7.0.1', privateDns: 'ip-10-7-0-1.ec2.internal' };

let mesos: StandInMesos;
beforeEach(async () => {
  mesos = await startMesos();
  onTestFinished(() => mesos.close());
  mesos.setAgent('S-a', { ip: machine.privateIp });
  for (const id of ['S-b', 'S-3', 'S-4', 'S-5', 'S-6', 'S-7', 'S-8', 'S-9', 'S-10']) mesos.setAgent(id);
});

/** Lost since a little after i-a attached the volume. */
const lost = (state: 'unreachable' | 'gone' = 'unreachable') =>
  ({ state, since: new Date(Date.now() + 300_000).toISOString() }) as const;

/** What Mesos says of i-a's agent to i-b; asked in real time, so before the virtual one begins. */
async function askMesos(): Promise<Testimony[]> {
  const own = await mesos.agent('S-b');
  const schedulers = openSchedulers({ mesosMasters: mesos.leader.url, mesosAgent: own.url, swarmSocket: '' });
  return schedulers.testimony({ scheduler: 'mesos:S-a' }, machine);
}

/** i-a stamped S-a on its volume, and Mesos says now what it says. */
async function fleetUnder(parts: { policy?: 'stonith'; suspicions?: number } = { policy: 'stonith' }): Promise<Fleet> {
  const said = await askMesos();
  useVirtualTime();
  const schedulers = (id: string): Schedulers => ({
    ownIdentity: async () => `mesos:S-${id.slice(2)}`,
    testimony: async (owner) => (owner?.scheduler === 'mesos:S-a' ? said : []),
  });
  return fleet({ ...parts, schedulers });
}

async function expectLeftAlone(all: Fleet, words: RegExp) {
  expect(String(await failureWithin(60_000, all.mount('i-b')))).toMatch(words);
  expect(all.destructive()).toEqual([]);
  expect(all.state()).toEqual(ownedBy('i-a', 1));
}
async function expectStopped(all: Fleet) {
  await within(200_000, all.mount('i-b'));
  expect(all.destructive()).toEqual(['stop i-a', `detach i-a ${all.first.device}`]);
  expect(all.state()).toEqual(ownedBy('i-b', 2));
}

describe('the daemon of the owner is dead, its containers live', () => {
  it('20 the default policy refuses, whatever Mesos says', async () => {
    const all = await fleetUnder({});
    all.kill('i-a');
    await expectLeftAlone(
      all,
      /attached to i-a .*which is running.*If i-a has failed, type aws ec2 stop-instances --instance-ids i-a /,
    );
  });

  it('20 stonith refuses while Mesos counts its agent as registered, though all checks of EC2 fail', async () => {
    const all = await fleetUnder();
    all.kill('i-a');
    all.impair('i-a');
    await expectLeftAlone(all, /lists agent S-a as registered.*Ask mesos why/);
    expect(all.auditOf('i-b').audit.counters.refusals).toEqual({ 'veto mesos': 2 });
  });
});

describe('the agent of the owner is lost, its containers live', () => {
  it('21 the default policy refuses', async () => {
    mesos.setAgent('S-a', lost());
    await expectLeftAlone(await fleetUnder({}), /attached to i-a .*which is running/);
  });

  it('21 stonith refuses on that alone, saying what is missing', async () => {
    mesos.setAgent('S-a', lost());
    await expectLeftAlone(await fleetUnder(), /agent S-a as unreachable since .* there are 1 of 2/);
  });

  it('21 stonith stops the instance on that alone where one source is enough', async () => {
    mesos.setAgent('S-a', lost());
    await expectStopped(await fleetUnder({ policy: 'stonith', suspicions: 1 }));
  });

  it('21 stonith stops the instance when EC2 finds it impaired, too', async () => {
    mesos.setAgent('S-a', lost('gone'));
    const all = await fleetUnder();
    const impairedSince = new Date(Date.now() - 200_000).toISOString();
    all.ec2.health.set('i-a', { instance: { status: 'impaired', impairedSince } });
    await expectStopped(all);
  });
});

describe('Mesos does not know', () => {
  it('22 which agents are there, for its master is new: that is no evidence, and even a veto', async () => {
    for (let n = 3; n <= 10; n++) mesos.setAgent(`S-${n}`, { state: 'recovered' });
    mesos.setAgent('S-a', { state: 'recovered' });
    const one = await fleetUnder({ policy: 'stonith', suspicions: 1 });
    await expectLeftAlone(one, /as recovered.* there are 0 of 1/);
    one.impair('i-a');
    await expectLeftAlone(one, /mesos has lost 9 of 10 members/);
  });

  it('23 the owner under its stamped id any more, for it registered again: the other agent there is a veto', async () => {
    mesos.setAgent('S-a', lost());
    mesos.setAgent('S-a2', { ip: machine.privateIp });
    const all = await fleetUnder();
    all.impair('i-a');
    await expectLeftAlone(all, /S-a2 is a ready member of mesos on the same machine/);
  });

  it('24 an address better than EC2: a lost agent that had it before does not make its present owner suspect', async () => {
    mesos.setAgent('S-old', { ...lost(), ip: machine.privateIp, hostname: machine.privateDns });
    mesos.setAgent('S-a', { state: 'absent' });
    const all = await fleetUnder({ policy: 'stonith', suspicions: 1 });
    await expectLeftAlone(all, /does not list agent S-a, which proves nothing.* there are 0 of 1/);
  });

  it('24 an address better than EC2: a ready agent that has it now does not save an owner that is terminated', async () => {
    mesos.setAgent('S-a', lost());
    mesos.setAgent('S-new', { ip: machine.privateIp, hostname: machine.privateDns });
    const all = await fleetUnder();
    all.terminate('i-a');
    await within(60_000, all.mount('i-b'));
    expect(all.state()).toEqual(ownedBy('i-b', 2));
  });

  it('25 a third of its agents any more: the fault is likelier on its side', async () => {
    for (const id of ['S-a', 'S-3', 'S-4', 'S-5']) mesos.setAgent(id, lost());
    const all = await fleetUnder();
    all.impair('i-a');
    await expectLeftAlone(all, /mesos has lost 4 of 10 members.*Mend that first/);
  });

  it('25 the agent of the owner at all: to be absent from a list is no evidence', async () => {
    mesos.setAgent('S-a', { state: 'absent' });
    await expectLeftAlone(await fleetUnder({ policy: 'stonith', suspicions: 1 }), /which proves nothing/);
  });

  it.each(['unreachable', 'absent'] as const)(
    '28 the taker itself, which is %s to it: that one is no judge',
    async (state) => {
      mesos.setAgent('S-a', lost());
      mesos.setAgent('S-b', state === 'absent' ? { state } : lost());
      const all = await fleetUnder();
      all.impair('i-a');
      await expectLeftAlone(all, /mesos does not list this node as a ready member/);
    },
  );

  it('20, 28 nothing of that delays a proof', async () => {
    mesos.setAgent('S-b', { state: 'absent' });
    const all = await fleetUnder();
    all.powerOff('i-a');
    await within(60_000, all.mount('i-b'));
    expect(all.destructive()).toEqual([`detach i-a ${all.first.device}`]);
    expect(all.state()).toEqual(ownedBy('i-b', 2));
  });
});
