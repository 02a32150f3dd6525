import { tagKeys } from '../../ebs/tags.ts';
import { readIntents } from '../../fencing/records.ts';
import type { CallRecord } from '../../sandbox/calls.ts';
import type { CloudState, InstanceRecord, VolumeRecord } from '../../sandbox/model.ts';
import { dockerTarget, letterOf, volumeName } from './names.ts';

/**
 * What a change of EC2's state means, as sentences for people; empty for what nobody needs to hear. Pure.
 * @param docker whether Docker on this machine is served
 */
export function whatHappened(before: CloudState, after: CloudState, docker: boolean): string[] {
  const power = after.instances.flatMap((instance) => {
    const was = before.instances.find(({ id }) => id === instance.id);
    return was?.state === instance.state ? [] : powerSentence(after, instance, was);
  });
  const volumes = after.volumes.flatMap((volume) =>
    volumeSentences(
      after,
      volume,
      before.volumes.find(({ id }) => id === volume.id),
    ),
  );
  const deleted = before.volumes
    .filter(({ id }) => !after.volumes.some((volume) => volume.id === id))
    .map((volume) => `${volumeName(volume)} is deleted`);
  return [...power, ...volumes, ...deleted, ...(docker ? dockerSentence(before, after) : [])];
}

/** What a call means that EC2's state does not show: a reboot, one node's doing against another; undefined for every other call. Pure. */
export function whatItDoes({ action, volume, instance, caller, result }: CallRecord, state: CloudState) {
  if (result === 'OK' && action === 'RebootInstances' && instance !== undefined) {
    return `${letterOf(state, instance)} reboots: it mounts nothing that it had attached, and gives it back`;
  }
  if (action !== 'DetachVolume' || result !== 'OK' || caller === undefined || caller === instance) return undefined;
  const record = state.volumes.find(({ id }) => id === volume);
  const owner = instance ?? record?.attachment?.instanceId;
  if (record === undefined || owner === undefined || owner === caller) return undefined;
  return `it is ${letterOf(state, caller)} that takes ${volumeName(record)} from ${letterOf(state, owner)}: its call names volume, instance and device`;
}

function powerSentence(state: CloudState, instance: InstanceRecord, was: InstanceRecord | undefined): string[] {
  const name = letterOf(state, instance.id);
  if (was === undefined) return [`${name} (${instance.id}) is launched in ${instance.zone}`];
  const reason = instance.stateReason?.code ?? 'no reason given';
  const sentences: Partial<Record<InstanceRecord['state'], string>> = {
    running: `${name} (${instance.id}) runs`,
    stopping: `${name} (${instance.id}) is stopping`,
    stopped: reason.endsWith('Hibernate')
      ? `${name} (${instance.id}) hibernates: it may wake with its mounts, so nobody may take its volumes`
      : `${name} (${instance.id}) is stopped (${reason}): its volumes can be taken over`,
    'shutting-down': `${name} (${instance.id}) is being terminated`,
    terminated: `${name} (${instance.id}) is terminated: what it had is free`,
  };
  return [sentences[instance.state] ?? []].flat();
}

function volumeSentences(state: CloudState, volume: VolumeRecord, was: VolumeRecord | undefined): string[] {
  const name = volumeName(volume);
  const made = was === undefined ? [`${name} is made: ${volume.id}, ${volume.sizeGib} GiB, in ${volume.zone}`] : [];
  const grown = was !== undefined && was.sizeGib !== volume.sizeGib ? [`${name} is ${volume.sizeGib} GiB now`] : [];
  return [...made, ...grown, ...tagSentences(state, volume, was), ...attachmentSentence(state, volume, was)];
}

/** What nodes leave for each other to read. */
function tagSentences(state: CloudState, volume: VolumeRecord, was: VolumeRecord | undefined): string[] {
  const name = volumeName(volume);
  const fresh = Object.entries(volume.tags).filter(([key, value]) => was?.tags[key] !== value);
  const known = readIntents(was?.tags ?? {}).map(({ fenceId }) => fenceId);
  const intents = readIntents(volume.tags)
    .filter(({ fenceId }) => !known.includes(fenceId))
    .map(({ taker }) => `${letterOf(state, taker)} announces by a tag that it will take ${name}`);
  const others = fresh.flatMap(([key, value]) => {
    if (key === tagKeys.formatted) return [`${name} was blank, and is formatted now: ${value.split(' ')[0]}`];
    if (key === tagKeys.paused) return ['takeovers are paused in this cluster'];
    // A node that comes back promises it of an attachment which it has no longer: that is no news of the volume.
    const [promises] = key === tagKeys.clean ? value.split(' ') : [];
    if (promises !== undefined && promises === volume.attachment?.instanceId) {
      return [`${letterOf(state, promises)} is done with ${name}, and promises it by a tag`];
    }
    return [];
  });
  return [...intents, ...others];
}

function attachmentSentence(state: CloudState, volume: VolumeRecord, was: VolumeRecord | undefined): string[] {
  const name = volumeName(volume);
  const [now, then] = [volume.attachment, was?.attachment];
  if (now === undefined) return then === undefined ? [] : [`${name} is free`];
  const same = then?.instanceId === now.instanceId && then.attachTime === now.attachTime;
  if (same && then.state === now.state) return [];
  const node = letterOf(state, now.instanceId);
  const sentences = {
    attaching: `${name} is being attached to ${node} as ${now.device}`,
    attached: `${node} has ${name}`,
    detaching: `${name} is being detached from ${node}`,
    busy: `${name} does not leave ${node}: something there still uses it`,
  };
  return [sentences[now.state]];
}

function dockerSentence(before: CloudState, after: CloudState): string[] {
  const [was, now] = [dockerTarget(before), dockerTarget(after)];
  if (was === now) return [];
  if (now === undefined) return ['Docker on this machine finds no driver until an instance runs'];
  return [`Docker on this machine talks to ${letterOf(after, now)} (${now}) now`];
}
