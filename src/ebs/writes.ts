import type { EC2Client } from '@aws-sdk/client-ec2';
import type { Caller } from './call.ts';
import * as commands from './commands.ts';
import { answerLacks, toAttachment, toModification, toVolume } from './mapping.ts';
import { namesOf } from './names.ts';
import type { Ec2, OneAttempt } from './types.ts';

type Writes = Pick<
  Ec2,
  | 'createVolume'
  | 'deleteVolume'
  | 'modifyVolume'
  | 'attachVolume'
  | 'detachVolume'
  | 'createTags'
  | 'deleteTags'
  | 'createSnapshot'
  | 'deleteSnapshot'
  | 'stopInstance'
>;

/** The calls that change something, each as {@link Ec2} says. */
export function openWrites(client: EC2Client, call: Caller): Writes {
  return {
    async createVolume(spec, { signal, lane } = {}) {
      const { sourceVolumeId } = spec;
      if (sourceVolumeId !== undefined) {
        const copying = { tried: `copy ${sourceVolumeId}`, signal, lane };
        const { Volumes } = await call('CopyVolumes', copying, (options) =>
          client.send(commands.copyVolume(spec, sourceVolumeId), options),
        );
        if (Volumes?.[0] === undefined) throw answerLacks(`the copy of ${sourceVolumeId}`, 'the volume');
        return toVolume(Volumes[0]);
      }
      const tried = `create a ${spec.type} volume in ${spec.zone}`;
      const answer = await call('CreateVolume', { tried, signal, lane }, (options) =>
        client.send(commands.createVolume(spec), options),
      );
      return toVolume(answer);
    },

    async deleteVolume(volumeId, { signal, lane, stillValid } = {}) {
      await call('DeleteVolume', { tried: `delete ${volumeId}`, signal, lane, stillValid }, (options) =>
        client.send(commands.deleteVolume(volumeId), options),
      );
    },

    async modifyVolume(volumeId, change, { signal, lane, stillValid } = {}) {
      const tried = `modify ${volumeId}`;
      const once: OneAttempt = (send) => send();
      const answer = await call('ModifyVolume', { tried, signal, lane, stillValid, once }, (options) =>
        client.send(commands.modifyVolume(volumeId, change), options),
      );
      if (answer.VolumeModification === undefined) {
        throw answerLacks(`the modification of ${volumeId}`, 'the modification', 'EC2_UNAVAILABLE');
      }
      return toModification(answer.VolumeModification);
    },

    async attachVolume(key, { signal, lane, onThrottled } = {}) {
      const tried = `attach ${key.volumeId} to ${key.instanceId} as ${key.device}`;
      const answer = await call('AttachVolume', { tried, signal, lane, onThrottled }, (options) =>
        client.send(commands.attachVolume(key), options),
      );
      return toAttachment(answer);
    },

    async detachVolume(key, { signal, lane, stillValid, inTurn, force = false } = {}) {
      const tried = `detach ${key.volumeId} from ${key.instanceId} (${key.device})${force ? ' by force' : ''}`;
      const answer = await call('DetachVolume', { tried, signal, lane, stillValid, inTurn }, (options) =>
        client.send(commands.detachVolume(key, { force }), options),
      );
      return toAttachment(answer);
    },

    async createTags(resourceIds, tags, { signal, lane, stillValid } = {}) {
      const resources = [resourceIds].flat();
      if (resources.length === 0 || Object.keys(tags).length === 0) return;
      await call('CreateTags', { tried: `tag ${namesOf(resources)}`, signal, lane, stillValid }, (options) =>
        client.send(commands.createTags(resources, tags), options),
      );
    },

    async deleteTags(resourceIds, tags, { signal, lane, stillValid } = {}) {
      const resources = [resourceIds].flat();
      // Without a key EC2 would delete every tag.
      if (resources.length === 0 || Object.keys(tags).length === 0) return;
      await call(
        'DeleteTags',
        { tried: `remove tags from ${namesOf(resources)}`, signal, lane, stillValid },
        (options) => client.send(commands.deleteTags(resources, tags), options),
      );
    },

    async createSnapshot(volumeId, description, tags, { signal, lane, once } = {}) {
      const answer = await call('CreateSnapshot', { tried: `snapshot ${volumeId}`, signal, lane, once }, (options) =>
        client.send(commands.createSnapshot(volumeId, description, tags), options),
      );
      if (!answer.SnapshotId) throw answerLacks(`the snapshot of ${volumeId}`, 'its id');
      return answer.SnapshotId;
    },

    async deleteSnapshot(snapshotId, { signal, lane } = {}) {
      await call('DeleteSnapshot', { tried: `delete ${snapshotId}`, signal, lane }, (options) =>
        client.send(commands.deleteSnapshot(snapshotId), options),
      );
    },

    async stopInstance(instanceId, { signal, lane, stillValid, force = false } = {}) {
      const tried = `stop ${instanceId}${force ? ' by force' : ''}`;
      await call('StopInstances', { tried, signal, lane, stillValid }, (options) =>
        client.send(commands.stopInstance(instanceId, { force }), options),
      );
    },
  };
}
