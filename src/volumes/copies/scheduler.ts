import { randomUUID } from 'node:crypto';
import { tagKeys } from '../../ebs/tags.ts';
import type { Tags } from '../../ebs/types.ts';
import { DriverError, toDriverError } from '../../errors.ts';
import { operation, over } from '../../log.ts';
import { forgetOthers } from '../growth/follower.ts';
import { isOurs, keyOf } from '../lifecycle/attachment-key.ts';
import type { Held } from '../state/held.ts';
import { isOrdinary } from '../state/holders.ts';
import { keep, type Node, waiting } from '../state/node.ts';
import { doneIn, duesOf, isTakenOver, scheduleOf, slotsTag } from './dues.ts';
import { createRetirement } from './retire.ts';
import { dueSlots, readSlots, type Slot } from './schedule.ts';
import type { Wanted } from './snapshot-tags.ts';
import { takeIdle, takeSnapshot } from './take.ts';
import type { Taken } from './taken.ts';

/** What is held is looked at this often at least: that costs no call. */
const [shortestMs, longestMs] = [1000, 60_000];
/** A release waits no longer for EC2: whoever wants the volume on another node waits, too. */
const leavingMs = 5000;
/** After a failure; a role that lacks a permission gets it from a person, and not soon. */
const againMs = [60_000, 120_000, 300_000, 600_000];
const deniedMs = 3_600_000;
const tried = 'take the snapshot of its schedule';

/** One attachment of a volume with a schedule, as this daemon knows it. */
interface Watched {
  readonly attachTime: string | undefined;
  /**
   * True where another owner, or an earlier daemon, may have ended between the volume's tag and the snapshot: then only a snapshot
   * that is seen proves that a slot has one, and reads may lag until `from` (monotonic milliseconds).
   */
  readonly doubtful: boolean;
  readonly from: number;
  /** Slots whose snapshots are known to be there; and those that the tag names although none came, as far as is known. */
  proven: readonly Slot[];
  failed: readonly Slot[];
  running: boolean;
  leaving: boolean;
  failures: number;
  /** By the wall clock, in milliseconds. */
  nextTry: number;
}

/** The volume was given back before its turn came: its release has seen to the slot. */
class NoLongerHere extends Error {}

/**
 * Takes the snapshots that the schedules of volumes want, and deletes old ones. Who has a volume attached takes them, so that
 * one node does: soon after the beginning of a slot where it is in use, else at its release. Before EC2 is asked a tag of the
 * volume says which slots have theirs, for the next owner; after a crash or a takeover the snapshot alone proves it.
 */
