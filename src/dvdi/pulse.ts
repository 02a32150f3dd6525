import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import type { VolumeDriver } from '../volumes/types.ts';

/**
 * Adds the endpoint by which a command sees that the daemon lives, and what is awaited: by the volume of the name, or else by
 * this node. It answers from memory and waits for nothing: a driver that is not open yet is what is awaited.
 */
export function addPulse(app: FastifyInstance, given: VolumeDriver | Promise<VolumeDriver>): void {
  let driver: VolumeDriver | undefined;
  Promise.resolve(given).then(
    (opened) => {
      driver = opened;
    },
    () => undefined,
  );
  app.route<{ Body: { readonly name?: string } }>({
    method: 'POST',
    url: '/Ebs.Waiting',
    schema: { body: Type.Object({ name: Type.Optional(Type.String()) }) },
    handler: async ({ body }) => {
      const starting = { what: 'the driver to start', share: undefined };
      const awaited = driver === undefined ? starting : driver.awaited(body.name);
      return { waitingFor: awaited?.what, share: awaited?.share, Err: '' };
    },
  });
}
