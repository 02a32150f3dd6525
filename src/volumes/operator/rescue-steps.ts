import { shellWord } from '../../errors.ts';
import type { FilesystemType } from '../../host/types.ts';
import type { Rescue } from '../lifecycle/rescue.ts';
import type { RescueReport, RescueStep } from './types.ts';

/** What to tell a person of a rescued volume: what is on its disk, and which checks to run. Pure. */
export function rescueReport(rescue: Rescue): RescueReport {
  const { name, volumeId, path, since, snapshotId, filesystem } = rescue;
  return {
    ...{ name, volumeId, path, since, snapshotId },
    found: foundOn(rescue),
    steps:
      filesystem === undefined ? unknownSteps(shellWord(path)) : stepsOf[filesystem](shellWord(path), copyOf(rescue)),
  };
}

const copyOf = ({ content }: Rescue) => (content.kind === 'other' ? content.copy : undefined);

function foundOn({ content, filesystem }: Rescue): string {
  const copy = copyOf({ content } as Rescue);
  if (copy !== undefined) {
    return `its ${filesystem} filesystem has lost its superblock; a copy is intact at block ${copy.block} (of ${copy.blockBytes} bytes)`;
  }
  if (content.kind === 'filesystem')
    return `it holds a filesystem of type ${content.type}, whose superblock can be read`;
  const what = content.kind === 'blank' ? 'nothing that can be seen' : content.what;
  return filesystem === undefined ? `it holds ${what}` : `it holds ${what}; its tag says ${filesystem}`;
}

type Steps = (path: string, copy: ReturnType<typeof copyOf>) => RescueStep[];

const stepsOf: Readonly<Record<FilesystemType, Steps>> = {
  ext4(path, copy) {
    const from = copy === undefined ? '' : `-b ${copy.block} -B ${copy.blockBytes} `;
    return [
      { command: `e2fsck -f -n ${from}${path}`, what: 'shows the damage and changes nothing' },
      { command: `e2fsck -f ${from}${path}`, what: 'repairs it, and asks before each change' },
    ];
  },
  xfs: (path) => [
    { command: `xfs_repair -n ${path}`, what: 'shows the damage and changes nothing' },
    {
      command: `xfs_repair ${path}`,
      what: 'repairs it; if it refuses because the log is not empty, end the rescue and mount the volume once, which replays it',
    },
  ],
  btrfs: (path, copy) => [
    {
      command: `btrfs check --readonly ${copy === undefined ? '' : '--super 1 '}${path}`,
      what: 'shows the damage and changes nothing',
    },
    { command: `mount -o ro,rescue=all ${path} /mnt`, what: 'gives what can be read, to be copied elsewhere' },
  ],
};

const unknownSteps = (path: string): RescueStep[] => [
  { command: `blkid -p ${path}`, what: 'tells what is recognised on it' },
];