export function createScheduler(node: Node): { start(): void; stop(): void; leaving(held: Held): Promise<void> } {
  const watched = new Map<string, Watched>();
  const retire = createRetirement(node);
  const began = Date.now();
  let timer: NodeJS.Timeout | undefined;

  const watch = (held: Held): Watched => {
    const { name, attachTime } = held;
    const known = watched.get(name);
    if (known !== undefined && known.attachTime === attachTime) return known;
    // EC2's clock and ours may differ by some seconds.
    const doubtful = isTakenOver(held) || Date.parse(attachTime ?? '') < began + node.visibleMs;
    const from = performance.now() + (doubtful ? node.visibleMs : 0);
    const rest = { proven: [], failed: [], running: false, leaving: false, failures: 0, nextTry: 0 };
    const state = { attachTime, doubtful, from, ...rest };
    watched.set(name, state);
    return state;
  };
  /** @param state of one that may be doubted: what its tag says counts at a release only, so that nothing is taken twice. */
  const doneBy = (tags: Tags, { doubtful, proven, failed, leaving }: Watched): readonly Slot[] => {
    const told = doneIn(tags).filter(({ id }) => !failed.some((slot) => slot.id === id));
    return doubtful && !leaving ? proven : [...told, ...proven];
  };

  /** Runs in the volume's turn, before EC2 is asked for the snapshot. */
  const claim = async (name: string, state: Watched, slots: readonly Slot[], signal?: AbortSignal): Promise<void> => {
    const held = node.held.get(name);
    if (held === undefined || held.attachTime !== state.attachTime) throw new NoLongerHere();
    await retag(node, held, { [tagKeys.slotsDone]: slotsTag(held.volume.tags, slots, Date.now()) }, signal);
  };
  const succeeded = ({ name, volume }: Held, state: Watched, taken: Taken): void => {
    state.proven = [...state.proven, ...readSlots(taken.slots?.join(' '))].slice(-12);
    state.failed = [];
    state.failures = 0;
    const { snapshotId, slots, consistency } = taken;
    node.log.info({ volume: name, volumeId: volume.id, snapshotId, slots, consistency }, 'its slot has its snapshot');
    const schedule = scheduleOf(volume.tags);
    if (schedule === undefined) return;
    void retire(name, volume.id, schedule).then((why) => {
      if (why === undefined) node.scheduleFaults.delete(name);
      else if (node.held.has(name)) node.scheduleFaults.set(name, { why, slots: [] });
    });
  };
  const failed = ({ name, volume }: Held, state: Watched, slots: readonly Slot[], error: unknown): void => {
    const failure = toDriverError(error, tried).about(name);
    const { code } = failure;
    state.failed = slots;
    state.nextTry = Date.now() + (code === 'EC2_DENIED' ? deniedMs : (againMs[state.failures] ?? againMs[3] ?? 0));
    state.failures = Math.min(state.failures + 1, againMs.length - 1);
    const ids = slots.map(({ id }) => id);
    node.scheduleFaults.set(name, { why: failure.parts.why, slots: ids });
    const what = { volume: name, volumeId: volume.id, slots: ids, err: failure };
    node.log.warn(what, 'its schedule is not kept at present; it will be tried again');
  };

  /** The schedule may have been changed elsewhere, and the volume be another's by now: both cost this one look. */
  const seenNow = async (held: Held): Promise<Held | undefined> => {
    const seen = await node.ec2.describeVolume(held.volume.id, { lane: 'list' });
    if (seen?.attachments.some((each) => isOurs(keyOf(held), each)) !== true) return undefined;
    return node.queue.run(held.name, async () => {
      const now = node.held.get(held.name);
      if (now === undefined || now.attachTime !== held.attachTime) return undefined;
      const { [tagKeys.snapshots]: is, ...others } = now.volume.tags;
      const says = seen.tags[tagKeys.snapshots];
      if (is === says) return now;
      const tags = { ...others, ...(says === undefined ? {} : { [tagKeys.snapshots]: says }) };
      return keep(node, { ...now, volume: { ...now.volume, tags } });
    });
  };
  const takeDue = async (held: Held, state: Watched, due: (slots: readonly Slot[]) => void): Promise<void> => {
    const now = await seenNow(held);
    const dues = now && duesOf(now, doneBy(now.volume.tags, state), Date.now());
    if (now === undefined || dues === undefined || dues.slots.length === 0 || dues.at > Date.now()) {
      state.nextTry = Date.now() + longestMs;
      return;
    }
    due(dues.slots);
    const taken = await takeSnapshot(node, held.name, wantedFor(dues.slots), 'consistent', () =>
      claim(held.name, state, dues.slots),
    );
    succeeded(now, state, taken);
  };
  const attempt = async (held: Held, state: Watched): Promise<void> => {
    let slots: readonly Slot[] = [];
    state.running = true;
    try {
      await operation.run({ op: 'schedule', volume: held.name }, () =>
        takeDue(held, state, (due) => {
          slots = due;
        }),
      );
      over(node.log, { op: 'schedule', volume: held.name });
    } catch (error) {
      if (!(error instanceof NoLongerHere)) failed(held, state, slots, error);
    } finally {
      state.running = false;
    }
  };
  const lookAtAll = () => {
    const scheduled = [...node.held.values()].filter((held) => tagKeys.snapshots in held.volume.tags);
    forgetOthers(watched, scheduled);
    forgetOthers(node.scheduleFaults, scheduled);
    const rests = scheduled.filter(isInUse).map((held) => {
      const state = watch(held);
      const dues = duesOf(held, doneBy(held.volume.tags, state), Date.now());
      if (dues === undefined || state.running) return longestMs;
      const rest = Math.max(Math.max(dues.at, state.nextTry) - Date.now(), state.from - performance.now());
      if (rest > 0) return rest;
      void attempt(held, state);
      return longestMs;
    });
    timer = setTimeout(lookAtAll, Math.max(shortestMs, Math.min(longestMs, ...rests))).unref();
  };

  return {
    start: lookAtAll,
    stop: () => clearTimeout(timer),
    async leaving(held) {
      const schedule = scheduleOf(held.volume.tags);
      // What was never mounted under this attachment has not changed.
      if (schedule === undefined || held.filesystem === undefined || !isOrdinary(held)) return;
      const state = watch(held);
      if (state.leaving) return;
      state.leaving = true;
      const slots = dueSlots(schedule, doneBy(held.volume.tags, state), Date.now());
      if (slots.length === 0) return;
      const late = new AbortController();
      const alarm = setTimeout(() => late.abort(unanswered(held.name)), leavingMs);
      const take = async () => {
        await claim(held.name, state, slots, late.signal);
        return takeIdle(node, held, wantedFor(slots), late.signal);
      };
      try {
        const taken = await waiting(node, held.name, 'the snapshot of its schedule', take, leavingMs);
        succeeded(held, state, taken);
      } catch (error) {
        failed(held, state, slots, error);
      } finally {
        clearTimeout(alarm);
      }
    },
  };
}

const isInUse = (held: Held): boolean => held.phase === 'mounted' && isOrdinary(held);

/** It is named by the longest of its slots, which keeps it longest. */
function wantedFor(slots: readonly Slot[]): Wanted {
  const name = slots.at(-1)?.id.replace('/', '-') ?? '';
  return { request: randomUUID(), name, slots: slots.map(({ id }) => id) };
}

/** Writes tags on a volume held here, and takes note of them. */
async function retag(node: Node, held: Held, tags: Tags, signal?: AbortSignal): Promise<void> {
  await node.ec2.createTags(held.volume.id, tags, { signal });
  await keep(node, { ...held, volume: { ...held.volume, tags: { ...held.volume.tags, ...tags } } });
}

const unanswered = (volume: string): DriverError =>
  new DriverError('EC2_UNAVAILABLE', {
    volume,
    tried,
    why: `EC2 has not answered within ${leavingMs / 1000} s, and its release waits no longer`,
    todo: 'Take one with docker-volume-ebs snapshot take',
  });
