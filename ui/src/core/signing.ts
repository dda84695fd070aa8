/** Two nodes sign what a wallet asks for: round 2 and the sum. */

import { utf8 } from "./bytes.ts";
import { trusted, Untrusted } from "./error.ts";
import { assemble } from "./jws.ts";
import type { Core } from "./state.ts";
import { type SigningOffer, signingShares } from "./wire.ts";
import type { Pair } from "./words.ts";

/** Messages with their group signatures, and for certificates the disclosures of each. */
export interface SignedMessages {
  /** Compact JWS. */
  messages: string[];
  disclosures: string[][];
}

/** Takes each node's offer to the other, and adds their shares into one Ed25519 signature a message. */
export async function finishSigning(core: Core, pair: Pair, offers: readonly [SigningOffer, SigningOffer]): Promise<SignedMessages> {
  const ask = (at: 0 | 1) =>
    core.api.post(pair[at], "/v1/signing/finish", { session: offers[at].session, peer: offers[at === 0 ? 1 : 0] }, signingShares);
  const [first, second] = await Promise.all([ask(0), ask(1)]);
  if (JSON.stringify([first.signing_inputs, first.disclosures]) !== JSON.stringify([second.signing_inputs, second.disclosures])) {
    throw new Untrusted("two nodes would sign different messages");
  }
  const part = (list: readonly string[], at: number): string => list[at] ?? "";
  const messages = first.signing_inputs.map((input, at) =>
    trusted("a signature share", () =>
      assemble(input, core.group.aggregate(
        utf8(input),
        pair,
        [part(offers[0].commitments, at), part(offers[1].commitments, at)],
        [part(first.shares, at), part(second.shares, at)],
      )),
    ),
  );
  return { messages, disclosures: first.disclosures ?? [] };
}
