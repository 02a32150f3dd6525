/** What schedulers say of nodes: a hint about a running owner, and never proof that its containers are over. */
import { openMesos } from './mesos.ts';
import { openSwarm } from './swarm.ts';
import type { Machine, OwnerRecord, Scheduler, Testimony } from './types.ts';

/** Where schedulers are found; empty text is none. */
export interface SchedulerSettings {
  /** URLs, comma-separated. */
  readonly mesosMasters: string;
  /** A URL. */
  readonly mesosAgent: string;
  /** The path of a Docker engine's socket. */
  readonly swarmSocket: string;
}

export interface Schedulers {
  /** What a holder stamps on its volumes, as "mesos:S1"; undefined where no scheduler knows this node. */
  ownIdentity(): Promise<string | undefined>;
  /**
   * Of the scheduler whose identity the owner stamped, within about 4 s; empty when that is none of ours. Never throws.
   * @param owner undefined when nobody recorded who made the attachment: then no scheduler can be asked, and each says so.
   */
  testimony(owner: Pick<OwnerRecord, 'scheduler'> | undefined, instance: Machine | undefined): Promise<Testimony[]>;
}

/** Asks nothing before it is used. @throws DriverError INVALID_OPTION for a setting that is no URL */
export function openSchedulers({ mesosMasters, mesosAgent, swarmSocket }: SchedulerSettings): Schedulers {
  const schedulers: Scheduler[] = [];
  if (mesosMasters.trim() !== '') schedulers.push(openMesos(mesosMasters, mesosAgent));
  if (swarmSocket !== '') schedulers.push(openSwarm(swarmSocket));
  return {
    async ownIdentity() {
      for (const { source, ownId } of schedulers) {
        const id = await ownId();
        if (id !== undefined) return `${source}:${id}`;
      }
      return undefined;
    },
    async testimony(owner, instance) {
      if (owner === undefined) return schedulers.map(({ source }) => unrecorded(source));
      const { scheduler: stamped = '' } = owner;
      const [, source, identity = ''] = /^(\w+):(.+)$/.exec(stamped) ?? [];
      const asked = schedulers.filter((each) => each.source === source);
      return Promise.all(asked.map((each) => each.testimony(identity, instance)));
    },
  };
}

function unrecorded(source: Testimony['source']): Testimony {
  return {
    source,
    identity: undefined,
    answered: false,
    says: 'nothing',
    since: undefined,
    detail: `who has it is not recorded on it, so that ${source} cannot be asked`,
    otherMemberThere: undefined,
    takerRegistered: true,
    suspects: 0,
    members: 0,
  };
}
