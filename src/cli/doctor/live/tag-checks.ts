import { setTimeout as sleep } from 'node:timers/promises';
import { tagPrefix } from '../../../ebs/tags.ts';
import type { LiveCheck } from './check.ts';
import type { CheckVolume } from './volume.ts';

const key = `${tagPrefix}check-mark`;
const races = 20;
const looks = 10;
/** How long the driver allows a change to be missing from reads. */
const lagMs = 20_000;

const markOf = async (volume: CheckVolume): Promise<string | undefined> => (await volume.read()).tags[key];

/** Gives the milliseconds until a read shows the mark so; undefined when it does not within the time. */
async function shownAfter(
  volume: CheckVolume,
  value: string | undefined,
  signal: AbortSignal,
): Promise<number | undefined> {
  const began = performance.now();
  for (;;) {
    signal.throwIfAborted();
    const shown = await markOf(volume);
    const passed = performance.now() - began;
    if (shown === value) return passed;
    if (passed > lagMs) return undefined;
    await sleep(100);
  }
}

/** The clean tag, an operator's word and announced takeovers rest on these. */
export const tagChecks: readonly LiveCheck[] = [
  {
    title: 'reads lag',
    asked: `CreateTags, ${looks} times, and DescribeVolumes until it shows the tag`,
    assumes: 'every change shows within 20 s',
    async run(volume, signal) {
      let longest = 0;
      for (let look = 0; look < looks; look++) {
        await volume.place.ec2.createTags(volume.id, { [key]: `${look}` });
        const passed = await shownAfter(volume, `${look}`, signal);
        if (passed === undefined) return { answered: 'a tag did not show within 20 s', agrees: false };
        longest = Math.max(longest, passed);
      }
      return { answered: `after ${Math.round(longest)} ms at the longest`, agrees: true };
    },
  },
  {
    title: 'tag condition',
    asked: 'DeleteTags with a value that the tag does not have, then with the one that it has',
    assumes: 'the first leaves it, the second takes it away',
    async run(volume, signal) {
      const { ec2 } = volume.place;
      await ec2.createTags(volume.id, { [key]: 'new' });
      await shownAfter(volume, 'new', signal);
      await ec2.deleteTags(volume.id, { [key]: 'old' });
      // Longer than a read lags where it does.
      await sleep(1000);
      const kept = await markOf(volume);
      await ec2.deleteTags(volume.id, { [key]: 'new' });
      const gone = (await shownAfter(volume, undefined, signal)) !== undefined;
      const answered = `${kept === 'new' ? 'it stayed' : 'it was gone'}, and then ${gone ? 'it was gone' : 'it stayed'}`;
      return { answered, agrees: kept === 'new' && gone };
    },
  },
  {
    title: 'tag race',
    asked: `DeleteTags of the old value and CreateTags of a new one at once, ${races} times`,
    assumes: 'the new value stays, whichever comes first: comparing and deleting are one step',
    async run(volume, signal) {
      const { ec2 } = volume.place;
      let lost = 0;
      for (let race = 0; race < races; race++) {
        await ec2.createTags(volume.id, { [key]: `old-${race}` });
        await shownAfter(volume, `old-${race}`, signal);
        await Promise.all([
          ec2.deleteTags(volume.id, { [key]: `old-${race}` }),
          ec2.createTags(volume.id, { [key]: `new-${race}` }),
        ]);
        if ((await shownAfter(volume, `new-${race}`, signal)) === undefined) lost += 1;
      }
      const answered = lost === 0 ? 'the new value stayed each time' : `the new value was lost ${lost} times`;
      return { answered, agrees: lost === 0 };
    },
  },
];
