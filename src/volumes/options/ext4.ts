import {
  alone,
  among,
  each,
  either,
  type FilesystemWords,
  features,
  label,
  list,
  matching,
  onOff,
  powerOfTwo,
  size,
  valued,
  whole,
} from './shapes.ts';

const any = Number.MAX_SAFE_INTEGER;
const id = whole(0, 4294967294);

/** mke2fs(8) of e2fsprogs 1.47; Linux Documentation/admin-guide/ext4.rst. */
export const ext4: FilesystemWords = {
  mkfs: {
    // Larger blocks than a page of memory cannot be mounted, and x86 has pages of 4 KiB.
    '-b': valued(among('1024', '2048', '4096')),
    '-C': valued(size),
    '-e': valued(among('continue', 'remount-ro')),
    '-E': valued(
      list({
        ...each('discard nodiscard no_copy_xattrs', alone),
        ...each('lazy_itable_init lazy_journal_init assume_storage_prezeroed packed_meta_blocks', either(onOff)),
        ...each('stride stripe_width stripe-width', valued(whole(0, 4294967295))),
        encoding: valued(matching(/^utf8(-\d{1,2}\.\d{1,2}(\.\d{1,2})?)?$/, 'utf8 or a version of it')),
        encoding_flags: valued(among('strict', 'no_strict')),
        mmp_update_interval: valued(whole(0, 300)),
        num_backup_sb: valued(whole(0, 2)),
        orphan_file_size: valued(size),
        quotatype: valued(
          matching(/^(usr|grp|prj)quota(:(usr|grp|prj)quota){0,2}$/, 'usrquota, grpquota, prjquota, with ":" between'),
        ),
        resize: valued(whole(1, any)),
        root_owner: either(matching(/^\d{1,9}:\d{1,9}$/, 'uid:gid')),
        root_perms: valued(matching(/^0?[0-7]{3,4}$/, 'octal permission bits')),
      }),
    ),
    '-g': valued(whole(256, 65528)),
    '-G': valued(powerOfTwo(1, 2 ** 31)),
    '-i': valued(whole(1024, 67108864)),
    '-I': valued(among('128', '256', '512', '1024', '2048', '4096')),
    '-J': valued(
      list({
        size: valued(whole(1, 1048576)),
        fast_commit_size: valued(whole(1, 1048576)),
        location: valued(whole(0, any)),
      }),
    ),
    '-L': valued(label(16)),
    '-m': valued(matching(/^([0-4]?\d(\.\d{1,4})?|50)$/, 'a percentage from 0 to 50')),
    '-N': valued(whole(16, 4294967295)),
    '-O': valued(
      features(
        ...'64bit bigalloc casefold dir_index dir_nlink ea_inode encrypt ext_attr extent extents extra_isize'.split(
          ' ',
        ),
        ...'fast_commit filetype flex_bg has_journal huge_file inline_data large_dir large_file meta_bg'.split(' '),
        ...'metadata_csum metadata_csum_seed mmp orphan_file project quota resize_inode sparse_super'.split(' '),
        ...'sparse_super2 stable_inodes uninit_bg verity'.split(' '),
      ),
    ),
    '-T': valued(among('default', 'small', 'big', 'huge', 'news', 'largefile', 'largefile4')),
    '-U': valued(matching(/^(random|time|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$/i, 'a UUID, random or time')),
    ...each('-j -K -q -v', alone),
  },
  once: ['-E', '-O'],
  mount: {
    ...each('acl noacl user_xattr nouser_xattr bsddf minixdf grpid nogrpid bsdgroups sysvgroups nouid32', alone),
    ...each('block_validity noblock_validity delalloc nodelalloc dioread_lock dioread_nolock discard nodiscard', alone),
    ...each('i_version journal_async_commit journal_checksum nojournal_checksum lazytime nombcache nobarrier', alone),
    ...each('noinit_itable noload norecovery quota noquota usrquota grpquota prjquota', alone),
    ...each('prefetch_block_bitmaps no_prefetch_block_bitmaps noauto_da_alloc inlinecrypt', alone),
    ...each('auto_da_alloc barrier', either(onOff)),
    ...each('resuid resgid', valued(id)),
    commit: valued(whole(0, 900)),
    data: valued(among('journal', 'ordered', 'writeback')),
    data_err: valued(among('ignore', 'abort')),
    dax: valued(among('inode', 'never')),
    // A panic takes the whole host down, and going on after an error makes it worse.
    errors: valued(among('remount-ro')),
    init_itable: either(whole(0, 1000)),
    inode_readahead_blks: valued(powerOfTwo(1, 2 ** 20)),
    journal_ioprio: valued(whole(0, 7)),
    max_batch_time: valued(whole(0, 10 ** 9)),
    max_dir_size_kb: valued(whole(0, 2 ** 32)),
    mb_optimize_scan: valued(onOff),
    min_batch_time: valued(whole(0, 10 ** 9)),
    stripe: valued(whole(0, 4294967295)),
  },
  always: ['errors=remount-ro'],
  needs: {
    // Without its journal a filesystem that a crash left would be written to as it is.
    noload: ['ro'],
    norecovery: ['ro'],
    journal_async_commit: ['data=writeback', 'data=journal'],
  },
  apart: [
    ['data=journal', 'delalloc'],
    ['data=journal', 'dioread_nolock'],
  ],
};
