import { sizeText } from '../table.ts';
import type { Check } from './check.ts';

/** Whether mounted filesystems have all of their disks, and volumes that grow by themselves can. */
export const growth: Check = {
  title: 'growth',
  async run(facts) {
    const volumes = await facts.mounted();
    const details = volumes.flatMap(({ name, size, autoGrow }) => {
      const whole = size?.refused === undefined ? undefined : `the disk of ${name} has ${sizeText(size.diskBytes)}`;
      return [
        ...(whole === undefined ? [] : [`${whole}, and its filesystem does not grow: ${size?.refused}`]),
        ...(autoGrow?.warning === undefined ? [] : [`${name} grows by itself, but ${autoGrow.warning}`]),
      ];
    });
    if (details.length === 0)
      return { level: 'ok', found: `nothing keeps the filesystems of ${volumes.length} mounted volumes from growing` };
    return {
      level: 'warn',
      found: 'volumes cannot grow as they should',
      details,
      todo: 'Give the daemon CAP_SYS_RESOURCE where an ext4 lacks it; for the rest docs/grow.md says what helps',
    };
  },
};
