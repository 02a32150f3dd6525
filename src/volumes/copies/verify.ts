import { tagKeys } from '../../ebs/tags.ts';
import { DriverError, isCode } from '../../errors.ts';
import { type FilesystemType, filesystemTypes } from '../../host/types.ts';
import { heldAs } from '../state/held.ts';
import { keep, type Node, waiting } from '../state/node.ts';
import type { ScratchDisk, ScratchStep } from '../state/scratch.ts';
import type { VolumeSnapshot } from './snapshot-tags.ts';
import { proofAfter, proofText, readProof, type Verdict, verdictText } from './verdict.ts';

/** Where a verification is, in this order. */
export const verifySteps = ['make', 'attach', 'replay', 'check', 'mount', 'command', 'take away'] as const;
export type VerifyStep = (typeof verifySteps)[number];

export interface VerifyHow {
  /** MiB/s at which EC2 fetches the snapshot; as it is read without. */
  readonly initializationRate: number | undefined;
  onStep(step: VerifyStep): void;
  /** Run while it is mounted; gives why it failed, as a clause. */
  readonly command: ((mountpoint: string) => Promise<string | undefined>) | undefined;
}

/** What a verification is called while it waits for something: never the name of a volume. */
export const verifyName = (snapshotId: string): string => `verify ${snapshotId}`;

/** What EC2 is asked for: the cheapest volume that has room for it. */
export const scratchSpec = ({ id, sizeGiB }: VolumeSnapshot, initializationRate: number | undefined) => ({
  snapshotId: id,
  sizeGib: sizeGiB,
  type: 'gp3',
  iops: undefined,
  throughput: undefined,
  encrypted: undefined,
  kmsKeyId: undefined,
  initializationRate,
});

/**
 * Proves that a volume can be restored from a snapshot: makes a scratch volume of it in this zone, has its journal replayed,
 * checks its whole filesystem without writing, mounts it read-only. The volume that it was taken of is not touched.
 * @returns whether it holds what it should. @throws DriverError where that cannot be told: INVALID_REQUEST, DRAINING, NODE_FULL,
 * HOST_FAILED, EC2_*.
 */
export async function verifySnapshot(node: Node, snapshot: VolumeSnapshot, how: VerifyHow): Promise<Verdict> {
  if (snapshot.state !== 'completed') throw notComplete(snapshot);
  const name = verifyName(snapshot.id);
  const spec = scratchSpec(snapshot, how.initializationRate);
  const verdict = (ok: boolean, words: string): Verdict => ({ at: new Date().toISOString(), ok, words });
  const onStep = (step: ScratchStep) => step !== 'work' && how.onStep(step);
  return node.scratch.use({ purpose: name, spec }, onStep, async (scratch) => {
    const type = await filesystemOn(node, scratch, snapshot);
    if (typeof type === 'object') return verdict(false, type.why);
    const why = await examine(node, name, scratch, type, how);
    return verdict(why === undefined, why ?? proven(type, how));
  });
}

const proven = (type: FilesystemType, { command }: VerifyHow): string =>
  `${type} in order${command === undefined ? '' : ', and the command succeeded'}`;

/** @returns why it is not in order, as a clause. */
async function examine(
  node: Node,
  name: string,
  { disk, place }: ScratchDisk,
  type: FilesystemType,
  { onStep, command }: VerifyHow,
): Promise<string | undefined> {
  const { host } = node;
  const step = (which: VerifyStep) => {
    refuseWhileDraining(node, name);
    onStep(which);
  };
  step('replay');
  const refused = await waiting(node, name, `its ${type} journal to be replayed`, () => host.replayJournal(disk, type));
  if (refused !== undefined) return `the kernel does not mount its ${type} filesystem: ${refused}`;
  step('check');
  const found = await waiting(node, name, `all of its ${type} filesystem to be checked`, () =>
    host.checkReadOnly(disk, type),
  );
  if (found !== undefined) return found;
  step('mount');
  try {
    await host.mount(disk, place, type, ['ro', 'nodev', 'nosuid']);
  } catch (error) {
    if (isCode(error, 'FILESYSTEM_DAMAGED')) return error.parts.why;
    throw error;
  }
  if (command === undefined) return undefined;
  step('command');
  return waiting(node, name, 'the command that is run on it', () => command(place));
}

