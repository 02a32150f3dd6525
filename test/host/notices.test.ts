import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { expect, onTestFinished, test, vi } from 'vitest';
import { type Notice, parseScheduledEvents, parseSpotAction, watchNotices } from '../../src/host/notices.ts';

const spotPath = '/latest/meta-data/spot/instance-action';
const eventsPath = '/latest/meta-data/events/maintenance/scheduled';
const spotAction = '{"action":"terminate","time":"2026-01-21T09:00:43Z"}';
const retirement = {
  NotBefore: '21 Jan 2026 09:00:43 GMT',
  Code: 'instance-retirement',
  Description: 'The instance is running on degraded hardware',
  EventId: 'instance-event-0d59937288b749b32',
  State: 'active',
};

/** An IMDS that wants a token and has these documents, and what a watch of it tells; looks come when the test says. */
async function watching(documents: Record<string, string | number>) {
  const requests: string[] = [];
  let token = 'first';
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`);
    const document = documents[request.url ?? ''] ?? 404;
    if (request.method === 'PUT') response.end(token);
    else if (request.headers['x-aws-ec2-metadata-token'] !== token) response.writeHead(401).end();
    else if (typeof document === 'number') response.writeHead(document).end();
    else response.end(document);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const told: (readonly Notice[])[] = [];
  const failures: unknown[] = [];
  const watch = watchNotices(
    { AWS_EC2_METADATA_SERVICE_ENDPOINT: `http://127.0.0.1:${port}` },
    { onNotices: (notices) => void told.push(notices), onFailure: (error) => void failures.push(error) },
  );
  onTestFinished(() => {
    watch.close();
    vi.useRealTimers();
  });
  return {
    told,
    failures,
    requests,
    documents,
    renewToken: () => {
      token = 'second';
    },
    watch,
    /** Lets looks come until something is seen of them. */
    async until(seen: () => boolean) {
      while (!seen()) {
        // While a look is under way no timer waits: time that passes then would count for the next one.
        if (vi.getTimerCount() > 0) await vi.advanceTimersByTimeAsync(5000);
        await setImmediate();
      }
    },
  };
}

test('a spot interruption says what happens and when', () => {
  expect(parseSpotAction(spotAction)).toEqual([
    {
      id: expect.any(String),
      text: 'EC2 will terminate this spot instance at 2026-01-21T09:00:43.000Z',
      at: Date.UTC(2026, 0, 21, 9, 0, 43),
      until: undefined,
    },
  ]);
  expect(parseSpotAction(undefined)).toEqual([]);
  // Words that we do not know are an interruption all the same, and it may be at once.
  expect(parseSpotAction('{"deed":"evict"}')).toMatchObject([{ at: 0 }]);
});

test('scheduled events are those that stand, with their times', () => {
  const reboot = { ...retirement, Code: 'system-reboot', NotAfter: '21 Jan 2026 10:00:00 GMT' };
  const text = JSON.stringify([retirement, { ...retirement, State: 'completed' }, reboot]);
  expect(parseScheduledEvents(text)).toMatchObject([
    {
      text: expect.stringMatching(/instance-retirement.*degraded/),
      at: Date.UTC(2026, 0, 21, 9, 0, 43),
      until: undefined,
    },
    { text: expect.stringContaining('system-reboot'), until: Date.UTC(2026, 0, 21, 10) },
  ]);
  for (const none of [undefined, '', '[]']) expect(parseScheduledEvents(none)).toEqual([]);
  expect(() => parseScheduledEvents('{}')).toThrow(/not a list/);
});

test('both are looked for again and again, under one token, and told also when nothing stands', async () => {
  const { told, requests, documents, until } = await watching({});
  expect(requests).toEqual([]);
  await until(() => told.length > 0);
  expect(told[0]).toEqual([]);
  documents[spotPath] = spotAction;
  await until(() => told.at(-1)?.length === 1);
  expect(told.at(-1)).toMatchObject([{ text: expect.stringContaining('terminate') }]);
  const [token, ...looks] = requests;
  expect(token).toBe('PUT /latest/api/token');
  expect(looks.length).toBeGreaterThanOrEqual(4);
  expect(looks).toEqual(looks.map((_, index) => `GET ${index % 2 === 0 ? spotPath : eventsPath}`));
});

test('a token that IMDS no longer takes is replaced', async () => {
  const { told, failures, renewToken, until } = await watching({});
  await until(() => told.length > 0);
  renewToken();
  await until(() => failures.length === 1);
  const before = told.length;
  await until(() => told.length > before);
});

test('a look that fails says nothing about notices, and complains once', async () => {
  const { told, failures, requests, documents, until } = await watching({ [spotPath]: 503 });
  const asked = (path: string) => requests.filter((request) => request === `GET ${path}`).length;
  await until(() => asked(spotPath) >= 3);
  documents[spotPath] = 404;
  documents[eventsPath] = 503;
  await until(() => asked(eventsPath) >= 3);
  expect([told.length, failures.length]).toEqual([0, 1]);
  documents[spotPath] = spotAction;
  await until(() => told.length > 0);
  expect(told).toMatchObject([[{ text: expect.stringContaining('terminate') }]]);
});

test('nothing is asked after it was closed', async () => {
  const { requests, watch } = await watching({});
  watch.close();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(requests).toEqual([]);
});
