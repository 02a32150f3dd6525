import { type Grammar, readFlags, UsageError } from '../../flags.ts';
import { modificationRules } from '../../sandbox/account.ts';
import { type Sandbox, type SandboxOptions, startSandbox } from '../../sandbox/sandbox.ts';
import { timingNames } from '../../sandbox/timing.ts';
import { tokenScopes } from '../../sandbox/tokens.ts';
import { Chronicle } from './chronicle.ts';
import { instructions } from './instructions.ts';
import { servePage } from './live/server.ts';

const dockerSocket = '/run/docker/plugins/ebs.sock';
/** What `--help` prints. */
export const usage = () => `Usage: npm run sandbox -- [OPTIONS]

Runs an EC2 and instances with the volume driver on this machine; disks are sparse files behind loop devices.
Needs root, and of Debian util-linux and e2fsprogs. It says what to type, and then what happens, as it happens.
Ctrl-C ends it; its volumes are kept for the next start.

  --dir DIR        Where everything is kept [/var/lib/docker-volume-ebs-sandbox]
  --nodes N        Instances, 1 to 20 [2]
  --zones Z        Availability zones, 1 to 6 [1]
  --timing MODEL   How long EC2 takes: none (no added delay), bench (fixed), aws (spread, with token buckets) [none]
  --token-scope S  Where a ClientToken of CreateVolume counts: region or zone; AWS does not say which [region]
  --modifications R  How often a volume is modified: four-a-day, or six-hours, once in six hours as before 2026 [four-a-day]
  --encrypted      The account encrypts every new volume (EBS encryption by default)
  --no-docker      Do not serve the first instance's driver at ${dockerSocket}
  --page           Serve a live page on 127.0.0.1 that shows what happens, with buttons for power, mounts and faults; on a
                   terminal it is served without being asked for
  --no-page        Do not serve it
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
  /** Serve the live page. */
  readonly page: boolean;
}

export const grammar = {
  command: 'sandbox',
  flags: {
    dir: { type: 'string', offers: 'path' },
    nodes: { type: 'string' },
    zones: { type: 'string' },
    timing: { type: 'string', offers: timingNames },
    'token-scope': { type: 'string', offers: tokenScopes },
    modifications: { type: 'string', offers: modificationRules },
    encrypted: { type: 'boolean' },
    'no-docker': { type: 'boolean' },
    page: { type: 'boolean' },
    'no-page': { type: 'boolean' },
    json: { type: 'boolean' },
  },
} as const satisfies Grammar;

/** Runs the sandbox until SIGINT, SIGTERM or SIGHUP. Gives the exit status. @throws UsageError; Error when it cannot start. */
export async function run(argv: readonly string[]): Promise<number> {
  const flags = flagsOf(argv);
  const ended = untilSignal();
  try {
    await show(flags, ended);
    return 0;
  } catch (error) {
    throw new Error(`cannot run the sandbox: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

async function show({ options, json, page }: Flags, ended: Promise<void>): Promise<void> {
  const say = (text: string) => json || process.stdout.write(text);
  say(`Starting an EC2 with ${options.nodes} instance${options.nodes === 1 ? '' : 's'} in ${options.dir} …\n\n`);
  const sandbox = await startSandbox(options);
  const docker = options.dockerSocket !== undefined;
  const chronicle = new Chronicle(sandbox, docker);
  const server = page ? await servePage(sandbox, chronicle, docker) : undefined;
  try {
    const { dir, dockerSocket } = options;
    if (json) process.stdout.write(`${JSON.stringify({ ...summary(sandbox), page: server?.url })}\n`);
    say(instructions(sandbox, { dir, dockerSocket, page: server?.url }));
    chronicle.listen({ told: ({ at, text }) => say(`${new Date(at).toTimeString().slice(0, 8)}  ${text}\n`) });
    await ended;
    say('\nEnding it: daemons, mounts and loop devices go, volumes stay …\n');
  } finally {
    await server?.close();
    await sandbox.close();
  }
}

/** @throws UsageError naming the flag and what it takes */
function flagsOf(argv: readonly string[]): Flags {
  const { values } = readFlags(argv, grammar);
  const options = {
    dir: values.dir ?? '/var/lib/docker-volume-ebs-sandbox',
    nodes: numberFlag('nodes', values.nodes ?? '2', 20),
    zones: numberFlag('zones', values.zones ?? '1', 6),
    timing: amongFlag('timing', values.timing ?? 'none', timingNames),
    account: {
      tokenScope: amongFlag('token-scope', values['token-scope'] ?? 'region', tokenScopes),
      encryptedByDefault: values.encrypted === true,
      modificationRule: amongFlag('modifications', values.modifications ?? 'four-a-day', modificationRules),
    },
    hibernation: true,
    nodeEnv: driverSettings(process.env),
    dockerSocket: values['no-docker'] ? undefined : dockerSocket,
    log: (line: string) => process.stderr.write(`${line}\n`),
  };
  const { json = false, page = process.stdout.isTTY && !json && !values['no-page'] } = values;
  return { options, json, page };
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
  throw new UsageError(
    `--${name} takes a number from 1 to ${max}, not ${JSON.stringify(value)}. See docker-volume-ebs sandbox --help.`,
  );
}

function amongFlag<const T extends string>(name: string, value: string, known: readonly T[]): T {
  const found = known.find((each) => each === value);
  if (found !== undefined) return found;
  throw new UsageError(
    `--${name} takes ${known.join(', ')}, not ${JSON.stringify(value)}. See docker-volume-ebs sandbox --help.`,
  );
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