/** The filesystem on a scratch disk, or why there is none where one should be. */
async function filesystemOn(
  { host }: Node,
  { disk }: ScratchDisk,
  { id, volume, tags }: VolumeSnapshot,
): Promise<FilesystemType | { readonly why: string }> {
  const made = filesystemTypes.find((each) => each === tags[tagKeys.formatted]);
  const content = await host.readContent(disk, 'samples', made);
  const type = content.kind === 'filesystem' ? filesystemTypes.find((each) => each === content.type) : undefined;
  if (type !== undefined) return type;
  const holds = content.kind === 'other' ? content.what : content.kind === 'blank' ? 'nothing' : content.type;
  if (made !== undefined) return { why: `it should hold a filesystem (${made}), and holds ${holds}` };
  throw new DriverError('INVALID_REQUEST', {
    volume,
    tried: `verify its snapshot ${id}`,
    why: `it holds ${holds}, and no filesystem that this driver has made`,
    todo: 'Choose a snapshot that was taken after the volume was first mounted',
  });
}

function refuseWhileDraining({ drain: { now }, instanceId }: Node, name: string): void {
  if (now === undefined) return;
  throw new DriverError('DRAINING', {
    tried: `${name} on ${instanceId}`,
    why: `this node is being drained since ${now.since}: ${now.reason}`,
    todo: 'Run it on another node',
  });
}

function notComplete({ id, volume, state, message }: VolumeSnapshot): DriverError {
  const isPending = state === 'pending';
  return new DriverError(isPending ? 'STILL_WORKING' : 'INVALID_REQUEST', {
    volume,
    tried: `verify its snapshot ${id}`,
    why: isPending
      ? 'EC2 has not completed it yet'
      : `EC2 shows it as ${state}${message === undefined ? '' : ` (${message})`}: nothing can be made of it`,
    todo: isPending ? 'Try again once docker-volume-ebs snapshot ls shows it as completed' : 'Take another snapshot',
  });
}

/**
 * Writes a verdict down: on the snapshot, and on the volume that has the name now, if there is one.
 * @returns what could not be written, as a sentence each: the verdict stands without.
 */
export async function record(node: Node, snapshot: VolumeSnapshot, verdict: Verdict): Promise<string[]> {
  const { ec2, log } = node;
  const { id, volume: name } = snapshot;
  const write = async (what: string, work: () => Promise<void>): Promise<string[]> => {
    try {
      await work();
      return [];
    } catch (error) {
      log.warn({ volume: name, snapshotId: id, err: error }, 'the result of a verification could not be written down');
      return [`The result could not be written on ${what}: ${error instanceof Error ? error.message : String(error)}`];
    }
  };
  const onSnapshot = await write(id, () => ec2.createTags(id, { [tagKeys.verified]: verdictText(verdict) }));
  const onVolume = name === undefined ? [] : await write(name, () => recordOnVolume(node, name, id, verdict));
  return [...onSnapshot, ...onVolume];
}

async function recordOnVolume(node: Node, name: string, snapshotId: string, verdict: Verdict): Promise<void> {
  const volume = heldAs(node.held, name)?.volume ?? (await node.lookup.named(name, { lane: 'list' }))[0];
  if (volume === undefined) return;
  const proof = proofAfter(readProof(volume.tags[tagKeys.proof]), snapshotId, verdict);
  await tagVolume(node, name, volume.id, tagKeys.proof, proofText(proof));
}

/** Writes a tag of a volume, and into its record if it is held here. */
export async function tagVolume(node: Node, name: string, id: string, key: string, value: string): Promise<void> {
  await node.ec2.createTags(id, { [key]: value });
  await node.queue.run(name, async () => {
    const now = heldAs(node.held, name);
    if (now?.volume.id !== id) return;
    await keep(node, { ...now, volume: { ...now.volume, tags: { ...now.volume.tags, [key]: value } } });
  });
}
