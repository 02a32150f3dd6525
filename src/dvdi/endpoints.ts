import { DriverError } from '../errors.ts';
import type { VolumeInfo } from '../volumes/types.ts';
import { type Endpoint, endpoint } from './endpoint.ts';
import { Anything, Creating, Mounting, Named, textsOf } from './messages.ts';
import { operatorEndpoints } from './operator-endpoints.ts';
import { snapshotEndpoints } from './snapshot-endpoints.ts';

/** Every endpoint there is. Activate and Capabilities ask the driver nothing: dockerd waits for them without a limit. */
export const endpoints: readonly Endpoint[] = [
  endpoint('/Plugin.Activate', 'activate the plugin', Anything, () => ({ Implements: ['VolumeDriver'] }), {
    mayBeEmpty: true,
  }),
  endpoint(
    '/VolumeDriver.Capabilities',
    'tell the capabilities',
    Anything,
    () => ({ Capabilities: { Scope: 'global' } }),
    { mayBeEmpty: true },
  ),
  endpoint(
    '/VolumeDriver.Create',
    'create it',
    Creating,
    async (driver, { Name, Opts }, caller) => {
      await (await driver()).create(Name, textsOf(Opts), caller);
      return {};
    },
    { long: true },
  ),
  endpoint('/VolumeDriver.Get', 'get it', Named, async (driver, { Name }) => ({
    Volume: described(await (await driver()).get(Name)),
  })),
  endpoint(
    '/VolumeDriver.List',
    'list the volumes',
    Anything,
    async (driver) => ({
      Volumes: (await (await driver()).list()).map(({ name, mountpoint }) => ({
        Name: name,
        Mountpoint: mountpoint ?? '',
      })),
    }),
    { mayBeEmpty: true },
  ),
  endpoint(
    '/VolumeDriver.Mount',
    'mount it',
    Mounting,
    async (driver, { Name, ID }, caller) => ({
      Mountpoint: somewhere(Name, await (await driver()).mount(Name, ID || undefined, caller)),
    }),
    { long: true },
  ),
  endpoint('/VolumeDriver.Unmount', 'unmount it', Mounting, async (driver, { Name, ID }) => {
    await (await driver()).unmount(Name, ID || undefined);
    return {};
  }),
  endpoint('/VolumeDriver.Path', 'tell its path', Named, async (driver, { Name }) => ({
    Mountpoint: await (await driver()).path(Name),
  })),
  endpoint('/VolumeDriver.Remove', 'remove it', Named, async (driver, { Name }) => {
    await (await driver()).remove(Name);
    return {};
  }),
  ...operatorEndpoints,
  ...snapshotEndpoints,
];

function described({ name, mountpoint, createdAt, status }: VolumeInfo): object {
  return {
    Name: name,
    Mountpoint: mountpoint ?? '',
    ...(createdAt !== undefined && isRfc3339(createdAt) ? { CreatedAt: createdAt } : {}),
    Status: status,
  };
}

/** dockerd takes a volume whose CreatedAt it cannot decode for one that does not exist, and forgets it. */
function isRfc3339(text: string): boolean {
  return /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(text) && !Number.isNaN(Date.parse(text));
}

/** dockerd accepts an empty mountpoint and starts the container without the volume: it must never leave us. */
function somewhere(volume: string, mountpoint: string): string {
  if (mountpoint !== '') return mountpoint;
  throw new DriverError('INTERNAL', {
    volume,
    tried: 'mount it',
    why: 'the driver gave no mountpoint',
    todo: 'This is a defect of docker-volume-ebs: report it with the log lines of this operation',
  });
}
