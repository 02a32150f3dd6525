import { imdsFailed, openImds } from './imds.ts';

/** What EC2 has announced to do to this instance. */
export interface Notice {
  /** Tells this notice from others, as long as it stands. */
  readonly id: string;
  /** For people: "EC2 will terminate this spot instance at 2026-01-21T09:00:43.000Z". */
  readonly text: string;
  /** When, milliseconds since 1970. */
  readonly at: number;
  /** When it is over though EC2 may still list it, milliseconds since 1970; undefined when EC2 does not say. */
  readonly until: number | undefined;
}

export interface NoticeListener {
  /** Told what stands at each look, also when that is nothing. */
  onNotices(notices: readonly Notice[]): void;
  /** Told once when looks begin to fail, and not again before one has succeeded. */
  onFailure(error: unknown): void;
}

/** AWS recommends to look every 5 seconds (EC2 user guide, "Spot Instance interruption notices"). */
const lookMs = 5_000;
/** Where IMDS has not answered for a minute there may be none. */
const failuresBeforeSlow = 12;
const slowLookMs = 60_000;

const tried = 'read the notices that EC2 gives this instance';

/** Looks at IMDS from now on until closed, first after 5 s. A failed look says nothing about notices. */
export function watchNotices(env: NodeJS.ProcessEnv, listener: NoticeListener): { close(): void } {
  const imds = openImds(env, tried);
  let failures = 0;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;
  const readScheduled = async () => parseScheduledEvents(await imds.get('meta-data/events/maintenance/scheduled'));
  const look = async () => {
    try {
      const spot = parseSpotAction(await imds.get('meta-data/spot/instance-action'));
      const scheduled = await readScheduled().catch((error: unknown) => {
        // What is known of an interruption must not wait for the rest.
        if (spot.length === 0) throw error;
        return [];
      });
      failures = 0;
      if (!closed) listener.onNotices([...spot, ...scheduled]);
    } catch (error) {
      failures += 1;
      if (failures === 1 && !closed) listener.onFailure(error);
    }
    if (!closed) next();
  };
  const next = () => {
    timer = setTimeout(() => void look(), failures > failuresBeforeSlow ? slowLookMs : lookMs).unref();
  };
  next();
  return {
    close() {
      closed = true;
      clearTimeout(timer);
    },
  };
}

/** meta-data/spot/instance-action: {"action":"terminate","time":"2017-09-18T08:22:00Z"}, absent without an interruption. */
export function parseSpotAction(text: string | undefined): Notice[] {
  if (text === undefined) return [];
  const action = fieldOf(parsed(text), 'action');
  const time = fieldOf(parsed(text), 'time');
  const at = Date.parse(time ?? '');
  // An interruption is an interruption, whatever its words have become.
  const when = Number.isNaN(at) ? 'soon' : `at ${new Date(at).toISOString()}`;
  return [
    {
      id: `spot ${action} ${time}`,
      text: `EC2 will ${action ?? 'interrupt'} this spot instance ${when}`,
      at: Number.isNaN(at) ? 0 : at,
      until: undefined,
    },
  ];
}

/** meta-data/events/maintenance/scheduled: a JSON list, empty or absent without events; past ones stay listed for a while. */
export function parseScheduledEvents(text: string | undefined): Notice[] {
  if (text === undefined || text.trim() === '') return [];
  const events = parsed(text);
  if (!Array.isArray(events)) throw imdsFailed(tried, 'the list of scheduled events is not a list');
  return events
    .filter((event: unknown) => fieldOf(event, 'State') === 'active')
    .map((event: unknown) => {
      const at = Date.parse(fieldOf(event, 'NotBefore') ?? '');
      const until = Date.parse(fieldOf(event, 'NotAfter') ?? '');
      const code = fieldOf(event, 'Code') ?? 'maintenance';
      const when = Number.isNaN(at) ? 'no time given' : new Date(at).toISOString();
      return {
        id: `event ${fieldOf(event, 'EventId')} ${fieldOf(event, 'NotBefore')}`,
        text: `EC2 has scheduled ${code} of this instance (${when}: ${fieldOf(event, 'Description') ?? 'no description'})`,
        at: Number.isNaN(at) ? 0 : at,
        until: Number.isNaN(until) ? undefined : until,
      };
    });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw imdsFailed(tried, `a notice is not JSON: ${text.slice(0, 100)}`, error);
  }
}

function fieldOf(value: unknown, key: string): string | undefined {
  const field: unknown = typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined;
  return typeof field === 'string' ? field : undefined;
}
