import { randomBytes } from 'node:crypto';
import type { TokenUse } from './tokens.ts';

/** What the sandbox's EC2 knows: plain data, written to state.json as it is. Times are RFC 3339 in UTC. */
export interface CloudState {
  volumes: VolumeRecord[];
  snapshots: SnapshotRecord[];
  instances: InstanceRecord[];
  tokens: Record<string, TokenUse>;
}

export type TagSet = Record<string, string>;

export interface AttachmentRecord {
  readonly instanceId: string;
  readonly device: string;
  state: 'attaching' | 'attached' | 'detaching' | 'busy';
  readonly attachTime: string;
  deleteOnTermination: boolean;
  /** The EBS card of an instance with several. */
  readonly card?: number | undefined;
}

export interface VolumeRecord {
  readonly id: string;
  readonly zone: string;
  readonly createTime: string;
  readonly snapshotId: string | undefined;
  /** Of a copy: what it was copied from, and whether its content is still on its way. */
  readonly sourceVolumeId?: string;
  filling?: boolean;
  readonly encrypted: boolean;
  readonly kmsKeyId: string | undefined;
  sizeGib: number;
  type: string;
  iops: number | undefined;
  throughput: number | undefined;
  state: 'creating' | 'available' | 'in-use' | 'deleting' | 'error';
  /** At most one: the sandbox has no Multi-Attach. */
  attachment: AttachmentRecord | undefined;
  tags: TagSet;
  /** Name of the file below volumes/ that holds its content now; a severed volume goes on in a fresh one. */
  file: string;
  modifications: ModificationRecord[];
}

export interface Shape {
  readonly sizeGib: number;
  readonly type: string;
  readonly iops: number | undefined;
  readonly throughput: number | undefined;
}

export interface ModificationRecord {
  state: 'modifying' | 'optimizing' | 'completed';
  readonly original: Shape;
  readonly target: Shape;
  progress: number;
  readonly startTime: string;
  endTime: string | undefined;
}

export interface SnapshotRecord {
  readonly id: string;
  readonly volumeId: string;
  readonly volumeSizeGib: number;
  readonly description: string;
  readonly startTime: string;
  readonly encrypted: boolean;
  readonly kmsKeyId: string | undefined;
  state: 'pending' | 'completed' | 'error';
  /** Its deletion was asked for while it was pending. */
  deleting?: true;
  tags: TagSet;
}

export type PowerState = 'pending' | 'running' | 'shutting-down' | 'terminated' | 'stopping' | 'stopped';

export interface InstanceRecord {
  readonly id: string;
  readonly reservationId: string;
  readonly zone: string;
  readonly type: string;
  readonly imageId: string;
  readonly privateIp: string;
  readonly hibernationConfigured: boolean;
  /** Absent in states written before it was known: not protected. */
  stopProtected?: boolean;
  /** Absent in states written before it was known: not protected. */
  terminationProtected?: boolean;
  state: PowerState;
  launchTime: string;
  /** When it was made; absent in states written before it was known. */
  readonly createTime?: string;
  stateReason: { readonly code: string; readonly message: string } | undefined;
  stateTransitionReason: string;
  terminatedAt: string | undefined;
  tags: TagSet;
}

/** EC2's numbers for instance states. */
export const powerCodes: Readonly<Record<PowerState, number>> = {
  pending: 0,
  running: 16,
  'shutting-down': 32,
  terminated: 48,
  stopping: 64,
  stopped: 80,
};

export const accountId = '123456789012';

/** A new id, as "vol-0" and 16 more hexadecimal digits. */
export const newId = (prefix: 'vol' | 'snap' | 'i' | 'r'): string => `${prefix}-0${randomBytes(8).toString('hex')}`;

/** Now, with milliseconds, as the call that does something answers it. */
export const timestamp = (): string => new Date().toISOString();

/** A time as EC2 describes it afterwards: whole seconds, floored (577 of 578 recorded answers of EC2). */
export const described = (time: string): string => time.replace(/\.\d+Z$/, '.000Z');

export const emptyState = (): CloudState => ({ volumes: [], snapshots: [], instances: [], tokens: {} });

/** One GiB in bytes. */
export const gib = 1024 ** 3;

/** The id of a zone: the same place for every account. */
export const zoneIdOf = (name: string): string => `use1-az${name.charCodeAt(name.length - 1) - 96}`;
