import { once } from 'node:events';
import { mkdir, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import {
  AttachVolumeCommand,
  CreateTagsCommand,
  CreateVolumeCommand,
  DescribeVolumesCommand,
  DetachVolumeCommand,
  type Volume,
} from '@aws-sdk/client-ec2';
import { run } from './run.ts';
import { eventually, type TestSandbox } from './sandbox.ts';

/** What REX-Ray 0.11 does with volumes, as far as it shows on disks, in EC2 and to Docker; on the sandbox's first node. */
export interface RexRay {
  /**
   * Makes a volume, laid out by `shell` on the disk at $disk, with $dir to mount it at. REX-Ray tags in a call of its own.
   * @returns its id.
   */
  make(name: string, shell: string, zone?: string): Promise<string>;
  attach(volumeId: string, device: string): Promise<void>;
  /** Ends it, as a service that is stopped. */
  stop(): Promise<void>;
}

/** A disk as REX-Ray leaves it: one filesystem on all of it, and in it `data`, 0700, with a file of the user 999. */
export const laidOut = (fsType: 'ext4' | 'xfs'): string => `
  mkfs.${fsType} -q "$disk"
  mount ${fsType === 'xfs' ? '-o nouuid' : ''} "$disk" "$dir"
  mkdir -m 0700 "$dir/data"
  echo precious > "$dir/data/file"
  chmod 0640 "$dir/data/file"
  chown -R 999:998 "$dir/data"
  umount "$dir"`;

/**
 * Serves Docker's volume plugin protocol at a socket, as REX-Ray's service does. Its mounts reach the mount namespaces that
 * are made after this.
 */
export async function startRexRay(box: TestSandbox, socket: string): Promise<RexRay> {
  const { ec2, sandbox } = box;
  const { instanceId, availabilityZone } = box.node(0);
  const find = async (filter: string, value: string): Promise<Volume | undefined> =>
    (await ec2.send(new DescribeVolumesCommand({ Filters: [{ Name: filter, Values: [value] }] }))).Volumes?.[0];
  const until = (id: string, state: string) =>
    eventually(async () => {
      const volume = await find('volume-id', id);
      return volume?.State === state && volume.Attachments?.every(({ State }) => State === 'attached');
    });
  const disk = (id: string) => sandbox.volumeFile(id) ?? '';
  const volumes = join(dirname(socket), 'volumes');
  const mountpoint = (name: string) => join(volumes, name);

  const attach = async (VolumeId: string, Device: string) => {
    await ec2.send(new AttachVolumeCommand({ VolumeId, InstanceId: instanceId, Device }));
    await until(VolumeId, 'in-use');
  };
  const devices = ['/dev/xvdf', '/dev/xvdh', '/dev/xvdi'];
  const verbs: Readonly<Record<string, (name: string) => Promise<object>>> = {
    '/Plugin.Activate': async () => ({ Implements: ['VolumeDriver'] }),
    '/VolumeDriver.Capabilities': async () => ({ Capabilities: { Scope: 'global' } }),
    async '/VolumeDriver.Get'(name) {
      if ((await find('tag:Name', name)) === undefined) return { Err: 'resource not found' };
      return { Volume: { Name: name, Mountpoint: '', Status: {} } };
    },
    async '/VolumeDriver.Mount'(name) {
      const id = (await find('tag:Name', name))?.VolumeId ?? '';
      const directory = mountpoint(name);
      if ((await run('mountpoint', ['-q', directory])).code !== 0) {
        await attach(id, devices.shift() ?? '');
        const { stdout } = await run('losetup', ['-n', '-O', 'NAME', '-j', disk(id)]);
        await mkdir(directory, { recursive: true });
        await must('mount', stdout.trim(), directory);
      }
      return { Mountpoint: join(directory, 'data') };
    },
    async '/VolumeDriver.Unmount'(name) {
      const id = (await find('tag:Name', name))?.VolumeId ?? '';
      await must('umount', mountpoint(name));
      // Whoever else wants it gone may have been faster.
      await ec2.send(new DetachVolumeCommand({ VolumeId: id, InstanceId: instanceId })).catch(() => undefined);
      await until(id, 'available');
      return {};
    },
  };
  await mkdir(volumes, { recursive: true });
  await must('mount', '--bind', volumes, volumes);
  await must('mount', '--make-shared', volumes);
  const server = await serve(socket, verbs);
  return {
    async make(name, shell, zone = availabilityZone) {
      const { VolumeId = '' } = await ec2.send(new CreateVolumeCommand({ AvailabilityZone: zone, Size: 1 }));
      await until(VolumeId, 'available');
      await ec2.send(new CreateTagsCommand({ Resources: [VolumeId], Tags: [{ Key: 'Name', Value: name }] }));
      const dir = join(box.dir, 'lay-out');
      await mkdir(dir, { recursive: true });
      await must('sh', '-ec', `disk='${disk(VolumeId)}'; dir='${dir}'; ${shell}`);
      return VolumeId;
    },
    attach,
    async stop() {
      server.closeAllConnections();
      server.close();
      await rm(socket, { force: true });
      await run('umount', ['--recursive', volumes]);
    },
  };
}

async function serve(socket: string, verbs: Readonly<Record<string, (name: string) => Promise<object>>>) {
  const server: Server = createServer((request, response) => {
    text(request)
      .then((body) => verbs[request.url ?? '']?.(body === '' ? '' : JSON.parse(body).Name) ?? {})
      .catch((error: unknown) => ({ Err: String(error) }))
      .then((answer) => response.end(JSON.stringify({ Err: '', ...answer })));
  });
  await mkdir(dirname(socket), { recursive: true });
  await once(server.listen(socket), 'listening');
  return server;
}

async function must(command: string, ...args: string[]): Promise<void> {
  const { code, stderr } = await run(command, args);
  if (code !== 0) throw new Error(`${command} ended with ${code}: ${stderr}`);
}
