/** Compact JWS (RFC 7515) under pinned Ed25519 keys: keys that a header names are never used. */

import { b64, unb64, utf8 } from "./bytes.ts";
import { Untrusted } from "./error.ts";
import { verifyEd25519 } from "./frost.ts";
import { anything, parseExact, type Shape } from "./shape.ts";

/** The longest compact JWS that is read. */
const MAX_JWS = 64 * 1024;

/** A parsed JWS whose signature has not been checked. */
export interface Compact {
  header: Record<string, unknown>;
  payload: Uint8Array;
  signature: Uint8Array;
  signingInput: string;
}

/** Three base64url parts, one header object, no extension (`crit`, `b64`); throws for anything else. */
export function parse(text: string): Compact {
  const parts = text.length > MAX_JWS ? [] : text.split(".");
  const [header, payload, signature] = parts.map(unb64);
  if (parts.length !== 3 || !header || !payload || !signature?.length) throw new Error("not a compact JWS");
  const members = parseExact(anything, header);
  if (typeof members !== "object" || members === null || Array.isArray(members)) throw new Error("no header");
  if ("crit" in members || "b64" in members) throw new Error("an extension");
  return { header: members as Record<string, unknown>, payload, signature, signingInput: `${parts[0]}.${parts[1]}` };
}

/** Whether the header's `typ` is this media type (RFC 7515 section 4.1.9). */
export function isTyp(header: Record<string, unknown>, expected: string): boolean {
  const typ = typeof header["typ"] === "string" ? header["typ"].toLowerCase() : "";
  return typ === expected.toLowerCase() || typ === `application/${expected.toLowerCase()}`;
}

/** The payload, if the JWS is of this `typ`, EdDSA, and signed by `key`; throws {@link Untrusted} naming `what` otherwise. */
export function verify<T>(text: string, key: Uint8Array, typ: string, shape: Shape<T>, what: string): T {
  try {
    const jws = parse(text.trim());
    const fits = jws.header["alg"] === "EdDSA" && isTyp(jws.header, typ);
    if (fits && verifyEd25519(key, utf8(jws.signingInput), jws.signature)) return parseExact(shape, jws.payload);
  } catch {
    // One answer for every cause.
  }
  throw new Untrusted(what);
}

/** The payload without a look at the signature: only for texts that were verified before. */
export function payloadOf<T>(text: string, shape: Shape<T>): T {
  return parseExact(shape, parse(text).payload);
}

/** The compact serialisation of a signing input and its signature. */
export function assemble(signingInput: string, signature: Uint8Array): string {
  return `${signingInput}.${b64(signature)}`;
}
