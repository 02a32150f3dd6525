/** Reads what Mesos agents and masters answer. Pure; each throws an Error whose message is a clause. */
import type { Member } from './members.ts';

type Json = Readonly<Record<string, unknown>>;

/** The agent's own id from its /state; undefined while no master has registered it. */
export function readAgentId(state: unknown): string | undefined {
  const { id } = objectOf(state, 'the state');
  if (typeof id !== 'string') throw new Error('the state of the agent has no id');
  return id === '' ? undefined : id;
}

/** The agents that /master/slaves lists: registered ones, and recovered ones that a new leader waits for. */
export function readAgents(answer: unknown): Member[] {
  const { slaves, recovered_slaves: recovered = [] } = objectOf(answer, 'the list of agents');
  return [
    ...listOf(slaves, 'slaves').map((agent) => registered(agent)),
    ...listOf(recovered, 'recovered_slaves').map((agent) => ({
      ...nameOf(agent),
      state: 'doubtful' as const,
      since: undefined,
      words: 'recovered: after a change of the leader it has not registered again yet',
    })),
  ];
}

/** An agent that is deactivated or drained is inactive too, but alive; any other inactive one has lost its connection. */
function registered(agent: Json): Member {
  const { active, deactivated, drain_info: drain } = agent;
  const alive = active !== false || deactivated === true || drain !== undefined;
  const words = alive ? 'registered' : 'disconnected, and waits for it';
  return { ...nameOf(agent), state: alive ? 'ready' : 'doubtful', since: undefined, words };
}

function nameOf({ id, hostname, pid }: Json): Pick<Member, 'id' | 'hosts'> {
  if (typeof id !== 'string') throw new Error('the list of agents has one without an id');
  // "slave(1)@10.0.0.5:5051"
  const [, address] = typeof pid === 'string' ? (/@(.+):\d+$/.exec(pid) ?? []) : [];
  return { id, hosts: [hostname, address].filter((host) => typeof host === 'string') };
}

/** The agents that /registrar(1)/registry lists as lost: unreachable to the master, or declared gone by an operator. */
export function readRegistry(answer: unknown): Member[] {
  const { unreachable, gone } = objectOf(answer, 'the registry');
  return [...lostOnes(gone, 'gone'), ...lostOnes(unreachable, 'unreachable')];
}

function lostOnes(section: unknown, state: 'unreachable' | 'gone'): Member[] {
  if (section === undefined) return [];
  const { slaves = [] } = objectOf(section, `${state} of the registry`);
  return listOf(slaves, `${state} of the registry`).map(({ id, timestamp }) => {
    const { value } = objectOf(id, 'an agent id');
    if (typeof value !== 'string') throw new Error(`${state} of the registry has an agent without an id`);
    return { id: value, hosts: [], state, since: timeOf(timestamp), words: state };
  });
}

/** {"nanoseconds": 1479330000000000000}: more digits than a number holds, but whole milliseconds it does. */
function timeOf(timestamp: unknown): number | undefined {
  const nanoseconds = typeof timestamp === 'object' && timestamp !== null && Reflect.get(timestamp, 'nanoseconds');
  return typeof nanoseconds === 'number' && nanoseconds > 0 ? Math.floor(nanoseconds / 1e6) : undefined;
}

function objectOf(value: unknown, what: string): Json {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json;
  throw new Error(`${what} is not what Mesos answers`);
}

function listOf(value: unknown, what: string): Json[] {
  if (!Array.isArray(value)) throw new Error(`${what} is not what Mesos answers`);
  return value.map((item) => objectOf(item, what));
}
