import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { requires } from '../support/requirements.ts';
import { alerts, alertTests, dashboard, fileOf } from './definitions.ts';

const promtool = (...args: string[]) => promisify(execFile)('promtool', args);

describe.skipIf(requires('promtool').skip)('the alerts, as Prometheus reads them', () => {
  it('are rules without fault', async () => {
    const { stdout } = await promtool('check', 'rules', fileOf('alerts.yml'));
    expect(stdout).toContain(`SUCCESS: ${alerts.length} rules found`);
  });

  it('fire and do not as their tests say', async () => {
    const { stdout } = await promtool('test', 'rules', fileOf('alerts.test.yml'));
    expect(stdout).toContain('SUCCESS');
  });

  it('those tests notice a rule that is wrong', async () => {
    const dir = await mkdtemp('/var/tmp/dve-test-');
    onTestFinished(() => rm(dir, { recursive: true }));
    const rules = readFileSync(fileOf('alerts.yml'), 'utf8');
    // None fires any more.
    const dead = rules.replaceAll(/(?<= for: ).*$/gm, '15h').replaceAll(/> [\d.]+/g, '> 1e9');
    await writeFile(join(dir, 'alerts.yml'), dead);
    await writeFile(join(dir, 'alerts.test.yml'), readFileSync(fileOf('alerts.test.yml')));
    const failure = await promtool('test', 'rules', join(dir, 'alerts.test.yml')).catch((error) => error);
    const failed = `${failure.stdout}${failure.stderr}`.matchAll(/expr: "ALERTS\{alertname=\\"(\w+)/g);
    expect([...failed].map(([, name]) => name)).toEqual(alerts.map(({ alert }) => alert));
  });
});

it('each alert has a test in which it fires, and one in which it does not', () => {
  expect(alertTests.map(({ name }) => name)).toEqual(alerts.map(({ alert }) => alert));
  for (const { name, promql_expr_test: tests } of alertTests) {
    expect(tests.map(({ expr }) => expr)).toEqual(tests.map(() => `ALERTS{alertname="${name}", alertstate="firing"}`));
    expect(tests.map(({ exp_samples }) => exp_samples.length > 0).sort()).toEqual([false, true]);
  }
});

it('each alert says what is wrong and what to do, and where more is said', () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/monitoring.md'), 'utf8');
  const anchors = [...page.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading.toLowerCase().replaceAll(' ', '-'),
  );
  for (const { alert, annotations, labels } of alerts) {
    expect(annotations).toEqual({
      summary: expect.stringMatching(/\w/),
      description: expect.stringMatching(/\.$/),
      runbook: `docs/monitoring.md#${alert.toLowerCase()}`,
    });
    expect(['info', 'warning', 'critical']).toContain(labels['severity']);
    expect(anchors).toContain(alert.toLowerCase());
  }
});

describe('the dashboard', () => {
  it('takes its data source and its nodes from variables', () => {
    const { list } = dashboard.templating;
    expect(list.map(({ name, type }) => [name, type])).toEqual([
      ['datasource', 'datasource'],
      ['instance', 'query'],
      ['volume', 'query'],
    ]);
    for (const { type, datasource } of dashboard.panels) {
      if (type !== 'row')
        expect(datasource).toEqual({ type: 'prometheus', uid: expect.stringMatching(/^\$\{datasource\}$/) });
    }
  });

  it('has its panels side by side, each with its own id', () => {
    const { panels } = dashboard;
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    for (const [n, { title, gridPos: a }] of panels.entries()) {
      expect(a.x + a.w, title).toBeLessThanOrEqual(24);
      for (const { gridPos: b } of panels.slice(n + 1)) {
        const apart = a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y;
        expect(apart, title).toBe(true);
      }
    }
  });
});
