import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type CollectionTag, parse, type ScalarTag, YAMLMap } from 'yaml';
import { policies } from '../../scripts/iam-policies.ts';
import { tagKeys } from '../../src/ebs/tags.ts';
import { fencePolicies } from '../../src/fencing/types.ts';

const textOf = (file: string) => readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');
const applied = (name: keyof typeof policies, values: Record<string, string>) =>
  JSON.parse(JSON.stringify(policies[name]).replaceAll(/\$\{(\w+)\}/g, (_, word) => values[word] ?? ''));
/** How an instance installs the driver, whoever fills the names in. */
const install = (cluster: string, policy: string, plugin: string) =>
  `#!/bin/bash\nset -eu\ndocker plugin install --alias ebs --grant-all-permissions ${plugin} \\\n` +
  `  DVE_CLUSTER=${cluster} DVE_FENCE_POLICY=${policy}\n`;

describe('the CloudFormation template', () => {
  /** `!Sub text` is read as {Sub: text}. */
  const functions = ['Ref', 'Sub', 'GetAtt', 'If', 'Or', 'Not', 'Equals'];
  const customTags = functions.flatMap((name): (ScalarTag | CollectionTag)[] => [
    { tag: `!${name}`, resolve: (text: string) => ({ [name]: text }) },
    {
      tag: `!${name}`,
      collection: 'seq',
      resolve: (items) => {
        const map = new YAMLMap();
        map.set(name, items);
        return map;
      },
    },
  ]);
  const template = parse(textOf('deploy/cloudformation.yaml'), { customTags });
  const key = 'arn:aws:kms:us-east-1:123456789012:key/1';

  /** What stays of the template with these parameters, as CloudFormation works its functions out. */
  function made(FencePolicy: string, { KmsKeyArn = '', GrowVolumes = 'no' } = {}) {
    const parameters: Record<string, string> = {
      'AWS::Partition': 'aws',
      ...{
        Cluster: 'blue',
        FencePolicy,
        KmsKeyArn,
        GrowVolumes,
        Plugin: 'r/ebs:1-amd64',
        ImageId: 'ami-1',
        InstanceType: 'm6i.large',
      },
    };
    // biome-ignore lint/suspicious/noExplicitAny: the parts of a template have every shape.
    const solve = (value: any): any => {
      if (Array.isArray(value)) return value.map(solve).filter((each) => each !== undefined);
      if (typeof value !== 'object' || value === null) return value;
      // biome-ignore lint/suspicious/noExplicitAny: as above.
      const [[name = '', of] = []] = Object.entries<any>(value);
      if (!functions.includes(name)) return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, solve(v)]));
      if (name === 'If') return solve(holds(of[0]) ? of[1] : of[2]);
      if (name === 'Or') return solve(of).some(Boolean);
      if (name === 'Not') return !solve(of)[0];
      if (name === 'Equals') return new Set(solve(of)).size === 1;
      if (name === 'Sub') return of.replaceAll(/\$\{([\w:]+)\}/g, (_: string, word: string) => parameters[word]);
      return of === 'AWS::NoValue' ? undefined : (parameters[of] ?? of);
    };
    const holds = (condition: string) => solve(template.Conditions[condition]) as boolean;
    const all = Object.entries<{ Condition?: string }>(template.Resources);
    const present = all.filter(([, { Condition }]) => Condition === undefined || holds(Condition));
    return solve(Object.fromEntries(present));
  }

  it.each(fencePolicies)('gives the role the policy for %s', (name) => {
    const { VolumePolicy, Role } = made(name);
    expect(VolumePolicy.Properties).toMatchObject({
      RoleName: 'Role',
      PolicyDocument: applied(name, { CLUSTER: 'blue' }),
    });
    expect(Role.Properties.AssumeRolePolicyDocument.Statement).toMatchObject([
      { Principal: { Service: 'ec2.amazonaws.com' } },
    ]);
  });

  it('lets it use a key, if there is one', () => {
    expect(made('never').KeyPolicy).toBeUndefined();
    const { PolicyDocument } = made('never', { KmsKeyArn: key }).KeyPolicy.Properties;
    expect(PolicyDocument).toEqual(applied('kms', { KMS_KEY_ARN: key }));
  });

  it('lets it grow volumes, if that is wanted', () => {
    expect(template.Parameters.GrowVolumes.AllowedValues).toEqual(['no', 'yes']);
    expect(made('never').GrowPolicy).toBeUndefined();
    const { PolicyDocument, RoleName } = made('never', { GrowVolumes: 'yes' }).GrowPolicy.Properties;
    expect(PolicyDocument).toEqual(applied('grow', { CLUSTER: 'blue' }));
    expect(RoleName).toBe('Role');
  });

  it('makes instances that have the role and the tag, keep the role to themselves, and install the driver', () => {
    const { LaunchTemplateData } = made('stonith').LaunchTemplate.Properties;
    // Without a type an Auto Scaling group refuses the template.
    expect(LaunchTemplateData).toMatchObject({
      ImageId: 'ami-1',
      InstanceType: 'm6i.large',
      IamInstanceProfile: { Arn: 'Profile.Arn' },
      MetadataOptions: { HttpTokens: 'required', HttpPutResponseHopLimit: 1 },
      TagSpecifications: [{ ResourceType: 'instance', Tags: [{ Key: tagKeys.cluster, Value: 'blue' }] }],
      UserData: { 'Fn::Base64': install('blue', 'stonith', 'r/ebs:1-amd64') },
    });
    expect(template.Parameters.FencePolicy.AllowedValues).toEqual(fencePolicies);
  });
});

describe('the Terraform module', () => {
  const module = textOf('deploy/terraform/main.tf');

  it('reads the policies from their files, with every placeholder they have', () => {
    const reads = [...module.matchAll(/templatefile\("\$\{local\.policies\}\/([^"]+)", \{ (\w+) = /g)];
    expect(reads.map(([, file, placeholder]) => [file, placeholder])).toEqual([
      [`\${var.fence_policy}.json`, 'CLUSTER'],
      ['grow.json', 'CLUSTER'],
      ['kms.json', 'KMS_KEY_ARN'],
    ]);
    expect(module).toContain(`policies = "\${path.module}/../../iam"`);
    const names = /contains\(\[([^\]]*)\], var\.fence_policy\)/.exec(module)?.[1];
    expect(JSON.parse(`[${names}]`)).toEqual(fencePolicies);
    for (const name of [...fencePolicies, 'grow'])
      expect(textOf(`iam/${name}.json`)).not.toMatch(/[$%]\{(?!CLUSTER\})/);
    expect(module).toMatch(/"aws_iam_role_policy" "grow" \{\n +count += var\.grow_volumes \? 1 : 0\n/);
    expect(textOf('iam/kms.json')).not.toMatch(/[$%]\{(?!KMS_KEY_ARN\})/);
  });

  it('makes the same instances', () => {
    const script = /<<-EOT\n([\s\S]*?)\n +EOT/.exec(module)?.[1]?.replaceAll(/^ {4}/gm, '');
    expect(`${script}\n`).toBe(install(`\${var.cluster}`, `\${var.fence_policy}`, `\${var.plugin}`));
    expect(module).toMatch(/instance_type = var\.instance_type\n/);
    expect(module).toMatch(/http_tokens +=/);
    expect(module).toMatch(/http_put_response_hop_limit = 1\n/);
    expect(module).toContain(`{ "${tagKeys.cluster}" = var.cluster }`);
  });
});
