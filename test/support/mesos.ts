import type { IncomingMessage, ServerResponse } from 'node:http';
import { type LoopbackServer, listenOnLoopback, sendJson } from '../../src/sandbox/http.ts';

/** How the leading master sees an agent; `absent` is one it knows nothing of. */
export type AgentState = 'registered' | 'draining' | 'disconnected' | 'recovered' | 'unreachable' | 'gone' | 'absent';

export interface StandInAgent {
  readonly id: string;
  readonly state: AgentState;
  readonly hostname: string;
  readonly ip: string;
  /** RFC 3339; for one that is unreachable or gone. */
  readonly since: string;
}

/** One master or agent that listens on loopback. */
export interface StandInServer {
  readonly url: string;
  /** What it answers instead from now on; undefined ends that. A status, text that need not be JSON, or nothing at all. */
  answer: number | string | 'hang' | undefined;
  /** Path and credentials of each request, as "/state" or "/state user:password". */
  readonly requests: string[];
}

/** A Mesos cluster as its HTTP endpoints show it (apache/mesos docs/endpoints): nothing runs behind them. */
export interface StandInMesos {
  /** The leading master; alone unless `standby` adds others. */
  readonly leader: StandInServer;
  /** A master that leads nothing and sends others to the leader. */
  standby(): Promise<StandInServer>;
  /** Adds an agent, or changes what the leader thinks of it. Registered, at an address of its own, since now, unless told. */
  setAgent(id: string, change?: Partial<Omit<StandInAgent, 'id'>>): void;
  /** The endpoint of an agent on a node; its id may change, as over a reboot. */
  agent(id: string): Promise<StandInServer & { id: string }>;
  /** The endpoints of the agents of several nodes, each below its node's name, as "/i-1/state"; `ids` by that name. */
  agents(): Promise<StandInServer & { readonly ids: Map<string, string> }>;
  close(): Promise<void>;
}

export async function startMesos(): Promise<StandInMesos> {
  const agents = new Map<string, StandInAgent>();
  const servers: LoopbackServer[] = [];
  const serve = async <T extends object>(extra: T, route: Route): Promise<StandInServer & T> => {
    const server = { url: '', answer: undefined, requests: [], ...extra } as StandInServer & T & { url: string };
    const listening = await listenOnLoopback((request, response) => respond(server, route, request, response));
    servers.push(listening);
    server.url = listening.url;
    return server;
  };
  const toLeader: Route = (_path, response) => {
    const { host } = new URL(leader.url);
    response.writeHead(307, { location: `//${host}` }).end();
  };
  const leader = await serve({}, (path, response) => {
    if (path === '/master/slaves') sendJson(response, 200, agentsAnswer([...agents.values()]));
    else if (path === '/registrar(1)/registry') sendJson(response, 200, registryAnswer([...agents.values()]));
    else if (path === '/master/redirect') toLeader(path, response);
    else sendJson(response, 404, {});
  });
  return {
    leader,
    standby: () => serve({}, toLeader),
    setAgent(id, change = {}) {
      const ip = `10.1.0.${agents.size + 1}`;
      const usual = { id, state: 'registered', hostname: `agent-${ip}`, ip, since: new Date().toISOString() } as const;
      agents.set(id, { ...(agents.get(id) ?? usual), ...change });
    },
    async agent(id) {
      const own = await serve({ id }, (path, response) => {
        if (path === '/state' || path === '/slave(1)/state') sendJson(response, 200, { id: own.id, version: '1.11.0' });
        else sendJson(response, 404, {});
      });
      return own;
    },
    agents() {
      const ids = new Map<string, string>();
      return serve({ ids }, (path, response) => {
        const id = ids.get(/^\/([^/]+)\/state$/.exec(path)?.[1] ?? '');
        if (id !== undefined) sendJson(response, 200, { id, version: '1.11.0' });
        else sendJson(response, 404, {});
      });
    },
    async close() {
      await Promise.all(servers.map((server) => server.close()));
    },
  };
}

type Route = (path: string, response: ServerResponse) => void;

function respond(server: StandInServer, route: Route, request: IncomingMessage, response: ServerResponse): void {
  const path = request.url ?? '';
  const { authorization = '' } = request.headers;
  const user = Buffer.from(authorization.replace(/^Basic /, ''), 'base64').toString();
  server.requests.push(user === '' ? path : `${path} ${user}`);
  const { answer } = server;
  if (answer === undefined) route(path, response);
  else if (typeof answer === 'number') response.writeHead(answer).end();
  else if (answer !== 'hang') response.writeHead(200, { 'content-type': 'application/json' }).end(answer);
}

const listed = new Set<AgentState>(['registered', 'draining', 'disconnected']);

function agentsAnswer(agents: readonly StandInAgent[]): object {
  const shown = (state: (agent: StandInAgent) => boolean, extra: (agent: StandInAgent) => object) =>
    agents.filter(state).map((agent) => ({ id: agent.id, hostname: agent.hostname, ...extra(agent) }));
  return {
    slaves: shown(
      ({ state }) => listed.has(state),
      ({ state, ip }) => ({
        pid: `slave(1)@${ip}:5051`,
        active: state === 'registered',
        deactivated: state === 'draining',
        registered_time: 1_767_225_600.5,
        ...(state === 'draining' ? { drain_info: { state: 'DRAINING' } } : {}),
      }),
    ),
    recovered_slaves: shown(
      ({ state }) => state === 'recovered',
      () => ({ port: 5051 }),
    ),
  };
}

function registryAnswer(agents: readonly StandInAgent[]): object {
  const lost = (wanted: AgentState) =>
    agents
      .filter(({ state }) => state === wanted)
      .map(({ id, since }) => ({ id: { value: id }, timestamp: { nanoseconds: Date.parse(since) * 1e6 } }));
  return {
    master: { info: { id: 'master' } },
    slaves: {
      slaves: agents.filter(({ state }) => listed.has(state)).map(({ id }) => ({ info: { id: { value: id } } })),
    },
    unreachable: { slaves: lost('unreachable') },
    gone: { slaves: lost('gone') },
  };
}
