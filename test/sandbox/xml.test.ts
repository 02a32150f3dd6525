import { expect, test } from 'vitest';
import { errorDocument, escapeXml, responseDocument, toXml } from '../../src/sandbox/xml.ts';

test('writes lists as items, leaves undefined out and closes what is empty', () => {
  expect(toXml({ a: 1, b: undefined, c: [], d: [{ e: true }, 'x'], f: '' })).toBe(
    '<a>1</a><c/><d><item><e>true</e></item><item>x</item></d><f/>',
  );
});

test('escapes what XML cannot hold', () => {
  expect(escapeXml('<a & "b">\u0001\r\n')).toBe('&lt;a &amp; &quot;b&quot;&gt;\uFFFD&#13;\n');
});

test('answers and errors have the documents of EC2', () => {
  expect(responseDocument('DeleteVolume', 'r-1', { return: true })).toContain(
    '<DeleteVolumeResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r-1</requestId><return>true</return>',
  );
  expect(errorDocument('A', 'b<c', 'r-1')).toContain(
    '<Response><Errors><Error><Code>A</Code><Message>b&lt;c</Message></Error></Errors><RequestID>r-1</RequestID></Response>',
  );
});
