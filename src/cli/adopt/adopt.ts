import { readSettings } from '../../config.ts';
import { openEc2Client } from '../../ebs/client.ts';
import { openEc2 } from '../../ebs/ec2.ts';
import { openSurvey, type Survey } from '../../ebs/survey.ts';
import type { Ec2 } from '../../ebs/types.ts';
import { attachmentOf } from '../../ebs/volume-record.ts';
import { type Grammar, readFlags, UsageError } from '../../flags.ts';
import { readIdentity } from '../../host/identity.ts';
import { nodeVariables } from '../node-variables.ts';
import { print, printAsIs, printJson, terminalWidth } from '../output.ts';
import { directoryInside, understandRexRay } from '../serve/rexray-settings.ts';
import { adoptVolume, giveBack } from './apply.ts';
import type { Region } from './judge.ts';
import { candidatesOf, planAdoption, planGivingBack, type Step, type Wishes } from './plan.ts';
import { candidateJson, inventoryText, stepJson, stepText } from './print.ts';

/** What `--help` prints. */
export const usage = () => `Usage: docker-volume-ebs adopt [OPTIONS] [VOLUME…]

Takes EBS volumes that something else has made, as REX-Ray, into the cluster: a volume's name is then what its Name
tag says. Only tags are written; disks and attachments stay as they are. Needs no daemon, but a region and credentials.

  docker-volume-ebs adopt             Show the volumes of the region that have a Name tag and are not in the cluster
  docker-volume-ebs adopt VOLUME…     Show what adopting these would do. VOLUME is a name or an id (vol-…)

  --apply             Do it
  --all               Every volume that may be adopted as it is
  --zone ZONE         Of this availability zone only
  --as NAME           Adopt the one VOLUME under another name
  --undo              Give these volumes back: take every tag of the driver off them
  --cluster NAME      The cluster (DVE_CLUSTER) [default]
  --subdirectory DIR  The directory of the volume that containers get (DVE_SUBDIRECTORY) [data]
  --json              Print JSON
  --help              Show this text

Exit status: 0 when everything was or can be done, 1 when something is refused or has failed, 2 for a wrong command line.
`;

export const grammar = {
  command: 'adopt',
  flags: {
    apply: { type: 'boolean' },
    all: { type: 'boolean' },
    undo: { type: 'boolean' },
    json: { type: 'boolean' },
    zone: { type: 'string' },
    as: { type: 'string' },
    cluster: { type: 'string' },
    subdirectory: { type: 'string' },
  },
  words: 'VOLUME…',
} as const satisfies Grammar;

/** Shows or adopts volumes of others; gives the exit status. @throws DriverError EC2_* when EC2 cannot be asked. */
export async function run(argv: readonly string[]): Promise<number> {
  const { values: given, words } = readFlags(argv, grammar);
  const values: Flags = { apply: false, all: false, undo: false, json: false, ...given };
  checkUsage(values, words);
  const { env } = nodeVariables(process.env);
  // The AWS SDK reads this process's own.
  Object.assign(process.env, env, understandRexRay(env).env);
  const { cluster, subdirectory } = settingsOf(values);
  const client = openEc2Client({ region: await findRegion() });
  const ec2 = openEc2({ cluster, region: undefined, client });
  const region = await look(openSurvey(client), ec2, cluster);
  const { zone, as, all, json } = values;
  const insists = values.subdirectory !== undefined;
  const wishes: Wishes = { words, all, as, zone, subdirectory, insists, now: new Date().toISOString() };
  if (words.length === 0 && !all) {
    const candidates = candidatesOf(region, wishes);
    if (json) printJson(candidates.map(candidateJson));
    else printAsIs(inventoryText(candidates, cluster, terminalWidth()));
    return 0;
  }
  const steps = values.undo ? planGivingBack(region, words) : planAdoption(region, wishes);
  return carryOut(ec2, steps, values);
}

type Flags = { readonly [K in 'apply' | 'all' | 'undo' | 'json']: boolean } & {
  readonly [K in 'zone' | 'as' | 'cluster' | 'subdirectory']?: string | undefined;
};

function checkUsage({ apply, all, undo, as, ...named }: Flags, words: readonly string[]): void {
  const complain = (problem: string) => {
    throw new UsageError(`${problem}. See docker-volume-ebs adopt --help.`);
  };
  if (all && words.length > 0) complain('--all takes no VOLUME');
  if (all && undo) complain('--undo takes each VOLUME by its name or id, not --all');
  if ((apply || undo) && !all && words.length === 0) complain('say which VOLUME, or --all');
  if (as !== undefined && (words.length !== 1 || undo)) complain('--as is for adopting one VOLUME');
  // As a script gives them whose variable is not set: no daemon is in a cluster without a name.
  if (named.cluster === '') complain('--cluster is empty');
  if (named.subdirectory === '') complain('--subdirectory is empty; / is all of the volume');
  if (named.zone === '') complain('--zone is empty');
}

/** Of the daemon's settings only these concern us: a mistake in another must not be in the way. */
function settingsOf({ cluster, subdirectory }: Flags) {
  const { DVE_CLUSTER, DVE_SUBDIRECTORY } = process.env;
  const settings = readSettings({ cluster, subdirectory }, { DVE_CLUSTER, DVE_SUBDIRECTORY });
  const inside = directoryInside(settings.subdirectory);
  if (inside !== undefined) return { cluster: settings.cluster, subdirectory: inside };
  throw new UsageError(`the subdirectory ${JSON.stringify(settings.subdirectory)} is not inside the volume.`);
}

/** Undefined where the SDK finds one; else that of this instance, if it is one. */
async function findRegion(): Promise<string | undefined> {
  const client = openEc2Client({ region: undefined });
  try {
    await client.config.region();
    return undefined;
  } catch {
    const identity = await readIdentity({ instanceId: '', availabilityZone: '' }, process.env).catch(() => undefined);
    if (identity?.region !== undefined) return identity.region;
    throw new UsageError('which region? Set AWS_REGION.');
  } finally {
    client.destroy();
  }
}

async function look(survey: Survey, ec2: Ec2, cluster: string): Promise<Region> {
  const [named, ours] = await Promise.all([survey.namedVolumes(), ec2.listVolumes()]);
  const owners = named.map((volume) => attachmentOf(volume)?.instanceId).filter((id) => id !== undefined);
  const rootDevices = await survey.rootDevices([...new Set(owners)]);
  return { cluster, named, ours, rootDevices };
}

/** All at once: each waits a while for rivals. */
async function carryOut(ec2: Ec2, steps: readonly Step[], { apply, json }: Flags): Promise<number> {
  const failures = await Promise.all(steps.map((step) => (apply ? failureOf(ec2, step) : undefined)));
  const outcomes = steps.map((step, index) => ({ step, outcome: { apply, failure: failures[index] } }));
  if (json) {
    printJson(outcomes.map(({ step, outcome }) => stepJson(step, outcome)));
  } else {
    for (const { step, outcome } of outcomes) print(stepText(step, outcome));
    if (steps.length === 0) print('Nothing may be adopted as it is: docker-volume-ebs adopt says why.\n');
    else if (!apply) print('Nothing was written: --apply does it.\n');
  }
  return outcomes.every(({ step, outcome }) => step.kind !== 'refused' && outcome.failure === undefined) ? 0 : 1;
}

async function failureOf(ec2: Ec2, step: Step): Promise<string | undefined> {
  try {
    if (step.kind === 'adopt') await adoptVolume(ec2, step);
    if (step.kind === 'give-back') await giveBack(ec2, step);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
