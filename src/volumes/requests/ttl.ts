import { tagKeys } from '../../ebs/tags.ts';
import type { EbsVolume, Tags } from '../../ebs/types.ts';
import { isCode } from '../../errors.ts';
import { operation } from '../../log.ts';
import { createAlarms, spreadOf } from '../state/alarms.ts';
import { nameOf } from '../state/lookup.ts';
import type { Node } from '../state/node.ts';
import { removeVolume } from './remove.ts';

/** One that is in use when its time is over is looked at again after this. */
const againMs = 600_000;
/** Other nodes than the maker wait this long, and each a little longer: one removes it, and the others find it gone. */
const othersMs = 3_600_000;

/** Removes volumes whose option ttl says so. */
export interface Expiry {
  /** Takes up a volume that this node has made. */
  made(volume: EbsVolume): void;
  /** Takes up what a listing of the cluster shows: its makers may be gone. */
  found(listed: readonly EbsVolume[]): void;
}

/** When a volume is to go, in milliseconds of the wall clock; undefined for one that stays. */
function endOf(tags: Tags): number | undefined {
  const at = Date.parse(tags[tagKeys.ttl] ?? '');
  return Number.isNaN(at) ? undefined : at;
}

/** The expiry of volumes on a node, until the signal is aborted. A volume in use stays until it is free. */
export function createExpiry(node: Node, signal: AbortSignal): Expiry {
  const alarms = createAlarms(signal, (name) =>
    operation
      .run({ op: 'ttl', volume: name }, () => node.queue.run(name, () => removeExpired(node, name)))
      .catch((error: unknown) => {
        if (signal.aborted) return;
        const inUse = isCode(error, 'IN_USE_HERE', 'ATTACHED_ELSEWHERE');
        node.log[inUse ? 'info' : 'warn']({ volume: name, err: error }, 'its time is over, and it stays for now');
        alarms.set(name, Date.now() + againMs);
      }),
  );
  return {
    made(volume) {
      const [name, at] = [nameOf(volume), endOf(volume.tags)];
      if (name !== undefined && at !== undefined) alarms.set(name, at);
    },
    found(listed) {
      for (const volume of listed) {
        const [name, at] = [nameOf(volume), endOf(volume.tags)];
        if (name === undefined || at === undefined || volume.zone !== node.zone || alarms.has(name)) continue;
        alarms.set(name, at + othersMs * (1 + spreadOf(node.instanceId)));
      }
    },
  };
}

/** What has the name now, if that one's time is over. */
async function removeExpired(node: Node, name: string): Promise<void> {
  const volume = await node.lookup.find(name);
  const at = volume === undefined ? undefined : endOf(volume.tags);
  if (at === undefined || at > Date.now()) return;
  node.log.info({ volume: name, volumeId: volume?.id }, 'its time (ttl) is over: it is removed');
  await removeVolume(node, name);
}
