import { setTimeout as sleep } from 'node:timers/promises';
import { tagKeys } from '../ebs/tags.ts';
import type { CreateVolumeSpec, EbsVolume } from '../ebs/types.ts';
import { waitUntilCreated } from '../ebs/volume-waits.ts';
import { DriverError, isCode } from '../errors.ts';
import { type Node, waiting } from './node.ts';
import { type CreateOptions, parseOptions } from './options.ts';
import { clientToken, differences, planVolume } from './plan.ts';

/** EC2 makes a volume in 1.5 s (median; 4 s at p99, aws-ebs-csi-driver): looking earlier only costs calls. */
const firstLookMs = 600;
/** A name is made, removed and made again at most this often while EC2 remembers its tokens (about 12 h). */
const maxGenerations = 200;
/** How often a volume made by another node at this moment is looked for before its token counts as used up. */
const rivalLooks = 6;
const rivalLookMs = 500;

/**
 * Makes the volume of a name, or finds that it is there as asked. Nodes that race on one name get one EBS volume: they
 * ask with the same ClientToken, and EC2 refuses or repeats itself.
 * @throws DriverError INVALID_OPTION, EXISTS_DIFFERENT, WRONG_ZONE, AMBIGUOUS_NAME, CREATE_VANISHED, EC2_*.
 */
export async function createVolume(node: Node, name: string, raw: Readonly<Record<string, string>>): Promise<void> {
  const options = parseOptions(name, raw);
  const spec = planVolume(name, options, node.settings, node.zone);
  const existing = node.held.get(name)?.volume ?? (await node.lookup.find(name));
  if (existing !== undefined) return refuseDifferent(node, name, options, existing);

  for (let generation = node.lookup.nextGeneration(name); generation < maxGenerations; generation++) {
    const volume = await makeOne(node, name, spec, generation);
    if (volume === undefined) continue;
    node.lookup.created(name, volume);
    return refuseDifferent(node, name, options, volume);
  }
  throw new DriverError('EC2_TOKEN_REUSED', {
    volume: name,
    tried: 'create it',
    why: `EC2 remembers ${maxGenerations} earlier volumes of this name`,
    todo: 'Choose another name, or wait until EC2 has forgotten them (about 12 hours)',
  });
}

function refuseDifferent(node: Node, name: string, options: CreateOptions, volume: EbsVolume): void {
  const differing = differences(options, volume);
  if (volume.zone !== node.zone) differing.unshift(`it is in ${volume.zone} and this node is in ${node.zone}`);
  if (differing.length === 0) return;
  throw new DriverError(volume.zone === node.zone ? 'EXISTS_DIFFERENT' : 'WRONG_ZONE', {
    volume: name,
    tried: 'create it as asked',
    why: `${volume.id} has this name already, and differs: ${differing.join('; ')}`,
    todo: 'Ask for what it is, choose another name, or remove that volume first',
  });
}

/** One try with one generation's token; undefined when that token belongs to a volume of the past. */
async function makeOne(
  node: Node,
  name: string,
  spec: Omit<CreateVolumeSpec, 'clientToken'>,
  generation: number,
): Promise<EbsVolume | undefined> {
  const token = clientToken(node.settings.cluster, name, generation);
  const tags = { ...spec.tags, [tagKeys.generation]: String(generation) };
  let made: EbsVolume;
  try {
    made = await waiting(node, name, 'EC2 to accept a new volume', () =>
      node.ec2.createVolume({ ...spec, tags, clientToken: token }),
    );
  } catch (error) {
    if (!isCode(error, 'EC2_TOKEN_REUSED')) throw error;
    return findRival(node, name);
  }
  if (made.state === 'deleting' || made.state === 'deleted') return undefined;
  const volume = await waiting(node, name, `EC2 to make ${made.id}`, () =>
    waitUntilCreated(node.ec2, made, {
      timeoutMs: node.settings.mountTimeout * 1000,
      delayMs: firstLookMs,
      intervalMs: rivalLookMs,
    }),
  );
  // The token of a volume that was removed but retained gives that volume again: it is not ours to hand out.
  if (volume.tags[tagKeys.name] !== spec.tags[tagKeys.name]) return undefined;
  node.log.info({ volume: name, volumeId: volume.id, sizeGib: volume.sizeGib, type: volume.type }, 'created');
  return volume;
}

/** The token is taken: by another node at this moment, whose volume shows up soon, or by a volume of the past. */
async function findRival(node: Node, name: string): Promise<EbsVolume | undefined> {
  return waiting(node, name, 'a volume of this name that another node may be making', async () => {
    for (let look = 0; look < rivalLooks; look++) {
      const volume = await node.lookup.find(name);
      if (volume !== undefined) return volume;
      await sleep(rivalLookMs);
    }
    return undefined;
  });
}
