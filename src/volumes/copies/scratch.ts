import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readScratch, scratchMark, tagKeys } from '../../ebs/tags.ts';
import type { EbsVolume } from '../../ebs/types.ts';
import { isGone } from '../../ebs/volume-record.ts';
import { waitUntilCreated } from '../../ebs/volume-waits.ts';
import { DriverError, type ErrorCode, isCode } from '../../errors.ts';
import { operation } from '../../log.ts';
import { sendAttach, waitForDisk } from '../lifecycle/attempt.ts';
import { sendDetach, waitUntilGone } from '../lifecycle/detach.ts';
import { takeName } from '../lifecycle/room.ts';
import { createAlarms } from '../state/alarms.ts';
import type { Held } from '../state/held.ts';
import { nameOf } from '../state/lookup.ts';
import { type Node, waiting } from '../state/node.ts';
import type { ScratchDisk, ScratchRecord, ScratchStep, ScratchVolumes, ScratchWanted } from '../state/scratch.ts';

/** What another node has made is left to it for so long; what is attached, for as long as it is. */
const othersMs = 3 * 3_600_000;
/** What could not be taken away is tried again. */
const retryMs = 15_000;
/** A program that has the disk open or mounted still, as a check that has outlived its daemon, is waited for within one try. */
const busyMs = 20_000;
const busyLookMs = 250;
const maxNames = 3;
/** Refusals that prove that EC2 has made nothing. */
const neverMade: readonly ErrorCode[] = ['EC2_DENIED', 'EC2_REJECTED', 'EC2_NO_SUCH_SNAPSHOT', 'EC2_INCORRECT_STATE'];

/**
 * The scratch volumes of a node, until the signal is aborted.
 * @param left what the journal has of them: it is taken away.
 */
export function createScratch(node: Node, left: readonly ScratchRecord[], signal: AbortSignal): ScratchVolumes {
  const records = new Map(left.map((record) => [record.mark, record]));

  const keep = async (record: ScratchRecord): Promise<ScratchRecord> => {
    await node.journal.saveScratch([...new Map(records).set(record.mark, record).values()]);
    records.set(record.mark, record);
    return record;
  };
  const forget = async ({ mark }: ScratchRecord): Promise<void> => {
    records.delete(mark);
    await node.journal.saveScratch([...records.values()]);
  };
  const alarms = createAlarms(signal, (mark) =>
    operation.run({ op: 'scratch' }, () => takeAway(mark)).catch((error: unknown) => later(mark, error)),
  );
  const later = (mark: string, error: unknown): void => {
    if (signal.aborted) return;
    node.log.warn({ mark, err: error }, 'a scratch volume could not be taken away yet');
    alarms.set(mark, Date.now() + retryMs);
  };

  const takeAway = async (mark: string): Promise<void> => {
    const record = records.get(mark);
    if (record === undefined) return;
    const volume = record.volume ?? (await findMade(node, mark));
    if (volume === undefined) return forget(record);
    await node.host.unmount(placeOf(node, volume));
    const { device } = record;
    if (device !== undefined) {
      await detach(node, asHeld(node, { ...record, volume, device }));
      node.devices.free(device, record.attachTime === undefined ? undefined : volume.id);
    }
    await deleteScratch(node, volume, mark);
    await forget(record);
    node.log.info({ volumeId: volume.id, mark }, 'a scratch volume is deleted');
  };

  const attach = async (
    made: ScratchRecord & { volume: EbsVolume },
  ): Promise<ScratchRecord & { volume: EbsVolume }> => {
    for (let tries = 1; ; tries += 1) {
      const device = await takeName(node, made.name, made.volume);
      await node.journal.saveDevices(node.devices.uses());
      const record = { ...made, device };
      await keep(record);
      const attachment = await sendAttach(node, asHeld(node, record));
      if ('device' in attachment) {
        const attached = { ...record, attachTime: attachment.attachTime };
        await keep(attached);
        return attached;
      }
      node.devices.free(device, undefined);
      await keep(made);
      if (tries >= maxNames) throw attachment.refusal ?? notAttached(node, made.volume);
    }
  };

  const use = async <T>(
    wanted: ScratchWanted,
    onStep: (step: ScratchStep) => void,
    work: (scratch: ScratchDisk) => Promise<T>,
  ): Promise<T> => {
    const { instanceId } = node;
    const mark = scratchMark({ purpose: wanted.purpose, instanceId, since: new Date().toISOString() });
    onStep('make');
    let record = await keep({
      mark,
      name: wanted.purpose,
      volume: undefined,
      device: undefined,
      attachTime: undefined,
    });
    try {
      const volume = await make(node, wanted, mark);
      onStep('attach');
      record = await attach({ ...(await keep({ ...record, volume })), volume });
      const disk = await diskOf(node, asHeld(node, { ...record, volume, device: record.device ?? '' }));
      onStep('work');
      return await work({ volume, disk, place: placeOf(node, volume) });
    } catch (error) {
      // What EC2 has refused was not made; after silence it may have been, which is found out behind the caller's back.
      if (record.volume === undefined && isCode(error, ...neverMade)) await forget(record);
      throw error;
    } finally {
      onStep('take away');
      if (records.get(mark)?.volume === undefined) alarms.set(mark, Date.now());
      else await takeAway(mark).catch((error: unknown) => later(mark, error));
    }
  };

  const found = (listed: readonly EbsVolume[]): void => {
    const marks = new Set(records.keys());
    for (const volume of listed) {
      const mark = volume.tags[tagKeys.scratch];
      const scratch = readScratch(mark);
      if (mark === undefined || scratch === undefined || marks.has(mark) || !isScratch(volume, mark)) continue;
      const here = volume.attachments.find((each) => each.instanceId === node.instanceId);
      const isAbandoned = volume.attachments.length === 0 && Date.now() - Date.parse(scratch.since) > othersMs;
      if (scratch.instanceId !== node.instanceId && !isAbandoned) continue;
      records.set(mark, {
        mark,
        name: scratch.purpose,
        volume: { ...volume, attachments: [] },
        device: here?.device,
        attachTime: here?.attachTime,
      });
      alarms.set(mark, Date.now());
    }
  };

  for (const { mark } of left) alarms.set(mark, Date.now());
  const denied: ScratchVolumes['denied'] = (spec) => {
    const tags = tagsOf(
      node,
      scratchMark({ purpose: 'verify', instanceId: node.instanceId, since: new Date(0).toISOString() }),
    );
    const asked = { ...spec, zone: node.zone, tags, clientToken: 'dry-run' };
    return node.ec2.denied({ action: 'CreateVolume', spec: asked }, { lane: 'list' });
  };
  return { use, denied, found, all: () => [...records.values()] };
}

