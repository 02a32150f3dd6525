import { writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tagKeys } from '../../src/ebs/tags.ts';
import { readGrowths } from '../../src/volumes/growth/history.ts';
import { builtBundle } from '../support/bundle.ts';
import { mayGrowExt4, requires } from '../support/requirements.ts';
import { run } from '../support/run.ts';
import { type TestSandbox, tagsOf, testSandbox } from '../support/sandbox.ts';
import { play } from '../volumes/growth/simulated-volume.ts';

/** An hour of EC2's passes in 15 s: a day in six minutes, and it optimizes for one and not, as it may, for one and a half. */
const haste = 240;
const pieceMib = 4;

interface Writer {
  readonly fsType: string;
  readonly mibPerSecond: number;
  readonly maxGib: number;
  readonly at: number;
}
const writer = (fsType: string, mibPerSecond: number, maxGib = 4, at = 80): Writer => ({
  ...{ fsType, mibPerSecond, maxGib, at },
});
/** `npm run growth` has all; a volume that fills more slowly takes more and smaller steps. */
const writers =
  process.env['GROWTH_WRITERS'] === 'all'
    ? ['xfs', 'btrfs', ...(mayGrowExt4 ? ['ext4'] : [])].flatMap((type) => [5, 11, 40].map((mib) => writer(type, mib)))
    : [writer('xfs', 60, 2, 50)];

describe.skipIf(requires('root', 'loop', 'mkfs.xfs', 'mkfs.btrfs').skip)('a writer fills a volume that grows', () => {
  let box: TestSandbox;
  beforeAll(async () => {
    const times = { modify: 1000, optimize: 60_000 };
    const daemonCommand = [process.execPath, await builtBundle('hasty-daemon')];
    const nodeEnv = { HASTE: String(haste) };
    box = await testSandbox({ nodes: 1, timing: 'bench', times, account: { haste }, daemonCommand, nodeEnv });
  });
  afterAll(() => box?.close());

  /** Fills it at its rate, and gives how many MiB went onto it before the disk took no more. */
  async function fill(directory: string, mibPerSecond: number): Promise<number> {
    const began = performance.now();
    for (let pieces = 0; ; pieces += 1) {
      await sleep(Math.max(0, began + ((pieces * pieceMib) / mibPerSecond) * 1000 - performance.now()));
      // The room is taken, and not written to: the disks of this machine are no part of it.
      const { code, stderr } = await run('fallocate', ['-l', `${pieceMib}M`, `${directory}/${pieces}`]);
      const written = writeFile(`${directory}/written`, `${pieces} pieces\n`, { flush: true });
      const failure = code === 0 ? await written.then(() => undefined, String) : stderr;
      await written.catch(() => undefined);
      if (failure === undefined) continue;
      expect(failure).toMatch(/No space left|ENOSPC/);
      return pieces * pieceMib;
    }
  }

  it.concurrent.each(writers)(
    '$fsType at $mibPerSecond MiB/s: never full before its maximum, in the steps that were planned',
    { timeout: 1_800_000 },
    async ({ fsType, mibPerSecond, maxGib, at }) => {
      const name = `filled-${fsType}-${mibPerSecond}`;
      const options = { size: '1', fsType, autoGrow: `${at}%`, autoGrowMax: String(maxGib) };
      await box.ok(0, 'Create', { Name: name, Opts: options });
      const { Mountpoint } = await box.ok(0, 'Mount', { Name: name, ID: 'writer' });
      const wroteMib = await fill(Mountpoint, mibPerSecond);

      const gibPerHour = (mibPerSecond * 3600) / haste / 1024;
      const { taken: planned } = play({
        sizeGib: 1,
        auto: { at: at / 100, by: { part: 0.2 }, maxGib },
        writes: [{ hours: 240, gibPerHour }],
        optimizing: 0.6,
        killedEach: 0,
      });
      const [volume = {}] = await box.volumes(name);
      const calls = box.sandbox
        .callList()
        .filter(({ action, volume: id }) => action === 'ModifyVolume' && id === volume.VolumeId);
      const sizes = readGrowths({ [tagKeys.growth]: tagsOf(volume)[tagKeys.growth] ?? '' }).map(({ toGib }) => toGib);
      process.stdout.write(
        `${fsType} at ${mibPerSecond} MiB/s: 1 -> ${sizes.join(' -> ')} GiB, ${calls.length} ModifyVolume (planned ${planned.length}), ` +
          `full with ${wroteMib} MiB\n`,
      );
      expect(volume.Size).toBe(maxGib);
      expect(wroteMib).toBeGreaterThan(maxGib * 1024 * 0.85);
      // btrfs tells what was written every 30 s (its commit), which is two of these hours: it seems faster, and its steps are larger.
      if (fsType === 'btrfs') expect(sizes.length).toBeLessThanOrEqual(planned.length);
      else expect(sizes).toEqual(planned);
      expect(calls.map(({ result }) => result)).toEqual(sizes.map(() => 'OK'));
      const { Status } = (await box.ok(0, 'Get', { Name: name })).Volume;
      expect(Status.growWarning).toMatch(`may not have more than ${maxGib}`);
      await box.ok(0, 'Unmount', { Name: name, ID: 'writer' });
      expect(tagsOf(volume)[tagKeys.autoGrowMax]).toBe(String(maxGib));
    },
  );
});
