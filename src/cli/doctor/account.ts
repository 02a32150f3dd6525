import { isCode } from '../../errors.ts';
import { type Check, type Finding, failed } from './check.ts';
import type { Facts } from './facts.ts';

/** EC2 refuses signatures that are older or younger than this (AWS "Signature Version 4"). */
const refusedMs = 300_000;
const noticedMs = 30_000;

/** The region that is asked, against the instance's zone. */
export const region: Check = {
  title: 'region',
  async run(facts) {
    let name: string;
    try {
      name = await facts.region();
    } catch (error) {
      return failed(error);
    }
    const { availabilityZone } = await facts.identity();
    // The zone of a region is its name and a letter; that of a Local Zone goes on with a dash.
    if (availabilityZone.startsWith(`${name}-`)) return unsupported(name, availabilityZone);
    if (isIn(availabilityZone, name)) return { level: 'ok', found: `${name}, as its zone ${availabilityZone}` };
    const found = `EC2 is asked in ${name}, and this instance is in ${availabilityZone}`;
    return { level: 'fail', found, todo: `Set AWS_REGION to the region of ${availabilityZone}, or unset it` };
  },
};

const isIn = (zone: string, region: string): boolean =>
  zone.startsWith(region) && /^[a-z]$/.test(zone.slice(region.length));

/** Their volume types and limits are others, and their snapshots may have to stay there: nothing of that is looked after. */
const unsupported = (name: string, zone: string): Finding => ({
  level: 'warn',
  found: `${name}, as its zone ${zone}, which is a Local or Wavelength Zone: that is not supported`,
  todo: "Use an instance in one of the region's availability zones",
});

/** Which credentials there are, and whether EC2 takes them. */
export const credentials: Check = {
  title: 'credentials',
  async run(facts) {
    let source: Awaited<ReturnType<Facts['credentials']>>;
    try {
      source = await facts.credentials();
    } catch (error) {
      return { ...failed(error), todo: 'Give the instance a role (an IAM instance profile), or set AWS_PROFILE' };
    }
    const until = source.expires === undefined ? '' : `, valid until ${source.expires}`;
    try {
      await facts.instance();
    } catch (error) {
      if (isCode(error, 'EC2_CREDENTIALS')) {
        return { ...failed(error), found: `those of ${source.from}${until}: ${error.parts.why}` };
      }
      if (!isCode(error, 'EC2_DENIED')) {
        return { level: 'unknown', found: `those of ${source.from}${until}; EC2 has not said whether it takes them` };
      }
    }
    return { level: 'ok', found: `those of ${source.from}${until}; EC2 takes them` };
  },
};

/** Whether EC2 answers, and knows this instance. */
export const ec2: Check = {
  title: 'EC2',
  async run(facts) {
    try {
      const instance = await facts.instance();
      const name = await facts.region();
      if (instance !== undefined) {
        return {
          level: 'ok',
          found: `answers in ${name}, and has this instance (${instance.type}, ${instance.state})`,
        };
      }
      const { instanceId } = await facts.identity();
      return {
        level: 'fail',
        found: `answers in ${name}, and has no instance ${instanceId} for these credentials`,
        todo: "Check DVE_INSTANCE_ID and AWS_REGION, and that the credentials are of the instance's account",
      };
    } catch (error) {
      if (isCode(error, 'EC2_DENIED')) return { level: 'ok', found: 'answers, with a refusal: see permissions' };
      if (isCode(error, 'EC2_UNAVAILABLE')) {
        const todo = 'Check the way to the EC2 endpoint: route, DNS, proxy, security group, AWS_ENDPOINT_URL_EC2';
        return { ...failed(error), todo };
      }
      if (isCode(error, 'EC2_THROTTLED')) return failed(error, 'warn');
      throw error;
    }
  },
};

/** This machine's clock against EC2's. */
export const clock: Check = {
  title: 'clock',
  async run(facts) {
    // Only the time of its answer counts, whatever it says.
    await facts.instance().catch(() => undefined);
    const ahead = await facts.clockAheadMs();
    if (ahead === undefined) return { level: 'unknown', found: 'cannot be judged: EC2 has not answered' };
    const seconds = Math.round(Math.abs(ahead) / 1000);
    if (seconds * 1000 < noticedMs) return { level: 'ok', found: `as EC2's, to within ${Math.max(seconds, 1)} s` };
    const found = `${seconds} s ${ahead > 0 ? 'behind' : 'ahead of'} EC2's, which refuses what is signed 5 minutes off`;
    const level = seconds * 1000 < refusedMs ? 'warn' : 'fail';
    return { level, found, todo: 'Set the clock, and keep it: chrony with server 169.254.169.123 (Amazon Time Sync)' };
  },
};
