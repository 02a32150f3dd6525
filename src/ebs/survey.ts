import type { EC2Client } from '@aws-sdk/client-ec2';
import { type CallLog, caller } from './call.ts';
import { exactFilter, maxFilterValues } from './filters.ts';
import { toVolume } from './mapping.ts';
import { readInstances, readVolumes } from './reads.ts';
import { tagKeys } from './tags.ts';
import type { EbsVolume } from './types.ts';

/** What EC2 has beyond the volumes of one cluster; reads only. Both throw DriverError EC2_*. */
export interface Survey {
  /** All volumes of the region that have a Name tag, whoever they belong to. */
  namedVolumes(): Promise<EbsVolume[]>;
  /** The device name of each of these instances' root disk; one that EC2 does not list is left out. */
  rootDevices(instanceIds: readonly string[]): Promise<ReadonlyMap<string, string>>;
}

/** A survey by the SDK's client; nothing is sent before the first call. */
export function openSurvey(client: EC2Client, log?: CallLog): Survey {
  const call = caller(log);
  return {
    async namedVolumes() {
      const tried = 'list the volumes of the region that have a Name tag';
      const volumes = await readVolumes(client, call, { tried, lane: 'list' }, () => [
        exactFilter('tag-key', tagKeys.displayName),
      ]);
      return volumes.map(toVolume);
    },

    async rootDevices(instanceIds) {
      const tried = 'learn which disks are root disks';
      const devices = new Map<string, string>();
      for (let from = 0; from < instanceIds.length; from += maxFilterValues) {
        const some = instanceIds.slice(from, from + maxFilterValues);
        const found = await readInstances(client, call, { tried, lane: 'list' }, () => [
          exactFilter('instance-id', ...some),
        ]);
        for (const { InstanceId, RootDeviceName } of found) {
          if (InstanceId && RootDeviceName) devices.set(InstanceId, RootDeviceName);
        }
      }
      return devices;
    },
  };
}
