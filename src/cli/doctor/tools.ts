import { type FilesystemType, filesystemTypes } from '../../host/types.ts';
import type { Check } from './check.ts';
import type { Machine, Tool } from './machine.ts';

/** The programs that are started, each with what makes it tell its version. */
const always = {
  blkid: '--version',
  blockdev: '--version',
  mount: '--version',
  umount: '--version',
  unshare: '--version',
  flock: '--version',
};
const byFilesystem: Readonly<Record<FilesystemType, Readonly<Record<string, string>>>> = {
  ext4: { 'mkfs.ext4': '-V', e2fsck: '-V', resize2fs: '-V' },
  xfs: { 'mkfs.xfs': '-V', xfs_growfs: '-V', xfs_io: '-V' },
  btrfs: { 'mkfs.btrfs': '--version', btrfs: '--version' },
};

const isMissing = ({ version }: Tool) => version === undefined;
const shown = ({ program, version }: Tool) => `${program} ${version}`;
const remedies = (tools: readonly Tool[]) => [...new Set(tools.flatMap(({ todo }) => todo ?? []))].join('. ');

/** The programs that every volume needs. */
export const tools: Check = {
  title: 'tools',
  async run({ machine }) {
    const found = await machine.tools(always);
    const missing = found.filter(isMissing);
    if (missing.length === 0) return { level: 'ok', found: found.map(shown).join(', ') };
    const names = missing.map(({ program }) => program).join(', ');
    return { level: 'fail', found: `these programs do not run here: ${names}`, todo: remedies(missing) };
  },
};

/** The programs of each filesystem. Without those of one that new volumes do not get, other volumes may still have it. */
export const filesystems: Check = {
  title: 'filesystems',
  async run({ machine, settings }) {
    const each = await Promise.all(
      filesystemTypes.map(async (type) => ({ type, tools: await toolsOf(machine, type) })),
    );
    const lacking = each.filter(({ tools }) => tools.some(isMissing));
    const ready = each.filter((one) => !lacking.includes(one)).map(({ type, tools }) => `${type} (${firstOf(tools)})`);
    if (lacking.length === 0) return { level: 'ok', found: ready.join(', ') };
    const serious = lacking.some(({ type }) => type === settings.fsType);
    return {
      level: serious ? 'fail' : 'warn',
      found: ready.length === 0 ? 'none can be used' : `only ${ready.join(', ')}`,
      details: lacking.map(({ type, tools }) => {
        const names = tools.filter(isMissing).map(({ program }) => program);
        const use = type === settings.fsType ? ', which new volumes get (DVE_FS_TYPE),' : '';
        return `${type}${use} lacks ${names.join(', ')}`;
      }),
      todo: remedies(lacking.flatMap(({ tools }) => tools)),
    };
  },
};

const toolsOf = (machine: Machine, type: FilesystemType) => machine.tools(byFilesystem[type]);
const firstOf = ([first]: readonly Tool[]): string => (first === undefined ? '' : shown(first));
