import type { Settings } from '../../config.ts';
import type { Host, Unanswered } from '../../host/types.ts';
import type { Held } from './held.ts';
import type { LocalState } from './local.ts';
import { mountpointOf } from './node.ts';

interface Waits {
  readonly waits: ReadonlyMap<string, string>;
  readonly tagLooks: LocalState['tagLooks'];
  readonly held: ReadonlyMap<string, Held>;
  readonly host: Pick<Host, 'unanswered'>;
  readonly settings: Pick<Settings, 'root'>;
}

/** The held volume that something unanswered is about; undefined when it is about none. */
export function silentVolume({ held, settings }: Pick<Waits, 'held' | 'settings'>, { subject }: Unanswered) {
  return [...held.values()].find(
    ({ name, volume: { id } }) => subject.includes(id) || subject === mountpointOf(settings, name),
  );
}

/** What a volume waits for, as a clause: what was said, else its disk if that does not answer, else its tags if they are lost. */
export function waitOf(local: Waits, name: string): string | undefined {
  const said = local.waits.get(name);
  if (said !== undefined) return said;
  const silent = local.host.unanswered().find((each) => silentVolume(local, each)?.name === name);
  if (silent !== undefined)
    return `its disk, which does not answer: it was asked ${silent.doing} ${silent.seconds} s ago`;
  return local.tagLooks.get(name)?.lost;
}
