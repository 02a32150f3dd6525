import { envFile, programName, serviceName, socketName } from './places.ts';

/** What the units say about this installation. All are absolute paths that need no quoting. */
interface UnitFacts {
  readonly program: string;
  /** DVE_ROOT and DVE_SOCKET. */
  readonly root: string;
  readonly socket: string;
}

/** Their changes would be gone with the next release. */
const editing = (unit: string) =>
  `# Written by docker-volume-ebs install, and written anew by the next: for changes use systemctl edit ${unit}.`;

/** Whoever mounts volumes starts after us and ends before us: Docker, Podman, Mesos agents under their usual names, Nomad, ECS. */
const users =
  'docker.service podman.service podman-restart.service mesos-slave.service mesos-agent.service dcos-mesos-slave.service nomad.service ecs.service';

/**
 * The service's unit. Mounts that are made in a mount namespace of its own would not reach containers, so it has none of
 * the directives that imply one (systemd.exec(5): Private…, most of Protect…, ReadOnlyPaths and the like).
 */
export function serviceUnit({ program, root }: UnitFacts): string {
  return `${editing(serviceName)}
[Unit]
Description=EBS volumes for containers
Requires=${socketName}
After=${socketName} network.target
Before=${users}
RequiresMountsFor=${root}
# A daemon that cannot start is tried for ever: calls wait in the socket meanwhile.
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart=${program} serve
EnvironmentFile=-${envFile}
Restart=always
RestartSec=1
# It ends within 10 s. A check or a mkfs that runs then goes on, and the next start waits for it.
TimeoutStopSec=15
KillMode=process
OOMScoreAdjust=-500
# A check of one damaged disk may need more memory than there is: the calls for other volumes go on.
OOMPolicy=continue

# Mounts, filesystem ioctls; whose mount it is, in /proc; growing a mounted ext4; any owner's files, and their set-group-ID bit
# (a volume's mode=2770, which RestrictSUIDSGID= would refuse).
CapabilityBoundingSet=CAP_SYS_ADMIN CAP_SYS_PTRACE CAP_SYS_RESOURCE CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID
NoNewPrivileges=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
# A filesystem is first tried in a mount namespace of its own.
RestrictNamespaces=mnt
RestrictRealtime=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service @mount
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
`;
}

/** The socket's unit: it accepts from early boot on, also while the service starts, restarts or is replaced. */
export function socketUnit({ socket }: UnitFacts): string {
  return `${editing(socketName)}
[Unit]
Description=EBS volumes for containers: socket of the volume plugin
Before=${users}

[Socket]
ListenStream=${socket}
SocketMode=0600
DirectoryMode=0755
RemoveOnStop=yes
Service=${serviceName}

[Install]
WantedBy=sockets.target
`;
}

/** The program that a service unit of ours starts; undefined where the text is none. */
export const programOf = (unit: string): string | undefined =>
  new RegExp(`^ExecStart=(/\\S*/${programName}) serve$`, 'm').exec(unit)?.[1];

/** The DVE_ROOT that a service unit of ours was written for; undefined where the text is none. */
export const rootOf = (unit: string): string | undefined => /^RequiresMountsFor=(\/\S*)$/m.exec(unit)?.[1];
