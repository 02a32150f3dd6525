import { tagKeys } from '../../ebs/tags.ts';
import type { EbsVolume, Tags, VolumeModification } from '../../ebs/types.ts';
import { isCode } from '../../errors.ts';
import { publish } from '../../events.ts';
import { growthOptionTags, growthTagsIn } from '../options/growth-options.ts';
import type { Held } from '../state/held.ts';
import { keep, type Node } from '../state/node.ts';
import { allGrowths, type Growth, growthsTag, readGrowths } from './history.ts';
import { isUnderWay, modify } from './modify.ts';
import { optimizeMs } from './planner.ts';

/** EC2 is asked again about what it does, and about what it refused; milliseconds. */
const [busyMs, longBusyMs, deniedMs, refusedMs] = [20_000, 600_000, 600_000, 6 * 3600_000];
/** What EC2 has refused for certain: the growth is planned anew once it may take one. */
const refusals = ['EC2_MODIFIED_TOO_OFTEN', 'EC2_VOLUME_MODIFYING', 'EC2_DENIED', 'EC2_LIMIT', 'EC2_REJECTED'] as const;

/** How it stands between EC2 and a volume that grows by itself. Monotonic milliseconds: the clock may be set. */
export interface Growing {
  /** Before this EC2 is not asked. */
  blockedUntil: number;
  /** Until when EC2 is expected to be at work on the change that was seen under way. */
  busyUntil: number;
  /** Since when EC2 says otherwise than this node how the volume is to grow. */
  differsSince: number | undefined;
  /** Why the last try failed, as a clause. */
  failure: string | undefined;
}

export const newGrowing = (): Growing => ({
  blockedUntil: 0,
  busyUntil: 0,
  differsSince: undefined,
  failure: undefined,
});

/**
 * One growth, to `growth.toGib`. Runs in the volume's queue.
 * @param growth written in the volume's tags before EC2 is asked, unless it is there already.
 * @throws DriverError EC2_*.
 */
export async function grow(node: Node, name: string, growth: Growth, state: Growing): Promise<void> {
  const held = node.held.get(name);
  const seen = held?.phase === 'mounted' ? await node.ec2.describeVolume(held.volume.id) : undefined;
  if (held === undefined || seen === undefined) return;
  const last = await node.ec2.describeModification(seen.id);
  const isBegun = has(held, growth);
  const isLarger = seen.sizeGib > (isBegun ? growth.toGib - 1 : growth.fromGib);
  wait(node, state, seen, last, isLarger);
  // Somebody else has enlarged it, or changes it now: the disk shows, or the end of that.
  if (isLarger || (last !== undefined && isUnderWay(last))) return;
  if (!(await agree(node, held, seen, state))) return;
  if (!isBegun) await write(node, held, [...readGrowths(held.volume.tags), growth]);
  await ask(node, name, seen, growth);
}

const has = ({ volume }: Held, { at }: Growth): boolean => readGrowths(volume.tags).some((each) => each.at === at);

/** When EC2 is asked again: the longer it has been at work, the later. */
function wait(
  { haste }: Node,
  state: Growing,
  { sizeGib }: EbsVolume,
  last: VolumeModification | undefined,
  isLarger: boolean,
): void {
  const now = performance.now();
  const isBusy = last !== undefined && isUnderWay(last);
  const worked = last === undefined ? 0 : (Date.now() - Date.parse(last.startedAt)) * haste;
  const pause = isBusy || isLarger ? Math.min(longBusyMs, Math.max(busyMs, worked / 10)) : busyMs;
  state.blockedUntil = now + pause / haste;
  state.busyUntil = isBusy ? now + Math.max(optimizeMs(sizeGib) - worked, pause) / haste : 0;
}

/**
 * Takes over what another node has written: of growths that began there, and of how the volume is to grow.
 * @returns whether all was so already; otherwise it is to be planned anew.
 */
async function agree(node: Node, held: Held, seen: EbsVolume, state: Growing): Promise<boolean> {
  const known = readGrowths(held.volume.tags);
  const all = allGrowths(held.volume.tags, seen.tags);
  const isSame = optionsOf(seen.tags).join(' ') === optionsOf(held.volume.tags).join(' ');
  state.differsSince = isSame ? undefined : (state.differsSince ?? performance.now());
  // EC2 may not show yet what this node has just written.
  const isSure = state.differsSince !== undefined && performance.now() - state.differsSince >= node.visibleMs;
  if (all.length === known.length && isSame) return true;
  const options = isSure ? seen.tags : held.volume.tags;
  const ours = new Set<string>([...Object.values(growthOptionTags), tagKeys.growth]);
  const others = Object.entries(held.volume.tags).filter(([key]) => !ours.has(key));
  const tags = { ...Object.fromEntries([...others, ...optionsOf(options)]), [tagKeys.growth]: growthsTag(all) };
  await keep(node, { ...held, volume: { ...held.volume, tags } });
  return false;
}

const optionsOf = (tags: Tags): [string, string][] => Object.entries(growthTagsIn(tags));

async function write(node: Node, { name, volume }: Held, growths: readonly Growth[]): Promise<void> {
  const tags = { [tagKeys.growth]: growthsTag(growths) };
  await node.ec2.createTags(volume.id, tags);
  const now = node.held.get(name);
  if (now !== undefined) await keep(node, { ...now, volume: { ...now.volume, tags: { ...now.volume.tags, ...tags } } });
}

async function ask(node: Node, name: string, seen: EbsVolume, growth: Growth): Promise<void> {
  const { toGib } = growth;
  try {
    const { sent } = await modify(node, name, seen, { sizeGib: toGib });
    if (!sent) return;
    publish('growth', { outcome: 'asked' });
    node.log.info({ volume: name, volumeId: seen.id, fromGib: seen.sizeGib, toGib }, 'it grows by itself');
  } catch (error) {
    if (isCode(error, ...refusals)) await withdraw(node, name, growth);
    // The change of another ends by itself.
    if (!isCode(error, 'EC2_VOLUME_MODIFYING')) throw error;
  }
}

/** One that stays written is gone on with, and no worse. */
async function withdraw(node: Node, name: string, growth: Growth): Promise<void> {
  const held = node.held.get(name);
  if (held === undefined) return;
  const others = readGrowths(held.volume.tags).filter(({ at }) => at !== growth.at);
  await write(node, held, others).catch(() => undefined);
}

/** How long EC2 is left alone after a refusal, milliseconds; it may say until when. */
export function waitAfter({ haste }: Pick<Node, 'haste'>, code: string, why: string): number {
  const until = Date.parse(/until (\d{4}-\d\d-\d\dT[\d:.]+Z)/i.exec(why)?.[1] ?? '');
  if (code === 'EC2_MODIFIED_TOO_OFTEN' && !Number.isNaN(until)) return Math.max(busyMs / haste, until - Date.now());
  if (code === 'EC2_MODIFIED_TOO_OFTEN') return refusedMs / haste;
  return (code === 'EC2_DENIED' || code === 'EC2_LIMIT' ? deniedMs : busyMs) / haste;
}
