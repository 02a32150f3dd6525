import { tagKeys } from '../../ebs/tags.ts';
import { toDriverError } from '../../errors.ts';
import { publish } from '../../events.ts';
import { fills } from '../../host/grow.ts';
import type { FilesystemUsage } from '../../host/types.ts';
import { operation, over } from '../../log.ts';
import { isReadOnly } from '../lifecycle/faults.ts';
import { type AutoGrow, readAutoGrow } from '../options/growth-options.ts';
import { mostGibOf } from '../options/limits.ts';
import type { Held } from '../state/held.ts';
import type { DiskSize } from '../state/local.ts';
import { mountpointOf, type Node } from '../state/node.ts';
import { createDayLimit, type DayLimit } from './day-limit.ts';
import { forgetOthers, mayGrow } from './follower.ts';
import { type Growing, grow, newGrowing, waitAfter } from './growing.ts';
import { readGrowths } from './history.ts';
import { type GrowthPlan, type GrowthView, planGrowth } from './planner.ts';
import { fillRate, type Sample, withSample } from './rate.ts';

const gibibyte = 2 ** 30;
const tickMs = 5000;
/** A volume that fills is looked at more often than one that does not; each look is a process (df). */
const [shortestMs, longestMs] = [1000, 30_000];

interface Watched extends Growing {
  samples: readonly Sample[];
  /** The size of the disk that was known, and that of the filesystem, at the last look. */
  seen: { readonly diskBytes: number; readonly bytes: number } | undefined;
  /** Monotonic, as all times here: a clock that is set must not keep a volume from growing. */
  nextLook: number;
  looking: boolean;
}

/**
 * Lets the volumes that are mounted here, and are to, grow by themselves: looks how full they are, and asks EC2 when the
 * planner says so. What a kill ends is gone on with: each growth is written in the volume's tags before EC2 is asked.
 */
export function createGrower(node: Node): { start(): void; stop(): void } {
  const watched = new Map<string, Watched>();
  const day = createDayLimit(node);
  const tick = tickMs / node.haste;
  let timer: NodeJS.Timeout | undefined;

  const attempt = async (held: Held, state: Watched): Promise<void> => {
    const { name } = held;
    const about = { op: 'auto-grow', volume: name };
    state.looking = true;
    state.nextLook = performance.now() + longestMs / node.haste;
    try {
      await operation.run(about, () => look(node, held, state, day));
      over(node.log, about);
    } catch (error) {
      const failure = toDriverError(error, 'let it grow').about(name);
      const why = failure.parts.why;
      node.growths.set(name, { left: 0, fullAt: undefined, ...node.growths.get(name), warning: why });
      node.log.warn({ ...about, err: failure }, 'it does not grow by itself; it will be tried again');
    } finally {
      state.looking = false;
    }
  };
  const lookAtAll = () => {
    const growing = [...node.held.values()].filter(
      (held) => mayGrow(node, held) && tagKeys.autoGrow in held.volume.tags && !isReadOnly(node, held),
    );
    forgetOthers(watched, growing);
    forgetOthers(node.growths, growing);
    for (const held of growing) {
      const state = watched.get(held.name) ?? {
        ...newGrowing(),
        samples: [],
        seen: undefined,
        nextLook: 0,
        looking: false,
      };
      watched.set(held.name, state);
      if (!state.looking && performance.now() >= state.nextLook) void attempt(held, state);
    }
    const soonest = Math.min(tick, ...[...watched.values()].map(({ nextLook }) => nextLook - performance.now()));
    timer = setTimeout(lookAtAll, Math.max(shortestMs / node.haste, soonest)).unref();
  };

  return {
    start() {
      timer = setTimeout(lookAtAll, tick).unref();
    },
    stop() {
      clearTimeout(timer);
    },
  };
}

/** Looks how full a volume is, and lets it grow where that is due. */
async function look(node: Node, held: Held, state: Watched, day: DayLimit): Promise<void> {
  const { name, volume } = held;
  const auto = readAutoGrow(volume.tags);
  const size = node.sizes.get(name);
  if (size === undefined) return;
  const kept = keptFrom(held, size, auto);
  // Until its filesystem has all of its disk a larger disk helps nobody, and how full it is says too much.
  if (auto === undefined || kept !== undefined || !fills(held.filesystemBytes, size.diskBytes)) {
    if (kept !== undefined) note(node, held, { left: 0, fullAt: Number.POSITIVE_INFINITY, warning: kept });
    return;
  }
  const usage = await usageOf(node, name, state, size.diskBytes);
  if (usage === undefined) return;
  const view = viewOf(node, held, state, { auto, diskBytes: size.diskBytes, used: usedOf(usage) }, day);
  const plan = planGrowth(view);
  if (plan.grow === undefined && view.blockedUntil <= view.now) state.failure = undefined;
  note(node, held, { ...plan, warning: state.failure ?? plan.warning });
  state.nextLook = performance.now() + pauseAfter(view, plan) / node.haste;
  if (plan.grow === undefined) return;
  const { toGib, begun } = plan.grow;
  const second = Math.floor(view.now / 1000) * 1000;
  const growth = begun ?? { at: second, fromGib: view.sizeGib, toGib, usedGib: filledNow(state) };
  day.take(volume.id, growth);
  try {
    await node.queue.run(name, () => grow(node, name, growth, state));
    state.failure = undefined;
  } catch (error) {
    refused(node, held, state, error);
  } finally {
    if (!readGrowths(node.held.get(name)?.volume.tags ?? {}).some(({ at }) => at === growth.at))
      day.giveBack(volume.id, growth);
  }
}

