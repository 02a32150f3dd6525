import type { FastifyInstance } from 'fastify';
import type { Health, VolumeDriver } from '../volumes/types.ts';

/** The path of the health endpoint, for GET. */
const healthPath = '/health';

/**
 * Adds the health endpoint: 200 with status "ok", or 503 with status "failing" and the problems. It waits for nothing and
 * nobody: a driver that is not open yet is a problem.
 */
export function addHealth(app: FastifyInstance, given: VolumeDriver | Promise<VolumeDriver>): void {
  let driver: VolumeDriver | undefined;
  Promise.resolve(given).then(
    (opened) => {
      driver = opened;
    },
    () => undefined,
  );
  app.get(healthPath, async (_request, reply) => {
    const health = (await driver?.health()) ?? starting;
    const failing = health.problems.length > 0;
    reply.code(failing ? 503 : 200);
    return { status: failing ? 'failing' : 'ok', version: await ownVersion(), ...health };
  });
}

const starting: Health = {
  problems: ['the driver is starting'],
  instanceId: undefined,
  draining: undefined,
  ec2: { answeredAt: undefined, answeredSecondsAgo: undefined, failing: undefined },
};

async function ownVersion(): Promise<string> {
  const { default: about } = await import('../../package.json', { with: { type: 'json' } });
  return about.version;
}
