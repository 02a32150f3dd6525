import type { Fault, Faults } from './faults.ts';

const minuteMs = 60_000;

const timeOf = (fault: Fault, laterMs: number): Date =>
  new Date(fault.at === undefined ? Date.parse(fault.setAt) + laterMs : fault.at);

/** IMDS writes RFC 3339 in whole seconds. */
const seconds = (time: Date): string => `${time.toISOString().slice(0, 19)}Z`;

interface ScheduledEvent {
  readonly id: string;
  readonly code: string;
  readonly description: string;
  readonly notBefore: Date;
}

/** A scheduled event as it was set at the switchboard. */
export function scheduledEvent(fault: Fault): ScheduledEvent {
  const { id, code = 'instance-stop', message = 'The instance is running on degraded hardware' } = fault;
  return {
    id: `instance-event-0${id.toString(16).padStart(16, '0')}`,
    code,
    description: message,
    notBefore: timeOf(fault, 60 * minuteMs),
  };
}

/** "21 Jan 2019 09:00:43 GMT", as the metadata service writes times of events. */
const dayFirst = (time: Date): string => time.toUTCString().slice(5);

/**
 * What the metadata service says of the instance's near future, below latest/meta-data; undefined, which is 404, for
 * what was not set. Shapes as the EC2 user guide shows them ("Instance metadata categories").
 */
export function noticeDocument(path: string, instanceId: string, faults: Faults): string | undefined {
  const last = (kind: 'spot' | 'rebalance'): Fault | undefined => faults.standing(kind, instanceId).at(-1);
  const documents: Readonly<Record<string, () => string | undefined>> = {
    'spot/instance-action': () => {
      const fault = last('spot');
      return fault && JSON.stringify({ action: fault.code ?? 'terminate', time: seconds(timeOf(fault, 2 * minuteMs)) });
    },
    // Only there for an instance that is to be terminated.
    'spot/termination-time': () => {
      const fault = last('spot');
      return fault && (fault.code ?? 'terminate') === 'terminate' ? seconds(timeOf(fault, 2 * minuteMs)) : undefined;
    },
    'events/recommendations/rebalance': () => {
      const fault = last('rebalance');
      return fault && JSON.stringify({ noticeTime: seconds(timeOf(fault, 0)) });
    },
    'events/maintenance/scheduled': () => {
      const events = faults.standing('event', instanceId).map(scheduledEvent);
      return events.length === 0 ? undefined : JSON.stringify(events.map(eventDocument));
    },
  };
  return documents[path]?.();
}

const eventDocument = ({ id, code, description, notBefore }: ScheduledEvent): object => ({
  NotBefore: dayFirst(notBefore),
  Code: code,
  Description: description,
  EventId: id,
  State: 'active',
});
