import { statfs } from 'node:fs/promises';
import { DescribeVolumesModificationsCommand, ModifyVolumeCommand } from '@aws-sdk/client-ec2';
import { tagKeys } from '../../src/ebs/tags.ts';
import { command } from '../../src/sandbox/command.ts';
import { tagsOf } from '../support/sandbox.ts';
import { type Bench, heldBy } from './bench.ts';
import { checkData, id, leave, mount, operator, withMarker } from './calls.ts';
import type { Scenario } from './scenarios.ts';

const GiB = 2 ** 30;

/** A mounted volume of 1 GiB with data. ext4 would want a capability that not every machine gives. */
async function ofOneGib(bench: Bench, name: string, options: Record<string, string> = {}): Promise<void> {
  await bench.ok('Create', { Name: name, Opts: { fsType: 'xfs', size: '1', ...options } });
  await mount(bench, name, id);
  await withMarker(bench, name);
}

const ofTwoGib: Scenario['end'] = (state, bench) =>
  heldBy(id)(state, bench) && state.record?.volume.sizeGib === 2 && state.record.filesystemBytes === 2 * GiB;

/** The filesystem has its disk, and EC2 has made one modification: a second one would be the last, and from 2 GiB. */
async function grownOnce(bench: Bench, name: string): Promise<void> {
  const { blocks, bsize } = await statfs(bench.target(name));
  if (blocks * bsize < 1.9 * GiB) throw new Error(`its filesystem has ${blocks * bsize} bytes`);
  const [volumeId = ''] = (await bench.state(name)).volumes;
  const { VolumesModifications = [] } = await bench.box.ec2.send(
    new DescribeVolumesModificationsCommand({ VolumeIds: [volumeId] }),
  );
  const sizes = VolumesModifications.map(({ OriginalSize, TargetSize }) => `${OriginalSize} to ${TargetSize}`);
  if (sizes.join() !== '1 to 2') throw new Error(`EC2's last modification is from ${sizes}`);
  await checkData(bench, name);
}

const after = (bench: Bench, name: string) => grownOnce(bench, name).then(() => leave(bench, name));

/** Looks go on all the time: they are no points of their own. */
const changes = /./;

export const growths: readonly Scenario[] = [
  {
    title: 'resize of a mounted volume, with how it grows by itself',
    main: true,
    only: changes,
    prepare: ofOneGib,
    act: (bench, name) =>
      operator(bench, 'Modify', { name, options: { size: '2', autoGrow: '80%', autoGrowMax: '3' }, dryRun: false }),
    end: ofTwoGib,
    rest: heldBy(id),
    after: async (bench, name) => {
      const [volume = {}] = await bench.box.volumes(name);
      if (tagsOf(volume)[tagKeys.autoGrowMax] !== '3') throw new Error('its tags do not say how it grows');
      await after(bench, name);
    },
  },
  {
    title: 'growth from outside, followed',
    main: false,
    only: changes,
    prepare: ofOneGib,
    act: async (bench, name) => {
      const [volume] = await bench.box.volumes(name);
      if (volume?.Size === 1) await bench.box.ec2.send(new ModifyVolumeCommand({ VolumeId: volume.VolumeId, Size: 2 }));
    },
    end: ofTwoGib,
    rest: ofTwoGib,
    after,
  },
  {
    title: 'growth by itself',
    main: true,
    only: changes,
    prepare: (bench, name) => ofOneGib(bench, name, { autoGrow: '80%', autoGrowMax: '2' }),
    act: (bench, name) => command('fallocate', '-l', '830M', `${bench.target(name)}/data/filler`).then(() => undefined),
    end: ofTwoGib,
    rest: ofTwoGib,
    after: async (bench, name) => {
      const [volume = {}] = await bench.box.volumes(name);
      const history = tagsOf(volume)[tagKeys.growth] ?? '';
      if (!/^\d+:1:2:0\.\d+$/.test(history)) throw new Error(`its history is ${JSON.stringify(history)}`);
      await after(bench, name);
    },
  },
];
