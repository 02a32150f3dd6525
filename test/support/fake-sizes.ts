import { FakeCalls } from './fake-calls.ts';

/** How large the disks and filesystems of a machine in memory are, and how full. */
export class FakeSizes extends FakeCalls {
  /** Sizes of disks, by volume id; what EC2 has made them unless told. */
  readonly sizes = new Map<string, number>();
  /** Of filesystems; as large as the disk unless told. */
  readonly filesystemSizes = new Map<string, number>();
  /** Percent of each filesystem that are used. */
  used = 40;
  /** Whether the kernel refuses to grow any of them. */
  refusesGrowth = false;
}
