import { tagKeys } from '../../ebs/tags.ts';
import { isCode, toDriverError } from '../../errors.ts';
import { publish } from '../../events.ts';
import { fills } from '../../host/grow.ts';
import type { FilesystemUsage } from '../../host/types.ts';
import { operation, over } from '../../log.ts';
import { readAutoGrow } from '../options/growth-options.ts';
import { mostGibOf } from '../options/limits.ts';
import type { Held } from '../state/held.ts';
import { keep, mountpointOf, type Node } from '../state/node.ts';
import { forgetOthers, mayGrow } from './follower.ts';
import { type Growth, growthsTag, readGrowths } from './history.ts';
import { isUnderWay, modify } from './modify.ts';
import { type GrowthPlan, planGrowth } from './planner.ts';
import { fillRate, type Sample, withSample } from './rate.ts';

const gibibyte = 2 ** 30;
const dayMs = 24 * 3600_000;
const tickMs = 5000;
/** A volume that fills is looked at more often than one that does not; each look is a process (df). */
const [shortestMs, longestMs] = [1000, 30_000];
/** EC2 is asked again about what it does, and about what it refused. */
const [busyMs, deniedMs, refusedMs] = [20_000, 600_000, 6 * 3600_000];

interface Watched {
  samples: readonly Sample[];
  nextLook: number;
  looking: boolean;
  blockedUntil: number;
  /** Why the last try failed, as a clause. */
  failure: string | undefined;
}

/**
 * Lets the volumes that are mounted here, and are to, grow by themselves: looks how full they are, and asks EC2 when the
 * planner says so. What a kill ends is gone on with: each growth is written in the volume's tags before EC2 is asked.
 */
export function createGrower(node: Node): { start(): void; stop(): void } {
  const watched = new Map<string, Watched>();
  let timer: NodeJS.Timeout | undefined;

  const look = async (held: Held, state: Watched): Promise<void> => {
    const { name, volume } = held;
    const auto = readAutoGrow(volume.tags);
    const size = node.sizes.get(name);
    // Until its filesystem has all of its disk a larger disk helps nobody, and how full it is says too much.
    if (auto === undefined || size === undefined || !fills(held.filesystemBytes, size.diskBytes)) return;
    const usage = await node.host.filesystemUsage(mountpointOf(node.settings, name));
    const now = Date.now();
    const sizeGib = Math.floor(size.diskBytes / gibibyte);
    const usedGib = usedOf(usage) * sizeGib;
    const growths = readGrowths(volume.tags);
    state.samples = withSample(state.samples, { at: now, usedGib });
    const rate = fillRate(state.samples, growths.at(-1));
    const nodeGib = node.settings.growPerDay - addedLately(node, now);
    const { blockedUntil } = state;
    const view = { now, sizeGib, usedGib, rate, auto, mostGib: mostGibOf(volume.type), growths, blockedUntil, nodeGib };
    const plan = planGrowth(view);
    note(node, held, { ...plan, warning: state.failure ?? plan.warning });
    const dueIn = rate !== undefined && rate > 0 ? (auto.at * sizeGib - usedGib) / rate : longestMs;
    state.nextLook = performance.now() + Math.min(longestMs, Math.max(shortestMs, dueIn / 2));
    if (plan.grow === undefined) return;
    const { toGib, resumed } = plan.grow;
    const entry = resumed ? undefined : { at: now, fromGib: sizeGib, toGib, usedGib };
    await node.queue.run(name, () => grow(node, name, toGib, entry, state));
    state.failure = undefined;
  };
  const attempt = async (held: Held, state: Watched): Promise<void> => {
    const { name } = held;
    state.looking = true;
    try {
      await operation.run({ op: 'auto-grow', volume: name }, () => look(held, state));
      over(node.log, { op: 'auto-grow', volume: name });
    } catch (error) {
      const failure = toDriverError(error, 'let it grow').about(name);
      state.blockedUntil = Date.now() + waitAfter(failure.code, failure.parts.why);
      state.failure = failure.parts.why;
      node.growths.set(name, { left: 0, fullAt: undefined, ...node.growths.get(name), warning: state.failure });
      publish('growth', { outcome: 'denied' });
      node.log.warn(
        { op: 'auto-grow', volume: name, err: failure },
        'it does not grow by itself; it will be tried again',
      );
    } finally {
      state.looking = false;
    }
  };
  const lookAtAll = () => {
    const growing = [...node.held.values()].filter(
      (held) => mayGrow(node, held) && tagKeys.autoGrow in held.volume.tags,
    );
    forgetOthers(watched, growing);
    forgetOthers(node.growths, growing);
    for (const held of growing) {
      const state = watched.get(held.name) ?? {
        samples: [],
        nextLook: 0,
        looking: false,
        blockedUntil: 0,
        failure: undefined,
      };
      watched.set(held.name, state);
      if (!state.looking && performance.now() >= state.nextLook) void attempt(held, state);
    }
    const soonest = Math.min(tickMs, ...[...watched.values()].map(({ nextLook }) => nextLook - performance.now()));
    timer = setTimeout(lookAtAll, Math.max(shortestMs, soonest)).unref();
  };

  return {
    start() {
      timer = setTimeout(lookAtAll, tickMs).unref();
    },
    stop() {
      clearTimeout(timer);
    },
  };
}

