import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { EC2Client, paginateDescribeVolumes, type Tag, type Volume } from '@aws-sdk/client-ec2';
import { parseMountinfo } from '../../src/host/mountinfo.ts';
import type { MountEntry } from '../../src/host/types.ts';
import { type Sandbox, type SandboxNode, type SandboxOptions, startSandbox } from '../../src/sandbox/sandbox.ts';
import { builtBundle } from './bundle.ts';
import { type DvdiAnswer, dvdi } from './dvdi-client.ts';
import { run } from './run.ts';

/** A sandbox in a directory of its own, and what tests ask of it most. */
export interface TestSandbox {
  readonly sandbox: Sandbox;
  readonly dir: string;
  /** A running node, by its place among them or by its instance id (which stays when others are stopped). */
  node(which: number | string): SandboxNode;
  /** Calls a verb of a node's driver, as "Mount". */
  call(which: number | string, verb: string, body?: unknown): Promise<DvdiAnswer>;
  /** The same, failing the test when the driver answers with an error. */
  ok(which: number | string, verb: string, body?: unknown): Promise<DvdiAnswer['body']>;
  /** The same, failing the test when the driver succeeds; gives the error's text. */
  refused(which: number | string, verb: string, body?: unknown): Promise<string>;
  /** The SDK's client, with credentials that are no node's. */
  readonly ec2: EC2Client;
  /** EC2's volumes with this Name tag (all without), but for those that are being deleted. */
  volumes(name?: string): Promise<Volume[]>;
  /** Waits until EC2 has all of these volumes detached. */
  detached(name: string): Promise<void>;
  /** An EC2 call by the AWS command line, a second client besides the SDK; gives its JSON. */
  aws(...args: string[]): Promise<unknown>;
  /** Sets a fault; see the sandbox's switchboard. */
  fault(fault: object): Promise<void>;
  clearFaults(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Starts a sandbox for a test file: two nodes in one zone without delays, unless told; their daemons run the bundle. A removal deletes at once there unless
 * `nodeEnv` says otherwise: most tests are about other things, and the trash takes twenty seconds.
 */
export async function testSandbox(options: Partial<SandboxOptions> = {}): Promise<TestSandbox> {
  const dir = await mkdtemp('/var/tmp/dve-test-');
  const nodeEnv = { DVE_ON_REMOVE: 'delete', ...options.nodeEnv };
  const daemonCommand = options.daemonCommand ?? (await bundledDaemon());
  const sandbox = await startSandbox({ dir, nodes: 2, zones: 1, timing: 'none', ...options, daemonCommand, nodeEnv });
  const node = (which: number | string): SandboxNode => {
    const nodes = sandbox.nodes();
    const found = typeof which === 'number' ? nodes[which] : nodes.find(({ instanceId }) => instanceId === which);
    if (found === undefined) throw new Error(`the sandbox has no running node ${which}`);
    return found;
  };
  const call = (which: number | string, verb: string, body: unknown = {}) =>
    dvdi(node(which).socket).call(`VolumeDriver.${verb}`, body);
  const ec2 = new EC2Client({
    // Where EC2 counts calls, what a test looks at and waits for must not fail for that.
    maxAttempts: (options.timing ?? 'none') === 'none' ? 3 : 50,
    endpoint: sandbox.endpoint,
    region: sandbox.region,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  });
  const volumes = async (name?: string): Promise<Volume[]> => {
    const filters = name === undefined ? [] : [{ Name: 'tag:Name', Values: [name] }];
    const found: Volume[] = [];
    for await (const { Volumes = [] } of paginateDescribeVolumes({ client: ec2 }, { Filters: filters })) {
      found.push(...Volumes.filter(({ State }) => State !== 'deleting'));
    }
    return found;
  };
  return {
    sandbox,
    dir,
    node,
    call,
    async ok(which, verb, body) {
      const answer = await call(which, verb, body);
      if (answer.status !== 200) throw new Error(`${verb} answered ${answer.status}: ${JSON.stringify(answer.body)}`);
      return answer.body;
    },
    async refused(which, verb, body) {
      const answer = await call(which, verb, body);
      if (answer.status === 200) throw new Error(`${verb} succeeded: ${JSON.stringify(answer.body)}`);
      return answer.body.Err;
    },
    ec2,
    volumes,
    async detached(name) {
      await eventually(async () =>
        (await volumes(name)).every(({ Attachments = [], State }) => Attachments.length === 0 && State === 'available'),
      );
    },
    async aws(...args) {
      const env = ['AWS_ACCESS_KEY_ID=test', 'AWS_SECRET_ACCESS_KEY=test', `AWS_DEFAULT_REGION=${sandbox.region}`];
      const command = ['/usr/bin/aws', 'ec2', '--endpoint-url', sandbox.endpoint, '--output', 'json', ...args];
      const { code, stdout, stderr } = await run('env', [...env, ...command]);
      if (code !== 0) throw new Error(`aws ec2 ${args.join(' ')} ended with ${code}: ${stderr}`);
      return stdout.trim() === '' ? undefined : JSON.parse(stdout);
    },
    async fault(fault) {
      const answer = await fetch(sandbox.faults, { method: 'POST', body: JSON.stringify(fault) });
      if (!answer.ok) throw new Error(`the fault was refused: ${await answer.text()}`);
    },
    async clearFaults() {
      await fetch(sandbox.faults, { method: 'DELETE' });
    },
    async close() {
      ec2.destroy();
      await sandbox.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** The project's daemon as it is shipped. */
export const bundledDaemon = async (): Promise<string[]> => [process.execPath, await builtBundle('program'), 'serve'];

/** The same, but that it takes what was done to EC2 to be visible in each read after a second, as in the sandbox. */
export const hastyDaemon = async (): Promise<string[]> => [process.execPath, await builtBundle('hasty-daemon')];

/** Looks until `look` gives something; the test's own time limit ends it. */
export async function eventually<T>(look: () => Promise<T | undefined | false>): Promise<T> {
  for (;;) {
    const seen = await look();
    if (seen !== undefined && seen !== false) return seen;
    await sleep(50);
  }
}

/** What is mounted at a directory, as this machine sees it; undefined when nothing is. */
export async function mountedAt(directory: string): Promise<MountEntry | undefined> {
  const entries = parseMountinfo(await readFile('/proc/self/mountinfo', 'utf8'));
  return entries.findLast(({ mountpoint }) => mountpoint === directory);
}

/** The tags of something in EC2 as an object. */
export const tagsOf = ({ Tags = [] }: { Tags?: Tag[] | undefined } = {}): Record<string, string | undefined> =>
  Object.fromEntries(Tags.map(({ Key = '', Value }) => [Key, Value]));
