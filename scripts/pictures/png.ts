import { crc32 } from 'node:zlib';

const keyword = 'Words';
const headEnd = 8 + 12 + 13;

/** A PNG that also says what can be read in it, as a text of its own (an iTXt chunk). */
export function withWords(png: Buffer, words: string): Buffer {
  const content = Buffer.concat([Buffer.from(`iTXt${keyword}\0\0\0\0\0`), Buffer.from(words)]);
  const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(content.length - 4);
  check.writeUInt32BE(crc32(content));
  return Buffer.concat([png.subarray(0, headEnd), length, content, check, png.subarray(headEnd)]);
}

/** What {@link withWords} put in; empty without it. */
export function wordsOf(png: Buffer): string {
  const start = png.indexOf(`iTXt${keyword}`);
  if (start < 4) return '';
  const length = png.readUInt32BE(start - 4);
  return png.toString('utf8', start + 4 + keyword.length + 5, start + 4 + length);
}
