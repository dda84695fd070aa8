/** Passes (flows 9): what a verifier at a counter checks, offline, with the pinned group key and a clock. */

import { unb64 } from "./bytes.ts";
import { verify } from "./jws.ts";
import { encoded, int, oneOf, record } from "./shape.ts";

/** A pass's `typ`. */
export const PASS_TYP = "hufu-pass+jwt";

/** Seconds a pass lives. */
export const PASS_LIFE = 30;

/** Seconds a verifier's clock may be off. */
const SKEW = 5;

const passShape = record({ pass: oneOf([1]), exp: int, jti: encoded(16) });

/** What a valid pass says: that two nodes vouched for its holder, until `exp`; `jti` is random. */
export interface Pass {
  exp: number;
  jti: string;
}

/** Checks a pass under the group key (base64url, trust.json `group_key`) at `now`; throws `Untrusted`; `expired` says why. */
export function verifyPass(pass: string, groupKey: string, now: number): Pass & { expired: boolean } {
  const { exp, jti } = verify(pass, unb64(groupKey) ?? new Uint8Array(), PASS_TYP, passShape, "the pass");
  // An end too far ahead would be a pass that outlives its half minute.
  const expired = now > exp + SKEW || exp > now + PASS_LIFE + SKEW;
  return { exp, jti, expired };
}
