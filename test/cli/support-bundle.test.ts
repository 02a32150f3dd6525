import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished, test } from 'vitest';
import { anonymised } from '../../src/cli/support-bundle/anonymise.ts';
import { fakeDriver } from '../dvdi/fake-driver.ts';
import { serving } from '../dvdi/serving.ts';

describe('texts without names', () => {
  const names = new Set(['pgdata', 'pg', 'web-1', 'a.b']);
  it('have the same word for the same thing in all of them', () => {
    const texts = [
      'vol-0123456789abcdef0 of pgdata is attached to i-0aa11bb22cc33dd44 (web-1, 10.0.3.7, ip-10-0-3-7)',
      '/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0123456789abcdef0 at /volumes/pgdata, beside pg and pgdata-2',
      'arn:aws:kms:eu-west-1:123456789012:key/11111111-2222-3333-4444-555555555555 by IMDS at 169.254.169.254',
    ];
    expect(anonymised(texts, names)).toEqual([
      'vol-1 of name-1 is attached to i-1 (name-2, address-1, host-1)',
      '/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol-1 at /volumes/name-1, beside name-3 and pgdata-2',
      'arn:aws:kms:eu-west-1:account-1:key/uuid-1 by IMDS at 169.254.169.254',
    ]);
  });

  it('keep what is no name: versions, times, counts, the words of a sentence', () => {
    const text = '{"time":"2026-11-30T12:00:00.000Z","version":"0.1.0","bytes":123456789012345,"a":"axb, 28.5.1"}';
    expect(anonymised([text], names)).toEqual([text]);
  });

  it('hold none of the ids that were in them', () => {
    const id = fc
      .tuple(fc.constantFrom('i', 'vol', 'snap', 'eni'), fc.stringMatching(/^[0-9a-f]{17}$/))
      .map(([kind, digits]) => `${kind}-${digits}`);
    fc.assert(
      fc.property(fc.array(id, { minLength: 1 }), fc.constantFrom(' ', ', ', '"', '/', ':', '('), (ids, between) => {
        const [text = ''] = anonymised([ids.join(between)], new Set());
        for (const each of ids) expect(text).not.toContain(each.split('-')[1]);
        expect(new Set(text.split(between)).size).toBe(new Set(ids).size);
      }),
    );
  });
});

const execute = promisify(execFile);

test('support-bundle keeps what the daemon, the machine and the journal say, for root alone, and replaces no file', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'dve-bundle-'));
  onTestFinished(() => rm(dir, { recursive: true }));
  await mkdir(join(dir, 'root/state/volumes'), { recursive: true });
  await writeFile(
    join(dir, 'root/state/volumes/secretplan.json'),
    '{"name":"secretplan","volume":"vol-0123456789abcdef0"}',
  );
  const { socketPath } = await serving(fakeDriver());
  const env = {
    ...process.env,
    DVE_ROOT: join(dir, 'root'),
    DVE_SOCKET: socketPath,
    DVE_INSTANCE_ID: 'i-0123456789abcdef0',
    DVE_AVAILABILITY_ZONE: 'us-east-1a',
    DVE_CLUSTER: 'shop',
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
    AWS_SECRET_ACCESS_KEY: 'never-told',
    AWS_ENDPOINT_URL_EC2: 'http://127.0.0.1:9',
  };
  const main = join(import.meta.dirname, '../../src/cli/main.ts');
  const output = join(dir, 'bundle.tar.gz');
  const bundle = () =>
    execute(process.execPath, [main, 'support-bundle', '--anonymise', '--json', '--output', output], { env });
  const { file, parts } = JSON.parse((await bundle()).stdout);
  expect(file).toBe(output);
  expect((await stat(output)).mode & 0o777).toBe(0o600);
  await execute('tar', ['-xzf', output, '-C', dir]);
  const found = (await readdir(join(dir, 'bundle'), { recursive: true, withFileTypes: true })).filter((each) =>
    each.isFile(),
  );
  const read = await Promise.all(
    found.map(
      async ({ parentPath, name }) => [join(parentPath, name), await readFile(join(parentPath, name), 'utf8')] as const,
    ),
  );
  expect(found).toHaveLength(parts.length);
  expect(parts).toEqual(
    expect.arrayContaining([
      'doctor.json',
      'status.json',
      'settings.txt',
      expect.stringMatching(/^state\/volumes\/name-\d\.json$/),
    ]),
  );
  const all = read.flat().join('\n');
  for (const secret of ['never-told', 'AKIDEXAMPLE', 'secretplan', '0123456789abcdef0'])
    expect(all).not.toContain(secret);
  expect(all).toContain('AWS_SECRET_ACCESS_KEY is set');
  expect(JSON.parse(await readFile(join(dir, 'bundle/doctor.json'), 'utf8'))).toMatchObject({ ok: false });
  await expect(bundle()).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining('is there already') });
});
