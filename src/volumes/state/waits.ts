import type { Settings } from '../../config.ts';
import type { Host, Unanswered } from '../../host/types.ts';
import type { Held } from './held.ts';
import type { LocalState } from './local.ts';
import { mountpointOf, ofNode, shareOf } from './node.ts';

interface Waits {
  readonly waits: Map<string, string>;
  readonly tagLooks: LocalState['tagLooks'];
  readonly held: ReadonlyMap<string, Held>;
  readonly ec2Says: LocalState['ec2Says'];
  readonly host: Pick<Host, 'unanswered'>;
  readonly settings: Pick<Settings, 'root'>;
}

/** What is awaited, as a clause, and how much of the wait is over, 0 to 1, where it has an end. */
export interface Awaited {
  readonly what: string;
  readonly share: number | undefined;
}

/** What a volume waits for, or this node; undefined while that is nothing. */
export function awaited(local: Waits, name: string): Awaited | undefined {
  const what = name === ofNode ? local.waits.get(ofNode) : waitOf(local, name);
  return what === undefined ? undefined : { what, share: shareOf(local.waits, name) };
}

/** The held volume that something unanswered is about; undefined when it is about none. */
export function silentVolume({ held, settings }: Pick<Waits, 'held' | 'settings'>, { subject }: Unanswered) {
  return [...held.values()].find(
    ({ name, volume: { id } }) => subject.includes(id) || subject === mountpointOf(settings, name),
  );
}

/** What a volume waits for, as a clause: what was said, else its disk if that does not answer, else its tags if they are lost. */
export function waitOf(local: Waits, name: string): string | undefined {
  const reason = reasonOf(local, name);
  const says = local.ec2Says.get(name);
  return reason === undefined || says === undefined ? reason : `${reason}; ${says}`;
}

function reasonOf(local: Waits, name: string): string | undefined {
  const said = local.waits.get(name);
  if (said !== undefined) return said;
  const silent = local.host.unanswered().find((each) => silentVolume(local, each)?.name === name);
  if (silent !== undefined)
    return `its disk, which does not answer: it was asked ${silent.doing} ${silent.seconds} s ago`;
  return local.tagLooks.get(name)?.lost;
}
