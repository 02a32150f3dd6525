import type { Fault } from '../../../sandbox/faults.ts';
import type { CloudState, InstanceRecord, VolumeRecord } from '../../../sandbox/model.ts';
import type { NodeStatus } from '../../../volumes/types.ts';
import { dockerTarget, letterOf, volumeName } from '../names.ts';

/** What a node's driver said of itself last, if ever, and whether it has answered the last question in time. */
export interface Look {
  readonly answers: boolean;
  readonly status: NodeStatus | undefined;
}

/** What the page shows. */
export interface View {
  readonly instances: readonly InstanceView[];
  readonly volumes: readonly VolumeView[];
  readonly faults: readonly Pick<Fault, 'id' | 'kind' | 'action' | 'instance'>[];
}

interface InstanceView extends Pick<InstanceRecord, 'id' | 'zone' | 'state'> {
  readonly name: string;
  /** EC2's StateReason code; empty while it runs. */
  readonly reason: string;
  /** Whether its driver answers; `none` where it has none. */
  readonly driver: 'answers' | 'silent' | 'none';
  /** Docker on this machine talks to it. */
  readonly docker: boolean;
  /** What its driver waits for, as sentences. */
  readonly waits: readonly string[];
}

interface VolumeView extends Pick<VolumeRecord, 'id' | 'sizeGib' | 'state'> {
  readonly name: string;
  /** The instance that it is attached to, how far that is, and as which device; absent while it is free. */
  readonly at?: { readonly instance: string; readonly state: string; readonly device: string };
  /** Mounted there, by its driver's own account: the last, where it does not answer. */
  readonly mounted: boolean;
}

/** EC2's state, the faults and what the drivers say, as one picture. Pure. */
export function viewOf(
  state: CloudState,
  faults: readonly Fault[],
  looks: ReadonlyMap<string, Look>,
  docker: boolean,
): View {
  const target = docker ? dockerTarget(state) : undefined;
  return {
    instances: state.instances.map((instance) => instanceView(state, instance, looks.get(instance.id), target)),
    volumes: state.volumes.map((volume) => volumeView(volume, looks)),
    faults: faults
      .filter(({ remaining }) => remaining > 0)
      .map(({ id, kind, action, instance }) => ({
        id,
        kind,
        ...(action === undefined ? {} : { action }),
        ...(instance === undefined ? {} : { instance }),
      })),
  };
}

function instanceView(
  state: CloudState,
  { id, zone, state: power, stateReason }: InstanceRecord,
  look: Look | undefined,
  target: string | undefined,
): InstanceView {
  const seen = power === 'running' ? look : undefined;
  const volumes = (seen?.answers && seen.status?.volumes) || [];
  const answers = seen?.answers ? 'answers' : 'silent';
  return {
    id,
    zone,
    state: power,
    name: letterOf(state, id),
    reason: power === 'running' ? '' : (stateReason?.code ?? ''),
    driver: seen === undefined ? 'none' : answers,
    docker: id === target,
    waits: volumes.flatMap(({ name, waitingFor }) => (waitingFor ? [`${name} waits for ${waitingFor}`] : [])),
  };
}

function volumeView(volume: VolumeRecord, looks: ReadonlyMap<string, Look>): VolumeView {
  const { id, sizeGib, state, attachment } = volume;
  const look = attachment === undefined ? undefined : looks.get(attachment.instanceId);
  const seen = look?.status?.volumes ?? [];
  return {
    id,
    sizeGib,
    state,
    name: volumeName(volume),
    ...(attachment === undefined
      ? {}
      : { at: { instance: attachment.instanceId, state: attachment.state, device: attachment.device } }),
    mounted: seen.some(({ volumeId, phase }) => volumeId === id && phase === 'mounted'),
  };
}
