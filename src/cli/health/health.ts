import { request } from 'node:http';
import type { Grammar } from '../../flags.ts';
import { daemonFlags, print, printJson, readInvocation } from '../operator-client.ts';
import { silentDaemon } from '../silent-daemon.ts';

/** What `--help` prints. */
export const usage = () => `Usage: docker-volume-ebs health [OPTIONS]

Asks the daemon of this node whether it can do its work, for a supervisor or a container's HEALTHCHECK. It answers from
memory and its own disk: EC2 is not asked. Prints "ok", or a line for each problem.

Exit status: 0 when it can, 1 when it cannot or does not answer, 2 for a wrong command line. A drained node is in health.

  --json         Print the daemon's answer as JSON
  --socket PATH  The daemon's socket (DVE_SOCKET) [/run/docker/plugins/ebs.sock]
  --help         Show this text
`;

export const grammar = { command: 'health', flags: daemonFlags } as const satisfies Grammar;

/** The daemon answers within 2 s, whatever its disk does. */
const timeoutMs = 5_000;

/** What GET /health answers. */
export interface HealthAnswer {
  readonly status: 'ok' | 'failing';
  readonly version: string;
  readonly problems: readonly string[];
  /** Absent while the daemon has not found it out. */
  readonly instanceId?: string;
  readonly draining?: { readonly reason: string; readonly by: string; readonly since: string };
}

/** Tells whether the daemon of this node is in health; gives the exit status. */
export async function run(argv: readonly string[]): Promise<number> {
  const { socket, root, values } = readInvocation(argv, grammar);
  const answer = await askHealth(socket, root);
  if (values['json']) printJson(answer);
  else print(answer.status === 'ok' ? `ok${drained(answer)}\n` : `${answer.problems.join('\n')}\n`);
  return answer.status === 'ok' ? 0 : 1;
}

const drained = ({ draining }: HealthAnswer) =>
  draining === undefined ? '' : `, drained since ${draining.since}: ${draining.reason}`;

/**
 * Asks a daemon for its health. @param root its DVE_ROOT.
 * @throws Error that says where it asked; its cause is that of node:net when nobody listens there.
 */
export function askHealth(socketPath: string, root: string): Promise<HealthAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<HealthAnswer>();
  const silent = (why: string, cause?: unknown) =>
    reject(new Error(`the daemon at ${socketPath} does not answer (${why})`, { cause }));
  const signal = AbortSignal.timeout(timeoutMs);
  const call = request({ socketPath, path: '/health', signal }, (response) => {
    let text = '';
    response.setEncoding('utf8');
    response.on('data', (chunk: string) => {
      text += chunk;
    });
    response.on('error', (error) => silent(error.message, error));
    response.on('end', () => {
      if (response.statusCode === 404) silent('it is of a version without health checks');
      else readAnswer(text, resolve, silent);
    });
  });
  call.on('error', (error) => {
    if (signal.aborted) reject(silentDaemon(socketPath, root, timeoutMs / 1000));
    else silent(error.message, error);
  });
  call.end();
  return promise;
}

function readAnswer(text: string, resolve: (answer: HealthAnswer) => void, silent: (why: string) => void): void {
  try {
    const answer = JSON.parse(text);
    if (answer.status === 'ok' || answer.status === 'failing') resolve(answer);
    else silent(`it says ${JSON.stringify(text)}`);
  } catch {
    silent(`it says ${JSON.stringify(text)}`);
  }
}
