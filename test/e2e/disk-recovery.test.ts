import { existsSync } from 'node:fs';
import { chmod, type FileHandle, mkdir, open, readFile, rm, statfs, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tagKeys } from '../../src/ebs/tags.ts';
import { mayGrowExt4, requires } from '../support/requirements.ts';
import { run } from '../support/run.ts';
import { eventually, type TestSandbox, tagsOf, testSandbox } from '../support/sandbox.ts';

const { skip } = requires('root', 'loop', 'aws', 'mkfs.xfs', 'mkfs.btrfs');

const GiB = 2 ** 30;

/** Appends numbered lines, each synced, until the disk takes no more. */
class Writer {
  /** How many lines the disk has confirmed. */
  synced = 0;
  readonly done: Promise<void>;

  constructor(file: FileHandle) {
    this.done = this.#run(file);
  }

  async #run(file: FileHandle): Promise<void> {
    try {
      for (;;) {
        await file.appendFile(`${this.synced}\n`);
        await file.sync();
        this.synced += 1;
      }
    } catch {
      await file.close();
    }
  }
}

describe.skipIf(skip)('two nodes, one of which loses power', () => {
  let box: TestSandbox;
  let lost: string;
  let other: string;
  let tools: string;
  beforeAll(async () => {
    tools = `/var/tmp/dve-slow-mkfs-${process.pid}`;
    await makeSlowMkfs(tools);
    const nodeEnv = { DVE_LINGER: '0', PATH: `${tools}:${process.env['PATH'] ?? ''}` };
    box = await testSandbox({ nodes: 2, nodeEnv });
    [lost = '', other = ''] = box.sandbox.nodes().map(({ instanceId }) => instanceId);
  });
  afterAll(async () => {
    await box?.close();
    await rm(tools, { recursive: true, force: true });
  });

  const idOf = async (name: string) => (await box.volumes(name))[0]?.VolumeId ?? '';
  const cutPower = async () => {
    await box.aws('stop-instances', '--instance-ids', lost, '--force');
    await eventually(async () => {
      const { Reservations } = (await box.aws('describe-instances', '--instance-ids', lost)) as {
        Reservations: { Instances: { State: { Name: string } }[] }[];
      };
      return Reservations[0]?.Instances[0]?.State.Name === 'stopped';
    });
  };

  it('leave to the next owner all that was synced, and the filesystem in order; an unfinished one is made anew', async () => {
    const types = ['ext4', 'xfs'];
    const writers = await Promise.all(
      types.map(async (fsType) => {
        await box.ok(lost, 'Create', { Name: fsType, Opts: { size: '1', fsType } });
        const { Mountpoint } = await box.ok(lost, 'Mount', { Name: fsType, ID: 'one' });
        return new Writer(await open(`${Mountpoint}/log`, 'a'));
      }),
    );
    await eventually(async () => writers.every(({ synced }) => synced >= 20));

    await box.ok(lost, 'Create', { Name: 'unfinished', Opts: { size: '1' } });
    await writeFile(`${tools}/slow`, '');
    const cutOff = box.call(lost, 'Mount', { Name: 'unfinished', ID: 'one' }).catch(() => undefined);
    await eventually(async () => existsSync(`${tools}/begun`));

    // What was confirmed before the cut: a filesystem that is being shut down may confirm a last line to a writer that,
    // unlike one on a real machine, outlives it.
    const confirmed = writers.map(({ synced }) => synced);
    await cutPower();
    await Promise.all([...writers.map(({ done }) => done), cutOff]);
    await rm(`${tools}/slow`);
    const features = (await run('dumpe2fs', ['-h', box.sandbox.volumeFile(await idOf('ext4')) ?? ''])).stdout;
    expect(features).toContain('needs_recovery');
    expect(tagsOf((await box.volumes('unfinished'))[0])).toMatchObject({ [tagKeys.formatting]: 'ext4' });
    expect(tagsOf((await box.volumes('unfinished'))[0])).not.toHaveProperty([tagKeys.formatted]);

    const names = [...types, 'unfinished'];
    const places = await Promise.all(names.map((name) => box.ok(other, 'Mount', { Name: name, ID: 'two' })));
    for (const [index, least] of confirmed.entries()) {
      const log = `${places[index]?.Mountpoint}/log`;
      const lines = (await readFile(log, 'utf8')).trimEnd().split('\n');
      expect(lines.length).toBeGreaterThanOrEqual(least);
      expect(lines).toEqual(Array.from({ length: lines.length }, (_, line) => String(line)));
      await writeFile(log, 'on');
    }
    await writeFile(`${places[2]?.Mountpoint}/file`, 'fine');
    expect(await readFile(box.node(other).log, 'utf8')).toContain('"over":"unfinished"');

    await Promise.all(names.map((name) => box.ok(other, 'Unmount', { Name: name, ID: 'two' })));
    await Promise.all(names.map((name) => box.detached(name)));
    const check = async (name: string, ...command: [string, ...string[]]) => {
      const [program, ...args] = command;
      expect((await run(program, [...args, box.sandbox.volumeFile(await idOf(name)) ?? ''])).code).toBe(0);
    };
    await check('ext4', 'e2fsck', '-fn');
    await check('unfinished', 'e2fsck', '-fn');
    await check('xfs', 'xfs_repair', '-n', '-f');
  });

  const growing = ['xfs', 'btrfs', ...(mayGrowExt4 ? ['ext4'] : [])];

  it.each(growing)('grow %s at the next mount after the volume was enlarged', async (fsType) => {
    const name = `grown-${fsType}`;
    await box.ok(other, 'Create', { Name: name, Opts: { size: '1', fsType } });
    const first = await box.ok(other, 'Mount', { Name: name, ID: 'one' });
    await writeFile(`${first.Mountpoint}/file`, 'kept');
    expect(await sizeAt(first.Mountpoint)).toBeLessThanOrEqual(GiB);
    await box.ok(other, 'Unmount', { Name: name, ID: 'one' });
    await box.detached(name);
    await box.aws('modify-volume', '--volume-id', await idOf(name), '--size', '2');
    const { Mountpoint } = await box.ok(other, 'Mount', { Name: name, ID: 'two' });
    expect(await sizeAt(Mountpoint)).toBeGreaterThan(1.8 * GiB);
    expect(await readFile(`${Mountpoint}/file`, 'utf8')).toBe('kept');
    await box.ok(other, 'Unmount', { Name: name, ID: 'two' });
    await box.detached(name);
  });

  it.each(growing)(
    'grow %s while two containers write to it, once its volume is enlarged from outside',
    async (fsType) => {
      const name = `live-${fsType}`;
      await box.ok(other, 'Create', { Name: name, Opts: { size: '1', fsType } });
      const { Mountpoint } = await box.ok(other, 'Mount', { Name: name, ID: 'one' });
      await box.ok(other, 'Mount', { Name: name, ID: 'two' });
      const writers = ['one', 'two'].map((id) => startWriter(`${Mountpoint}/${id}`));
      await eventually(async () => writers.every(({ written }) => written() > 0));
      const status = async () => (await box.ok(other, 'Get', { Name: name })).Volume.Status;
      expect(await status()).toMatchObject({ sizeGiB: 1 });
      box.sandbox.resetCalls();
      await box.aws('modify-volume', '--volume-id', await idOf(name), '--size', '3');
      await eventually(async () => (await sizeAt(Mountpoint)) > 2.8 * GiB);
      await eventually(async () => (await status()).sizeGiB === 3);
      expect(box.sandbox.calls()).toEqual({ ModifyVolume: 1, DescribeVolumes: expect.any(Number) });
      const seen = writers.map(({ written }) => written());
      await eventually(async () => writers.every(({ written }, index) => written() > (seen[index] ?? 0)));
      for (const { end } of writers) await end();
      for (const id of ['one', 'two']) await box.ok(other, 'Unmount', { Name: name, ID: id });
      await box.detached(name);
    },
  );

  it.skipIf(mayGrowExt4)('an ext4 that the kernel does not let grow is used as it is, and says so', async () => {
    await box.ok(other, 'Create', { Name: 'kept', Opts: { size: '1', fsType: 'ext4' } });
    const { Mountpoint } = await box.ok(other, 'Mount', { Name: 'kept', ID: 'one' });
    await box.aws('modify-volume', '--volume-id', await idOf('kept'), '--size', '2');
    const status = async () => (await box.ok(other, 'Get', { Name: 'kept' })).Volume.Status;
    const shown = await eventually(async () => ((await status()).growRefused ? status() : undefined));
    expect(shown).toMatchObject({
      sizeGiB: 2,
      filesystemGiB: 1,
      growRefused: expect.stringMatching(/resize2fs.*CAP_SYS_RESOURCE/),
    });
    await writeFile(`${Mountpoint}/file`, 'fine');
    await box.ok(other, 'Unmount', { Name: 'kept', ID: 'one' });
    await box.detached('kept');
  });
});

/** A program that writes and syncs, and fails at the first error. */
function startWriter(path: string) {
  let written = 0;
  let ended = false;
  const done = (async () => {
    const file = await open(path, 'w');
    while (!ended) {
      await file.write('x'.repeat(4096));
      await file.sync();
      written += 1;
    }
    await file.close();
  })();
  const end = () => {
    ended = true;
    return done;
  };
  return { written: () => written, end };
}

async function sizeAt(directory: string): Promise<number> {
  const { blocks, bsize } = await statfs(directory);
  return blocks * bsize;
}

/** An mkfs.ext4 that, while a file "slow" is beside it, writes a part of what it should and never ends. */
async function makeSlowMkfs(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  const script = `#!/bin/sh
if [ -e ${directory}/slow ]; then
  for device; do :; done
  yes unfinished | dd of="$device" bs=64k count=16 seek=16 iflag=fullblock conv=fsync,notrunc 2>/dev/null
  touch ${directory}/begun
  exec sleep 1000
fi
PATH=/usr/sbin:/sbin:/usr/bin:/bin exec mkfs.ext4 "$@"
`;
  await writeFile(`${directory}/mkfs.ext4`, script);
  await chmod(`${directory}/mkfs.ext4`, 0o755);
}
