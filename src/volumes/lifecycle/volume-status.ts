import type { VolumeStatus } from '../../ebs/types.ts';
import { DriverError, isCode } from '../../errors.ts';
import type { Held } from '../state/held.ts';
import type { Node } from '../state/node.ts';
import { silentVolume } from '../state/waits.ts';

/** Whoever waits for a mount that has failed anyway waits no longer for this. */
const patienceMs = 5000;

interface Ec2Says {
  /** A clause about the volume. */
  readonly what: string;
  /** The command that has EC2 serve its I/O again; undefined where EC2 does. */
  readonly enable: string | undefined;
}

/** What EC2 itself sees of a volume whose disk fails; undefined where it does not answer in time. Never fails. */
async function askStatus(node: Node, { name, volume: { id } }: Held): Promise<Ec2Says | undefined> {
  try {
    const status = await node.ec2.describeVolumeStatus(id, { signal: AbortSignal.timeout(patienceMs) });
    return status && readOut(id, status);
  } catch (error) {
    if (isCode(error, 'EC2_DENIED')) {
      const what = 'what EC2 sees of it could not be asked, since the role may not call ec2:DescribeVolumeStatus';
      return { what, enable: undefined };
    }
    node.log.warn({ volume: name, volumeId: id, err: error }, 'what EC2 sees of a failing volume is not known');
    return undefined;
  }
}

function readOut(id: string, { status, ioDisabled, findings }: VolumeStatus): Ec2Says {
  const details = findings.length === 0 ? '' : ` (${findings.join(', ')})`;
  if (!ioDisabled) return { what: `EC2 shows it as ${status}${details}`, enable: undefined };
  // AWS disables I/O where data may be inconsistent; it is for the owner to enable it and check (User Guide, "Work with an impaired volume").
  return {
    what: `EC2 shows it as ${status} and serves no I/O of it, since its data may be inconsistent${details}`,
    enable: `aws ec2 enable-volume-io --volume-id ${id}`,
  };
}

const ioFailure = /input\/output error|\bI\/O error|\bEIO\b|can't read superblock/i;

/** The error of a mount, with what EC2 says of the volume where its I/O failed: one call. Any other as it is. */
export async function withStatus(node: Node, held: Held, error: unknown): Promise<unknown> {
  if (!isCode(error, 'HOST_FAILED', 'FILESYSTEM_DAMAGED', 'NOT_BLANK') || !ioFailure.test(error.parts.why))
    return error;
  const says = await askStatus(node, held);
  if (says === undefined) return error;
  const again = `Have EC2 serve it again with ${says.enable}, then mount it again: its filesystem is checked first`;
  const todo = says.enable === undefined ? error.parts.todo : again;
  return new DriverError(error.code, { ...error.parts, why: `${error.parts.why}; ${says.what}`, todo, cause: error });
}

/** Asks once, while a volume's disk or filesystem fails, what EC2 sees of it: status, health and errors say it from then on. */
export async function noteStatus(node: Node, held: Held): Promise<void> {
  if (node.ec2Says.has(held.name)) return;
  const says = await askStatus(node, held);
  if (says === undefined) return;
  const { what, enable } = says;
  const howTo = `${enable} has EC2 serve it again; then stop the containers that use it, so that the next mount checks its filesystem`;
  const text = enable === undefined ? what : `${what} (${howTo})`;
  node.log.error(
    { volume: held.name, volumeId: held.volume.id, says: text },
    'EC2 was asked about a volume that fails',
  );
  node.ec2Says.set(held.name, text);
}

/** Asks about disks that do not answer, and forgets what was said of volumes that are well again. */
export async function lookForStalls(node: Node): Promise<void> {
  const silent = node.host.unanswered().flatMap((each) => silentVolume(node, each) ?? []);
  const failing = new Set([...node.faults.keys(), ...silent.map(({ name }) => name)]);
  for (const name of node.ec2Says.keys()) if (!failing.has(name)) node.ec2Says.delete(name);
  await Promise.all(silent.map((held) => noteStatus(node, held)));
}
