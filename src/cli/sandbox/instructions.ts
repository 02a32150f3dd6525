import { shellWord } from '../../errors.ts';
import { ownProgram } from '../../host/own-program.ts';
import type { Sandbox, SandboxNode } from '../../sandbox/sandbox.ts';
import { letterOf } from './names.ts';

interface Surroundings {
  readonly dir: string;
  /** Where the first instance's driver is served for Docker; undefined where it is not. */
  readonly dockerSocket: string | undefined;
  /** The address of the live page; undefined where there is none. */
  readonly page: string | undefined;
}

/** What a person can type while the sandbox runs. */
export function instructions(sandbox: Sandbox, { dir, dockerSocket, page }: Surroundings): string {
  const nodes = sandbox.nodes();
  const state = sandbox.state();
  const name = ({ instanceId }: SandboxNode) => letterOf(state, instanceId);
  const listed = nodes.map(
    (node) => `  ${name(node)}  ${node.instanceId} in ${node.availabilityZone}, its driver's log: ${node.log}\n`,
  );
  const [first, second = first] = nodes;
  const parts = [
    `EC2 in a box is running, with ${nodes.length} instance${nodes.length === 1 ? '' : 's'}:\n\n${listed.join('')}`,
    page === undefined ? '' : `Watch it, and press its buttons, in a browser of this machine: ${page}\n`,
    `In another terminal, as root (bash):\n\n${shellOf(sandbox, nodes, name)}`,
    first === undefined || second === undefined ? '' : walk(name(first), name(second)),
    dockerSocket === undefined ? '' : docker,
    `Make EC2 go wrong (--help lists the faults), make it well again, and see its calls:

  curl -d '{"kind":"throttle","action":"AttachVolume","times":3}' ${sandbox.faults}
  curl -X DELETE ${sandbox.faults}
  curl ${sandbox.faults}/calls
`,
    `Ctrl-C ends it; its volumes stay in ${dir}. What happens, from here on:\n`,
  ];
  return `${parts.filter((part) => part !== '').join('\n')}\n`;
}

function shellOf({ endpoint, region }: Sandbox, nodes: readonly SandboxNode[], name: (node: SandboxNode) => string) {
  const instances = nodes.map((node) => `${name(node)}=${node.instanceId}`).join(' ');
  const [node] = nodes;
  const socket = node?.socket.replace(node.instanceId, '$i') ?? '';
  return `  export AWS_ENDPOINT_URL_EC2=${endpoint} AWS_DEFAULT_REGION=${region}
  export AWS_ACCESS_KEY_ID=sandbox AWS_SECRET_ACCESS_KEY=sandbox
  ec2() { aws ec2 --endpoint-url "$AWS_ENDPOINT_URL_EC2" --output text "$@"; }
  ${instances}
  on() { local i=$1; shift; DVE_SOCKET="${socket}" ${ownProgram().map(shellWord).join(' ')} "$@"; }
  mount_on() { on "$1" dvdcli mount --volumedriver=ebs --volumename=data --volumeopts=size=1; }
`;
}

const described = (command: string, what: string): string => `  ${command.padEnd(52)} # ${what}\n`;

/** The way through a takeover, and its detours. */
const walk = (a: string, b: string): string => `The way of a volume that outlives its instance:

${[
  described(`file="$(mount_on $${a})/hello"`, `mount it on ${a}; it is made the first time`),
  described('echo hello > "$file"; sync "$file"', 'what is not synced goes with the power'),
  described(`on $${a} status`, `what ${a} has`),
  described(`on $${a} ls`, 'what the whole cluster has'),
  described(`on $${b} fence explain data`, `what a mount on ${b} would do now, and why: ${a} runs, so it is refused`),
  described(`ec2 stop-instances --force --instance-ids $${a}`, `cut ${a}'s power; below it is said when it is stopped`),
  described(`on $${b} fence explain data`, 'now it would be taken over'),
  described(`cat "$(mount_on $${b})/hello"`, `mount it on ${b}, and read`),
].join('')}
Other ends of an instance, and its return:

${[
  described(`ec2 stop-instances --instance-ids $${b}`, 'stop it in good order: its daemon may finish first'),
  described(
    `ec2 stop-instances --hibernate --instance-ids $${b}`,
    'it may wake with its mounts: nobody takes its volumes',
  ),
  described(`ec2 terminate-instances --instance-ids $${b}`, 'it never comes back, and what it had is free'),
  described(`ec2 start-instances --instance-ids $${a}`, 'a stopped or hibernated one comes back'),
].join('')}`;

const docker = `With Docker on this machine (it talks to the first instance that runs):

  docker volume create -d ebs -o size=1 data
  docker run --rm -v data:/var/lib/data --volume-driver ebs alpine touch /var/lib/data/hello
`;
