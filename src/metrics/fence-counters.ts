import { type Measure, one } from './measures.ts';

/** What this node has decided and done about volumes of other instances. */
export const fenceCounters: readonly Measure[] = [
  {
    name: 'fence_decisions_total',
    help: 'What was decided about volumes that another instance has, by policy, evidence and decision.',
    labels: ['policy', 'evidence', 'decision'],
    read: ({ fencesDone }) =>
      Object.entries(fencesDone.decisions).map(([key, count]) => {
        const [policy = '', evidence = '', decision = ''] = key.split(' ');
        return [count, { policy, evidence, decision }];
      }),
  },
  {
    name: 'fence_refusals_total',
    help: 'Looks that ended in a refusal to take a volume, by what spoke against it; an owner that then lets go counts, too.',
    labels: ['reason'],
    read: ({ fencesDone }) => Object.entries(fencesDone.refusals).map(([reason, count]) => [count, { reason }]),
  },
  {
    name: 'fence_stops_total',
    help: 'Instances that this node told to stop, in good order (graceful) or at once (forced).',
    labels: ['how'],
    read: ({ fencesDone: { stops } }) => [
      [stops.graceful, { how: 'graceful' }],
      [stops.forced, { how: 'forced' }],
    ],
  },
  {
    name: 'fence_forced_detaches_total',
    help: 'Disks that this node had detached by force.',
    read: ({ fencesDone }) => one(fencesDone.forcedDetaches),
  },
  {
    name: 'fence_lost_races_total',
    help: 'Volumes that another node had attached first.',
    read: ({ fencesDone }) => one(fencesDone.lostRaces),
  },
  {
    name: 'fence_aborts_total',
    help: 'Takeovers begun anew, since what allowed them was no longer true when it was to be done.',
    read: ({ fencesDone }) => one(fencesDone.aborted),
  },
];
