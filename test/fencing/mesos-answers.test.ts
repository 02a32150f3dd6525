import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { readAgents, readRegistry } from '../../src/fencing/mesos-answers.ts';
import { openSchedulers } from '../../src/fencing/schedulers.ts';
import { listenOnLoopback } from '../../src/sandbox/http.ts';

/** What a master of Mesos 1.11 answered about two agents, in each state that they went through. */
const answerOf = (name: string) =>
  JSON.parse(readFileSync(join(import.meta.dirname, 'mesos-answers', `${name}.json`), 'utf8')) as unknown;
const short = ({ id, state, words }: { id: string; state: string; words: string }) => [id.slice(-2), state, words];

describe('a real master lists its agents', () => {
  it.each<[string, string[][]]>([
    [
      'slaves-both-registered',
      [
        ['S2', 'ready', 'registered'],
        ['S1', 'ready', 'registered'],
      ],
    ],
    [
      'slaves-drained',
      [
        ['S0', 'ready', 'registered'],
        ['S1', 'ready', 'registered'],
      ],
    ],
    [
      'slaves-one-disconnected',
      [
        ['S2', 'ready', 'registered'],
        ['S1', 'doubtful', 'disconnected, and waits for it'],
      ],
    ],
    ['slaves-one-unreachable', [['S1', 'ready', 'registered']]],
    [
      'slaves-recovered',
      ['S1', 'S2'].map((id) => [
        id,
        'doubtful',
        'recovered: after a change of the leader it has not registered again yet',
      ]),
    ],
  ])('%s', (name, expected) => {
    expect(readAgents(answerOf(name)).map(short)).toEqual(expected);
  });

  it('with the names and addresses of their machines', () => {
    const [{ hosts } = { hosts: [] }] = readAgents(answerOf('slaves-drained'));
    expect(hosts).toEqual(['ip-10-0-0-10.ec2.internal', '10.0.0.10']);
  });
});

describe('a real registry names who is lost', () => {
  it.each<[string, (string | number | undefined)[][]]>([
    ['registry-nobody-lost', []],
    ['registry-unreachable', [['S0', 'unreachable', 1_796_063_420_399]]],
    ['registry-gone', [['S0', 'gone', 1_796_063_468_133]]],
  ])('%s', (name, expected) => {
    const lost = readRegistry(answerOf(name));
    expect(lost.map(({ id, state, since }) => [id.slice(-2), state, since])).toEqual(expected);
  });
});

it('a real master is asked by its redirect, its list and its registry', async () => {
  const dead = '028dcd5e-eb3f-465d-9f06-f0f8de28fa0a-S0';
  const server = await listenOnLoopback((request, response) => {
    const { host = '' } = request.headers;
    // It answers so with a leader of its own, too.
    if (request.url === '/master/redirect') response.writeHead(307, { location: `//${host}` }).end();
    else {
      const name = request.url === '/master/slaves' ? 'slaves-one-unreachable' : 'registry-unreachable';
      response.setHeader('date', 'Mon, 30 Nov 2026 18:30:49 GMT').end(JSON.stringify(answerOf(name)));
    }
  });
  onTestFinished(() => server.close());
  const schedulers = openSchedulers({ mesosMasters: server.url, mesosAgent: server.url, swarmSocket: '' });
  const [testimony] = await schedulers.testimony(
    { scheduler: `mesos:${dead}` },
    { privateIp: '10.0.0.10', privateDns: 'ip-10-0-0-10.ec2.internal' },
  );
  expect(testimony).toMatchObject({
    says: 'unreachable',
    since: '2026-11-30T18:30:20.399Z',
    otherMemberThere: undefined,
    suspects: 1,
    members: 2,
  });
});
