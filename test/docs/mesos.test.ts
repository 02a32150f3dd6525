import { execFile } from 'node:child_process';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Type } from 'typebox';
import { Errors } from 'typebox/schema';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { readOptions } from '../../src/cli/dvdcli/options.ts';
import { loadSettings, settingsTable } from '../../src/config.ts';
import { parseOptions } from '../../src/volumes/options/options.ts';
import { requires } from '../support/requirements.ts';
import { type TestSandbox, tagsOf, testSandbox } from '../support/sandbox.ts';
import { openPage, projectRoot } from './page.ts';

const page = openPage('docs/mesos.md');

/** What an object may hold, and nothing else. */
const only = (properties: Parameters<typeof Type.Object>[0]) =>
  Type.Object(properties, { additionalProperties: false });
const text = Type.String({ minLength: 1 });
const positive = Type.Number({ exclusiveMinimum: 0 });
const share = Type.Number({ minimum: 0, maximum: 1 });

/** The fields that Marathon documents (mesosphere/marathon docs/docs/rest-api/public/api/v2/types: app, appContainer, volumes). */
const marathonApp = only({
  id: Type.String({ pattern: '^(/[a-z0-9-]+)+$' }),
  cmd: Type.Optional(text),
  args: Type.Optional(Type.Array(text)),
  cpus: positive,
  mem: positive,
  instances: Type.Integer({ minimum: 0 }),
  env: Type.Optional(Type.Unsafe({ type: 'object', additionalProperties: text })),
  constraints: Type.Optional(Type.Array(Type.Array(text, { minItems: 2, maxItems: 3 }))),
  container: Type.Optional(
    only({
      type: Type.Enum(['MESOS', 'DOCKER']),
      docker: Type.Optional(
        only({ image: text, network: Type.Optional(Type.Enum(['BRIDGE', 'HOST', 'NONE', 'USER'])) }),
      ),
      volumes: Type.Optional(
        Type.Array(
          only({
            containerPath: text,
            mode: Type.Enum(['RW', 'RO']),
            external: only({
              name: text,
              provider: Type.Enum(['dvdi']),
              size: Type.Optional(Type.Integer({ minimum: 1 })),
              options: Type.Unsafe({
                type: 'object',
                required: ['dvdi/driver'],
                patternProperties: { '^dvdi/[A-Za-z]+$': text },
                additionalProperties: false,
              }),
            }),
          }),
        ),
      ),
    }),
  ),
  upgradeStrategy: Type.Optional(only({ minimumHealthCapacity: share, maximumOverCapacity: share })),
});

interface App {
  readonly instances: number;
  readonly cmd?: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly container?: {
    readonly type: string;
    readonly docker?: object;
    readonly volumes?: readonly { readonly containerPath: string; readonly external: External }[];
  };
  readonly upgradeStrategy?: { readonly minimumHealthCapacity: number; readonly maximumOverCapacity: number };
}
interface External {
  readonly name: string;
  readonly size?: number;
  readonly options: Readonly<Record<string, string>>;
}

function app(words: string): App {
  const definition = JSON.parse(page.definition('json', words));
  const [, problems] = Errors(marathonApp, definition);
  expect(problems).toEqual([]);
  return definition;
}

/** That Marathon starts no second task beside the first (docs/docs/external-volumes.md), and the driver is this one. */
function expectOneTask({ instances, upgradeStrategy }: App): void {
  expect(instances).toBe(1);
  expect(upgradeStrategy).toEqual({ minimumHealthCapacity: 0, maximumOverCapacity: 0 });
}

/** As Marathon and the isolator pass them on: each option in a flag of its own, as text without a shell. */
function volumeoptsOf({ size, options }: External): string[] {
  const { 'dvdi/driver': driver, ...others } = options;
  expect(driver).toBe('ebs');
  const all = { ...others, ...(size === undefined ? {} : { 'dvdi/size': String(size) }) };
  return Object.entries(all).map(([key, value]) => `${key.replace('dvdi/', '')}=${value.trim()}`);
}

