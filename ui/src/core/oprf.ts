/** RFC 9497 OPRF(ristretto255, SHA-512) under a sum of sub-keys: how a password is hardened by two nodes (flows 3). */

import { ristretto255_oprf } from "@noble/curves/ed25519.js";
import { b64, unb64 } from "./bytes.ts";
import { combine, RISTRETTO, sum, verifyPartial } from "./group.ts";
import type { Partial } from "./wire.ts";

/** An input between {@link blind} and {@link finalize}. */
export interface Blinded {
  input: Uint8Array;
  /** Secret. */
  factor: Uint8Array;
  /** What the nodes see: base64url of 32 bytes. */
  element: string;
}

/** Blinds an input (RFC 9497 section 3.3.1). */
export function blind(input: Uint8Array, rng?: (length?: number) => Uint8Array): Blinded {
  const made = rng ? ristretto255_oprf.oprf.blind(input, rng) : ristretto255_oprf.oprf.blind(input);
  return { input, factor: made.blind, element: b64(made.blinded) };
}

/** Checks a node's part against its commitments; throws for a lying node. */
export function verify(part: Partial, commitments: readonly string[], blinded: string): string {
  verifyPartial(RISTRETTO, part, commitments, sum(RISTRETTO, [blinded]));
  return part.element;
}

/** Adds verified parts that cover each sub-key once. */
export function combineSum(parts: readonly string[]): string {
  return b64(combine(parts.map((part) => sum(RISTRETTO, [part]))).toBytes());
}

/** Unblinds and hashes (RFC 9497 section 3.3.1): 64 bytes. */
export function finalize(blinded: Blinded, evaluated: string): Uint8Array {
  const element = unb64(evaluated);
  if (!element) throw new Error("not base64url");
  return ristretto255_oprf.oprf.finalize(blinded.input, blinded.factor, element);
}