/** The larger part that is used, 0 to 1: of bytes, as df has it, or of inodes. */
function usedOf({ bytes, inodes }: FilesystemUsage): number {
  const ofBytes = bytes.used / Math.max(1, bytes.used + bytes.available);
  return Math.max(ofBytes, inodes.total === 0 ? 0 : inodes.used / inodes.total);
}

/** GiB by which the volumes held here have grown by themselves in 24 hours. */
const addedLately = ({ held }: Node, now: number): number =>
  [...held.values()]
    .flatMap(({ volume }) => readGrowths(volume.tags))
    .filter(({ at }) => at > now - dayMs)
    .reduce((sum, { fromGib, toGib }) => sum + toGib - fromGib, 0);

function note({ growths, log }: Node, { name, volume }: Held, { left, warning, fullAt }: GrowthPlan): void {
  const before = growths.get(name)?.warning;
  growths.set(name, { left, warning, fullAt: Number.isFinite(fullAt) ? new Date(fullAt).toISOString() : undefined });
  if (warning !== undefined && before === undefined) {
    log.warn({ volume: name, volumeId: volume.id, warning }, 'it grows by itself, and may be full all the same');
  }
}

/** How long EC2 is left alone after a refusal; it may say until when. */
function waitAfter(code: string, why: string): number {
  const until = Date.parse(/until (\d{4}-\d\d-\d\dT[\d:.]+Z)/i.exec(why)?.[1] ?? '');
  if (code === 'EC2_MODIFIED_TOO_OFTEN') return Number.isNaN(until) ? refusedMs : Math.max(busyMs, until - Date.now());
  return code === 'EC2_DENIED' || code === 'EC2_LIMIT' ? deniedMs : busyMs;
}

/** One growth. @param entry to be written before EC2 is asked; undefined for one that was written already. */
async function grow(node: Node, name: string, toGib: number, entry: Growth | undefined, state: Watched): Promise<void> {
  const held = node.held.get(name);
  const seen = held?.phase === 'mounted' ? await node.ec2.describeVolume(held.volume.id) : undefined;
  if (held === undefined || seen === undefined) return;
  state.blockedUntil = Date.now() + busyMs;
  const last = await node.ec2.describeModification(seen.id);
  // Somebody else has enlarged it, or changes it now: the disk shows, or the end of that.
  if (entry !== undefined && (seen.sizeGib > entry.fromGib || (last !== undefined && isUnderWay(last)))) return;
  if (entry !== undefined) {
    const tags = { [tagKeys.growth]: growthsTag(readGrowths(held.volume.tags), entry) };
    await node.ec2.createTags(seen.id, tags);
    await keep(node, { ...held, volume: { ...held.volume, tags: { ...held.volume.tags, ...tags } } });
  }
  try {
    const { sent } = await modify(node, name, seen, { sizeGib: toGib });
    if (!sent) return;
    publish('growth', { outcome: 'asked' });
    node.log.info({ volume: name, volumeId: seen.id, fromGib: seen.sizeGib, toGib }, 'it grows by itself');
  } catch (error) {
    // The change of another ends by itself.
    if (!isCode(error, 'EC2_VOLUME_MODIFYING')) throw error;
  }
}
