import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { settingsTable } from '../../src/config.ts';
import { parseOptions } from '../../src/volumes/options/options.ts';
import { requires } from '../support/requirements.ts';
import { type AwsStandIn, awsStandIn } from './aws-stand-in.ts';
import { openPage } from './page.ts';

const page = openPage('docs/ecs.md');
let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'docker-volume-ebs-ecs-'));
});
afterAll(() => rm(dir, { recursive: true }));

it('the user data names the cluster to the agent and installs the plugin', async () => {
  const [config, heard] = [join(dir, 'ecs.config'), join(dir, 'docker-heard')];
  await writeFile(join(dir, 'docker'), `#!/bin/sh\necho "$@" > ${heard}\n`);
  await chmod(join(dir, 'docker'), 0o755);
  await page.run('#!/bin/bash', {
    env: { PATH: `${dir}:${process.env['PATH']}` },
    replace: { '/etc/ecs/ecs.config': config, 'ECS-CLUSTER': 'main', REGISTRY: 'r.example.com' },
  });
  expect(await readFile(config, 'utf8')).toBe('ECS_CLUSTER=main\n');
  const words = (await readFile(heard, 'utf8')).trim().split(' ');
  const settings = words.filter((word) => word.startsWith('DVE_')).map((word) => word.replace(/=.*/, ''));
  const known = Object.values(settingsTable).map(({ env }) => env);
  expect(words.slice(0, 4)).toEqual(['plugin', 'install', '--alias', 'ebs']);
  expect(words.some((word) => /^r\.example\.com\/ebs:\d+\.\d+\.\d+-amd64$/.test(word))).toBe(true);
  expect(settings.filter((name) => !known.includes(name))).toEqual([]);
});

describe.skipIf(requires('aws').skip)('the task', () => {
  const definition = JSON.parse(page.definition('json', 'dockerVolumeConfiguration'));
  let aws: AwsStandIn;
  beforeAll(async () => {
    aws = await awsStandIn();
    await writeFile(join(dir, 'task.json'), JSON.stringify(definition));
    const replace = { 'ECS-CLUSTER': 'main' };
    await page.run('aws ecs register-task-definition', { cwd: dir, env: aws.env, replace });
  });
  afterAll(() => aws?.close());

  it('is a definition that ECS knows every word of, and that keeps its volume', () => {
    expect(aws.calls[0]).toEqual({ operation: 'RegisterTaskDefinition', parameters: definition });
    const [volume] = definition.volumes;
    expect(volume.dockerVolumeConfiguration).toMatchObject({ scope: 'shared', driver: 'ebs' });
    expect(definition.containerDefinitions[0].mountPoints[0].sourceVolume).toBe(volume.name);
    expect(parseOptions(volume.name, volume.dockerVolumeConfiguration.driverOpts)).toMatchObject({ size: 20 });
  });

  it('is run once, stopped before its successor starts, in the zone of its volume', () => {
    expect(aws.calls[1]).toMatchObject({
      operation: 'CreateService',
      parameters: {
        cluster: 'main',
        taskDefinition: definition.family,
        launchType: 'EC2',
        desiredCount: 1,
        deploymentConfiguration: { minimumHealthyPercent: 0, maximumPercent: 100 },
        placementConstraints: [{ type: 'memberOf', expression: 'attribute:ecs.availability-zone == us-east-1a' }],
      },
    });
  });
});
