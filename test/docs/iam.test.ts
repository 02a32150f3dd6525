import { mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { policies } from '../../scripts/iam-policies.ts';
import { fencePolicies } from '../../src/fencing/types.ts';
import { requires } from '../support/requirements.ts';
import { type AwsStandIn, awsStandIn } from './aws-stand-in.ts';
import { openPage, projectRoot } from './page.ts';

const page = openPage('docs/iam.md');
const prose = await readFile(join(projectRoot, 'docs/iam.md'), 'utf8');

it('has a policy for each fence policy, and tells what each statement is for', () => {
  for (const name of fencePolicies) expect(prose).toMatch(new RegExp(`\\| \`${name}\`.* \\| \`iam/${name}.json\``));
  const told = [...prose.matchAll(/^\| (`\w+`(?:, `\w+`)*) \|/gm)].flatMap(([, cell = '']) => cell.match(/\w+/g) ?? []);
  expect(told.toSorted()).toEqual(
    [
      ...policies.stonith.Statement.map(({ Sid }) => Sid),
      ...['DVE_FENCE_POLICY', 'never', 'preempt', 'stonith'],
    ].toSorted(),
  );
});

describe.skipIf(requires('aws').skip)('the commands', () => {
  let aws: AwsStandIn;
  let cwd: string;
  beforeAll(async () => {
    aws = await awsStandIn();
    cwd = await mkdtemp(join(tmpdir(), 'docker-volume-ebs-iam-'));
    for (const folder of ['iam', 'deploy']) await symlink(join(projectRoot, folder), join(cwd, folder));
  });
  afterAll(async () => {
    await aws?.close();
    await rm(cwd, { recursive: true });
  });
  const put = async (start: string, replace: Record<string, string>) => {
    await page.run(start, { cwd, env: aws.env, replace });
    const { operation, parameters } = aws.calls.at(-1)!;
    expect(operation).toBe('PutRolePolicy');
    expect(parameters).toMatchObject({ RoleName: 'nodes' });
    return JSON.parse(String(parameters['PolicyDocument']));
  };

  it("put a fence policy's rights on a role, for one cluster", async () => {
    const document = await put(`sed 's/\${CLUSTER}`, { ROLE: 'nodes' });
    const wanted = JSON.stringify(policies['instance-not-running']).replaceAll(`\${CLUSTER}`, 'production');
    expect(document).toEqual(JSON.parse(wanted));
  });

  it('put the use of a key on it', async () => {
    const KEY_ARN = 'arn:aws:kms:us-east-1:123456789012:key/1';
    // The placeholder in the file ends in the same letters.
    const document = await put(`sed 's|\${KMS_KEY_ARN}`, { '|KEY_ARN|': `|${KEY_ARN}|`, ROLE: 'nodes' });
    expect(document.Statement.map(({ Resource }: { Resource: string[] }) => Resource)).toEqual([[KEY_ARN], [KEY_ARN]]);
  });

  it('make the whole of it with CloudFormation', async () => {
    const replace = { REGISTRY: 'registry.example.com', '=AMI': '=ami-0123456789abcdef0' };
    await page.run('aws cloudformation create-stack', { cwd, env: aws.env, replace });
    const { operation, parameters } = aws.calls.at(-1)!;
    expect(operation).toBe('CreateStack');
    expect(parameters['TemplateBody']).toBe(await readFile(join(projectRoot, 'deploy/cloudformation.yaml'), 'utf8'));
    expect(Object.values(parameters)).toContain('registry.example.com/ebs:0.1.0-amd64');
  });
});
