import { tagKeys } from '../../ebs/tags.ts';
import { isGone } from '../../ebs/volume-record.ts';
import { policyWarning } from '../../fencing/policy.ts';
import { readPause } from '../../fencing/records.ts';
import type { Check, Level } from './check.ts';
import type { Facts, SchedulerFact } from './facts.ts';

/** What EC2 has of the cluster, and whether its fencing is paused. */
export const cluster: Check = {
  title: 'cluster',
  async run(facts) {
    const [volumes, { availabilityZone }] = await Promise.all([facts.volumes(), facts.identity()]);
    const there = volumes.filter((volume) => !isGone(volume));
    const near = there.filter(({ zone }) => zone === availabilityZone).length;
    const name = JSON.stringify(facts.settings.cluster);
    const found = `${there.length} ${there.length === 1 ? 'volume' : 'volumes'} of cluster ${name}, ${near} of them in ${availabilityZone}`;
    const paused = there.map(({ tags }) => readPause(tags)).find((reason) => reason !== undefined);
    if (paused === undefined) return { level: 'ok', found };
    return {
      level: 'warn',
      found: `${found}; fencing is paused (${paused})`,
      todo: 'End the pause with docker-volume-ebs fence resume once it has done its service',
    };
  },
};

/** Whether the fence policy has what it needs: schedulers, and for stonith instances that may be stopped. */
export const fencing: Check = {
  title: 'fencing',
  async run(facts) {
    const { fencePolicy } = facts.settings;
    if (fencePolicy === 'preempt') {
      const todo = 'Use instance-not-running or stonith unless that is really wanted';
      return { level: 'warn', found: policyWarning(fencePolicy) ?? fencePolicy, todo };
    }
    const schedulers = await facts.schedulers();
    const problems = [...schedulers.flatMap((each) => judge(each, fencePolicy === 'stonith' ? 'fail' : 'warn'))];
    if (fencePolicy === 'stonith') problems.push(...(await stonithProblems(facts, schedulers)));
    const known = schedulers.map(({ source, ownId }) => `${source} knows this node as ${ownId ?? 'nobody'}`);
    const worst = problems.some(({ level }) => level === 'fail') ? 'fail' : 'warn';
    if (problems.length === 0) return { level: 'ok', found: [fencePolicy, ...known].join('; ') };
    return {
      level: worst,
      found: `${fencePolicy}, and not all that it uses is in order`,
      details: problems.map(({ text }) => text),
      todo: [...new Set(problems.map(({ todo }) => todo))].join('. '),
    };
  },
};

interface Problem {
  readonly level: Level;
  readonly text: string;
  readonly todo: string;
}

/** @param level of what makes a scheduler useless. */
function judge({ source, ownId, testimony }: SchedulerFact, level: Level): Problem[] {
  const variable = source === 'mesos' ? 'DVE_MESOS_MASTERS and DVE_MESOS_AGENT' : 'DVE_SWARM_SOCKET';
  const todo = `Check ${variable}`;
  const problems: Problem[] = [];
  if (ownId === undefined) {
    const text = `${source} does not say what it calls this node: its volumes do not carry it, and nobody asks ${source} about them`;
    problems.push({ level, text, todo });
  }
  if (!testimony.answered) {
    // A worker of Swarm lists no nodes, and is none the worse for it: managers do its part.
    const worker = source === 'swarm' && ownId !== undefined;
    const more = worker ? 'Have volumes that stonith shall move mounted on managers too' : todo;
    problems.push({ level: worker ? 'warn' : level, text: testimony.detail, todo: more });
  } else if (ownId !== undefined && !testimony.takerRegistered) {
    problems.push({ level, text: `${testimony.detail}: it is no ready member, and judges no other`, todo });
  }
  return problems;
}

async function stonithProblems(facts: Facts, schedulers: readonly SchedulerFact[]): Promise<Problem[]> {
  const { fenceSuspicions, cluster } = facts.settings;
  const problems: Problem[] = [];
  const sources = schedulers.length === 0 ? 2 : 3;
  if (fenceSuspicions > sources) {
    problems.push({
      level: 'fail',
      text: `DVE_FENCE_SUSPICIONS is ${fenceSuspicions}, and without a scheduler there are ${sources} sources: no owner is ever stopped`,
      todo: 'Set DVE_FENCE_SUSPICIONS=2, or a scheduler',
    });
  }
  const instance = await facts.instance().catch(() => undefined);
  if (instance !== undefined && instance.tags[tagKeys.cluster] !== cluster) {
    problems.push({
      level: 'warn',
      text: `this instance has no tag ${tagKeys.cluster}=${cluster}: no other node stops it, whatever it does`,
      todo: `Tag all instances of the cluster so (aws ec2 create-tags)`,
    });
  }
  return problems;
}
