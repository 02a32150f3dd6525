import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

/** A call as it came: its operation, as "PutRolePolicy", and its parameters. */
export interface StandInCall {
  readonly operation: string;
  readonly parameters: Readonly<Record<string, unknown>>;
}

/** A service of AWS that takes every call: what the AWS command line lets through is a call that AWS knows. */
export interface AwsStandIn {
  readonly calls: readonly StandInCall[];
  /** For a shell whose `aws` talks to it. */
  readonly env: Readonly<Record<string, string>>;
  close(): Promise<void>;
}

export async function awsStandIn(): Promise<AwsStandIn> {
  const calls: StandInCall[] = [];
  const server = createServer(async (request, response) => {
    const body = await text(request);
    const target = String(request.headers['x-amz-target'] ?? '');
    if (target !== '') {
      calls.push({ operation: target.replace(/.*\./, ''), parameters: JSON.parse(body) });
      response.end('{}');
      return;
    }
    const { Action: operation = '', ...parameters } = Object.fromEntries(new URLSearchParams(body));
    calls.push({ operation, parameters });
    response.end(`<${operation}Response><${operation}Result/></${operation}Response>`);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const bin = await mkdtemp(join(tmpdir(), 'docker-volume-ebs-aws-'));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await writeFile(join(bin, 'aws'), `#!/bin/sh\nexec /usr/bin/aws --endpoint-url ${url} "$@"\n`);
  await chmod(join(bin, 'aws'), 0o755);
  return {
    calls,
    env: {
      PATH: `${bin}:${process.env['PATH']}`,
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
      AWS_DEFAULT_REGION: 'us-east-1',
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await rm(bin, { recursive: true });
    },
  };
}
