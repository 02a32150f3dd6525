import { parseArgs } from 'node:util';
import { type Sandbox, type SandboxOptions, startSandbox } from '../../sandbox/sandbox.ts';
import { timingNames } from '../../sandbox/timing.ts';
import { tokenScopes } from '../../sandbox/tokens.ts';

const dockerSocket = '/run/docker/plugins/ebs.sock';
/** What `--help` prints. */
export const usage = () => `Usage: npm run sandbox -- [OPTIONS]

Runs an EC2 and instances with the volume driver on this machine; disks are sparse files behind loop devices.
Needs root, and of Debian util-linux and e2fsprogs. Ctrl-C ends it; its volumes are kept for the next start.

  --dir DIR        Where everything is kept [/var/lib/docker-volume-ebs-sandbox]
  --nodes N        Instances, 1 to 20 [2]
  --zones Z        Availability zones, 1 to 6 [1]
  --timing MODEL   How long EC2 takes: none (no added delay), bench (fixed), aws (spread, with token buckets) [none]
  --token-scope S  Where a ClientToken of CreateVolume counts: region or zone; AWS does not say which [region]
  --encrypted      The account encrypts every new volume (EBS encryption by default)
  --no-docker      Do not serve the first instance's driver at ${dockerSocket}
  --json           Print one line of JSON once everything accepts, and nothing else
  --help           Show this text

Settings of the driver in the environment (DVE_LINGER=0, …) hold for every instance, except its paths and who it is.
DVE_FENCE_SETTLE is 0 unless set.

To make things go wrong, POST a fault as JSON to the address shown at the start; GET lists them, DELETE clears them.
{"kind": …} with, where they apply, "action", "caller", "instance", "volume", "times" (else until cleared), "ms", "at":
  delay, throttle, error, deny    what becomes of calls; deny is an IAM policy that lacks the action, for DryRun too
  drop-request, drop-reply, late  calls that are lost, whose answers are, that arrive "ms" later or once it is cleared
  stale-reads                     answers of "ms" ago or of the moment "at"; with "nonMonotonic" now older, now newer
  stuck-attaching, stuck-detaching, stuck-stopping, create-vanishes
  stuck-snapshot (stays pending until cleared), snapshot-fails
  stop-reason                     the next stop or termination has the StateReason "code", as Server.ScheduledStop, and was
                                  asked for "at"
  volume-status                   what DescribeVolumeStatus says of "volume": "code" as impaired
  linger-attachments              the attachments of an instance stay listed after its termination until this is cleared
  partition                       the instance reaches neither EC2 nor its metadata service; its disks go on
  health                          EC2's checks: "system", "guest", "attachedEbs" as "impaired", "since" when; with "ms"
                                  EC2's clock is that far ahead in its answers to DescribeInstanceStatus
  event, spot, rebalance          what EC2 and the metadata service announce: "code" as instance-stop or terminate, "at"
`;

interface Flags {
  readonly options: SandboxOptions;
  readonly json: boolean;
}

/** Runs the sandbox until SIGINT, SIGTERM or SIGHUP. Gives the exit status: 2 for a wrong command line, 1 when it cannot start. */
export async function run(argv: readonly string[]): Promise<number> {
  let flags: Flags;
  try {
    flags = readFlags(argv);
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\nSee npm run sandbox -- --help\n`);
    return 2;
  }
  const ended = untilSignal();
  try {
    const sandbox = await startSandbox(flags.options);
    process.stdout.write(flags.json ? `${JSON.stringify(summary(sandbox))}\n` : instructions(sandbox, flags.options));
    await ended;
    await sandbox.close();
    return 0;
  } catch (error) {
    process.stderr.write(`cannot run the sandbox: ${messageOf(error)}\n`);
    return 1;
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** @throws Error naming the flag and what it takes */
function readFlags(argv: readonly string[]): Flags {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      dir: { type: 'string', default: '/var/lib/docker-volume-ebs-sandbox' },
      nodes: { type: 'string', default: '2' },
      zones: { type: 'string', default: '1' },
      timing: { type: 'string', default: 'none' },
      'token-scope': { type: 'string', default: 'region' },
      encrypted: { type: 'boolean', default: false },
      'no-docker': { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  });
  const options = {
    dir: values.dir,
    nodes: numberFlag('nodes', values.nodes, 20),
    zones: numberFlag('zones', values.zones, 6),
    timing: amongFlag('timing', values.timing, timingNames),
    account: {
      tokenScope: amongFlag('token-scope', values['token-scope'], tokenScopes),
      encryptedByDefault: values.encrypted,
    },
    nodeEnv: driverSettings(process.env),
    dockerSocket: values['no-docker'] ? undefined : dockerSocket,
    log: (line: string) => process.stderr.write(`${line}\n`),
  };
  return { options, json: values.json };
}

const driverSettings = (env: NodeJS.ProcessEnv): Record<string, string> =>
  Object.fromEntries(
    Object.entries(env).filter(
      (entry): entry is [string, string] =>
        entry[1] !== undefined && /^DVE_(?!INSTANCE_ID$|AVAILABILITY_ZONE$)/.test(entry[0]),
    ),
  );

function numberFlag(name: string, value: string, max: number): number {
  const number = /^\d+$/.test(value) ? Number(value) : 0;
  if (number >= 1 && number <= max) return number;
  throw new Error(`--${name} takes a number from 1 to ${max}, not ${JSON.stringify(value)}`);
}

function amongFlag<const T extends string>(name: string, value: string, known: readonly T[]): T {
  const found = known.find((each) => each === value);
  if (found !== undefined) return found;
  throw new Error(`--${name} takes ${known.join(', ')}, not ${JSON.stringify(value)}`);
}

function untilSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve());
  });
}

function summary({ endpoint, region, faults, nodes }: Sandbox): object {
  const shown = nodes().map(({ instanceId, availabilityZone, socket, root, pid }) => ({
    instanceId,
    availabilityZone,
    socket,
    root,
    pid,
  }));
  return { endpoint, region, faults, nodes: shown };
}

function instructions(sandbox: Sandbox, options: SandboxOptions): string {
  const nodes = sandbox
    .nodes()
    .map(
      ({ instanceId, availabilityZone, socket, log }) =>
        `  ${instanceId} in ${availabilityZone}\n    socket ${socket}\n    log    ${log}\n`,
    );
  const docker = `With Docker on this machine (it talks to the first instance):

  docker volume create -d ebs -o size=1 data
  docker run --rm -v data:/var/lib/data --volume-driver ebs alpine touch /var/lib/data/hello
`;
  return `EC2 in a box is running, with ${nodes.length} instance${nodes.length === 1 ? '' : 's'}:

${nodes.join('')}
In another terminal:

  export AWS_ENDPOINT_URL_EC2=${sandbox.endpoint}
  export AWS_REGION=${sandbox.region} AWS_DEFAULT_REGION=${sandbox.region}
  export AWS_ACCESS_KEY_ID=sandbox AWS_SECRET_ACCESS_KEY=sandbox
  aws ec2 describe-volumes            # AWS CLI before 2.13: add --endpoint-url ${sandbox.endpoint}

${options.dockerSocket === undefined ? '' : docker}
Make things go wrong, and count EC2 calls:

  curl -d '{"kind":"throttle","action":"AttachVolume","times":3}' ${sandbox.faults}
  curl ${sandbox.faults}/calls

Ctrl-C ends it. Volumes stay in ${options.dir}
`;
}
