/** Copies of the certificate, and passes (flows 9). */

import type { Holder } from "./holder.ts";
import type { Core } from "./state.ts";
import type { AgeBand } from "./words.ts";

/** One copy, as the card shows it. */
export interface CopyView {
  /** Unix seconds. */
  issued: number;
  expires: number;
  claims: { number: string; real: boolean; unique: boolean; alive: boolean; age_over_18: boolean; age_band: AgeBand };
}

export class Certificates {
  /** Ten fresh copies, each with its own key, signed by two nodes; prompts only if the quarter of an hour is over. */
  issue(): Promise<number>;
  /** The copies this browser holds. */
  list(): Promise<CopyView[]>;
  /** What a platform may be shown of a copy (an SD-JWT): never the number. */
  showing(index: number, claims: readonly string[]): Promise<string>;
  /** A pass for the card's dynamic QR. */
  pass(): Promise<string>;
}
