/** Copies of the certificate as SD-JWT VCs (RFC 9901): flat, every claim about the person a disclosure of its own. */

import { sha256 } from "@noble/hashes/sha2.js";
import { b64, unb64, utf8 } from "./bytes.ts";
import { payloadOf } from "./jws.ts";
import { anything, listOf, parseExact, text } from "./shape.ts";

/** A disclosure: the exact text, and what it says. */
export interface Disclosure {
  encoded: string;
  name: string;
  value: unknown;
}

const RESERVED = ["_sd", "_sd_alg", "..."];

/** Reads the disclosure of an object's member; throws for anything else. */
export function disclosure(encoded: string): Disclosure {
  const bytes = unb64(encoded);
  if (!bytes) throw new Error("a disclosure does not parse");
  const [salt, name, value] = listOf(anything, 3)(parseExact(anything, bytes), "disclosure");
  text(salt, "salt");
  const named = text(name, "name");
  if (RESERVED.includes(named)) throw new Error("a reserved name");
  return { encoded, name: named, value };
}

/** `<jws>~<disclosure>~…~`. */
export function assemble(jws: string, disclosures: readonly string[]): string {
  return [jws, ...disclosures, ""].join("~");
}

/** The issuer's part and the disclosures; throws unless it is an SD-JWT without key binding. */
export function parse(sdJwt: string): { jws: string; disclosures: Disclosure[] } {
  const [jws, ...rest] = sdJwt.split("~");
  if (!jws || rest.pop() !== "") throw new Error("not an SD-JWT");
  return { jws, disclosures: rest.map(disclosure) };
}

/**
 * The claims with the disclosed ones in place. Every disclosure must have its digest in the payload exactly once, and must
 * not cover a claim that is there already (RFC 9901 section 7.1). The signature is the caller's to check first.
 */
export function claims(sdJwt: string): Record<string, unknown> {
  const { jws, disclosures } = parse(sdJwt);
  const payload = payloadOf(jws, anything) as Record<string, unknown>;
  const { _sd: digests = [], _sd_alg: alg, ...shown } = payload;
  if (!Array.isArray(digests) || new Set(digests).size !== digests.length) throw new Error("digests");
  if (alg !== undefined && alg !== "sha-256") throw new Error("another hash algorithm");
  const left = new Set<unknown>(digests);
  const out: Record<string, unknown> = { ...shown };
  for (const one of disclosures) {
    if (!left.delete(b64(sha256(utf8(one.encoded)))) || Object.hasOwn(out, one.name)) throw new Error("a disclosure nothing refers to");
    out[one.name] = one.value;
  }
  return out;
}

/** The same SD-JWT with only the disclosures that `keep` wants. */
export function showing(sdJwt: string, keep: (name: string) => boolean): string {
  const { jws, disclosures } = parse(sdJwt);
  return assemble(jws, disclosures.filter((one) => keep(one.name)).map((one) => one.encoded));
}
