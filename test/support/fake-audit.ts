import { pino } from 'pino';
import { DriverError } from '../../src/errors.ts';
import { type Audit, createAudit } from '../../src/fencing/audit.ts';

export type AuditEntry = { readonly event: string } & Readonly<Record<string, unknown>>;

/** An audit in memory that can be full: nothing can be written then. */
export class FakeAudit {
  readonly entries: AuditEntry[] = [];
  isFull: () => boolean = () => false;
  readonly audit: Audit;

  constructor() {
    const append = async (entry: object) => {
      if (this.isFull()) {
        throw new DriverError('JOURNAL_FAILED', { tried: 'write', why: 'disk full', todo: 'Free space' });
      }
      this.entries.push(structuredClone(entry) as AuditEntry);
    };
    this.audit = createAudit({ append }, pino({ level: 'silent' }));
  }

  /** What was written, in short: "decision take stopped", "call DetachVolume", "outcome detached". */
  told(): string[] {
    return this.entries.map(({ event, decision, call, outcome, force }) => {
      const { kind = '', evidence = '' } = (decision ?? {}) as { kind?: string; evidence?: string };
      return [event, kind, evidence, call, force ? 'by force' : '', String(outcome ?? '').replace(/:.*/s, '')]
        .filter(Boolean)
        .join(' ');
    });
  }
}
