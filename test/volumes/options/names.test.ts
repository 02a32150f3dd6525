import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isCode } from '../../../src/errors.ts';
import { decodeName, displayName, encodeName, refuseUnremovable } from '../../../src/volumes/options/names.ts';

/** Any well-formed text short enough for every byte to be written as three characters. */
const anyName = fc.string({ unit: 'binary', minLength: 1, maxLength: 20 });
/** Names that look like paths, options or tags. */
const nastyName = fc.string({
  unit: fc.constantFrom('.', '/', '=', '2', 'E', '\0', ' ', ':', 'ü', '*'),
  minLength: 1,
  maxLength: 20,
});
const names = fc.oneof(anyName, nastyName);

const refusal = (name: string): unknown => {
  try {
    return encodeName(name);
  } catch (error) {
    return error;
  }
};

describe('encodeName', () => {
  it('is undone by decodeName', () => {
    fc.assert(
      fc.property(names, (name) => {
        expect(decodeName(encodeName(name))).toBe(name);
      }),
    );
  });

  it('gives one path component that is not hidden and fits a tag and a directory', () => {
    fc.assert(
      fc.property(names, (name) => {
        const encoded = encodeName(name);
        expect(encoded).toMatch(/^[A-Za-z0-9_\-@+=][A-Za-z0-9_\-.@+=]*$/);
        expect(encoded.length).toBeLessThanOrEqual(240);
      }),
    );
  });

  it('gives different names different texts', () => {
    fc.assert(
      fc.property(names, names, (a, b) => {
        expect(encodeName(a) === encodeName(b)).toBe(a === b);
      }),
    );
  });

  it.each([
    ['../../etc/x', '=2E.=2F..=2Fetc=2Fx'],
    ['/abs', '=2Fabs'],
    ['..', '=2E.'],
    ['.', '=2E'],
    ['a/b', 'a=2Fb'],
    ['-x', '-x'],
    [' sp ace ', '=20sp=20ace=20'],
    ['a@b', 'a@b'],
    ['ünï', '=C3=BCn=C3=AF'],
    ['a=2Fb', 'a=3D2Fb'],
    ['a\0b', 'a=00b'],
    ['plain_Name-1.2+3', 'plain_Name-1.2+3'],
  ])('writes %j as %j', (name, encoded) => {
    expect(encodeName(name)).toBe(encoded);
  });

  it('keeps every wildcard of EC2 filters out of the tag it looks up', () => {
    expect(encodeName('a*b?c\\d')).toBe('a=2Ab=3Fc=5Cd');
  });

  it.each([
    ['empty', '', /it is empty/],
    ['a lone surrogate', 'a\ud800', /not well-formed Unicode/],
    ['a lone low surrogate', '\udc00', /not well-formed Unicode/],
    ['300 letters', 'a'.repeat(300), /300 characters and at most 240/],
    ['81 bytes that need three characters each', '/'.repeat(81), /243 characters and at most 240/],
  ])('refuses a name that is %s', (_, name, why) => {
    const error = refusal(name);
    expect(isCode(error, 'INVALID_NAME')).toBe(true);
    expect(String(error)).toMatch(why);
    expect(String(error).length).toBeLessThan(400);
  });

  it('takes exactly 240 characters', () => {
    expect(encodeName('a'.repeat(240))).toHaveLength(240);
    expect(encodeName('/'.repeat(80))).toHaveLength(240);
    expect(isCode(refusal('a'.repeat(241)), 'INVALID_NAME')).toBe(true);
  });
});

describe('decodeName', () => {
  it('knows only texts that encodeName gives', () => {
    const texts = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 12 }),
      fc.string({ unit: fc.constantFrom('=', '2', '0', 'F', 'f', 'C', '3', 'B', '.', 'a', '/'), maxLength: 9 }),
    );
    fc.assert(
      fc.property(texts, (text) => {
        const name = decodeName(text);
        if (name !== undefined) expect(encodeName(name)).toBe(text);
      }),
    );
  });

  it.each([
    ['', 'empty'],
    ['.hidden', 'a plain leading dot'],
    ['a/b', 'a slash'],
    ['a=2fb', 'hex digits in lower case'],
    ['=61', 'a letter that needs no encoding'],
    ['a=', 'half an escape'],
    ['=C3', 'half a character'],
    ['=ED=A0=80', 'a surrogate'],
    ['ü', 'a character that is never kept'],
    [`${'a'.repeat(241)}`, 'too much text'],
  ])('gives nothing for %j (%s)', (text) => {
    expect(decodeName(text)).toBeUndefined();
  });
});

describe('displayName', () => {
  it('is a tag value that every console takes', () => {
    fc.assert(
      fc.property(names, (name) => {
        const shown = displayName(name);
        expect(shown).toMatch(/^[\p{L}\p{N} +\-=._:/@]{1,256}$/u);
        expect(shown).not.toMatch(/^aws:/i);
      }),
    );
  });

  it('is the name itself where it can be', () => {
    expect(displayName('Daten für Köln/1')).toBe('Daten für Köln/1');
    expect(displayName('a*b')).toBe('a=2Ab');
    expect(displayName('AWS:x')).toBe('AWS=3Ax');
  });
});

describe('refuseUnremovable', () => {
  it.each(['.', '..', '/', '/abs', './data', '../x', 'a/../b', 'a/.', 'a//b'])('refuses %j', (name) => {
    expect(() => refuseUnremovable(name)).toThrow(/Docker could not remove it/);
  });

  it.each(['data', 'a/b', 'a/', '...', '.hidden', 'a..b', '%2e%2e', ' '])('takes %j', (name) => {
    expect(() => refuseUnremovable(name)).not.toThrow();
  });
});