/** Where it is mounted: no volume's name leads there. */
const placeOf = ({ settings }: Pick<Node, 'settings'>, { id }: EbsVolume): string => join(settings.root, 'scratch', id);

/** One that has got a name is somebody's. */
const isScratch = (volume: EbsVolume, mark: string): boolean =>
  !isGone(volume) && nameOf(volume) === undefined && volume.tags[tagKeys.scratch] === mark;

/** Its attachment in the form in which attachments are made and ended. */
function asHeld(
  node: Node,
  { name, volume, device, attachTime }: ScratchRecord & { readonly volume: EbsVolume; readonly device: string },
): Held {
  const { instanceId, host } = node;
  const rest = { filesystem: undefined, directory: undefined, holders: [] };
  return { name, volume, phase: 'attached', instanceId, device, attachTime, bootId: host.bootId, ...rest };
}

const tagsOf = ({ settings }: Node, mark: string) => ({
  [tagKeys.cluster]: settings.cluster,
  [tagKeys.scratch]: mark,
});

async function make(node: Node, { purpose, spec }: ScratchWanted, mark: string): Promise<EbsVolume> {
  const { ec2, zone, settings } = node;
  const tags = tagsOf(node, mark);
  const clientToken = createHash('sha256')
    .update(JSON.stringify([settings.cluster, mark]))
    .digest('hex');
  const made = await ec2.createVolume({ ...spec, zone, tags, clientToken }, { lane: 'list' });
  return waiting(node, purpose, `EC2 to make ${made.id}`, () =>
    waitUntilCreated(ec2, made, { timeoutMs: settings.attachTimeout * 1000, lane: 'list' }),
  );
}

/** Undefined once it is certain that it was never made: reads may lag behind its creation. */
async function findMade(node: Node, mark: string): Promise<EbsVolume | undefined> {
  const look = async () =>
    (await node.ec2.findTagged(tagKeys.scratch, { lane: 'list' })).find(
      (volume) => volume.tags[tagKeys.scratch] === mark,
    );
  const since = Date.parse(readScratch(mark)?.since ?? '');
  const found = await look();
  const wait = since + node.visibleMs - Date.now();
  if (found !== undefined || !(wait > 0)) return found;
  await sleep(Math.min(wait, node.visibleMs), undefined, { ref: false });
  return look();
}

async function diskOf(node: Node, held: Held): Promise<ScratchDisk['disk']> {
  const givenUp = await waitForDisk(node, held);
  const disk = givenUp === undefined ? await node.host.findDevice(held.volume.id, held.device) : undefined;
  if (disk === undefined) throw notAttached(node, held.volume);
  return disk;
}

/** @throws DriverError IN_USE_HERE while something has the disk open or mounted. */
async function detach(node: Node, held: Held): Promise<void> {
  const { volume, device } = held;
  const disk = await node.host.findDevice(volume.id, device);
  for (const since = performance.now(); disk !== undefined; await sleep(busyLookMs)) {
    const user = (await node.host.isDeviceBusy(disk)) ? 'something' : await node.host.openedBy(disk);
    if (user === undefined) break;
    if (performance.now() - since < busyMs) continue;
    throw new DriverError('IN_USE_HERE', {
      tried: `detach the scratch volume ${volume.id}`,
      why: `${user} has its disk open`,
      todo: 'It is tried again until that has ended',
    });
  }
  if (await sendDetach(node, held)) await waitUntilGone(node, held);
}

async function deleteScratch(node: Node, made: EbsVolume, mark: string): Promise<void> {
  const { ec2, visibleMs, log } = node;
  const { id } = made;
  const looked = performance.now();
  const volume = await ec2.describeVolume(id, { lane: 'list' });
  if (volume !== undefined && isGone(volume)) return;
  if (volume !== undefined && !isScratch(volume, mark)) {
    log.warn({ volumeId: id, mark }, 'what was a scratch volume has a name now: it is left alone');
    return;
  }
  if (volume?.state === 'creating') {
    await waitUntilCreated(ec2, volume, { timeoutMs: node.settings.attachTimeout * 1000, lane: 'list' });
    return deleteScratch(node, made, mark);
  }
  const stillValid = () => performance.now() - looked < visibleMs / 2;
  await ec2.deleteVolume(id, { lane: 'list', stillValid }).catch((error: unknown) => {
    if (!isCode(error, 'EC2_NO_SUCH_VOLUME')) throw error;
  });
}

const notAttached = ({ instanceId }: Node, { id }: EbsVolume): DriverError =>
  new DriverError('EC2_REJECTED', {
    tried: `attach the scratch volume ${id} to ${instanceId}`,
    why: 'EC2 accepts that and gives it up again',
    todo: 'Look for the reason in the AttachVolume event in CloudTrail, then try again',
  });
