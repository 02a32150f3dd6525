import { type CloudState, timestamp, type VolumeRecord } from './model.ts';

/**
 * Brings a state read from disk to rest: whatever was under way when the sandbox ended has happened since. Changes
 * `state`; gives the volumes whose content may never have been made.
 */
export function settle(state: CloudState): VolumeRecord[] {
  for (const instance of state.instances) {
    if (instance.state === 'pending') instance.state = 'running';
    if (instance.state === 'stopping') instance.state = 'stopped';
    if (instance.state !== 'shutting-down') continue;
    instance.state = 'terminated';
    instance.terminatedAt = timestamp();
  }
  const gone = new Set(state.instances.filter(({ state: power }) => power === 'terminated').map(({ id }) => id));
  state.volumes = state.volumes.filter((volume) => volume.state !== 'deleting');
  for (const volume of state.volumes) settleVolume(volume, gone);
  state.snapshots = state.snapshots.filter(({ deleting }) => !deleting);
  for (const snapshot of state.snapshots) if (snapshot.state === 'pending') snapshot.state = 'completed';
  return state.volumes.filter((volume) => {
    const unmade = volume.state === 'creating';
    if (unmade) volume.state = 'available';
    return unmade;
  });
}

function settleVolume(volume: VolumeRecord, goneInstances: ReadonlySet<string>): void {
  for (const modification of volume.modifications) {
    if (modification.state === 'completed') continue;
    Object.assign(modification, { state: 'completed', progress: 100, endTime: timestamp() });
  }
  const { attachment } = volume;
  if (attachment === undefined) return;
  if (attachment.state === 'attaching') attachment.state = 'attached';
  if (attachment.state === 'attached' && !goneInstances.has(attachment.instanceId)) return;
  volume.attachment = undefined;
  volume.state = 'available';
}
