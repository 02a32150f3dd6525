/**
 * The closed catalogue of what can go wrong. Adapters translate AWS and OS errors into it, the wire turns it into
 * `{"Err": …}`. Each code carries the HTTP status the wire answers with and whether trying again may help.
 */
const catalogue = {
  INVALID_REQUEST: { status: 400, transient: false },
  INVALID_NAME: { status: 400, transient: false },
  INVALID_OPTION: { status: 400, transient: false },
  NO_SUCH_ENDPOINT: { status: 404, transient: false },
  NO_SUCH_VOLUME: { status: 404, transient: false },
  EXISTS_DIFFERENT: { status: 409, transient: false },
  AMBIGUOUS_NAME: { status: 409, transient: false },
  TAGS_LOST: { status: 409, transient: false },
  WRONG_ZONE: { status: 409, transient: false },
  IN_USE_HERE: { status: 409, transient: false },
  ATTACHED_ELSEWHERE: { status: 409, transient: true },
  NODE_FULL: { status: 500, transient: true },
  DRAINING: { status: 503, transient: true },
  NOT_BLANK: { status: 500, transient: false },
  FILESYSTEM_DAMAGED: { status: 500, transient: false },
  FILESYSTEM_FAILED: { status: 500, transient: false },
  FILESYSTEM_TOO_NEW: { status: 500, transient: false },
  NO_SUBDIRECTORY: { status: 500, transient: false },
  UNMADE_SUBDIRECTORY: { status: 500, transient: false },
  WRONG_DEVICE: { status: 500, transient: false },
  TARGET_BUSY: { status: 500, transient: true },
  HOST_FAILED: { status: 500, transient: false },
  JOURNAL_FAILED: { status: 500, transient: true },
  STILL_WORKING: { status: 503, transient: true },
  CREATE_VANISHED: { status: 500, transient: false },
  EC2_CREDENTIALS: { status: 500, transient: true },
  EC2_DENIED: { status: 500, transient: false },
  EC2_LIMIT: { status: 500, transient: false },
  EC2_THROTTLED: { status: 503, transient: true },
  EC2_UNAVAILABLE: { status: 503, transient: true },
  EC2_REJECTED: { status: 500, transient: false },
  EC2_NO_SUCH_VOLUME: { status: 500, transient: false },
  EC2_NO_SUCH_SNAPSHOT: { status: 500, transient: false },
  EC2_NO_SUCH_INSTANCE: { status: 500, transient: false },
  EC2_VOLUME_IN_USE: { status: 500, transient: true },
  EC2_MODIFIED_TOO_OFTEN: { status: 500, transient: true },
  EC2_VOLUME_MODIFYING: { status: 500, transient: true },
  EC2_INCORRECT_STATE: { status: 500, transient: true },
  EC2_NOT_ATTACHED: { status: 500, transient: false },
  EC2_DEVICE_NAME_IN_USE: { status: 500, transient: true },
  EC2_TOKEN_REUSED: { status: 500, transient: false },
  INTERNAL: { status: 500, transient: false },
} as const;

export type ErrorCode = keyof typeof catalogue;

/** The four things every error says. All are sentence parts without a full stop; `tried` completes "cannot …". */
interface ErrorParts {
  /** The volume's name as the user gave it; absent where an adapter does not know it. */
  volume?: string | undefined;
  tried: string;
  why: string;
  /** What the reader should do next, as an imperative sentence. */
  todo: string;
  cause?: unknown;
}

/** An error of the catalogue. Its message reads: volume "data": cannot attach vol-1 to i-2: it is full. Do this. */
export class DriverError extends Error {
  readonly code: ErrorCode;
  readonly parts: Readonly<ErrorParts>;

  constructor(code: ErrorCode, parts: ErrorParts) {
    const subject = parts.volume === undefined ? '' : `volume ${JSON.stringify(parts.volume)}: `;
    super(`${subject}cannot ${parts.tried}: ${parts.why}. ${parts.todo}.`, { cause: parts.cause });
    this.name = 'DriverError';
    this.code = code;
    this.parts = parts;
  }

  /** The HTTP status the wire answers with. */
  get status(): number {
    return catalogue[this.code].status;
  }

  /** True where the same call may succeed later with nothing changed by the caller. */
  get transient(): boolean {
    return catalogue[this.code].transient;
  }

  /** The same error, naming the volume; one that already names a volume is returned as it is. */
  about(volume: string): DriverError {
    return this.parts.volume === undefined ? new DriverError(this.code, { ...this.parts, volume }) : this;
  }
}

/** True when `error` is a {@link DriverError} with one of `codes`. */
export function isCode(error: unknown, ...codes: readonly ErrorCode[]): error is DriverError {
  return error instanceof DriverError && codes.includes(error.code);
}

/** Any thrown value as an error of the catalogue: ours as it is, everything else as INTERNAL, its cause kept. */
export function toDriverError(error: unknown, tried: string): DriverError {
  if (error instanceof DriverError) return error;
  return new DriverError('INTERNAL', {
    tried,
    why: error instanceof Error ? error.message : String(error),
    todo: 'This is a defect of docker-volume-ebs: report it with the log lines of this operation',
    cause: error,
  });
}

/** A word of a command to type, as a shell takes it for one: as it is, or in single quotes. */
export const shellWord = (word: string): string =>
  /^[\w.@%+=:,/-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
