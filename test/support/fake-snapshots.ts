import { tagKeys } from '../../src/ebs/tags.ts';
import type { CallOptions, EbsSnapshot, OneAttempt, Tags } from '../../src/ebs/types.ts';
import { ec2Error, FakeInstances, type Mutable } from './fake-instances.ts';

type FakeSnapshot = Mutable<Omit<EbsSnapshot, 'tags'>> & { tags: Record<string, string> };

/** The snapshots of an EC2 in memory. */
export abstract class FakeSnapshots extends FakeInstances {
  abstract readonly volumes: ReadonlyMap<string, { readonly sizeGib: number }>;
  readonly snapshots: FakeSnapshot[] = [];
  /** What becomes of the next ones. */
  snapshotState: EbsSnapshot['state'] = 'completed';
  protected readonly cluster: string;
  #snapshotCount = 0;

  constructor(cluster = 'default') {
    super();
    this.cluster = cluster;
  }

  /** A snapshot that is there already, or comes to be. */
  addSnapshot(volumeId: string, change: Partial<Omit<FakeSnapshot, 'id'>> = {}): FakeSnapshot {
    this.#snapshotCount += 1;
    const snapshot: FakeSnapshot = {
      id: `snap-${this.#snapshotCount}-of-${volumeId}`,
      state: this.snapshotState,
      message: undefined,
      volumeId,
      sizeGib: this.volumes.get(volumeId)?.sizeGib ?? 8,
      startedAt: new Date().toISOString(),
      description: '',
      encrypted: false,
      tags: {},
      ...change,
    };
    this.snapshots.push(snapshot);
    return snapshot;
  }

  createSnapshot(
    volumeId: string,
    description: string,
    tags: Tags,
    { once = (send) => send() }: CallOptions & { readonly once?: OneAttempt } = {},
  ): Promise<string> {
    return once(() =>
      this.call('createSnapshot', [volumeId, description, tags], () => {
        if (!this.volumes.has(volumeId)) throw ec2Error('EC2_NO_SUCH_VOLUME');
        return this.addSnapshot(volumeId, { description, tags: { ...tags } }).id;
      }),
    );
  }

  deleteSnapshot(snapshotId: string): Promise<void> {
    return this.call('deleteSnapshot', [snapshotId], () => {
      const at = this.snapshots.findIndex(({ id }) => id === snapshotId);
      if (at < 0) throw ec2Error('EC2_NO_SUCH_SNAPSHOT');
      this.snapshots.splice(at, 1);
    });
  }

  listSnapshots(): Promise<EbsSnapshot[]> {
    return this.call('listSnapshots', [], () =>
      structuredClone(this.snapshots.filter(({ tags }) => tags[tagKeys.cluster] === this.cluster)),
    );
  }

  snapshotsOf(volumeIds: readonly string[]): Promise<EbsSnapshot[]> {
    return this.call('snapshotsOf', [volumeIds], () =>
      structuredClone(this.snapshots.filter(({ volumeId }) => volumeIds.includes(volumeId))),
    );
  }

  describeSnapshot(snapshotId: string): Promise<EbsSnapshot | undefined> {
    return this.call('describeSnapshot', [snapshotId], () =>
      structuredClone(this.snapshots.find(({ id }) => id === snapshotId)),
    );
  }

  findSnapshots(tagKey: string, value: string): Promise<EbsSnapshot[]> {
    return this.call('findSnapshots', [tagKey, value], () =>
      this.snapshots.filter(({ tags }) => tags[tagKey] === value).map((each) => ({ ...each })),
    );
  }
}
