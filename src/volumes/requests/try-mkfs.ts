import type { CreateVolumeSpec } from '../../ebs/types.ts';
import { planFormat, planMount } from '../options/mount-plan.ts';
import { type CreateOptions, refuseOptions } from '../options/options.ts';
import type { Node } from '../state/node.ts';

/**
 * Refuses mkfs options that cannot work for the size of the disk, before there is a disk: they could not be corrected
 * later. A copy gets no mkfs; without options of its own nothing is asked.
 * @throws DriverError INVALID_OPTION with the option and the words of mkfs.
 */
export async function refuseImpossibleFormat(
  node: Node,
  name: string,
  { mkfsOptions }: CreateOptions,
  { sizeGib, snapshotId, sourceVolumeId, tags }: Omit<CreateVolumeSpec, 'clientToken'>,
): Promise<void> {
  const isCopy = snapshotId !== undefined || sourceVolumeId !== undefined;
  if (mkfsOptions === undefined || sizeGib === undefined || isCopy) return;
  const plan = planMount(name, tags, node.settings);
  const refused = await node.host.tryFormat(plan.fsType, planFormat(name, tags, plan), sizeGib * 2 ** 30);
  if (refused === undefined) return;
  refuseOptions(
    name,
    `mkfs.${plan.fsType} takes mkfsOptions ${JSON.stringify(refused.option)} for no disk of ${sizeGib} GiB: ${refused.words}`,
    'Correct it, or leave it out',
  );
}
