import { tagKeys } from '../../ebs/tags.ts';
import type { Attachment, EbsVolume, Tags } from '../../ebs/types.ts';
import { attachmentOf, isGone } from '../../ebs/volume-record.ts';
import { DriverError } from '../../errors.ts';
import { decodeName, encodeName } from '../../volumes/options/names.ts';

/** EC2 takes 50 tags, and the driver writes about a dozen in a volume's life. */
const maxForeignTags = 35;

/**
 * `free`: may be adopted by name, by id or with all others; `by-id`: only whoever names it by its id means it; `rename`: only
 * by its id and under another name; `never`: not at all.
 */
type Verdict = 'free' | 'by-id' | 'rename' | 'never';

/** A volume that does not belong to the cluster, as `adopt` sees it. */
export interface Candidate {
  readonly volume: EbsVolume;
  /** The name it would have here. */
  readonly name: string;
  /** Who has it attached. */
  readonly owner: Attachment | undefined;
  readonly verdict: Verdict;
  /** Why the verdict is not `free`, and what else to know: clauses. */
  readonly remarks: readonly string[];
}

/** What is known of the region. */
export interface Region {
  readonly cluster: string;
  /** All volumes with a Name tag. */
  readonly named: readonly EbsVolume[];
  /** All volumes of the cluster. */
  readonly ours: readonly EbsVolume[];
  /** The root disk's device name of each owner. */
  readonly rootDevices: ReadonlyMap<string, string>;
}

type Finding = readonly [Verdict, string] | undefined;

/** The volumes with a Name tag that have no name in the cluster, each judged. */
export function judge(region: Region): Candidate[] {
  return strangers(region).map((volume) => judgeAs(region, volume, wouldBeNamed(volume)));
}

function strangers({ named, cluster }: Region): readonly EbsVolume[] {
  return named.filter((volume) => !isGone(volume) && !isOurs(cluster, volume));
}

/** True for a volume that has a name in this cluster; one that was removed but retained has none. */
export function isOurs(cluster: string, { tags }: EbsVolume): boolean {
  return tags[tagKeys.cluster] === cluster && tags[tagKeys.name] !== undefined;
}

const weight: Readonly<Record<Verdict, number>> = { free: 0, 'by-id': 1, rename: 2, never: 3 };

/** One of them, judged under this name. */
export function judgeAs(region: Region, volume: EbsVolume, name: string): Candidate {
  const owner = attachmentOf(volume);
  const findings = [...usability(volume), ...belonging(region, volume, owner), ...naming(region, volume, name)].filter(
    (finding) => finding !== undefined,
  );
  const verdict = findings.reduce<Verdict>((worst, [each]) => (weight[each] > weight[worst] ? each : worst), 'free');
  return { volume, name, owner, verdict, remarks: findings.map(([, why]) => why) };
}

/** The name that a retained volume had, else what its Name tag says. */
function wouldBeNamed({ tags }: EbsVolume): string {
  const retained = tags[tagKeys.retained];
  return (retained === undefined ? undefined : decodeName(retained)) ?? tags[tagKeys.displayName] ?? '';
}

function usability({ state, multiAttach, tags }: EbsVolume): Finding[] {
  const count = Object.keys(tags).filter((key) => !key.startsWith('aws:')).length;
  return [
    state === 'error' || state === 'creating' ? ['never', `EC2 says that its state is ${state}`] : undefined,
    multiAttach ? ['never', 'Multi-Attach is on: several instances could write to it at once'] : undefined,
    count > maxForeignTags
      ? ['never', `it has ${count} tags, which leaves too little room for the driver's`]
      : undefined,
  ];
}

function belonging({ rootDevices, cluster }: Region, volume: EbsVolume, owner: Attachment | undefined): Finding[] {
  const { tags, snapshotId } = volume;
  const software = softwareOf(tags, cluster);
  return [
    software === undefined ? undefined : ['never', `it belongs to ${software}`],
    owner === undefined ? undefined : attached(owner, rootDevices),
    Object.keys(tags).some((key) => key.startsWith('aws:'))
      ? ['by-id', 'an AWS service made it (its tags say aws:)']
      : undefined,
    snapshotId === undefined ? undefined : ['by-id', `it was made from ${snapshotId}: perhaps an instance's disk`],
    tags[tagKeys.cluster] !== cluster
      ? undefined
      : ['by-id', 'it was removed here and retained, or has lost its name tag'],
  ];
}

function attached(
  { instanceId, device, deleteOnTermination }: Attachment,
  roots: ReadonlyMap<string, string>,
): Finding {
  if (instanceId === undefined) return ['never', 'a resource that AWS manages has it'];
  const root = roots.get(instanceId);
  if (root === device) return ['never', `it is the root disk of ${instanceId}`];
  if (deleteOnTermination) return ['never', `EC2 deletes it with ${instanceId} (DeleteOnTermination)`];
  if (root === undefined) return ['by-id', `${instanceId} has it, and EC2 does not tell which is that one's root disk`];
  return ['free', `${instanceId} has it, and keeps it until it detaches it or EC2 proves it gone`];
}

const kubernetes = /^(kubernetes\.io\/|k8s\.io\/|ebs\.csi\.aws\.com\/|KubernetesCluster$|CSIVolumeName$)/;

/** Whose volume it is by its tags, if some other software's. */
function softwareOf(tags: Tags, cluster: string): string | undefined {
  if (Object.keys(tags).some((key) => kubernetes.test(key))) return 'Kubernetes';
  const other = tags[tagKeys.cluster];
  return other === undefined || other === cluster
    ? undefined
    : `the docker-volume-ebs cluster ${JSON.stringify(other)}`;
}

function naming(region: Region, volume: EbsVolume, name: string): Finding[] {
  const invalid = whyInvalid(name);
  if (invalid !== undefined) return [['rename', `its name will not do: ${invalid}`]];
  const encoded = encodeName(name);
  const taken = region.ours.filter((each) => !isGone(each) && each.tags[tagKeys.name] === encoded);
  const namesakes = strangers(region).filter(
    (each) =>
      each.id !== volume.id &&
      softwareOf(each.tags, region.cluster) === undefined &&
      isNamesake(name, wouldBeNamed(each)),
  );
  const ids = (volumes: readonly EbsVolume[]) => volumes.map(({ id, zone }) => `${id} (${zone})`).join(', ');
  return [
    taken.length === 0 ? undefined : ['rename', `its name is taken in this cluster by ${ids(taken)}`],
    namesakes.length === 0
      ? undefined
      : ['by-id', `it shares its name with ${ids(namesakes)}: only you know which is the one`],
  ];
}

/** REX-Ray looks names up without regard to case, and takes the first it finds. */
const isNamesake = (one: string, other: string): boolean => one.toLowerCase() === other.toLowerCase();

function whyInvalid(name: string): string | undefined {
  try {
    encodeName(name);
    return undefined;
  } catch (error) {
    if (!(error instanceof DriverError)) throw error;
    return error.parts.why;
  }
}