/** Lines of an environment file. */
const variables = (words: string) =>
  Object.fromEntries(
    page
      .definition('ini', words)
      .trim()
      .split('\n')
      .map((line) => /^([A-Z_]+)=(.+)$/.exec(line)?.slice(1) ?? [line]),
  );

describe('the definitions of docs/mesos.md', () => {
  test('a Marathon app of the Mesos containerizer, whose options the driver takes', () => {
    const definition = app('"type": "MESOS"');
    expectOneTask(definition);
    const [volume, ...others] = definition.container?.volumes ?? [];
    expect(others).toEqual([]);
    const options = parseOptions('shop-db', readOptions(volumeoptsOf(volume!.external)));
    expect(options).toEqual({
      size: 20,
      fsType: 'xfs',
      encrypted: true,
      kmsKeyId: expect.stringMatching(/^arn:aws:kms:/),
      tags: { team: 'shop', stage: 'production' },
    });
    expect(volume?.containerPath).not.toContain('/');
  });

  test('a Marathon app of the Docker containerizer, which can pass no options on', () => {
    const definition = app('"shop/queue:1"');
    expectOneTask(definition);
    const [volume] = definition.container?.volumes ?? [];
    expect(volume?.external.size).toBeUndefined();
    expect(volumeoptsOf(volume!.external)).toEqual([]);
    expect(volume?.containerPath).toMatch(/^\//);
  });

  test('the volume of a framework’s own task', () => {
    const option = only({ key: text, value: text });
    const dockerVolume = only({ driver: text, name: text, driver_options: only({ parameter: Type.Array(option) }) });
    // apache/mesos include/mesos/mesos.proto: Volume.
    const volumes = Type.Array(
      only({
        container_path: text,
        mode: Type.Enum(['RW', 'RO']),
        source: only({ type: Type.Enum(['DOCKER_VOLUME']), docker_volume: dockerVolume }),
      }),
    );
    const definition = JSON.parse(page.definition('json', 'DOCKER_VOLUME'));
    expect(Errors(volumes, definition)[1]).toEqual([]);
    const [{ source }] = definition;
    const flags = source.docker_volume.driver_options.parameter.map(
      ({ key, value }: { key: string; value: string }) => `${key}=${value}`,
    );
    expect(parseOptions('shop-db', readOptions(flags))).toEqual({ size: 20 });
  });

  test('a task of mesos-module-dvdi, without what it refuses', () => {
    const definition = app('DVDI_VOLUME_NAME');
    expectOneTask(definition);
    const { DVDI_VOLUME_OPTS: options = '', DVDI_VOLUME_CONTAINERPATH: path, ...names } = definition.env ?? {};
    expect(names).toEqual({ DVDI_VOLUME_NAME: 'shop-search', DVDI_VOLUME_DRIVER: 'ebs' });
    expect(path).toMatch(/^\/tmp\//);
    for (const value of [options, ...Object.values(names)]) expect(value).not.toMatch(/[%/:;<>|`$'?^&{}[\]"\\\s]/);
    expect(parseOptions('shop-search', readOptions([options]))).toEqual({ size: 20, fsType: 'xfs' });
  });

  test('the module itself, and the agents’ flags', () => {
    const module = 'com_emccode_mesos_DockerVolumeDriverIsolator';
    expect(JSON.parse(page.definition('json', '"libraries"'))).toEqual({
      libraries: [{ file: expect.stringMatching(/^\/usr\/lib\/.*\.so$/), modules: [{ name: module }] }],
    });
    expect(variables('MESOS_MODULES')).toEqual({
      MESOS_MODULES: 'file:///usr/lib/dvdi-mod.json',
      // The module's own mounts stay on the host where / is shared, unless each task has a mount namespace of its own.
      MESOS_ISOLATION: `filesystem/linux,${module}`,
    });
    expect(variables('docker/volume')).toEqual({
      MESOS_ISOLATION: 'filesystem/linux,docker/volume',
      MESOS_DOCKER_VOLUME_CHECKPOINT_DIR: '/var/run/mesos/isolators/docker/volume',
    });
  });

  test('the Elasticsearch framework, whose volumes are named after its own name', () => {
    const { args = [], instances } = app('elasticsearch-scheduler');
    expect(instances).toBe(1);
    const flags = Object.fromEntries(args.flatMap((word, n) => (n % 2 === 0 ? [[word, args[n + 1]]] : [])));
    expect(flags).toEqual({
      '--zookeeperMesosUrl': expect.stringMatching(/^zk:/),
      '--frameworkName': 'elasticsearch',
      '--elasticsearchNodes': '3',
      '--externalVolumeDriver': 'ebs',
    });
  });

  test('the settings that make the masters’ word count', () => {
    const given = variables('DVE_MESOS_MASTERS');
    const known = Object.values(settingsTable).map(({ env }) => env as string);
    expect(Object.keys(given).filter((name) => !known.includes(name))).toEqual([]);
    const { mesosMasters, fencePolicy } = loadSettings([], given);
    expect(mesosMasters.split(',').every((url) => URL.canParse(url))).toBe(true);
    expect(fencePolicy).toBe('stonith');
  });
});

describe.skipIf(requires('root', 'loop').skip)('the commands of docs/mesos.md', () => {
  let box: TestSandbox;

  beforeAll(async () => {
    box = await testSandbox({ nodes: 1, nodeEnv: { DVE_LINGER: '0', DVE_SIZE: '1' } });
    // As an installed program: what it is called by is seen in a link's name.
    const bin = join(box.dir, 'bin');
    await mkdir(bin);
    const program = `#!${process.execPath}\nimport(${JSON.stringify(join(projectRoot, 'src/cli/main.ts'))});\n`;
    await writeFile(join(bin, 'docker-volume-ebs'), program);
    await chmod(join(bin, 'docker-volume-ebs'), 0o755);
  });
  afterAll(() => box?.close());

  /** On the machine of the node: its daemon listens where Docker looks, and /etc and /usr/local/bin may be written. */
  const onMachine = async (start: string) => {
    const machine = `
      mount -t tmpfs tmpfs /run && mkdir -p /run/docker/plugins /run/etc /run/work
      mount --bind ${join(box.node(0).socket, '..')} /run/docker/plugins
      mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/etc,workdir=/run/work /etc
      mount --bind ${join(box.dir, 'bin')} /usr/local/bin
      set -euo pipefail
    `;
    const path = `/usr/local/bin:${process.env['PATH']}`;
    const args = ['--mount', '--propagation', 'slave', 'bash', '--norc', '-ec', `${machine}\n${page.take(start)}`];
    return promisify(execFile)('unshare', args, { env: { PATH: path } });
  };

  it('install dvdcli, try it, name the driver rexray', async () => {
    await onMachine('ln -s');
    const directory = join(box.node(0).root, 'volumes/try-me/data');
    expect(await onMachine('dvdcli mount')).toEqual({ stdout: `${directory}\n`, stderr: '' });
    expect(await box.volumes('try-me')).toEqual([]);

    expect(await onMachine('dvdcli create')).toEqual({ stdout: '', stderr: '' });
    const [volume] = await box.volumes('shop-db');
    expect(volume?.Size).toBe(1);
    expect(tagsOf(volume)).toMatchObject({ team: 'shop', stage: 'production' });
    const { stdout } = await onMachine('mkdir -p /etc/docker/plugins');
    expect(stdout).toBe('shop-db\n');
  });

  it('end a holder that the module has forgotten', async () => {
    await box.ok(0, 'Create', { Name: 'shop-search' });
    await box.ok(0, 'Mount', { Name: 'shop-search' });
    expect((await onMachine('docker-volume-ebs unmount')).stdout).toBe('anonymous holds shop-search no more.\n');
    await box.detached('shop-search');
  });

  it('show whose volume a Node ID’s is', async () => {
    await box.ok(0, 'Create', { Name: 'elasticsearch0data' });
    await box.ok(0, 'Mount', { Name: 'elasticsearch0data' });
    const { stdout } = await onMachine('docker-volume-ebs fence explain');
    expect(stdout).toContain(box.node(0).instanceId);
    await box.ok(0, 'Unmount', { Name: 'elasticsearch0data' });
    await box.detached('elasticsearch0data');
  });
});
