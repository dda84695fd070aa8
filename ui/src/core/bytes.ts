/** Byte strings, and the one framing that every hash of ours uses (flows 1). */

import { bytesToHex, concatBytes, hexToBytes, utf8ToBytes } from "@noble/hashes/utils.js";

export { concatBytes as concat, bytesToHex as hex, hexToBytes as unhex, utf8ToBytes as utf8 };

/** Bytes over a buffer of their own, as WebCrypto takes them. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** base64url without padding (RFC 4648 section 5). */
export function b64(bytes: Uint8Array): string {
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** Decodes base64url without padding; `undefined` for anything else: padding, other alphabets, stray bits. */
export function unb64(text: string): Bytes | undefined {
  if (!/^[A-Za-z0-9_-]*$/.test(text) || text.length % 4 === 1) return undefined;
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  const bytes = Uint8Array.from(binary, (character) => character.charCodeAt(0));
  // One byte string has one spelling: trailing bits that atob drops are refused.
  return b64(bytes) === text ? bytes : undefined;
}

/** The framing `‖` of flows 1: a 4-byte big-endian length before each part. Text stands for its UTF-8. */
export function framed(...parts: (Uint8Array | string)[]): Bytes {
  return own(
    concatBytes(
      ...parts.flatMap((part) => {
        const bytes = typeof part === "string" ? utf8ToBytes(part) : part;
        return [u32(bytes.length), bytes];
      }),
    ),
  );
}

function u32(n: number): Uint8Array {
  return Uint8Array.of(n >>> 24, n >>> 16, n >>> 8, n);
}

/** Seconds as 8 bytes, big-endian: how hashes take a time. */
export function be8(seconds: number): Bytes {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigInt64(0, BigInt(seconds));
  return bytes;
}

/** Whether two byte strings are the same; for public values. */
export function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}

/** Random bytes. */
export function random(length: number): Bytes {
  return crypto.getRandomValues(new Uint8Array(length));
}

/** A copy over a buffer of its own. */
export function own(bytes: Uint8Array): Bytes {
  return new Uint8Array(bytes);
}
