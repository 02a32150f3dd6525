import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { DescribeInstancesCommand, StopInstancesCommand } from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseScrape, type Scrape } from '../metrics/exposition.ts';
import { requires } from '../support/requirements.ts';
import { eventually, type TestSandbox, testSandbox } from '../support/sandbox.ts';
import { alerts, dashboard, labelsIn, namesIn } from './definitions.ts';

const { skip } = requires('root', 'loop', 'promtool');
const ours = (name: string) => `docker_volume_ebs_${name}`;

describe.skipIf(skip)('what a node tells Prometheus', () => {
  let box: TestSandbox;
  let owner: string;
  let taker: string;
  let ownerText: string;
  let takerText: string;
  let seen: { readonly owner: Scrape; readonly taker: Scrape };

  /** Where a node's daemon serves its metrics: it chose the port itself. */
  const urlOf = (node: string) =>
    eventually(async () => {
      const lines = (await readFile(box.node(node).log, 'utf8'))
        .split('\n')
        .filter((line) => line.includes('metrics are'));
      const { host, port } = JSON.parse(lines.at(-1) ?? '{}');
      return port !== undefined && `http://${host}:${port}/metrics`;
    });
  const scrape = async (node: string) => (await fetch(await urlOf(node))).text();
  const callsOf = (node: string) => box.sandbox.callList().filter(({ caller }) => caller === node);

  beforeAll(async () => {
    box = await testSandbox({ nodes: 2, nodeEnv: { DVE_METRICS: '0', DVE_LINGER: '0', DVE_SIZE: '1' } });
    [owner, taker] = box.sandbox.nodes().map(({ instanceId }) => instanceId) as [string, string];
    await box.ok(owner, 'Create', { Name: 'given-back' });
    await box.ok(owner, 'Mount', { Name: 'given-back', ID: 'a' });
    await box.ok(owner, 'Unmount', { Name: 'given-back', ID: 'a' });
    await box.detached('given-back');
    await box.ok(owner, 'Create', { Name: 'taken' });
    await box.ok(owner, 'Mount', { Name: 'taken', ID: 'a' });
    await box.refused(owner, 'Mount', { Name: 'none', ID: 'a' });
    ownerText = await scrape(owner);
    await box.ec2.send(new StopInstancesCommand({ InstanceIds: [owner] }));
    await eventually(async () => {
      const { Reservations } = await box.ec2.send(new DescribeInstancesCommand({ InstanceIds: [owner] }));
      return Reservations?.[0]?.Instances?.[0]?.State?.Name === 'stopped';
    });
    await box.ok(taker, 'Mount', { Name: 'taken', ID: 'b' });
    takerText = await scrape(taker);
    seen = { owner: parseScrape(ownerText), taker: parseScrape(takerText) };
  });
  afterAll(() => box?.close());

  it('is what Prometheus expects of metrics', async () => {
    for (const page of [ownerText, takerText]) {
      const promtool = spawn('promtool', ['check', 'metrics'], { stdio: ['pipe', 'pipe', 'pipe'] });
      const complaints = Promise.all([text(promtool.stdout), text(promtool.stderr)]);
      promtool.stdin.end(page);
      await once(promtool, 'exit');
      expect(await complaints).toEqual(['', '']);
    }
  });

  // The daemon may call EC2 at any time of its own accord: a read that a mount gave up may arrive after its answer, and
  // the permissions are asked for some minutes after the start. So both are asserted of a moment without such a call.
  it('counts the EC2 calls that EC2 counts, and a scrape makes none', async () => {
    const callsOfScrapes = async () => {
      const before = callsOf(taker).length;
      for (let scrapes = 0; scrapes < 5; scrapes += 1) await scrape(taker);
      return callsOf(taker).length - before;
    };
    await expect.poll(callsOfScrapes).toBe(0);
    const counts = async () => {
      const counted: Record<string, number> = {};
      for (const { name, labels, value } of parseScrape(await scrape(taker)).samples) {
        const { action = '' } = labels;
        if (name === ours('ec2_calls_total')) counted[action] = (counted[action] ?? 0) + value;
      }
      const sent: Record<string, number> = {};
      for (const { action } of callsOf(taker)) sent[action] = (sent[action] ?? 0) + 1;
      const actions = new Set([...Object.keys(counted), ...Object.keys(sent)]);
      const different = [...actions].filter((action) => counted[action] !== sent[action]);
      return {
        attaches: sent['AttachVolume'],
        different: different.map((action) => [action, counted[action], sent[action]]),
      };
    };
    await expect.poll(counts).toEqual({ attaches: 1, different: [] });
  });

  it('counts what callers asked and how it was answered', () => {
    const operations = (verb: string, outcome: string) => seen.owner.value(ours('operations_total'), { verb, outcome });
    expect(operations('create', 'ok')).toBe(2);
    expect(operations('mount', 'ok')).toBe(2);
    expect(operations('mount', 'NO_SUCH_VOLUME')).toBe(1);
    expect(operations('unmount', 'ok')).toBe(1);
    expect(seen.owner.value(ours('operation_duration_seconds_count'), { verb: 'mount' })).toBe(2);
  });

  it('times attaches, detaches and the steps to a mount', () => {
    expect(seen.owner.value(ours('attach_duration_seconds_count'))).toBe(2);
    expect(seen.owner.value(ours('detach_duration_seconds_count'))).toBe(1);
    const steps = (node: Scrape, step: string) => node.value(ours('filesystem_step_duration_seconds_count'), { step });
    expect([steps(seen.owner, 'mkfs'), steps(seen.owner, 'mount')]).toEqual([2, 2]);
    expect([steps(seen.taker, 'mkfs'), steps(seen.taker, 'fsck')]).toEqual([undefined, 1]);
  });

  it('shows the volume held now: its room is that of its disk', () => {
    expect(seen.owner.value(ours('volumes'), { phase: 'mounted' })).toBe(1);
    expect(seen.owner.value(ours('volume_holders'), { volume: 'given-back' })).toBeUndefined();
    const size = seen.owner.value(ours('filesystem_size_bytes'), { volume: 'taken' }) ?? 0;
    // A GiB without what ext4 keeps for itself.
    expect(size / 2 ** 30).toBeGreaterThan(0.9);
    expect(size / 2 ** 30).toBeLessThan(1);
    expect(seen.owner.value(ours('filesystem_inodes'), { volume: 'taken' })).toBe(65536);
    const [used = 0, limit = 0] = ['used', 'limit'].map((each) => seen.owner.value(ours(`attachment_slots_${each}`)));
    expect(used).toBeGreaterThan(0);
    expect(used).toBeLessThan(limit);
  });

  it('counts the takeover: its decision, its time, and from whom it was', () => {
    const policy = 'instance-not-running';
    const taken = { policy, evidence: 'stopped', decision: 'take' };
    expect(seen.taker.value(ours('fence_decisions_total'), taken)).toBeGreaterThan(0);
    expect(seen.taker.value(ours('takeover_duration_seconds_count'), { policy, outcome: 'fenced' })).toBe(1);
    // It looks again 5 s after its first look.
    expect(seen.taker.value(ours('takeover_duration_seconds_sum'))).toBeGreaterThan(5);
    expect(seen.owner.value(ours('takeover_duration_seconds_count'))).toBeUndefined();
  });

  describe('everything that alerts and dashboard read is there', () => {
    const sampleNames = (): Set<string> => {
      const names = new Set<string>();
      for (const [name, { type }] of [...seen.owner.metrics, ...seen.taker.metrics]) {
        const parts = type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
        for (const part of parts) names.add(`${name}${part}`);
      }
      return names;
    };
    const expressions = [
      ...alerts.map(({ alert, expr }) => [alert, expr] as const),
      ...dashboard.panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => [title, expr] as const)),
      ...dashboard.templating.list.flatMap(({ name, definition = '' }) =>
        definition === '' ? [] : [[name, definition] as const],
      ),
    ];

    it.each(expressions)('%s: %s', (title, expr) => {
      const names = namesIn(expr);
      if (title !== 'EbsDaemonDown') expect(names).not.toEqual([]);
      for (const name of names) expect(sampleNames()).toContain(name);
    });

    it('with the labels that they ask for', () => {
      // Prometheus adds these itself.
      const known = new Set(['instance', 'job', 'le']);
      for (const { labels } of [...seen.owner.samples, ...seen.taker.samples]) {
        for (const label of Object.keys(labels)) known.add(label);
      }
      // Seen only where a node is drained, or may not take a volume.
      for (const label of ['by', 'reason']) known.add(label);
      const legends = dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ legendFormat }) => legendFormat));
      const shown = legends.flatMap((legend) => [...legend.matchAll(/\{\{(\w+)\}\}/g)].map(([, label = '']) => label));
      for (const label of [...expressions.flatMap(([, expr]) => labelsIn(expr)), ...shown]) {
        expect(known).toContain(label);
      }
    });
  });
});