/** Undefined where the filesystem has grown just now: how full it is and the size that is known here do not go together. */
async function usageOf(
  node: Node,
  name: string,
  state: Watched,
  diskBytes: number,
): Promise<FilesystemUsage | undefined> {
  const usage = await node.host.filesystemUsage(mountpointOf(node.settings, name));
  const { seen } = state;
  state.seen = { diskBytes, bytes: usage.bytes.total };
  return seen?.diskBytes === diskBytes && seen.bytes !== usage.bytes.total ? undefined : usage;
}

/** Why it cannot grow by itself whatever EC2 says, as a clause. */
function keptFrom({ volume }: Held, { refused }: DiskSize, auto: AutoGrow | undefined): string | undefined {
  if (auto === undefined) return `${volume.id} lacks the tag ${tagKeys.autoGrowMax}, without which it does not grow`;
  return refused === undefined ? undefined : `its filesystem does not follow its disk (${refused})`;
}

function viewOf(
  node: Node,
  { volume }: Held,
  state: Watched,
  { auto, diskBytes, used }: { auto: AutoGrow; diskBytes: number; used: ReturnType<typeof usedOf> },
  day: DayLimit,
): GrowthView {
  const { haste } = node;
  const now = Date.now() * haste;
  const sizeGib = Math.floor(diskBytes / gibibyte);
  const usedGib = used.full * sizeGib;
  const growths = readGrowths(volume.tags);
  state.samples = withSample(state.samples, { at: now, usedGib: used.filled * sizeGib });
  const onClock = (monotonic: number) => now + (monotonic - performance.now()) * haste;
  return {
    ...{ now, sizeGib, usedGib, auto, growths, rate: fillRate(state.samples, growths.at(-1)) },
    mostGib: mostGibOf(volume.type),
    blockedUntil: onClock(state.blockedUntil),
    busyUntil: onClock(state.busyUntil),
    nodeGib: day.left(now),
  };
}

const filledNow = ({ samples }: Watched): number => samples.at(-1)?.usedGib ?? 0;

/** Milliseconds until the next look: soon where it will be due soon, not before EC2 may be asked where it is. */
function pauseAfter({ now, sizeGib, usedGib, rate, auto, blockedUntil }: GrowthView, { grow }: GrowthPlan): number {
  if (rate === undefined) return tickMs;
  const missing = auto.at * sizeGib - usedGib;
  const fills = rate > 0 ? missing / rate / 2 : longestMs;
  const wait = missing > 0 ? fills : Math.max(blockedUntil - now, grow === undefined ? longestMs : 0);
  return Math.min(longestMs, Math.max(shortestMs, wait));
}

/**
 * How full it is, 0 to 1, by bytes or inodes, whichever is the larger part: `full` of what programs may have, as df has it, and
 * `filled` of the whole, by which the rate is reckoned: btrfs takes room for metadata away in large pieces, which nobody wrote.
 */
function usedOf({ bytes, inodes }: FilesystemUsage): { full: number; filled: number } {
  const ofInodes = inodes.total === 0 ? 0 : inodes.used / inodes.total;
  return {
    full: Math.max(bytes.used / Math.max(1, bytes.used + bytes.available), ofInodes),
    filled: Math.max(bytes.used / Math.max(1, bytes.total), ofInodes),
  };
}

function note(
  { growths, log }: Node,
  { name, volume }: Held,
  { left, warning, fullAt }: Pick<GrowthPlan, 'left' | 'warning' | 'fullAt'>,
): void {
  const before = growths.get(name)?.warning;
  growths.set(name, { left, warning, fullAt: Number.isFinite(fullAt) ? new Date(fullAt).toISOString() : undefined });
  if (warning !== undefined && before === undefined) {
    log.warn({ volume: name, volumeId: volume.id, warning }, 'it grows by itself, and may be full all the same');
  }
}

function refused(node: Node, { name }: Held, state: Growing, error: unknown): void {
  const failure = toDriverError(error, 'let it grow').about(name);
  state.blockedUntil = performance.now() + waitAfter(node, failure.code, failure.parts.why);
  state.failure = failure.parts.why;
  publish('growth', { outcome: 'denied' });
  throw failure;
}
