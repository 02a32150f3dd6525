/** Loaded before a program: its wall clock goes as far ahead as the file SHIFTED_CLOCK says, in milliseconds. */
import { readFileSync } from 'node:fs';

const ahead = Number(readFileSync(process.env.SHIFTED_CLOCK, 'utf8'));
const now = Date.now.bind(Date);
globalThis.Date = class extends Date {
  constructor(...given) {
    super(...(given.length === 0 ? [now() + ahead] : given));
  }
  static now() {
    return now() + ahead;
  }
};
