/** What an answer is made of: members in order, lists as arrays; undefined is left out. */
export type XmlValue =
  | string
  | number
  | boolean
  | undefined
  | readonly XmlValue[]
  | { readonly [member: string]: XmlValue };
/** An answer's top level. */
export type XmlBody = { readonly [member: string]: XmlValue };

const namespace = 'http://ec2.amazonaws.com/doc/2016-11-15/';
const prolog = '<?xml version="1.0" encoding="UTF-8"?>\n';
const escapes: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

/** Text made safe for XML; characters that XML 1.0 cannot carry become U+FFFD. */
export function escapeXml(value: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters XML 1.0 forbids.
  const legal = value.replace(/[\u0000-\u0008\u000B\u000C\u000E-\u001F\uFFFE\uFFFF]/g, '\uFFFD');
  return legal.replace(/[&<>"]/g, (letter) => escapes[letter] ?? letter).replace(/\r/g, '&#13;');
}

function element(name: string, value: XmlValue): string {
  if (value === undefined) return '';
  const content = toXml(value);
  return content === '' ? `<${name}/>` : `<${name}>${content}</${name}>`;
}

/** A value as element content: members as elements, list entries as "item", the way EC2 writes lists. */
export function toXml(value: XmlValue): string {
  if (value === undefined) return '';
  if (typeof value !== 'object') return escapeXml(String(value));
  if (Array.isArray(value)) return value.map((entry: XmlValue) => element('item', entry)).join('');
  return Object.entries(value)
    .map(([name, member]) => element(name, member))
    .join('');
}

/** The document of a call that went well. */
export function responseDocument(action: string, requestId: string, body: XmlBody): string {
  return `${prolog}<${action}Response xmlns="${namespace}">${toXml({ requestId, ...body })}</${action}Response>`;
}

/** The document of a refused call (RequestID is spelt so only here). */
export function errorDocument(code: string, message: string, requestId: string): string {
  const error = toXml({ Errors: { Error: { Code: code, Message: message } }, RequestID: requestId });
  return `${prolog}<Response>${error}</Response>`;
}
