import type { Growth } from './history.ts';

/** How much was used, and when (milliseconds since 1970). */
export interface Sample {
  readonly at: number;
  readonly usedGib: number;
}

const minuteMs = 60_000;
/** What happens in these counts as lately: the fastest of them decides. */
const windowsMs = [10 * minuteMs, 60 * minuteMs, 360 * minuteMs];
/** Two looks closer to each other tell nothing of a rate. */
const leastMs = 1000;
const keptAtMost = 400;

/** The samples with one more; old ones become fewer. */
export function withSample(samples: readonly Sample[], next: Sample): Sample[] {
  const oldest = next.at - Math.max(...windowsMs);
  const all = [...samples.filter(({ at }) => at >= oldest && at < next.at), next];
  return all.length <= keptAtMost ? all : all.filter((_, index) => index % 2 === 0 || index > keptAtMost / 2);
}

/**
 * How fast it has been filling lately, GiB a millisecond: the fastest of some windows. What an earlier daemon or node saw is
 * known from its last growth. Undefined while it was looked at only once, and no growth is known. Pure.
 */
export function fillRate(samples: readonly Sample[], last: Growth | undefined): number | undefined {
  const now = samples.at(-1);
  if (now === undefined) return 0;
  if (samples.length < 2 && last === undefined) return undefined;
  const since = (then: Sample | undefined) =>
    then === undefined || now.at - then.at < leastMs ? 0 : (now.usedGib - then.usedGib) / (now.at - then.at);
  const windows = windowsMs.map((ms) => since(samples.find(({ at }) => at >= now.at - ms)));
  return Math.max(0, ...windows, since(last));
}
