import type { Logger } from 'pino';
import type { Notice } from '../../host/notices.ts';
import type { Drain } from './drain.ts';

/**
 * How long before its time a notice drains the node. Spot interruptions come two minutes ahead, so at once; scheduled
 * events weeks ahead: until the last quarter of an hour the node goes on taking mounts.
 */
const nearMs = 15 * 60_000;

/**
 * Heeds notices: drains the node when one is near, once for each, so that an operator who ends the drain has the last
 * word. Once no near notice stands any more (the event was moved, or the instance has woken from a hibernation with
 * this process in it) the drain that they began ends.
 */
export function createHeed(drain: Drain, log: Logger): (notices: readonly Notice[]) => void {
  const heeded = new Set<string>();
  const told = new Set<string>();
  return (notices) => {
    const now = Date.now();
    const near = notices.filter(({ at, until }) => at - now <= nearMs && (until === undefined || until > now));
    for (const { id, text, at } of notices) {
      if (told.has(id)) continue;
      told.add(id);
      const when = at - now > nearMs ? '; this node will be drained 15 minutes before' : '';
      log.warn({ op: 'notice', notice: text }, `a notice of EC2${when}`);
    }
    const fresh = near.find(({ id }) => !heeded.has(id));
    for (const { id } of near) heeded.add(id);
    if (fresh !== undefined) drain.start(fresh.text, 'notice');
    else if (near.length === 0 && drain.report().draining?.by === 'notice') drain.cancel();
  };
}
