import {
  alone,
  among,
  each,
  either,
  type FilesystemWords,
  features,
  label,
  matching,
  size,
  uuid,
  valued,
  whole,
} from './shapes.ts';

const profile = valued(among('single', 'dup', 'SINGLE', 'DUP'));
const compression = either(
  matching(
    /^(no|none|lzo|zlib(:[1-9])?|zstd(:(-?\d|-?1[0-5]))?)$/,
    'zlib, lzo, zstd, each but lzo perhaps with :LEVEL, or no',
  ),
);

/** mkfs.btrfs(8) of btrfs-progs 6.2 to 6.14; btrfs(5), "MOUNT OPTIONS". */
export const btrfs: FilesystemWords = {
  mkfs: {
    ...each('-b --byte-count', valued(size)),
    ...each('--csum --checksum', valued(among('crc32c', 'xxhash', 'sha256', 'blake2'))),
    // Other profiles want more than one disk.
    ...each('-d --data -m --metadata', profile),
    ...each('-L --label', valued(label(255))),
    ...each('-n --nodesize', valued(among('4096', '8192', '16384', '32768', '65536', '4k', '8k', '16k', '32k', '64k'))),
    // Another size than a page of memory cannot be mounted everywhere, and x86 has pages of 4 KiB.
    ...each('-s --sectorsize', valued(among('4096', '4k'))),
    ...each(
      '-O --features',
      valued(
        features(
          ...'block-group-tree bgt extref free-space-tree fst mixed-bg no-holes quota simple-quota'.split(' '),
          ...'skinny-metadata squota'.split(' '),
        ),
      ),
    ),
    ...each('-R --runtime-features', valued(features('quota', 'free-space-tree', 'block-group-tree'))),
    ...each('-U --uuid', valued(uuid)),
    ...each('-M --mixed -K --nodiscard -q --quiet -v --verbose', alone),
  },
  once: [],
  mount: {
    ...each(
      'acl noacl autodefrag noautodefrag barrier nobarrier clear_cache datacow nodatacow datasum nodatasum',
      alone,
    ),
    ...each('degraded enospc_debug noenospc_debug flushoncommit noflushoncommit nodiscard nospace_cache', alone),
    ...each('rescan_uuid_tree skip_balance ssd nossd ssd_spread nossd_spread treelog notreelog', alone),
    ...each('usebackuproot user_subvol_rm_allowed', alone),
    ...each('compress compress-force', compression),
    commit: valued(whole(0, 900)),
    discard: either(among('sync', 'async')),
    max_inline: valued(size),
    metadata_ratio: valued(whole(0, 10000)),
    rescue: valued(among('all', 'usebackuproot', 'nologreplay', 'ignorebadroots', 'ignoredatacsums')),
    space_cache: either(among('v1', 'v2')),
    subvol: valued(matching(/^(?!\.)[A-Za-z0-9_@.+-]{1,255}$/, 'the name of a subvolume at the top')),
    subvolid: valued(whole(5, Number.MAX_SAFE_INTEGER)),
    thread_pool: valued(whole(1, 1024)),
  },
  always: [],
  needs: Object.fromEntries(
    ['all', 'nologreplay', 'ignorebadroots', 'ignoredatacsums'].map((what) => [`rescue=${what}`, ['ro']]),
  ),
  apart: [
    ['subvol', 'subvolid'],
    ['nodatacow', 'compress-force'],
  ],
};
