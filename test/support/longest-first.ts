import { relative } from 'node:path';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** The test files that take longest, in this order. A name that is no file any more does no harm. */
const longest = [
  'crash/sweep',
  'crash/removal',
  'crash/restart',
  'e2e/plugin',
  'e2e/swarm-plugin',
  'e2e/install',
  'e2e/fencing-data',
  'e2e/nodes-move',
  'e2e/engine-plugin',
  'e2e/nodes-mount',
  'e2e/docker',
  'property/sandbox',
  'e2e/nodes-remove',
  'docs/tutorial-failover',
  'e2e/swarm',
  'e2e/mesos',
  'iam/policies',
  'e2e/nodes-create',
  'e2e/engine-crash',
].map((name) => `test/${name}.test.ts`);
/** After them, where daemons and disks are waited for; the rest, which only computes, fills the end. */
const waiting = /^test\/(crash|e2e|docs|iam|property|soak|cli)\/|^test\/fencing\/scenarios\//;

/**
 * Starts first what takes longest, so that no long file runs alone at the end, and the large before the small otherwise.
 */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId, project }: TestSpecification): number => {
      const name = relative(project.config.root, moduleId);
      const place = longest.indexOf(name);
      if (place >= 0) return place;
      return longest.length + (waiting.test(name) ? 0 : 1);
    };
    return (await super.sort(files)).sort((one, other) => rank(one) - rank(other));
  }
}
