import type { Settings } from '../../config.ts';
import type { MetadataOptions } from '../../ebs/inspect.ts';
import { openSchedulers } from '../../fencing/schedulers.ts';
import { checkDefaults } from '../../volumes/options/defaults.ts';
import { type Check, type Finding, failed, reasonOf } from './check.ts';
import type { Facts } from './facts.ts';

/** Where the settings were taken from, and those of them that only the daemon's start would find wrong. */
export const settingsSource: Check = {
  title: 'settings',
  async run({ variables, settings }) {
    try {
      checkDefaults(settings);
      openSchedulers(settings);
    } catch (error) {
      return failed(error);
    }
    const { cluster, fencePolicy } = settings;
    const what = `cluster ${JSON.stringify(cluster)}, fence policy ${fencePolicy}`;
    switch (variables.from) {
      case 'environment':
        return { level: 'ok', found: `${what}: from this command's flags and environment` };
      case 'file':
        return {
          level: 'ok',
          found: `${what}: from ${variables.file} (${variables.names.join(', ') || 'it sets nothing'})`,
        };
      case 'nowhere':
        return {
          level: 'warn',
          found: `${what}; ${variables.file}, where the daemon has its settings, cannot be read (${variables.why})`,
          todo: 'Run this as root, so that the settings of the daemon are checked',
        };
    }
  },
};

/** Which instance this is. */
export const identity: Check = {
  title: 'identity',
  async run(facts) {
    let known: Awaited<ReturnType<Facts['identity']>>;
    try {
      known = await facts.identity();
    } catch (error) {
      return failed(error);
    }
    const { instanceId, availabilityZone } = known;
    const { settings } = facts;
    // Settings that came with a copied image name the instance that the image was made on.
    const real = settings.instanceId === '' ? instanceId : await answerOf(facts, 'meta-data/instance-id');
    if (real !== undefined && real !== instanceId) {
      const found = `DVE_INSTANCE_ID is ${instanceId}, and the metadata service says that this is ${real}`;
      return { level: 'fail', found, todo: 'Unset DVE_INSTANCE_ID and DVE_AVAILABILITY_ZONE, or correct them' };
    }
    return { level: 'ok', found: `${instanceId} in ${availabilityZone}, from ${sourceOf(settings)}` };
  },
};

function sourceOf({ instanceId, availabilityZone }: Settings): string {
  if (instanceId !== '' && availabilityZone !== '') return 'the settings';
  return instanceId === '' && availabilityZone === '' ? 'the metadata service' : 'settings and metadata service';
}

const answerOf = (facts: Facts, path: string) => facts.metadata(path).catch(() => undefined);

/** Whether the metadata service answers here, and could where daemons run otherwise. */
export const metadata: Check = {
  title: 'metadata',
  async run(facts) {
    const options = facts.instance().then(
      (instance) => instance?.metadata,
      () => undefined,
    );
    try {
      await facts.metadata('meta-data/instance-id');
    } catch (error) {
      return silent(facts, await options, reasonOf(error));
    }
    return { level: 'ok', found: `the metadata service answers here; ${limitOf(await options)}` };
  },
};

function limitOf({ hopLimit, tokensRequired }: MetadataOptions = noOptions): string {
  const tokens = tokensRequired === false ? ', and IMDSv1 is on, which nothing here needs' : '';
  if (hopLimit === undefined) return `its hop limit is not known${tokens}`;
  const reach = hopLimit > 1 ? '' : ': no answer would reach a container with a network of its own';
  return `its hop limit is ${hopLimit}${reach}${tokens}`;
}

const noOptions: MetadataOptions = { enabled: undefined, tokensRequired: undefined, hopLimit: undefined };

async function silent(facts: Facts, options: MetadataOptions = noOptions, why: string): Promise<Finding> {
  const { instanceId, availabilityZone } = facts.settings;
  const source = await facts.credentials().catch(() => undefined);
  const needed = instanceId === '' || availabilityZone === '' || source === undefined;
  const level = needed ? 'fail' : 'warn';
  const [reason, todo] = reasonAndRemedy(options, why);
  const rest = needed ? '' : '; identity and credentials come from elsewhere, but notices of EC2 are not heard';
  return { level, found: `the metadata service gives no answer here (${reason})${rest}`, todo };
}

function reasonAndRemedy({ enabled, hopLimit }: MetadataOptions, why: string): [string, string] {
  const modify = 'aws ec2 modify-instance-metadata-options --instance-id';
  const otherwise = 'or set DVE_INSTANCE_ID and DVE_AVAILABILITY_ZONE, and give credentials';
  if (enabled === false)
    return ['it is turned off for this instance', `Turn it on (${modify} ID --http-endpoint enabled), ${otherwise}`];
  if (hopLimit === 1)
    return [
      'its hop limit is 1: no answer reaches a container with a network of its own',
      `Use the host's network, or raise the limit (${modify} ID --http-put-response-hop-limit 2), ${otherwise}`,
    ];
  return [why, `See that nothing on this host keeps 169.254.169.254 from being reached, ${otherwise}`];
}
