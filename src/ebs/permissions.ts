import {
  DescribeInstanceStatusCommand,
  DescribeSnapshotsCommand,
  DescribeVolumesCommand,
  DescribeVolumesModificationsCommand,
  type EC2Client,
} from '@aws-sdk/client-ec2';
import { DriverError } from '../errors.ts';
import type { Caller } from './call.ts';
import * as commands from './commands.ts';
import { wordsOf } from './errors.ts';
import type { CallOptions, Permission } from './types.ts';

/**
 * Asks by DryRun whether the role may make a call. EC2 answers a dry run always with an error: DryRunOperation where the
 * call would have been made (API reference, "Common query parameters").
 * @returns undefined when it may, else why not, in EC2's words.
 * @throws DriverError EC2_* for any other answer; EC2_REJECTED for one without an error.
 */
export function askPermission(
  client: EC2Client,
  call: Caller,
  permission: Permission,
  { signal, lane }: CallOptions,
): Promise<string | undefined> {
  const { action } = permission;
  const tried = `find out whether ${action} is allowed`;
  return call(action, { tried, signal, lane }, async (options) => {
    try {
      await dryRun(client, permission, options);
    } catch (error) {
      if (error instanceof Error && error.name === 'DryRunOperation') return undefined;
      if (error instanceof Error && error.name === 'UnauthorizedOperation') return wordsOf(error);
      throw error;
    }
    throw new DriverError('EC2_REJECTED', {
      tried,
      why: 'the dry run was answered as if the call had been made',
      todo: 'Check that the EC2 endpoint is really EC2',
    });
  });
}

type SendOptions = Parameters<Parameters<Caller>[2]>[0];

function dryRun(client: EC2Client, permission: Permission, options: SendOptions): Promise<unknown> {
  switch (permission.action) {
    case 'DescribeVolumes':
      return client.send(new DescribeVolumesCommand({ DryRun: true }), options);
    case 'DescribeInstanceStatus':
      return client.send(new DescribeInstanceStatusCommand({ DryRun: true }), options);
    case 'DescribeSnapshots':
      return client.send(new DescribeSnapshotsCommand({ DryRun: true, OwnerIds: ['self'] }), options);
    case 'DescribeVolumesModifications':
      return client.send(new DescribeVolumesModificationsCommand({ DryRun: true }), options);
    case 'ModifyVolume':
      return client.send(commands.modifyVolume(permission.volumeId, permission.change, true), options);
    case 'CreateVolume':
      return client.send(commands.createVolume(permission.spec, true), options);
    case 'AttachVolume':
      return client.send(commands.attachVolume(permission.key, true), options);
    case 'DetachVolume':
      return client.send(commands.detachVolume(permission.key, { dryRun: true }), options);
    case 'CreateTags':
      return client.send(commands.createTags([permission.resourceId], { [permission.key]: '' }, true), options);
    case 'DeleteTags':
      return client.send(commands.deleteTags([permission.resourceId], { [permission.key]: undefined }, true), options);
    case 'DeleteVolume':
      return client.send(commands.deleteVolume(permission.volumeId, true), options);
    case 'CreateSnapshot':
      return client.send(commands.createSnapshot(permission.volumeId, '', permission.tags, true), options);
    case 'StopInstances':
      return client.send(commands.stopInstance(permission.instanceId, { dryRun: true }), options);
  }
}
