import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tokenScopes } from '../../src/sandbox/tokens.ts';
import { requires } from '../support/requirements.ts';
import { type TestSandbox, testSandbox } from '../support/sandbox.ts';

describe.skipIf(requires('root', 'loop').skip).each(tokenScopes)('nodes of two zones, tokens by %s', (tokenScope) => {
  let box: TestSandbox;
  beforeAll(async () => {
    box = await testSandbox({ nodes: 3, zones: 2, account: { tokenScope } });
  });
  afterAll(() => box?.close());

  it('make one volume of each name that both ask for at once, and the other zone is told where it is', async () => {
    const names = Array.from({ length: 30 }, (_, index) => `raced-${index}`);
    const asked = (name: string) => {
      const order = Math.random() < 0.5 ? [0, 1] : [1, 0];
      const answers = order.map(async (which) => {
        const { body } = await box.call(which, 'Create', { Name: name, Opts: { size: '1' } });
        return { name, zone: box.node(which).availabilityZone, Err: body.Err };
      });
      return Promise.all(answers);
    };
    const answers = (await Promise.all(names.map(asked))).flat();
    for (const { name, zone, Err } of answers) {
      const [volume, ...more] = await box.volumes(name);
      expect(more).toEqual([]);
      if (volume?.AvailabilityZone === zone) expect(Err).toBe('');
      else expect(Err).toContain(`it is in ${volume?.AvailabilityZone} and this node is in ${zone}`);
    }
    const { body } = await box.call(0, 'Create', { Name: 'raced-0', Opts: { size: '1' } });
    expect(body.Err === '').toBe((await box.volumes('raced-0'))[0]?.AvailabilityZone === box.node(0).availabilityZone);
  });
});
