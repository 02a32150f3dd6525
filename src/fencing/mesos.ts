import { DriverError } from '../errors.ts';
import { get, getJson, jsonOf, type Place, placeOf } from './ask.ts';
import { type Member, type MemberList, noTestimony, testify } from './members.ts';
import { readAgentId, readAgents, readRegistry } from './mesos-answers.ts';
import type { Scheduler } from './types.ts';

/** Time for the local agent, for all masters to name the leader, and for the leader. */
const agentMs = 1_500;
const whoLeadsMs = 1_000;
const leaderMs = 3_000;
/** Leaders tried at most: the masters may disagree for a moment, and one may have just been deposed. */
const maxLeaders = 3;

/**
 * Mesos, by the registry of its leading master (Mesos 1.1 or later; apache/mesos docs/endpoints). An agent that the master
 * lists as unreachable may still run its containers: the master only stopped hearing from it.
 * @param masters URLs, comma-separated; user and password in one go to that master only.
 * @param agent URL of this node's agent.
 * @throws DriverError INVALID_OPTION
 */
export function openMesos(masters: string, agent: string): Scheduler {
  const places = masters.split(',').map((url) => readPlace('DVE_MESOS_MASTERS', url));
  const local = readPlace('DVE_MESOS_AGENT', agent);
  let lastKnown: string | undefined;
  // An agent keeps its id when it restarts, but not over a reboot of the machine or when the master removed it.
  const ownId = async (): Promise<string | undefined> => {
    try {
      lastKnown = await askAgent(local);
    } catch {
      // It may be restarting: until it says otherwise it is who it was.
    }
    return lastKnown;
  };
  return {
    source: 'mesos',
    ownId,
    async testimony(identity, machine) {
      const own = ownId();
      try {
        return testify(await askLeader(places), identity, await own, machine);
      } catch (error) {
        return noTestimony('mesos', identity, error instanceof Error ? error.message : String(error));
      }
    },
  };
}

/** The value may hold a password: it is in no message. */
function readPlace(variable: string, url: string): Place {
  try {
    return placeOf(url.trim());
  } catch {
    throw new DriverError('INVALID_OPTION', {
      tried: `use ${variable}`,
      why: 'it takes URLs as http://10.0.0.1:5050 or https://user:password@master:5050, and has something else',
      todo: 'Correct it and start again',
    });
  }
}

async function askAgent(agent: Place): Promise<string | undefined> {
  const signal = AbortSignal.timeout(agentMs);
  const answer = await get(agent, '/state', signal);
  if (answer.status !== 404) return readAgentId(jsonOf(agent, '/state', answer));
  return readAgentId(await getJson(agent, '/slave(1)/state', signal));
}

async function askLeader(masters: readonly Place[]): Promise<MemberList> {
  const { leaders, complaints } = await leadersBy(masters);
  const signal = AbortSignal.timeout(leaderMs);
  for (const [tried, leader] of leaders.entries()) {
    if (tried === maxLeaders) break;
    try {
      return await askAsLeader(leader, signal);
    } catch (error) {
      complaints.push(error instanceof Error ? error.message : String(error));
    }
  }
  throw new Error(complaints.join('; '));
}

/** The leaders that the masters name, the one most of them name first. */
async function leadersBy(masters: readonly Place[]): Promise<{ leaders: Place[]; complaints: string[] }> {
  const signal = AbortSignal.timeout(whoLeadsMs);
  const named = await Promise.allSettled(masters.map((master) => leaderBy(master, masters, signal)));
  const votes = new Map<string, Place[]>();
  const complaints: string[] = [];
  for (const outcome of named) {
    if (outcome.status === 'rejected') complaints.push(String((outcome.reason as Error).message));
    else votes.set(outcome.value.name, [...(votes.get(outcome.value.name) ?? []), outcome.value]);
  }
  const leaders = [...votes.values()].sort((a, b) => b.length - a.length).flatMap(([place]) => place ?? []);
  return { leaders, complaints };
}

/**
 * The leader that one master names. Any master may be named, by whatever name it goes among masters; but only under a
 * name from the settings does it get credentials, and none is followed from HTTPS to HTTP.
 */
async function leaderBy(master: Place, masters: readonly Place[], signal: AbortSignal): Promise<Place> {
  const { status, location } = await get(master, '/master/redirect', signal);
  if (status !== 307 || location === undefined) {
    throw new Error(`${master.name} knows no leading master (HTTP status ${status})`);
  }
  const { protocol } = master.options;
  // Mesos writes "//host:port", and the scheme is the one that was asked with.
  const { origin, username } = new URL(location, `${protocol}//${master.name}`);
  const leader = placeOf(origin);
  if (username !== '' || leader.options.protocol !== protocol) {
    throw new Error(`${master.name} names a leading master that is not to be trusted`);
  }
  return masters.find(({ name, options }) => name === leader.name && options.protocol === protocol) ?? leader;
}

/** Only the leader answers /master/slaves itself; the registry, which any master would answer, is asked only after that. */
async function askAsLeader(leader: Place, signal: AbortSignal): Promise<MemberList> {
  const answer = await get(leader, '/master/slaves', signal);
  const agents = readAgents(jsonOf(leader, '/master/slaves', answer));
  const lost = readRegistry(await getJson(leader, '/registrar(1)/registry', signal));
  const listed = new Set(agents.map(({ id }) => id));
  // What re-registers between the two answers is in both.
  const members: Member[] = [...agents, ...lost.filter(({ id }) => !listed.has(id))];
  const teller = `the leading Mesos master ${leader.name}`;
  return { source: 'mesos', teller, noun: 'agent', members, at: answer.date ?? Date.now() };
}
