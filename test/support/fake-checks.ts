import type { BlockDevice, FilesystemType } from '../../src/host/types.ts';
import { FakeSizes } from './fake-sizes.ts';

/** How the filesystems of copies fare under the checks of a fake machine. */
export class FakeChecks extends FakeSizes {
  /** What the kernel refuses each for. */
  unmountable: string | undefined;
  /** What its check finds. */
  findings: string | undefined;

  async replayJournal({ volumeId }: BlockDevice, type: FilesystemType): Promise<string | undefined> {
    this.note('replayJournal', volumeId, type);
    return this.unmountable;
  }

  async checkReadOnly({ volumeId }: BlockDevice, type: FilesystemType): Promise<string | undefined> {
    this.note('checkReadOnly', volumeId, type);
    return this.findings;
  }
}
