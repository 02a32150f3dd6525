import { type Static, Type } from 'typebox';

/**
 * What callers send. Unknown fields are let through: clients add their own. dockerd sends `Opts: null` for no options;
 * dvdcli and Cloud Foundry send no ID.
 */
const Name = Type.String({ minLength: 1 });

/** What callers send for an option: Docker sends text alone, tools that write JSON themselves what they have. */
type OptionText = string | number | boolean | null;

export const Anything = Type.Object({});
export const Named = Type.Object({ Name });
export const Mounting = Type.Object({
  Name,
  ID: Type.Optional(Type.Union([Type.String(), Type.Null()])),
});
export const Creating = Type.Object({
  Name,
  // Not Type.Record: its pattern does not match keys with a newline, whose values would go unchecked.
  Opts: Type.Optional(
    Type.Union([
      Type.Unsafe<Record<string, OptionText>>({
        type: 'object',
        additionalProperties: { type: ['string', 'number', 'boolean', 'null'] },
      }),
      Type.Null(),
    ]),
  ),
});

/** Options as text: a number or a truth as it is written, null as not given. */
export const textsOf = (options: Readonly<Record<string, OptionText>> | null | undefined): Record<string, string> =>
  Object.fromEntries(
    Object.entries(options ?? {}).flatMap(([name, value]) => (value === null ? [] : [[name, String(value)]])),
  );

export type Named = Static<typeof Named>;
export type Mounting = Static<typeof Mounting>;
export type Creating = Static<typeof Creating>;
