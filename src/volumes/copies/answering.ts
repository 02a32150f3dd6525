import { tagKeys } from '../../ebs/tags.ts';
import type { EbsVolume } from '../../ebs/types.ts';
import { toDriverError } from '../../errors.ts';
import { operation, over } from '../../log.ts';
import { isOurs, keyOf } from '../lifecycle/attachment-key.ts';
import { type Held, heldAs } from '../state/held.ts';
import { isOrdinary } from '../state/holders.ts';
import { nameOf } from '../state/lookup.ts';
import type { Node } from '../state/node.ts';
import { askedForMs, askedTag, looksTag, readAsked } from './asked.ts';
import { takeSnapshot } from './take.ts';

const lane = { lane: 'list' } as const;

/**
 * Takes the snapshots that other nodes ask for of volumes in use here. Only where the settings say so: it looks for requests by
 * one call to EC2 for all volumes, and makes none while nothing is in use here.
 */
export function createAnswering(node: Node): { start(): void; stop(): void } {
  const { ec2, log, instanceId, settings, held } = node;
  const answering = new Set<string>();
  const advertised = new Set<string>();
  let timer: NodeJS.Timeout | undefined;

  const answer = async (name: string, { id, tags }: EbsVolume): Promise<void> => {
    const asked = readAsked(tags);
    const tag = tags[tagKeys.snapshotWanted];
    const isOver = asked === undefined || Date.now() - Date.parse(asked.at) > askedForMs;
    if (asked !== undefined && !isOver && asked.refused === undefined) {
      try {
        log.info({ volume: name, volumeId: id, by: asked.by }, 'another node asks for a snapshot');
        await takeSnapshot(node, name, asked, 'consistent');
      } catch (error) {
        const { parts } = toDriverError(error, 'take a snapshot of it');
        log.warn({ volume: name, volumeId: id, by: asked.by, err: error }, 'the snapshot was not taken');
        await ec2.createTags(id, { [tagKeys.snapshotWanted]: askedTag({ ...asked, refused: parts.why }) });
        return;
      }
    }
    if (isOver || asked?.refused === undefined) await ec2.deleteTags(id, { [tagKeys.snapshotWanted]: tag });
  };
  const answerInTime = async (volume: EbsVolume): Promise<void> => {
    const name = nameOf(volume) ?? '';
    const here = heldAs(held, name);
    const isHere = here?.volume.id === volume.id && volume.attachments.some((each) => isOurs(keyOf(here), each));
    if (!isHere || answering.has(name)) return;
    answering.add(name);
    await operation
      .run({ op: 'snapshot', volume: name }, () => answer(name, volume))
      .catch((error: unknown) => log.warn({ volume: name, err: error }, 'a request for a snapshot stays'))
      .finally(() => answering.delete(name));
  };
  /** Whoever asks is told how soon: the attachments of an earlier daemon may say nothing of it. */
  const advertise = async (): Promise<void> => {
    const tag = looksTag(instanceId, settings.snapshotRequests);
    const keyed = ({ volume, attachTime }: Held) => `${volume.id} ${attachTime}`;
    const inUse = [...held.values()].filter((each) => each.phase === 'mounted' && isOrdinary(each));
    for (const key of advertised) if (!inUse.some((each) => keyed(each) === key)) advertised.delete(key);
    const mute = inUse.filter((each) => !advertised.has(keyed(each)) && each.volume.tags[tagKeys.looks] !== tag);
    if (mute.length === 0) return;
    const ids = mute.map(({ volume }) => volume.id);
    await ec2.createTags(ids, { [tagKeys.looks]: tag }, lane);
    for (const each of mute) advertised.add(keyed(each));
  };
  const look = async (): Promise<void> => {
    await advertise();
    for (const volume of await ec2.findTagged(tagKeys.snapshotWanted, lane)) void answerInTime(volume);
    over(log, { op: 'requests' });
  };
  const lookAgain = () => {
    const isInUse = [...held.values()].some(({ phase }) => phase === 'mounted');
    if (isInUse) {
      void operation
        .run({ op: 'requests' }, look)
        .catch((error: unknown) => log.warn({ op: 'requests', err: error }, 'requests of other nodes are not seen'));
    }
    timer = setTimeout(lookAgain, settings.snapshotRequests * 1000).unref();
  };

  return {
    start() {
      if (settings.snapshotRequests > 0) timer = setTimeout(lookAgain, settings.snapshotRequests * 1000).unref();
    },
    stop: () => clearTimeout(timer),
  };
}
