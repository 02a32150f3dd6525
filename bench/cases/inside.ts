import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { checkFilesystem, makeFilesystem } from '../../src/host/filesystems.ts';
import { bindLoop, releaseLoopLater } from '../../src/sandbox/loops.ts';
import { gib } from '../../src/sandbox/model.ts';
import type { Lab } from '../lab.ts';
import { type Row, rowOf } from '../row.ts';
import type { Sample } from '../sample.ts';
import { type Case, rounds } from './case.ts';

export const inside: Case = {
  name: 'inside',
  summary: 'mkfs and the first check of a filesystem',
  async run(lab) {
    return [
      ...(await filesystem(lab, 16, 3)),
      ...(await filesystem(lab, 1024, 3)),
      ...(await filesystem(lab, 8192, 1)),
    ];
  },
};

async function filesystem(lab: Lab, sizeGib: number, runs: number): Promise<Row[]> {
  const results = await rounds(runs, () => makeAndCheck(lab, sizeGib));
  const size = sizeGib < 1024 ? `${sizeGib} GiB` : `${sizeGib / 1024} TiB`;
  return [
    rowOf({ id: `mkfs-${sizeGib}`, operation: `mkfs.ext4 of ${size}`, samples: results.map(({ made }) => made) }),
    rowOf({ id: `fsck-${sizeGib}`, operation: `check of that ext4`, samples: results.map(({ checked }) => checked) }),
  ];
}

/** As the driver does it before the first and the second mount, on a sparse file behind a loop device. */
async function makeAndCheck(lab: Lab, sizeGib: number): Promise<{ made: Sample; checked: Sample }> {
  const file = join(await lab.directory(), 'disk.img');
  await writeFile(file, '');
  await truncate(file, sizeGib * gib);
  const loop = await bindLoop(file);
  lab.onEnd(() => releaseLoopLater(loop));
  const disk = {
    path: loop.path,
    number: loop.number,
    volumeId: 'vol-0',
    serialVolumeId: undefined,
    sizeBytes: sizeGib * gib,
  };
  const made = await timed(() => makeFilesystem(disk, 'ext4', [], 'nothing'));
  const checked = await timed(() => checkFilesystem(disk, 'ext4'));
  return { made, checked };
}

async function timed(work: () => Promise<void>): Promise<Sample> {
  const start = performance.now();
  await work();
  return { wallMs: performance.now() - start, calls: [], ec2Ms: 0 };
}
