import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { policies } from '../../scripts/iam-policies.ts';
import { serviceUnit, socketUnit } from '../../src/cli/install/units.ts';
import { loadSettings } from '../../src/config.ts';
import { tagKeys } from '../../src/ebs/tags.ts';
import { checkDefaults } from '../../src/volumes/options/defaults.ts';
import { parseOptions } from '../../src/volumes/options/options.ts';
import { planVolume } from '../../src/volumes/options/plan.ts';
import { requires } from '../support/requirements.ts';
import { openPage } from './page.ts';

const podman = openPage('docs/podman.md');
const selinux = openPage('docs/selinux.md');
const namespaces = openPage('docs/user-namespaces.md');
const backup = openPage('docs/aws-backup.md');

/** What a `volume create` of a page makes: its options as the driver reads them. Podman keeps its own option `o` to itself. */
function plannedBy(line: string, replace: Readonly<Record<string, string>> = {}) {
  const words = line.trim().split(/\s+/);
  const options = words
    .filter((_, index) => words[index - 1] === '-o')
    .map((option) => /^([^=]*)=(.*)$/s.exec(option)?.slice(1) as [string, string])
    .filter(([name]) => name !== 'o')
    .map(([name, value]) => [name, replace[value] ?? value]);
  const name = words.at(-1) ?? '';
  return planVolume(name, parseOptions(name, Object.fromEntries(options)), loadSettings([], {}), 'us-east-1a');
}

describe('docs/podman.md', () => {
  it('names the socket that the driver has, and a time longer than its own', () => {
    const settings = loadSettings([], {});
    const file = podman.definition('ini', '[engine.volume_plugins]');
    expect(file).toContain(`ebs = "${settings.socket}"`);
    const seconds = Number(/^volume_plugin_timeout = (\d+)$/m.exec(file)?.[1]);
    expect(seconds).toBeGreaterThan(settings.mountTimeout);
    const own = podman.take('podman volume create --driver ebs -o size=20 -o o=timeout');
    expect(own).toContain(`-o o=timeout=${seconds} `);
    expect(plannedBy(own)).toMatchObject({ sizeGib: 20 });
  });

  it('is right about the units: they come before those of Podman', () => {
    const facts = { program: '/usr/local/bin/docker-volume-ebs', root: '/r', socket: '/s' };
    for (const unit of [serviceUnit(facts), socketUnit(facts)]) {
      expect(unit).toMatch(/^Before=.*\bpodman\.service podman-restart\.service\b/m);
    }
  });

  it('makes a volume before it uses it, and looks whose it is', () => {
    const [create = '', use = ''] = podman.take('podman volume create --driver ebs -o size=20 data\n').split('\n');
    expect(plannedBy(create)).toMatchObject({ sizeGib: 20 });
    expect(use).toContain(`-v ${create.split(' ').at(-1)}:`);
    expect(podman.take('podman volume inspect')).toContain('{{.Driver}}');
  });
});

describe('docs/selinux.md', () => {
  const label = 'context=system_u:object_r:container_file_t:s0';

  it('has a label that is taken for a volume, by set and for a node', () => {
    const { tags } = plannedBy(selinux.take('docker volume create'));
    expect(tags[tagKeys.mountOptions]).toBe(label);
    expect(selinux.take('docker-volume-ebs set')).toContain(`--mount-options ${label}`);
    const [name = '', value = ''] = selinux.definition('ini', 'DVE_').trim().split(/=(.*)/s);
    const settings = loadSettings([], { [name]: value });
    expect(settings.mountOptions).toBe(label);
    checkDefaults(settings);
    expect(selinux.take('ausearch')).toContain('avc');
  });
});

describe('docs/user-namespaces.md', () => {
  it('finds the first id of the range, and gives it to the volume', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'subuid-'));
    onTestFinished(() => rm(dir, { recursive: true }));
    await writeFile(join(dir, 'subuid'), 'somebody:500000:65536\ndockremap:231072:65536\n');
    const { stdout } = await namespaces.run('awk', { replace: { '/etc/subuid': join(dir, 'subuid') } });
    expect(stdout).toBe('231072\n');
    const { tags } = plannedBy(namespaces.take('docker volume create'), { FIRST: stdout.trim() });
    expect(tags).toMatchObject({ [tagKeys.uid]: '231072', [tagKeys.gid]: '231072' });
  });
});

describe('docs/aws-backup.md', () => {
  const [dlm, selection] = [backup.definition('json', 'PolicyType'), backup.definition('json', 'SelectionName')];
  const commands = [backup.take('aws dlm'), backup.take('aws backup'), backup.take('aws ec2 create-tags')];

  it('chooses volumes by the tag of the cluster, and lets nodes restore what is made', () => {
    const { TargetTags, Schedules } = JSON.parse(dlm);
    expect(TargetTags).toEqual([{ Key: tagKeys.cluster, Value: 'production' }]);
    expect(Schedules[0].CopyTags).toBe(true);
    const { Conditions } = JSON.parse(selection);
    expect(Conditions.StringEquals[0].ConditionKey).toBe(`aws:ResourceTag/${tagKeys.cluster}`);
    const allowed = policies['instance-not-running'].Statement.find(({ Sid }) => Sid === 'CreateVolumesFromSnapshots');
    expect(JSON.stringify(allowed?.Condition)).toContain(`aws:ResourceTag/${tagKeys.cluster}`);
    expect(plannedBy(backup.take('docker volume create'), { SNAPSHOT: 'snap-0123456789abcdef0' })).toMatchObject({
      snapshotId: 'snap-0123456789abcdef0',
    });
  });

  it.skipIf(requires('aws').skip)("has calls that AWS's own model of them takes", async () => {
    const dir = await mkdtemp(join(tmpdir(), 'backup-'));
    onTestFinished(() => rm(dir, { recursive: true }));
    await writeFile(join(dir, 'dlm.json'), dlm);
    await writeFile(join(dir, 'selection.json'), selection);
    const env = { ...process.env, AWS_DEFAULT_REGION: 'us-east-1', AWS_ACCESS_KEY_ID: 'x', AWS_SECRET_ACCESS_KEY: 'x' };
    for (const command of commands) {
      const words = command
        .trim()
        .replace('ROLE_ARN', 'arn:aws:iam::123456789012:role/r')
        .replace('SNAPSHOT', 'snap-0123456789abcdef0');
      // Checks what it is given against the model, and calls nobody.
      const asked = `${words} --generate-cli-skeleton output`;
      await promisify(execFile)('bash', ['-euo', 'pipefail', '-c', asked], { cwd: dir, env });
    }
  });
});
