import { DriverError, type ErrorCode } from '../../src/errors.ts';
import type { Host } from '../../src/host/types.ts';

/** What a machine in memory was asked, and which of it is to fail. */
export class FakeCalls {
  readonly calls: { method: keyof Host; args: unknown[] }[] = [];
  readonly #failures = new Map<keyof Host, DriverError>();

  failNext(method: keyof Host, code: ErrorCode): void {
    this.#failures.set(method, hostError(code));
  }

  count(method: keyof Host): number {
    return this.calls.filter((call) => call.method === method).length;
  }

  protected note(method: keyof Host, ...args: unknown[]): void {
    this.calls.push({ method, args });
    const failure = this.#failures.get(method);
    this.#failures.delete(method);
    if (failure !== undefined) throw failure;
  }
}

/** A refusal of a machine in memory. */
export function hostError(code: ErrorCode): DriverError {
  return new DriverError(code, { tried: 'do as asked', why: `the machine said ${code}`, todo: 'Look at the test' });
}
