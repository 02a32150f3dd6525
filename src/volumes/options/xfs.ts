import {
  alone,
  among,
  each,
  either,
  type FilesystemWords,
  label,
  list,
  matching,
  onOff,
  powerOfTwo,
  uuid,
  valued,
  whole,
} from './shapes.ts';

const size = matching(/^\d{1,15}[sbkmgt]?$/i, 'a size, as 65536, 64k, 128s (sectors) or 16b (blocks)');
const concurrency = either(matching(/^(\d{1,5}|nr_cpus|io)$/, 'a number, nr_cpus or io'));
const sector = valued(among('512', '4096', '4k'));

/** mkfs.xfs(8) of xfsprogs 6.1 to 6.13; Linux Documentation/admin-guide/xfs.rst. */
export const xfs: FilesystemWords = {
  mkfs: {
    // Larger blocks than a page of memory cannot be mounted before Linux 6.12.
    '-b': valued(list({ size: valued(among('512', '1024', '2048', '4096', '1k', '2k', '4k')) })),
    '-d': valued(
      list({
        agcount: valued(whole(1, 1048576)),
        ...each('agsize cowextsize size su', valued(size)),
        ...each('sunit swidth sw', valued(whole(0, 2 ** 31))),
        ...each('extszinherit projinherit', valued(whole(0, 4294967295))),
        ...each('noalign unwritten', either(onOff)),
        sectsize: sector,
        concurrency,
      }),
    ),
    '-i': valued(
      list({
        size: valued(among('256', '512', '1024', '2048', '1k', '2k')),
        maxpct: valued(whole(0, 100)),
        perblock: valued(powerOfTwo(2, 16)),
        attr: valued(among('2')),
        ...each('align exchange nrext64 projid32bit sparse', either(onOff)),
      }),
    ),
    '-l': valued(
      list({
        internal: either(among('1')),
        ...each('size su', valued(size)),
        sunit: valued(whole(0, 2 ** 31)),
        agnum: valued(whole(0, 1048576)),
        version: valued(among('1', '2')),
        'lazy-count': either(onOff),
        sectsize: sector,
        concurrency,
      }),
    ),
    '-L': valued(label(12)),
    '-m': valued(list({ ...each('bigtime crc finobt inobtcount reflink rmapbt', either(onOff)), uuid: valued(uuid) })),
    '-n': valued(
      list({
        size: valued(among('4096', '8192', '16384', '32768', '65536', '4k', '8k', '16k', '32k', '64k')),
        version: valued(among('2')),
        ...each('ftype parent', either(onOff)),
      }),
    ),
    '-s': valued(list({ size: sector })),
    ...each('-K -q', alone),
  },
  once: [],
  mount: {
    ...each('discard nodiscard filestreams grpid nogrpid bsdgroups sysvgroups inode32 inode64', alone),
    ...each('largeio nolargeio noalign norecovery nouuid swalloc wsync', alone),
    ...each('quota noquota uquota usrquota uqnoenforce qnoenforce', alone),
    ...each('gquota grpquota gqnoenforce pquota prjquota pqnoenforce', alone),
    allocsize: valued(matching(/^\d{1,10}[km]?$|^1g$/i, 'a size, as 64k or 16m')),
    dax: valued(among('inode', 'never')),
    logbsize: valued(among('16384', '32768', '65536', '131072', '262144', '16k', '32k', '64k', '128k', '256k')),
    logbufs: valued(whole(2, 8)),
    ...each('sunit swidth', valued(whole(0, 2 ** 31))),
  },
  always: [],
  needs: { norecovery: ['ro'] },
  apart: [],
};
