import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type FilesystemType, filesystemTypes } from '../../../src/host/types.ts';
import { filesystems } from '../../../src/volumes/options/filesystem.ts';
import { readMkfsOptions } from '../../../src/volumes/options/mkfs-options.ts';
import { mountWords, readMountOptions } from '../../../src/volumes/options/mount-options.ts';
import { reading } from './reading.ts';

const mkfs = (text: string, type: FilesystemType = 'ext4') => reading(() => readMkfsOptions(text, type));
const mount = (text: string, type: FilesystemType = 'ext4') => reading(() => readMountOptions(text, type, []));
const words = (type: FilesystemType, volume: string, node = '', allowed: readonly ('suid' | 'dev')[] = []) =>
  reading(() => mountWords(type, { node, volume, allowed }));

/** Texts made of what the tools know, what they must not be given, and anything. */
const flag = fc.constantFrom(
  ...filesystemTypes.flatMap((type) => Object.keys(filesystems[type].mkfs)),
  ...['-F', '-f', '-d', '-n', '-N', '-S', '-z', '-p', '-c', '-l', '-r', '--rootdir', '--force', '--', '-', '-M/etc'],
);
const value = fc.oneof(
  fc.constantFrom(
    '4096',
    'etc',
    '/etc',
    '../x',
    'size=4096',
    'stride=4,lazy_itable_init',
    'device=/dev/sda',
    '-d',
    '^64bit',
  ),
  fc.constantFrom(
    'single',
    'crc=0,uuid=',
    'name=x',
    'file=1',
    'logdev=sda',
    'a\0b',
    '$(id)',
    '__proto__',
    'constructor',
  ),
  fc.string({ maxLength: 8 }),
);
const mkfsText = fc
  .array(fc.tuple(flag, fc.constantFrom(' ', '', '=', '  '), value), { maxLength: 4 })
  .map((parts) => parts.map((part) => part.join('')).join(' '));
const mountName = fc.constantFrom(
  ...filesystemTypes.flatMap((type) => Object.keys(filesystems[type].mount)),
  ...[
    'suid',
    'dev',
    'rw',
    'exec',
    'errors',
    'remount',
    'bind',
    'loop',
    'journal_path',
    'x-mount.mkdir',
    'nofail',
    '__proto__',
  ],
);
const mountText = fc
  .array(
    fc.oneof(
      fc.tuple(mountName, fc.constantFrom('', '='), value).map((parts) => parts.join('')),
      mountName,
      fc.string({ maxLength: 6 }),
    ),
    { maxLength: 5 },
  )
  .map((parts) => parts.join(','));
const anyType = fc.constantFrom(...filesystemTypes);

