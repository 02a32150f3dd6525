import type { ClusterVolume } from '../../volumes/types.ts';

/** What keeps containers in a zone, in the words of each scheduler. */
export interface Constraints {
  readonly swarm: string;
  readonly compose: string;
  readonly nomad: string;
  readonly ecs: string;
  readonly marathon: string;
}

/**
 * The constraint of each scheduler for one availability zone. Nomad and ECS know the zone of an instance by themselves
 * (https://developer.hashicorp.com/nomad/docs/runtime/interpolation,
 * https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-placement-constraints.html); in Swarm and Mesos the label or
 * attribute `zone` is given to each node, as docs/swarm.md and docs/mesos.md say. Pure.
 */
export const constraintsFor = (zone: string): Constraints => ({
  swarm: `--constraint node.labels.zone==${zone}`,
  compose: `placement: {constraints: ["node.labels.zone==${zone}"]}`,
  nomad: `constraint {\n  attribute = "\${attr.platform.aws.placement.availability-zone}"\n  value     = "${zone}"\n}`,
  ecs: `--placement-constraints 'type=memberOf,expression=attribute:ecs.availability-zone == ${zone}'`,
  marathon: `"constraints": [["zone", "CLUSTER", "${zone}"]]`,
});

/** The answer for people. The lines to copy are whole, whatever the terminal's width. Pure. */
export function whereLines({ name, volumeId, zone, owner }: ClusterVolume): string[] {
  const { swarm, compose, nomad, ecs, marathon } = constraintsFor(zone);
  const has = owner === undefined ? 'free' : `attached to ${owner.instanceId ?? 'a resource that AWS manages'}`;
  return [
    `${name} is in ${zone} (${volumeId}, ${has}). What keeps its containers there:`,
    '',
    'docker service create, once each node there is labelled (docker node update --label-add zone=ZONE NODE):',
    `  ${swarm}`,
    'Compose file for docker stack deploy, below deploy:',
    `  ${compose}`,
    'Nomad job:',
    ...nomad.split('\n').map((line) => `  ${line}`),
    'aws ecs run-task or create-service:',
    `  ${ecs}`,
    'Marathon app, where each Mesos agent has the attribute zone (--attributes=zone:ZONE):',
    `  ${marathon}`,
  ];
}
