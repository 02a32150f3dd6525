import { tagKeys } from '../../../ebs/tags.ts';
import type { Attachment, CreateVolumeSpec, EbsVolume, Ec2 } from '../../../ebs/types.ts';
import { isGone } from '../../../ebs/volume-record.ts';
import { waitUntilCreated, waitUntilDetached } from '../../../ebs/volume-waits.ts';
import { waitForVolume } from '../../../ebs/waits.ts';
import { DriverError, isCode } from '../../../errors.ts';

const timeoutMs = 60_000;
/** What another run made is left alone for so long: it may still be at work. */
const othersMs = 3_600_000;

/** Where the checks are made. */
export interface Place {
  readonly ec2: Ec2;
  readonly cluster: string;
  readonly instanceId: string;
  readonly zone: string;
}

/** The volume of the checks and all that EC2 makes by mistake beside it: made with our tag, and deleted at the end. */
export class CheckVolume {
  readonly place: Place;
  readonly spec: CreateVolumeSpec;
  readonly #made = new Set<string>();
  #id = '';

  private constructor(place: Place, spec: CreateVolumeSpec) {
    this.place = place;
    this.spec = spec;
  }

  /** @throws DriverError EC2_* when EC2 makes none; CREATE_VANISHED, STILL_WORKING when it does not come. */
  static async make(place: Place, signal: AbortSignal): Promise<CheckVolume> {
    const tag = `${place.instanceId} ${new Date().toISOString()}`;
    const tags = {
      [tagKeys.displayName]: 'docker-volume-ebs doctor --live',
      [tagKeys.cluster]: place.cluster,
      [tagKeys.check]: tag,
    };
    const unsaid = { iops: undefined, throughput: undefined, encrypted: undefined, kmsKeyId: undefined };
    const clientToken = `dve-check-${place.instanceId}-${Date.now()}`;
    const size = { sizeGib: 1, type: 'gp3', snapshotId: undefined };
    const made = new CheckVolume(place, { zone: place.zone, ...size, ...unsaid, tags, clientToken });
    const volume = await made.create({});
    made.#id = volume.id;
    try {
      await waitUntilCreated(place.ec2, volume, { timeoutMs, signal });
    } catch (error) {
      await made.deleteAll();
      throw error;
    }
    return made;
  }

  get id(): string {
    return this.#id;
  }

  /** CreateVolume with the token of the checks, some of it changed; what it makes is deleted with the rest. */
  async create(change: Partial<CreateVolumeSpec>): Promise<EbsVolume> {
    const volume = await this.place.ec2.createVolume({ ...this.spec, ...change });
    this.#made.add(volume.id);
    return volume;
  }

  /** @throws DriverError EC2_NO_SUCH_VOLUME */
  async read(): Promise<EbsVolume> {
    const volume = await this.place.ec2.describeVolume(this.id);
    if (volume !== undefined) return volume;
    const todo = 'Run the checks again';
    throw new DriverError('EC2_NO_SUCH_VOLUME', { tried: `look up ${this.id}`, why: 'EC2 lists none', todo });
  }

  /** The attachment to this instance once EC2 shows it attached. @throws DriverError STILL_WORKING */
  attached(signal: AbortSignal): Promise<Attachment> {
    return waitForVolume({
      ...{ timeoutMs, signal, tried: `attach ${this.id}` },
      read: (asked) => this.place.ec2.describeVolume(this.id, { signal: asked }),
      until: (volume) => volume?.attachments.find(({ state }) => state === 'attached'),
    });
  }

  /** Gives it back, if it is attached here. @throws DriverError STILL_WORKING, EC2_* */
  async detach(): Promise<void> {
    await release(this.place, await this.read());
  }

  /** Deletes all that was made, also where one fails. @throws DriverError for what stays, which the next run deletes */
  async deleteAll(): Promise<void> {
    const ended = await Promise.allSettled([...this.#made].map((id) => this.#delete(id)));
    const failed = ended.find((each) => each.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  async #delete(id: string): Promise<void> {
    const volume = await this.place.ec2.describeVolume(id);
    try {
      // One that a read does not show may be too new for it.
      if (volume === undefined) await this.place.ec2.deleteVolume(id);
      else await remove(this.place, volume);
    } catch (error) {
      if (!isCode(error, 'EC2_NO_SUCH_VOLUME')) throw error;
    }
    this.#made.delete(id);
  }
}

/**
 * Deletes what earlier runs left over: this instance's, and others' once they are an hour old. Gives its ids.
 * @throws DriverError EC2_*
 */
export async function deleteLeftovers(place: Place): Promise<string[]> {
  const tagged = await place.ec2.findTagged(tagKeys.check);
  const left = tagged.filter((volume) => !isGone(volume) && isLeftOver(volume, place));
  for (const volume of left) await remove(place, volume);
  return left.map(({ id }) => id);
}

/** A volume with a name is somebody's, whatever else it is tagged with. */
function isLeftOver({ tags, sizeGib, attachments }: EbsVolume, { instanceId, cluster }: Place): boolean {
  const [maker, at = ''] = (tags[tagKeys.check] ?? '').split(' ');
  const made = tags[tagKeys.cluster] === cluster && tags[tagKeys.name] === undefined && sizeGib <= 2;
  const free = attachments.every((each) => each.instanceId === instanceId);
  return made && free && (maker === instanceId || Date.now() - Date.parse(at) > othersMs);
}

async function remove(place: Place, volume: EbsVolume): Promise<void> {
  if (isGone(volume)) return;
  if (volume.state === 'creating') await waitUntilCreated(place.ec2, volume, { timeoutMs });
  await release(place, volume);
  await place.ec2.deleteVolume(volume.id);
}

async function release({ ec2, instanceId }: Place, { id, attachments }: EbsVolume): Promise<void> {
  const held = attachments.find((each) => each.instanceId === instanceId);
  if (held === undefined) return;
  const key = { volumeId: id, instanceId, device: held.device };
  if (held.state !== 'detaching') await ec2.detachVolume(key);
  await waitUntilDetached(ec2, key, { timeoutMs });
}
