import { cleanMark, readScratch, tagKeys } from '../../ebs/tags.ts';
import type { Attachment, EbsVolume } from '../../ebs/types.ts';
import { attachmentOf } from '../../ebs/volume-record.ts';
import { confirmationOf, intentsOf, readPause } from '../../fencing/records.ts';
import { decodeName } from '../options/names.ts';
import { whatIsKnown } from '../state/duplicates.ts';
import { readLeaving } from '../state/leaving.ts';
import { nameOf } from '../state/lookup.ts';
import { type Node, ofNode, waiting } from '../state/node.ts';
import type { ClusterOwner, ClusterVolume, ClusterVolumes } from './types.ts';

/** Whoever asks at night waits no longer for what is only told beside the volumes. */
const ownersMs = 3000;

/**
 * The cluster's volumes as EC2 has them, by one call, and the instances that have them by one more (for 200 of them).
 * @throws DriverError EC2_* when EC2 cannot be asked and has told nothing before.
 */
export async function clusterVolumes(node: Node): Promise<ClusterVolumes> {
  const { value: volumes, stale } = await waiting(node, ofNode, 'EC2 to list the volumes of the cluster', () =>
    node.lookup.list(),
  );
  const paused = volumes.flatMap(({ tags }) => readPause(tags) ?? [])[0];
  if (stale === undefined) node.fencing.audit.sawPause(paused);
  // Where EC2 does not answer about volumes, it is not asked about instances.
  const states = stale === undefined ? await ownerStates(node, volumes) : new Map<string, Owner>();
  const named = Map.groupBy(volumes, nameOf);
  return {
    cluster: node.settings.cluster,
    volumes: volumes
      .map((volume) =>
        asHeld(node, volume, clusterVolume(volume, (named.get(nameOf(volume))?.length ?? 0) > 1, states)),
      )
      .sort(byName),
    paused,
    stale,
  };
}

/** What EC2 tells of an instance that has volumes. */
type Owner = Pick<ClusterOwner, 'instanceName' | 'address' | 'instanceState'>;

const unknownOwner: Owner = { instanceName: undefined, address: undefined, instanceState: undefined };

/** By instance id, in EC2's words; without those that EC2 has not told of in time. */
async function ownerStates({ ec2, instanceId }: Node, volumes: readonly EbsVolume[]): Promise<Map<string, Owner>> {
  const owners = new Set(volumes.flatMap((volume) => attachmentOf(volume)?.instanceId ?? []));
  const states = new Map<string, Owner>();
  // This one runs: it asks.
  if (owners.delete(instanceId)) states.set(instanceId, { ...unknownOwner, instanceState: 'running' });
  const signal = AbortSignal.timeout(ownersMs);
  const asked = [...owners].map(async (id) => {
    const instance = await ec2.describeInstance(id, { lane: 'list', signal });
    const state = instance?.state ?? 'not listed';
    states.set(id, {
      instanceName: instance?.tags['Name'] || undefined,
      address: instance?.privateIp,
      instanceState: state,
    });
  });
  await Promise.allSettled(asked);
  return states;
}

/** What this node holds it knows better than an earlier answer of EC2 does. */
function asHeld({ held, instanceId }: Node, { id }: EbsVolume, shown: ClusterVolume): ClusterVolume {
  const here = [...held.values()].find(({ volume, phase }) => volume.id === id && phase !== 'attaching');
  if (here === undefined || here.phase === 'detaching' || here.attachTime === undefined) return shown;
  const owner = { ...unknownOwner, instanceId, instanceState: 'running', device: here.device, since: here.attachTime };
  return { ...shown, state: 'attached', owner };
}

function clusterVolume(volume: EbsVolume, shared: boolean, states: ReadonlyMap<string, Owner>): ClusterVolume {
  const { id, zone, type, sizeGib, tags } = volume;
  const attachment = attachmentOf(volume);
  const name = nameOf(volume);
  const kept = name === undefined ? tags[tagKeys.retained] : undefined;
  return {
    name: name ?? (kept === undefined ? undefined : (decodeName(kept) ?? kept)),
    retained: kept !== undefined,
    duplicate: name !== undefined && shared,
    volumeId: id,
    zone,
    type,
    sizeGiB: sizeGib,
    state: attachment?.state ?? volume.state,
    owner: attachment === undefined ? undefined : ownerOf(attachment, states),
    notes: [...(name !== undefined && shared ? [whatIsKnown(volume)] : []), ...notesOn(volume, attachment)],
  };
}

function ownerOf({ instanceId, device, attachTime }: Attachment, states: ReadonlyMap<string, Owner>) {
  const told = instanceId === undefined ? undefined : states.get(instanceId);
  return { instanceId, ...(told ?? unknownOwner), device, since: attachTime };
}

function notesOn({ tags, multiAttach }: EbsVolume, attachment: Attachment | undefined): string[] {
  const own = tags[tagKeys.fencePolicy];
  const scratch = readScratch(tags[tagKeys.scratch]);
  return [
    ...(scratch === undefined || tags[tagKeys.name] !== undefined
      ? []
      : [`a scratch volume of ${scratch.instanceId} (${scratch.purpose}), which deletes it`]),
    ...(tags[tagKeys.removing] === undefined || tags[tagKeys.name] !== undefined
      ? []
      : ['it is deleted once its snapshot is complete (DVE_ON_REMOVE=snapshot)']),
    ...(tags[tagKeys.replacing] === undefined || tags[tagKeys.name] === undefined
      ? []
      : [`a rollback of it was begun by ${tags[tagKeys.replacing]}`]),
    ...leavingNote(tags),
    ...(multiAttach ? ['Multi-Attach: mounts of it are refused'] : []),
    ...(own === undefined ? [] : [`it has a fence policy of its own: ${own}`]),
    ...(attachment === undefined ? [] : notesOnAttachment(tags, attachment)),
  ];
}

function leavingNote(tags: EbsVolume['tags']): string[] {
  const leaving = readLeaving(tags);
  if (leaving === undefined) return [];
  return [`${leaving.by} is removing it from another zone since ${leaving.since}: nobody can mount it`];
}

function notesOnAttachment(tags: EbsVolume['tags'], attachment: Attachment): string[] {
  const { instanceId = '', device, attachTime } = attachment;
  const confirmation = confirmationOf(tags, attachment);
  const isClean = tags[tagKeys.clean] === cleanMark({ instanceId, device, attachTime });
  return [
    ...intentsOf(tags, attachment).map(
      ({ taker, fenceId, evidence }) => `${taker} is taking it over (${fenceId}, evidence: ${evidence})`,
    ),
    ...(isClean ? [`${instanceId} is finished with it, and about to detach it`] : []),
    ...(confirmation === undefined
      ? []
      : [`an operator has confirmed that ${instanceId} is finished with it: ${confirmation.reason}`]),
  ];
}

/** Those without a name last. */
function byName(a: ClusterVolume, b: ClusterVolume): number {
  const [one, other] = [a, b].map(({ name, volumeId }) => `${name === undefined ? '1' : `0${name}`}\0${volumeId}`);
  return (one ?? '') < (other ?? '') ? -1 : 1;
}
