/** Sign-in at level direct from the person's side (flows 7). */

import type { Core } from "./state.ts";
import type { IdToken, PlatformCertificate, Transaction } from "./wire.ts";
import type { Answer, Pair } from "./words.ts";

/** A request that was checked and can be shown to the person. */
export interface Asked {
  /** What the front says. `strength` is the weakest that satisfies the platform. */
  transaction: Transaction;
  /** Who asks, by the registry's word. */
  certificate: PlatformCertificate;
  /** Why, by the registry's word: one of the certificate's purposes. */
  purpose: PlatformCertificate["purposes"][number];
}

/** A sign-in ready for the front: the fields of a form posted to `<issuer>/complete`. */
export interface Agreed {
  tx: string;
  id_token: string;
  s: string;
  /** What the platform will read. */
  payload: IdToken;
  /** The pair of nodes that served. */
  pair: Pair;
}

export class SignIn {
  readonly #core: Core;

  constructor(core: Core) {
    this.#core = core;
  }

  /** Fetches a transaction (base64url of 32 bytes) and checks everything in it: over-asking never reaches the person. */
  openTransaction(tx: string): Promise<Asked>;
  /** Signs with the answers the person agreed to (one prompt); `password` where the platform wants the strength. */
  agree(asked: Asked, answers: readonly Answer[], password?: string): Promise<Agreed>;
  /** Hands the result to the front by script; the answer is where the browser goes next. A form post does as well. */
  complete(agreed: Agreed): Promise<string>;
  /** Refuses: the platform learns that access was denied and nothing else. The answer is where the browser goes next. */
  refuse(tx: string): Promise<string>;
}
