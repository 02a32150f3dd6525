import type { VolumeModification, VolumeShape } from '../../src/ebs/types.ts';
import { ec2Error, later, type Mutable } from './fake-instances.ts';
import { FakeSnapshots } from './fake-snapshots.ts';

type FakeModification = Mutable<VolumeModification>;

const dayMs = 24 * 3600_000;
const mostADay = 4;

/** ModifyVolume of an EC2 in memory: one at a time, four in 24 hours, and never smaller. */
export abstract class FakeModifications extends FakeSnapshots {
  abstract override readonly volumes: ReadonlyMap<string, Mutable<VolumeShape>>;
  readonly modifications = new Map<string, FakeModification[]>();
  modifyMs = 1000;
  optimizeMs = 3600_000;

  /** GiB that the machine sees: the new size counts from "optimizing" on. */
  diskGib(volumeId: string): number | undefined {
    const last = this.modifications.get(volumeId)?.at(-1);
    return last?.state === 'modifying' ? last.original.sizeGib : this.volumes.get(volumeId)?.sizeGib;
  }

  modifyVolume(volumeId: string, change: Partial<VolumeShape>): Promise<VolumeModification> {
    return this.call('modifyVolume', [volumeId, change], () => {
      const volume = this.volumes.get(volumeId);
      if (volume === undefined) throw ec2Error('EC2_NO_SUCH_VOLUME');
      const earlier = this.modifications.get(volumeId) ?? [];
      const last = earlier.at(-1);
      if (last?.state === 'modifying' || last?.state === 'optimizing') throw ec2Error('EC2_VOLUME_MODIFYING');
      if (earlier.filter(({ startedAt }) => Date.now() - Date.parse(startedAt) < dayMs).length >= mostADay)
        throw ec2Error('EC2_MODIFIED_TOO_OFTEN');
      const { sizeGib, type, iops, throughput } = volume;
      if ((change.sizeGib ?? sizeGib) < sizeGib) throw ec2Error('EC2_REJECTED', 'it cannot be smaller');
      const original = { sizeGib, type, iops, throughput };
      const given = Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined));
      const target = { ...original, ...given };
      const modification: FakeModification = {
        volumeId,
        state: 'modifying',
        message: undefined,
        progress: 0,
        startedAt: new Date().toISOString(),
        original,
        target,
      };
      this.modifications.set(volumeId, [...earlier, modification]);
      Object.assign(volume, target);
      later(this.modifyMs, () => Object.assign(modification, { state: 'optimizing', progress: 50 }));
      later(this.modifyMs + this.optimizeMs, () => Object.assign(modification, { state: 'completed', progress: 100 }));
      return { ...modification };
    });
  }

  describeModification(volumeId: string): Promise<VolumeModification | undefined> {
    return this.call('describeModification', [volumeId], () =>
      structuredClone(this.modifications.get(volumeId)?.at(-1)),
    );
  }
}
