import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { openSchedulers, type Schedulers } from '../../src/fencing/schedulers.ts';
import { listenOnLoopback } from '../../src/sandbox/http.ts';
import { type AgentState, type StandInMesos, type StandInServer, startMesos } from '../support/mesos.ts';

const since = '2026-03-04T05:06:07.000Z';
let mesos: StandInMesos;
let own: StandInServer & { id: string };
let schedulers: Schedulers;

const open = (mesosMasters: string) => openSchedulers({ mesosMasters, mesosAgent: own.url, swarmSocket: '' });

beforeEach(async () => {
  mesos = await startMesos();
  onTestFinished(() => mesos.close());
  own = await mesos.agent('S1');
  mesos.setAgent('S1');
  schedulers = open(mesos.leader.url);
});

const about = async (id: string, machine = {}, from = schedulers) => {
  const [testimony, ...more] = await from.testimony({ scheduler: `mesos:${id}` }, machine);
  expect(more).toEqual([]);
  return testimony!;
};
const host = (url: string) => new URL(url).host;

describe('a node of Mesos', () => {
  it('is known by the id of its agent, also when that has changed', async () => {
    expect(await schedulers.ownIdentity()).toBe('mesos:S1');
    own.id = 'S2';
    expect(await schedulers.ownIdentity()).toBe('mesos:S2');
    own.id = '';
    expect(await schedulers.ownIdentity()).toBeUndefined();
  });

  it('is who it was while its agent does not answer, and nobody before it ever did', async () => {
    own.answer = 503;
    expect(await schedulers.ownIdentity()).toBeUndefined();
    own.answer = undefined;
    await schedulers.ownIdentity();
    own.answer = '{"no": "id"}';
    expect(await schedulers.ownIdentity()).toBe('mesos:S1');
  });

  it('is asked for its state by the older path where the newer is unknown', async () => {
    own.answer = 404;
    await schedulers.ownIdentity();
    expect(own.requests).toEqual(['/state', '/slave(1)/state']);
  });
});

describe('the leading master says of an agent', () => {
  it.each<[AgentState, string, RegExp]>([
    ['registered', 'registered', /lists agent V as registered$/],
    ['draining', 'registered', /as registered$/],
    ['disconnected', 'nothing', /as disconnected/],
    ['recovered', 'nothing', /as recovered/],
    ['absent', 'nothing', /does not list agent V, which proves nothing$/],
    ['unreachable', 'unreachable', /lists agent V as unreachable since 2026-03-04T05:06:07.000Z$/],
    ['gone', 'gone', /as gone since 2026/],
  ])('that is %s: %s', async (state, says, detail) => {
    mesos.setAgent('V', { state, since });
    const lost = says === 'unreachable' || says === 'gone';
    expect(await about('V')).toMatchObject({
      source: 'mesos',
      identity: 'V',
      says,
      since: lost ? since : undefined,
      detail: expect.stringMatching(detail),
      takerRegistered: true,
    });
  });

  it('that it is registered, where it registers again between two answers', async () => {
    const both = { slaves: [{ id: 'V', active: true }], unreachable: { slaves: [{ id: { value: 'V' } }] } };
    const named = await mesos.standby();
    mesos.leader.answer = JSON.stringify(both);
    expect((await about('V', {}, open(named.url))).says).toBe('registered');
    mesos.leader.answer = JSON.stringify({ ...both, slaves: [] });
    expect(await about('V', {}, open(named.url))).toMatchObject({ says: 'unreachable', since: undefined });
  });

  it('that another one is registered on its machine, by address or by name', async () => {
    mesos.setAgent('V', { state: 'unreachable', since });
    mesos.setAgent('W', { ip: '10.0.0.5', hostname: 'ip-10-0-0-6.ec2.internal' });
    const there = async (machine: object) => (await about('V', machine)).otherMemberThere;
    expect(await there({ privateIp: '10.0.0.5' })).toBe('W');
    expect(await there({ privateDns: 'ip-10-0-0-6.ec2.internal' })).toBe('W');
    expect(await there({ privateIp: '10.0.0.50', privateDns: 'ip-10-0-0-60.ec2.internal' })).toBeUndefined();
    expect(await there({ privateIp: undefined, privateDns: '' })).toBeUndefined();
    mesos.setAgent('W', { state: 'disconnected' });
    expect(await there({ privateIp: '10.0.0.5' })).toBeUndefined();
  });

  it('whether the one who asks is registered', async () => {
    const asked = async () => (await about('V')).takerRegistered;
    expect(await asked()).toBe(true);
    for (const state of ['disconnected', 'recovered', 'unreachable', 'absent'] as const) {
      mesos.setAgent('S1', { state });
      expect([state, await asked()]).toEqual([state, false]);
    }
    mesos.setAgent('S1', { state: 'registered' });
    own.id = 'unheard-of';
    expect(await asked()).toBe(false);
  });

  it('how many are lost now, of how many; old losses are no storm', async () => {
    const old = new Date(Date.now() - 7_200_000).toISOString();
    mesos.setAgent('V', { state: 'unreachable' });
    mesos.setAgent('W', { state: 'disconnected' });
    mesos.setAgent('X', { state: 'recovered' });
    mesos.setAgent('Y', { state: 'unreachable', since: old });
    mesos.setAgent('Z', { state: 'gone' });
    expect(await about('V')).toMatchObject({ suspects: 3, members: 4 });
  });
});

