import { createTrashOperator } from '../../../src/volumes/operator/trash.ts';
import { FakeEc2 } from '../../support/fake-ec2.ts';
import { type FakeNode, type FakeNodeParts, fakeNode, verbs } from '../../support/fake-node.ts';
import { pass, played } from '../../support/virtual-time.ts';

export const hour = 3_600_000;

/** A node with a volume "a" that has been used, in the fake EC2. */
export async function bench(parts: FakeNodeParts = {}) {
  const ec2 = new FakeEc2();
  const node = await trashNode(ec2, parts);
  const does = verbs(node);
  await does.create('a');
  await does.mount('a', 'one');
  await does.unmount('a', 'one');
  await pass(10_000);
  ec2.calls.length = 0;
  return { ec2, node, ...does, ...operators(node) };
}

/** A node whose removals go to the trash unless told. */
export const trashNode = (ec2: FakeEc2, { settings, ...parts }: FakeNodeParts = {}) =>
  fakeNode(ec2, { ...parts, settings: { onRemove: 'trash', ...settings } });

/** What an operator may do with the trash, in virtual time. */
export function operators(node: FakeNode) {
  const trash = createTrashOperator(node);
  return {
    list: () => played(trash.list()),
    undelete: (which: string, as?: string, zone?: string) => played(trash.undelete(which, as, zone)),
    purge: (which: readonly string[] | 'all', dryRun = false) => played(trash.purge(which, { dryRun })),
  };
}
