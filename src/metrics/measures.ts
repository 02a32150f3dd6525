import { Counter, Gauge, type Registry } from 'prom-client';
import type { NodeStatus } from '../volumes/types.ts';

export const prefix = 'docker_volume_ebs_';

/** A value with its labels; one that is not known leaves its series out. */
export type Sample = readonly [value: number | undefined, labels?: Readonly<Record<string, string>>];

/** A metric that is read from a node's status. */
export interface Measure {
  /** Without our prefix. */
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly string[];
  read(status: NodeStatus): readonly Sample[];
}

/** The only sample of a metric without labels. */
export const one = (value: number | boolean | undefined): readonly Sample[] => [
  [typeof value === 'boolean' ? Number(value) : value],
];

/** Takes what a node is now; without that its series are left out. */
type Show = (status: NodeStatus | undefined) => void;

export function showGauge(registry: Registry, { name, help, labels = [], read }: Measure): Show {
  const gauge = new Gauge({ name: `${prefix}${name}`, help, labelNames: labels, registers: [registry] });
  return showing(gauge, read, (given, value) => gauge.set(given, value));
}

/** For what is counted elsewhere since the daemon's start: the counter is set to what that has come to. */
export function showCounter(registry: Registry, { name, help, labels = [], read }: Measure): Show {
  const counter = new Counter({ name: `${prefix}${name}`, help, labelNames: labels, registers: [registry] });
  return showing(counter, read, (given, value) => counter.inc(given, value));
}

function showing(
  metric: Gauge | Counter,
  read: Measure['read'],
  set: (labels: Record<string, string>, value: number) => void,
): Show {
  return (status) => {
    metric.reset();
    // A reset leaves a metric without labels at 0.
    metric.remove({});
    for (const [value, labels = {}] of status === undefined ? [] : read(status)) {
      if (value !== undefined && Number.isFinite(value)) set(labels, value);
    }
  };
}