describe('who is asked', () => {
  it('is the leading master, whichever is named', async () => {
    mesos.setAgent('V', { state: 'unreachable', since });
    const [one, two] = [await mesos.standby(), await mesos.standby()];
    two.answer = 503;
    const testimony = await about('V', {}, open(`${two.url}, ${one.url}`));
    expect([testimony.says, testimony.detail]).toEqual([
      'unreachable',
      expect.stringContaining(host(mesos.leader.url)),
    ]);
    expect(one.requests).toEqual(['/master/redirect']);
    expect(mesos.leader.requests).toEqual(['/master/slaves', '/registrar(1)/registry']);
  });

  it('is whom most masters name; one that leads no more is passed over', async () => {
    mesos.setAgent('V', { state: 'unreachable', since });
    const deposed = await startMesos();
    onTestFinished(() => deposed.close());
    deposed.setAgent('S1');
    const masters = [mesos.leader.url, (await mesos.standby()).url, deposed.leader.url].join();
    expect((await about('V', {}, open(masters))).detail).toContain(host(mesos.leader.url));
    mesos.leader.answer = 307;
    expect((await about('V', {}, open(masters))).detail).toContain(host(deposed.leader.url));
  });

  it('gets user and password only by a name from the settings', async () => {
    const withUser = (url: string) => url.replace('//', '//reader:s%40cret@');
    await about('V', {}, open(withUser(mesos.leader.url)));
    expect(mesos.leader.requests).toEqual([
      '/master/redirect reader:s@cret',
      '/master/slaves reader:s@cret',
      '/registrar(1)/registry reader:s@cret',
    ]);
    mesos.leader.requests.length = 0;
    const standby = await mesos.standby();
    await about('V', {}, open(withUser(standby.url)));
    expect(standby.requests).toEqual(['/master/redirect reader:s@cret']);
    expect(mesos.leader.requests).toEqual(['/master/slaves', '/registrar(1)/registry']);
  });
});

describe('what cannot be learnt says nothing, and why', () => {
  it('when a master names one that is asked without or with other secrecy, or with a user', async () => {
    let location = '';
    const master = await listenOnLoopback((_request, response) => response.writeHead(307, { location }).end());
    onTestFinished(() => master.close());
    for (const untrusted of ['https://10.0.0.9:5050', `//me:you@${host(mesos.leader.url)}`, 'file:///etc']) {
      location = untrusted;
      expect(await about('V', {}, open(master.url))).toMatchObject({ says: 'nothing', takerRegistered: false });
    }
    expect(mesos.leader.requests).toEqual([]);
  });

  it.each<[number | string, RegExp]>([
    [401, /does not let this node read \/master\/slaves \(HTTP status 401\)/],
    [500, /answered \/master\/slaves with HTTP status 500/],
    ['not JSON', /did not answer \/master\/slaves with JSON/],
    ['[]', /list of agents is not what Mesos answers/],
    ['{"slaves": [{"hostname": "x"}]}', /one without an id/],
    ['{"slaves": [], "unreachable": {"slaves": [{"id": "V"}]}}', /an agent id is not what Mesos answers/],
    ['hang', /gave no answer to \/master\/slaves \(not in time\)/],
  ])('when the leader answers %j', async (answer, why) => {
    const named = await mesos.standby();
    mesos.setAgent('V', { state: 'unreachable', since });
    mesos.leader.answer = answer;
    expect(await about('V', {}, open(named.url))).toMatchObject({
      says: 'nothing',
      since: undefined,
      detail: expect.stringMatching(why),
      takerRegistered: false,
      suspects: 0,
    });
  });

  it('when no master answers, without a password', async () => {
    const { url } = mesos.leader;
    await mesos.close();
    const { says, detail } = await about('V', {}, open(url.replace('//', '//reader:secret@')));
    expect([says, detail]).toEqual([
      'nothing',
      expect.stringMatching(/127\.0\.0\.1:\d+ gave no answer .*ECONNREFUSED/),
    ]);
    expect(detail).not.toContain('secret');
  });

  it('of another scheduler, of nobody, or with none set up, nothing is asked', async () => {
    const none = openSchedulers({ mesosMasters: '', mesosAgent: own.url, swarmSocket: '' });
    expect(await schedulers.testimony({ scheduler: 'swarm:x' }, undefined)).toEqual([]);
    expect(await schedulers.testimony({ scheduler: undefined }, undefined)).toEqual([]);
    expect(await none.testimony({ scheduler: 'mesos:V' }, undefined)).toEqual([]);
    expect(await none.testimony(undefined, undefined)).toEqual([]);
    expect(await schedulers.testimony(undefined, undefined)).toMatchObject([
      { source: 'mesos', identity: undefined, answered: false, says: 'nothing' },
    ]);
    expect(await none.ownIdentity()).toBeUndefined();
    expect([mesos.leader.requests, own.requests]).toEqual([[], []]);
  });

  it('a setting that is no URL is refused without showing it', () => {
    for (const url of ['reader:secret@host', 'ftp://reader:secret@host', 'http://reader:secret@ host']) {
      expect(() => open(`http://10.0.0.1:5050,${url}`)).toThrow(/^cannot use DVE_MESOS_MASTERS: (?!.*secret)/);
    }
  });
});
