import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestSandbox } from '../support/sandbox.ts';
import { projectRoot } from './page.ts';

/**
 * The environment of an operator's shell on a node of the sandbox: `docker-volume-ebs` is this project's, `aws` talks to
 * the sandbox, and the daemon is the node's.
 */
export async function nodeShell(box: TestSandbox, which: number | string): Promise<Record<string, string>> {
  const bin = join(box.dir, 'bin');
  await mkdir(bin, { recursive: true });
  const programs = {
    'docker-volume-ebs': `${process.execPath} ${join(projectRoot, 'src/cli/main.ts')}`,
    // Debian's, which knows no variable for the endpoint.
    aws: `/usr/bin/aws --endpoint-url ${box.sandbox.endpoint}`,
  };
  for (const [name, command] of Object.entries(programs)) {
    await writeFile(join(bin, name), `#!/bin/sh\nexec ${command} "$@"\n`);
    await chmod(join(bin, name), 0o755);
  }
  return {
    PATH: `${bin}:${process.env['PATH']}`,
    DVE_SOCKET: box.node(which).socket,
    AWS_ENDPOINT_URL_EC2: box.sandbox.endpoint,
    AWS_DEFAULT_REGION: box.sandbox.region,
    AWS_REGION: box.sandbox.region,
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
  };
}
