import type { FastifyServerOptions } from 'fastify';
import type { TSchema } from 'typebox';
import { Errors } from 'typebox/schema';

/**
 * How Fastify holds bodies against a message's schema; the error says what is wrong first, as "Opts.size must be string".
 * What Fastify would load instead, ajv and a compiler of serializers, costs 7 MB and a quarter of the time to listen.
 */
export const compilers = {
  buildValidator: () => checkOf,
  buildSerializer: () => () => JSON.stringify,
  // Fastify types the first as ajv's own function, but calls it with the part of the route.
} as unknown as NonNullable<NonNullable<FastifyServerOptions['schemaController']>['compilersFactory']>;

function checkOf({ schema }: { readonly schema: TSchema }): (body: unknown) => { value: unknown } | { error: Error } {
  return (body) => {
    const [, [first]] = Errors(schema, body);
    if (first === undefined) return { value: body };
    return { error: new Error(`${nameOf(first.instancePath)} ${first.message}`) };
  };
}

/** A JSON pointer as people write it: "/Opts/size" is "Opts.size". */
const nameOf = (pointer: string) => (pointer === '' ? 'the body' : pointer.slice(1).replaceAll('/', '.'));
