import { setTimeout as sleep } from 'node:timers/promises';
import { get, getJson, jsonOf, socketPlace } from './ask.ts';
import { type Member, type MemberList, noTestimony, testify } from './members.ts';
import type { Scheduler } from './types.ts';

const timeoutMs = 3_000;
/** The engine may start later than this daemon, which is perhaps a plugin of it. */
const askAgainMs = [10_000, 60_000, 300_000];

/**
 * Docker Swarm, by the node list of the local engine where that is a manager (Docker Engine API, GET /info and /nodes).
 * A node that is "down" has missed its heartbeats; its containers may run on.
 * @param socket the engine's, as "/var/run/docker.sock".
 */
export function openSwarm(socket: string): Scheduler {
  const engine = socketPlace(socket);
  const askInfo = async (signal: AbortSignal) => readSwarm(await getJson(engine, '/info', signal), engine.name);
  const askNodes = async (): Promise<{ list: MemberList; ownId: string | undefined }> => {
    const signal = AbortSignal.timeout(timeoutMs);
    const { nodeId, manager } = await askInfo(signal);
    if (!manager) throw new Error(`the engine at ${engine.name} is no Swarm manager, and only managers list nodes`);
    const answer = await get(engine, '/nodes', signal);
    const members = readNodes(jsonOf(engine, '/nodes', answer), engine.name);
    const teller = `the Swarm manager at ${engine.name}`;
    return { ownId: nodeId, list: { source: 'swarm', teller, noun: 'node', members, at: answer.date ?? Date.now() } };
  };
  return {
    source: 'swarm',
    async ownId() {
      try {
        return (await askInfo(AbortSignal.timeout(timeoutMs))).nodeId;
      } catch {
        return undefined;
      }
    },
    async testimony(identity, machine) {
      try {
        const { list, ownId } = await askNodes();
        return testify(list, identity, ownId, machine);
      } catch (error) {
        return noTestimony('swarm', identity, error instanceof Error ? error.message : String(error));
      }
    },
  };
}

/**
 * What a daemon that may stop owners (stonith) says after its start where its engine is a worker: it will be of no use
 * for that. Asks a few times, for some minutes.
 * @returns undefined when there is nothing to say, or the engine never told. Never throws.
 */
export async function workerWarning(socket: string, signal: AbortSignal): Promise<string | undefined> {
  const engine = socketPlace(socket);
  for (const pauseMs of [...askAgainMs, 0]) {
    try {
      const info = await getJson(engine, '/info', AbortSignal.timeout(timeoutMs));
      const { nodeId, manager } = readSwarm(info, engine.name);
      if (nodeId === undefined || manager) return undefined;
      return (
        `the engine at ${engine.name} (DVE_SWARM_SOCKET) is a Swarm worker, which cannot list nodes: as long as it is, ` +
        'this node stops no owner that is a member of the Swarm (stonith)'
      );
    } catch {
      await sleep(pauseMs, undefined, { ref: false, signal }).catch(() => undefined);
    }
    if (signal.aborted) return undefined;
  }
  return undefined;
}

/** An engine outside any Swarm has an empty node id. */
function readSwarm(info: unknown, name: string): { nodeId: string | undefined; manager: boolean } {
  const swarm = memberOf(info, 'Swarm');
  const nodeId = memberOf(swarm, 'NodeID');
  if (typeof nodeId !== 'string') throw new Error(`the engine at ${name} says nothing of Swarm`);
  return { nodeId: nodeId === '' ? undefined : nodeId, manager: memberOf(swarm, 'ControlAvailable') === true };
}

function readNodes(answer: unknown, name: string): Member[] {
  if (!Array.isArray(answer)) throw new Error(`the engine at ${name} did not answer /nodes with a list`);
  return answer.map((node: unknown) => {
    const id = memberOf(node, 'ID');
    const state = memberOf(memberOf(node, 'Status'), 'State');
    if (typeof id !== 'string' || typeof state !== 'string') throw new Error(`the engine at ${name} lists half a node`);
    const hosts = [memberOf(memberOf(node, 'Status'), 'Addr'), memberOf(memberOf(node, 'Description'), 'Hostname')];
    return {
      id,
      state: states[state] ?? 'doubtful',
      since: state === 'down' ? timeOf(memberOf(node, 'UpdatedAt')) : undefined,
      hosts: hosts.filter((host) => typeof host === 'string'),
      words: `"${state}"`,
    };
  });
}

/** After a change of the leader every node is "unknown" until it is heard of; "disconnected" is one that left by itself. */
const states: Readonly<Record<string, Member['state']>> = { ready: 'ready', down: 'unreachable' };

/** When the node's record changed last, which for a node that is down is at the earliest when it went down. */
function timeOf(updatedAt: unknown): number | undefined {
  const time = typeof updatedAt === 'string' ? Date.parse(updatedAt) : Number.NaN;
  return Number.isNaN(time) ? undefined : time;
}

function memberOf(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined;
}