describe('whatever is asked of mkfs', () => {
  it('only listed flags are passed, and after each that takes one a value without a path', () => {
    fc.assert(
      fc.property(mkfsText, anyType, (text, type) => {
        const read = mkfs(text, type);
        if (typeof read === 'string') return;
        const known = filesystems[type].mkfs;
        for (const left = [...read]; left.length > 0; ) {
          const [name = '', attached] = (left.shift() ?? '').split(/=(.*)/s);
          expect(Object.keys(known)).toContain(name);
          if (known[name]?.value === undefined) {
            expect(attached).toBeUndefined();
            continue;
          }
          const given = name.startsWith('--') ? attached : left.shift();
          expect(known[name]?.value?.(given ?? '')).toBeUndefined();
          expect(given).toMatch(/^[A-Za-z0-9_^.][A-Za-z0-9_^.:,=+-]*$/);
          expect(given).not.toMatch(/(device|logdev|rtdev|file|name)=/);
        }
      }),
      { numRuns: 3000 },
    );
  });

  it('what is read is read again as the same', () => {
    fc.assert(
      fc.property(mkfsText, anyType, (text, type) => {
        const read = mkfs(text, type);
        if (typeof read !== 'string') expect(mkfs(read.join(' '), type)).toEqual(read);
      }),
      { numRuns: 1000 },
    );
  });

  it.each<[FilesystemType, string, string[]]>([
    ['ext4', '-b 4096 -Lname', ['-b', '4096', '-L', 'name']],
    ['ext4', '-jKb1024', ['-j', '-K', '-b', '1024']],
    ['ext4', ' -i 8192\t-m0 -N 512  -I 256 ', ['-i', '8192', '-m', '0', '-N', '512', '-I', '256']],
    ['ext4', '-O bigalloc,^64bit -C 16384', ['-O', 'bigalloc,^64bit', '-C', '16384']],
    ['ext4', '-E stride=16,stripe_width=64,nodiscard', ['-E', 'stride=16,stripe_width=64,nodiscard']],
    ['ext4', '-J size=64 -T largefile -U random', ['-J', 'size=64', '-T', 'largefile', '-U', 'random']],
    ['xfs', '-i size=512,maxpct=25 -n ftype=1', ['-i', 'size=512,maxpct=25', '-n', 'ftype=1']],
    [
      'xfs',
      '-m crc=1,reflink=0 -d su=64k,sw=4 -d agcount=8',
      ['-m', 'crc=1,reflink=0', '-d', 'su=64k,sw=4', '-d', 'agcount=8'],
    ],
    [
      'xfs',
      '-b size=4096 -l size=64m,lazy-count=1 -s size=4096',
      ['-b', 'size=4096', '-l', 'size=64m,lazy-count=1', '-s', 'size=4096'],
    ],
    ['btrfs', '--label data -m dup --nodesize=16k', ['--label=data', '-m', 'dup', '--nodesize=16k']],
    ['btrfs', '--csum xxhash -O no-holes,^extref -K', ['--csum=xxhash', '-O', 'no-holes,^extref', '-K']],
    ['ext4', '', []],
  ])('%s takes %j', (type, text, read) => {
    expect(mkfs(text, type)).toEqual(read);
  });

  it.each<[FilesystemType, string, RegExp]>([
    ['ext4', '-d etc', /^holds "-d", which is not among the flags that are taken .*-b -C/],
    ['ext4', '-z undo', /"-z"/],
    ['ext4', '-F', /"-F"/],
    ['ext4', '-jF', /"-F"/],
    ['ext4', '-n', /"-n"/],
    ['ext4', '-S', /"-S"/],
    ['ext4', '-l blocks', /"-l"/],
    ['ext4', '-e panic', /-e, which takes one of continue, remount-ro, not "panic"/],
    ['ext4', '-b 65536', /-b, which takes one of 1024, 2048, 4096, not "65536"/],
    ['ext4', '-J device=sdb', /-J, which holds "device=sdb": there is no "device" here/],
    ['ext4', '-O journal_dev', /takes no "journal_dev"/],
    ['ext4', '-E strid=16', /there is no "strid" here \(did you mean stride\?\)/],
    ['ext4', '-E offset=1048576', /there is no "offset"/],
    ['ext4', '-E stride=4 -E stripe_width=8', /has -E twice, and mkfs.ext4 heeds the last alone. Give it once/],
    ['ext4', '-L', /gives -L no value/],
    ['ext4', '-L -d', /-L, which takes a label/],
    ['ext4', 'etc', /holds "etc", which is neither a flag nor a flag's value/],
    ['ext4', '-b 4096 1024', /holds "1024", which is neither/],
    ['ext4', '--', /"--"/],
    ['xfs', '-p protofile', /"-p"/],
    ['xfs', '-c options=file', /"-c"/],
    ['xfs', '-d name=sda', /there is no "name"/],
    ['xfs', '-l logdev=sda', /there is no "logdev"/],
    ['xfs', '-r rtdev=sda', /"-r"/],
    ['xfs', '-b size=65536', /size takes one of 512/],
    ['xfs', '-N', /"-N"/],
    ['btrfs', '--rootdir etc', /"--rootdir"/],
    ['btrfs', '-r etc', /"-r"/],
    ['btrfs', '--force', /"--force"/],
    ['btrfs', '-f', /"-f"/],
    ['btrfs', '-m raid1', /-m, which takes one of single, dup/],
    ['btrfs', 'sda', /holds "sda", which is neither/],
    ['btrfs', '--mixed=1', /gives --mixed a value/],
  ])('%s refuses %j', (type, text, rule) => {
    expect(mkfs(text, type)).toMatch(rule);
  });
});

describe('whatever is asked of mount', () => {
  it('only listed options are passed, none with a path, and every mount begins with what protects the host', () => {
    fc.assert(
      fc.property(mountText, mountText, anyType, (volume, node, type) => {
        const read = words(type, volume, node);
        if (typeof read === 'string') return;
        const safe = ['nosuid', 'nodev', ...(type === 'ext4' ? ['errors=remount-ro'] : [])];
        expect(read.slice(0, safe.length)).toEqual(safe);
        for (const word of read) {
          expect(word).toMatch(/^[a-z0-9_-]+(=[A-Za-z0-9_@.:+-]+)?$/);
          expect(['suid', 'dev', 'errors=panic', 'errors=continue', 'remount', 'bind', 'loop', 'nofail']).not.toContain(
            word,
          );
        }
      }),
      { numRuns: 3000 },
    );
  });

  it.each<[FilesystemType, string]>([
    ['ext4', 'noatime,nodiratime,discard,commit=30,data=ordered,barrier=1,errors=remount-ro,lazytime'],
    ['ext4', 'defaults,noexec,nosuid,nodev,stripe=64,auto_da_alloc,init_itable=10'],
    ['ext4', 'ro,noload'],
    ['ext4', 'data=writeback,journal_async_commit'],
    ['xfs', 'noatime,nouuid,inode64,logbufs=8,logbsize=256k,allocsize=64m,largeio,swalloc,prjquota'],
    ['xfs', 'ro,norecovery,nouuid'],
    ['btrfs', 'compress=zstd:3,noatime,ssd,space_cache=v2,discard=async,subvol=@data'],
    ['btrfs', 'ro,rescue=all'],
    ['ext4', 'context=system_u:object_r:container_file_t:s0'],
  ])('%s takes %s', (type, text) => {
    expect(mount(text, type)).toEqual(text.split(','));
  });

  it.each<[FilesystemType, string, RegExp]>([
    ['ext4', 'errors=panic', /"errors=panic": errors takes only remount-ro, not "panic"/],
    ['ext4', 'errors=continue', /errors takes only remount-ro/],
    ['ext4', 'noatim', /there is no "noatim" here \(did you mean noatime\?\)/],
    ['ext4', 'noatime=1', /noatime takes no value/],
    ['ext4', 'commit', /commit needs a value, as commit=…/],
    ['ext4', 'abort', /there is no "abort"/],
    ['ext4', 'sb=131072', /there is no "sb"/],
    ['ext4', 'journal_path=x', /there is no "journal_path"/],
    ['ext4', 'usrjquota=aquota.user', /there is no "usrjquota"/],
    ['ext4', 'dax', /dax needs a value/],
    ['ext4', 'dax=always', /dax takes one of inode, never/],
    ['ext4', 'noload', /"noload", which needs ro beside it/],
    ['ext4', 'data=journal,delalloc', /data=journal and delalloc, which cannot be together/],
    ['ext4', 'journal_async_commit', /needs data=writeback or data=journal beside it/],
    ['ext4', 'ro,rw', /ro and rw, which cannot be together/],
    ['ext4', 'suid', /"suid", which is for the owner of the host to allow. Leave it out, or .* DVE_MOUNT_ALLOW=suid/],
    ['ext4', 'dev', /"dev", which is for the owner of the host to allow/],
    ['ext4', 'context=system_u:object_r:shadow_t:s0', /context takes a label of containers/],
    ['ext4', 'inode64', /there is no "inode64"/],
    ['xfs', 'data=ordered', /there is no "data"/],
    ['xfs', 'logdev=sda', /there is no "logdev"/],
    ['btrfs', 'fatal_errors=panic', /there is no "fatal_errors"/],
    ['btrfs', 'device=sda', /there is no "device"/],
    ['btrfs', 'subvol=../x', /subvol takes the name of a subvolume/],
    ['btrfs', 'rescue=all', /needs ro beside it/],
    ...[
      'bind',
      'rbind',
      'move',
      'remount',
      'loop',
      'loop=5',
      'offset=4096',
      'shared',
      'x-mount.mkdir',
      'BIND',
      'nofail',
      'user',
    ].map((text): [FilesystemType, string, RegExp] => ['ext4', text, /there is no/]),
    ...['a b', 'noatime;reboot', '$(id)', 'a\0b', '"x"', 'üml', '__proto__', '=1'].map(
      (text): [FilesystemType, string, RegExp] => ['xfs', text, /there is no/],
    ),
  ])('%s refuses %s', (type, text, rule) => {
    expect(mount(text, type)).toMatch(rule);
  });
});
