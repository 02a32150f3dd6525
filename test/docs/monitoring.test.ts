import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { parse } from 'yaml';
import { createMetrics } from '../../src/metrics/metrics.ts';
import { requires } from '../support/requirements.ts';
import { openPage, projectRoot } from './page.ts';

const page = openPage('docs/monitoring.md');

describe.skipIf(requires('promtool', 'curl').skip)('docs/monitoring.md', () => {
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp('/var/tmp/dve-test-');
  });
  afterAll(() => rm(dir, { recursive: true, force: true }));

  it('sets the plugin to a value that the plugin takes and the daemon understands', async () => {
    const docker = join(dir, 'docker');
    await writeFile(docker, `#!/bin/sh\necho "$@" >> ${dir}/docker.log\n`);
    await chmod(docker, 0o755);
    await page.run('docker plugin disable', { env: { PATH: `${dir}:${process.env['PATH']}` } });
    const commands = await readFile(join(dir, 'docker.log'), 'utf8');
    const [, name, value] = /^plugin set ebs (\w+)=(\S+)$/m.exec(commands) ?? [];
    const { env, network } = JSON.parse(await readFile(join(projectRoot, 'plugin-config.json'), 'utf8'));
    expect(env).toContainEqual(expect.objectContaining({ name, settable: ['value'] }));
    expect(network).toEqual({ type: 'host' });
    expect(value).toMatch(/^0\.0\.0\.0:\d+$/);
  });

  it('reads the metrics of a daemon', async () => {
    const daemon = spawn(process.execPath, [join(projectRoot, 'src/cli/main.ts'), 'serve'], {
      env: {
        PATH: process.env['PATH'],
        DVE_SOCKET: join(dir, 'ebs.sock'),
        DVE_ROOT: join(dir, 'root'),
        DVE_INSTANCE_ID: 'i-00000000000000000',
        DVE_AVAILABILITY_ZONE: 'us-east-1a',
        DVE_NOTICES: 'off',
        DVE_METRICS: '0',
        AWS_REGION: 'us-east-1',
        AWS_EC2_METADATA_DISABLED: 'true',
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      let port: number | undefined;
      for await (const line of createInterface({ input: daemon.stdout })) {
        if (line.includes('metrics are served')) port = JSON.parse(line).port;
        if (port !== undefined) break;
      }
      daemon.stdout.resume();
      const { stdout } = await page.run('curl -fsS', { replace: { '19225': String(port) } });
      expect(stdout).toMatch(/^docker_volume_ebs_build_info\{.*\} 1$/m);
    } finally {
      daemon.kill();
      await once(daemon, 'exit');
    }
  });

  it('checks the alerts where it has put them', async () => {
    const { stdout } = await page.run('mkdir -p', { replace: { '/etc/prometheus': dir } });
    expect(stdout.match(/SUCCESS/g)).toHaveLength(2);
  });

  it.each(['static_configs', 'ec2_sd_configs'])('Prometheus accepts the configuration with %s', async (words) => {
    const config = page.definition('yaml', words);
    const file = join(dir, `${words}.yml`);
    await writeFile(file, config.replace('/etc/prometheus/docker-volume-ebs', join(projectRoot, 'monitoring')));
    const promtool = spawn('promtool', ['check', 'config', file], { stdio: ['ignore', 'ignore', 'inherit'] });
    expect(await once(promtool, 'exit')).toEqual([0, null]);
    expect(parse(config).scrape_configs[0].job_name).toBe('docker-volume-ebs');
  });
});

it('docs/monitoring.md has every metric, its type, its labels and what it means', async () => {
  const registered = vi.spyOn(Registry.prototype, 'registerMetric');
  createMetrics(new Promise(() => undefined), pino({ level: 'silent' }));
  const rows = registered.mock.calls.map(([metric]) => {
    const { name, labelNames, help } = metric as unknown as Record<'name' | 'help', string> & { labelNames: string[] };
    const labels = labelNames.length === 0 ? '' : `${labelNames.join(', ')} `;
    return `| \`${name}\` | ${metric.constructor.name.toLowerCase()} | ${labels}| ${help} |`;
  });
  const text = await readFile(join(projectRoot, 'docs/monitoring.md'), 'utf8');
  expect(text.split('\n').filter((line) => /^\| `/.test(line))).toEqual(rows);
});
