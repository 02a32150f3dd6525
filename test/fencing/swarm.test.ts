import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { openSchedulers, type Schedulers } from '../../src/fencing/schedulers.ts';
import { workerWarning } from '../../src/fencing/swarm.ts';

const updated = '2026-03-04T05:06:07.123456789Z';
const since = '2026-03-04T05:06:07.123Z';
const node = (ID: string, State: string, more: object = {}) => ({
  ID,
  UpdatedAt: updated,
  Spec: { Availability: 'active' },
  Status: { State, Addr: '10.0.0.9' },
  ...more,
});

/** What the engine answers; a number is a status. */
let info: unknown;
let nodes: unknown;
let asked: string[];
let schedulers: Schedulers;
let socket: string;

beforeEach(async () => {
  info = { Swarm: { NodeID: 'me', ControlAvailable: true } };
  nodes = [node('me', 'ready')];
  asked = [];
  const dir = await mkdtemp(join(tmpdir(), 'dve-engine-'));
  socket = join(dir, 'docker.sock');
  const engine = createServer((request, response) => {
    asked.push(request.url ?? '');
    const answer = request.url === '/info' ? info : nodes;
    if (typeof answer === 'number') response.writeHead(answer).end('{"message":"no"}');
    else response.end(JSON.stringify(answer));
  }).listen(socket);
  await once(engine, 'listening');
  onTestFinished(async () => {
    engine.close();
    engine.closeAllConnections();
    await rm(dir, { recursive: true });
  });
  schedulers = openSchedulers({ mesosMasters: '', mesosAgent: '', swarmSocket: socket });
});

const about = async (id: string, machine = {}) =>
  (await schedulers.testimony({ scheduler: `swarm:${id}` }, machine))[0]!;

describe('a node of Swarm', () => {
  it('is known by its node id, outside of a Swarm not at all', async () => {
    expect(await schedulers.ownIdentity()).toBe('swarm:me');
    info = { Swarm: { NodeID: '', ControlAvailable: false } };
    expect(await schedulers.ownIdentity()).toBeUndefined();
    info = 500;
    expect(await schedulers.ownIdentity()).toBeUndefined();
  });

  it.each([
    ['ready', 'registered', undefined],
    ['down', 'unreachable', since],
    ['unknown', 'nothing', undefined],
    ['disconnected', 'nothing', undefined],
  ])('that is %s: %s', async (state, says, when) => {
    nodes = [node('me', 'ready'), node('V', state, { Spec: { Availability: 'drain' } })];
    const detail = expect.stringMatching(new RegExp(`^the Swarm manager at .*docker.sock lists node V as "${state}"`));
    expect(await about('V')).toMatchObject({ source: 'swarm', says, since: when, detail, takerRegistered: true });
  });

  it('that is not listed, even where one begins alike, says nothing', async () => {
    nodes = [node('me', 'ready'), node('V2', 'down')];
    expect(await about('V')).toMatchObject({
      says: 'nothing',
      detail: expect.stringContaining('does not list node V,'),
    });
  });

  it('may have another one on its machine', async () => {
    nodes = [
      node('me', 'ready'),
      node('V', 'down'),
      node('W', 'ready', { Status: { State: 'ready', Addr: '10.0.0.5' }, Description: { Hostname: 'IP-10-0-0-6' } }),
    ];
    expect((await about('V', { privateIp: '10.0.0.5' })).otherMemberThere).toBe('W');
    expect((await about('V', { privateDns: 'ip-10-0-0-6.ec2.internal' })).otherMemberThere).toBe('W');
    expect((await about('V', { privateIp: '10.0.0.7' })).otherMemberThere).toBeUndefined();
  });

  it('is lost among others, or judged by one who is lost itself', async () => {
    const lately = { UpdatedAt: new Date().toISOString() };
    nodes = [node('me', 'down', lately), node('V', 'down', lately), node('W', 'unknown'), node('X', 'down')];
    expect(await about('V')).toMatchObject({ takerRegistered: false, suspects: 3, members: 3 });
  });
});

describe('a daemon that starts says beforehand', () => {
  const { signal } = new AbortController();

  it('that a worker cannot list nodes', async () => {
    info = { Swarm: { NodeID: 'me', ControlAvailable: false } };
    expect(await workerWarning(socket, signal)).toMatch(/docker.sock .*is a Swarm worker.* stops no owner/);
  });

  it('nothing on a manager, outside of a Swarm, or once it is closed before the engine answers', async () => {
    expect(await workerWarning(socket, signal)).toBeUndefined();
    info = { Swarm: { NodeID: '', ControlAvailable: false } };
    expect(await workerWarning(socket, signal)).toBeUndefined();
    expect(await workerWarning('/nowhere/docker.sock', AbortSignal.abort())).toBeUndefined();
  });
});

describe('what cannot be learnt says nothing, and why', () => {
  it('on a worker, which cannot list nodes', async () => {
    info = { Swarm: { NodeID: 'me', ControlAvailable: false } };
    expect(await about('V')).toMatchObject({
      answered: false,
      says: 'nothing',
      detail: expect.stringContaining('is no Swarm manager'),
    });
    expect(asked).toEqual(['/info']);
  });

  it.each([
    [503, 'HTTP status 503'],
    [{}, 'with a list'],
    [[{ ID: 'V' }], 'half a node'],
  ])('when the engine lists %j', async (answer, why) => {
    nodes = answer;
    expect(await about('V')).toMatchObject({ says: 'nothing', detail: expect.stringContaining(why) });
  });

  it('when the engine says nothing of Swarm, or nothing at all', async () => {
    info = {};
    expect((await about('V')).detail).toContain('says nothing of Swarm');
    const without = openSchedulers({ mesosMasters: '', mesosAgent: '', swarmSocket: '/nowhere/docker.sock' });
    expect(await without.testimony({ scheduler: 'swarm:V' }, undefined)).toMatchObject([
      { says: 'nothing', detail: expect.stringContaining('ENOENT') },
    ]);
  });
});
