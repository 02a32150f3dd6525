import type { CheckVolume } from './volume.ts';

/** What a check has found. Texts are for people, without a full stop. */
export interface Answer {
  readonly answered: string;
  /** Undefined: EC2's answer does not tell. */
  readonly agrees: boolean | undefined;
}

/** Something that the driver takes for granted of EC2, and how EC2 is asked about it. */
export interface LiveCheck {
  readonly title: string;
  readonly asked: string;
  readonly assumes: string;
  /** What it throws leaves it open. */
  run(volume: CheckVolume, signal: AbortSignal): Promise<Answer>;
}
