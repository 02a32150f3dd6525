import { type Bench, released } from './bench.ts';
import { anyOf, operator, serves, withData } from './calls.ts';
import type { Scenario } from './scenarios.ts';

const rescue = (bench: Bench, name: string) => operator(bench, 'Rescue', { name });
/** It is ended already where a call before this one was cut off. */
const endRescue = (bench: Bench, name: string) =>
  operator(bench, 'RescueEnd', { name }).catch((error: unknown) => {
    if (!/it is not rescued/.test(String(error))) throw error;
  });

const rescued: Scenario['end'] = ({ attachments, record, mounted, directory }) =>
  attachments.length === 1 &&
  record?.phase === 'attached' &&
  record.holders.length === 1 &&
  record.holders[0]?.id === 'rescue' &&
  !mounted &&
  !directory;

export const rescues: readonly Scenario[] = [
  {
    title: 'rescue',
    main: true,
    only: /holdDisk|createSnapshot|journal/,
    prepare: withData,
    act: rescue,
    end: rescued,
    rest: anyOf(released, rescued),
    after: async (bench, name) => {
      await endRescue(bench, name);
      await bench.reaches(name, released);
      await serves(bench, name);
    },
  },
  {
    title: 'end of a rescue',
    main: false,
    prepare: (bench, name) => withData(bench, name).then(() => rescue(bench, name)),
    act: endRescue,
    end: released,
    rest: anyOf(released, rescued),
    after: async (bench, name) => {
      await endRescue(bench, name);
      await bench.reaches(name, released);
      await serves(bench, name);
    },
  },
];
