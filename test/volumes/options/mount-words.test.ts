import { describe, expect, it } from 'vitest';
import type { FilesystemType } from '../../../src/host/types.ts';
import { mountWords, readNodeMountOptions } from '../../../src/volumes/options/mount-options.ts';
import { reading } from './reading.ts';

const words = (type: FilesystemType, volume: string, node = '', allowed: readonly ('suid' | 'dev')[] = []) =>
  reading(() => mountWords(type, { node, volume, allowed }));

describe('the options of a mount', () => {
  it('are those of every mount, then the node’s that the filesystem knows, then the volume’s', () => {
    const node = 'noatime,inode64,data=writeback,compress=lzo';
    expect(words('ext4', 'relatime', node)).toEqual([
      'nosuid',
      'nodev',
      'errors=remount-ro',
      'noatime',
      'data=writeback',
      'relatime',
    ]);
    expect(words('xfs', '', node)).toEqual(['nosuid', 'nodev', 'noatime', 'inode64']);
    expect(words('btrfs', 'ssd', node)).toEqual(['nosuid', 'nodev', 'noatime', 'compress=lzo', 'ssd']);
  });

  it('a volume does not undo what the node forbids', () => {
    expect(words('xfs', 'rw,exec,symfollow,noatime', 'ro,noexec,nosymfollow')).toEqual([
      'nosuid',
      'nodev',
      'ro',
      'noexec',
      'nosymfollow',
      'noatime',
    ]);
    expect(words('xfs', 'suid,dev', 'nosuid', ['suid', 'dev'])).toEqual(['nosuid', 'dev']);
  });

  it('have set-user-ID programs and device nodes where the owner of the host allows them', () => {
    expect(words('xfs', '', '', ['suid'])).toEqual(['nodev']);
    expect(words('xfs', 'suid,nodev', '', ['suid', 'dev'])).toEqual(['suid', 'nodev']);
    expect(words('xfs', 'dev', '', ['suid'])).toMatch(/"dev", which is for the owner of the host/);
  });

  it('cannot contradict each other between node and volume', () => {
    expect(words('ext4', 'delalloc', 'data=journal')).toMatch(/data=journal and delalloc/);
  });

  it('a node’s are refused where no filesystem knows one of them', () => {
    expect(readNodeMountOptions('noatime,,discard , inode64,data=ordered', [])).toEqual([
      'noatime',
      'discard',
      'inode64',
      'data=ordered',
    ]);
    expect(reading(() => readNodeMountOptions('noatime,discrd', []))).toMatch(
      /"discrd" here \(did you mean discard\?\)/,
    );
    expect(reading(() => readNodeMountOptions('errors=panic', []))).toMatch(/errors takes only remount-ro/);
    expect(reading(() => readNodeMountOptions('suid', []))).toMatch(/DVE_MOUNT_ALLOW=suid/);
  });
});
