/** The password key (flows 3): the OPRF's output through Argon2id and HKDF into an Ed25519 key. Nodes hold the public half only. */

import { ed25519 } from "@noble/curves/ed25519.js";
import { argon2idAsync } from "@noble/hashes/argon2.js";
import { hkdf } from "@noble/hashes/hkdf.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { utf8 } from "./bytes.ts";

/** Argon2id (RFC 9106) by `params_id`: memory in KiB, passes, lanes. */
const PARAMS: Record<number, { m: number; t: number; p: number }> = { 1: { m: 19_456, t: 2, p: 1 } };

/** The parameters of new passwords. */
export const PARAMS_ID = 1;

/** Milliseconds of work before the page may paint again: half a frame. */
const SLICE = 8;

/** The Ed25519 key of a password; `wipe` it after use. */
export interface PasswordKey {
  publicKey: Uint8Array;
  sign(message: Uint8Array): Uint8Array;
  wipe(): void;
}

/** Argon2id(y, salt): 32 bytes; gives the page back its thread every few milliseconds, and to `progress` how far it is (0 to 1). */
export function stretch(y: Uint8Array, salt: Uint8Array, paramsId: number, progress?: (done: number) => void): Promise<Uint8Array> {
  const params = PARAMS[paramsId];
  if (!params) return Promise.reject(new Error("unknown password parameters"));
  return argon2idAsync(y, salt, { ...params, version: 0x13, dkLen: 32, asyncTick: SLICE, ...(progress && { onProgress: progress }) });
}

/** seed = HKDF-SHA256(ikm = Argon2id(y, salt), no salt, info = "hufu-v1-password", 32 bytes). */
export async function harden(y: Uint8Array, salt: Uint8Array, paramsId: number, progress?: (done: number) => void): Promise<PasswordKey> {
  const stretched = await stretch(y, salt, paramsId, progress);
  const seed = hkdf(sha256, stretched, undefined, utf8("hufu-v1-password"), 32);
  stretched.fill(0);
  return {
    publicKey: ed25519.getPublicKey(seed),
    sign: (message) => ed25519.sign(message, seed),
    wipe: () => void seed.fill(0),
  };
}

/** Why a password is refused before it is used. */
export type PasswordRefusal = "shape" | "sequence" | "repeat" | "birth-date";

/**
 * The rule against trivial passwords (design 2). It runs here, the only place that sees the digits. `birthDates` are
 * (year, month, day) of the person and of those the person guards.
 */
export function checkPassword(digits: string, birthDates: readonly (readonly [number, number, number])[]): PasswordRefusal | undefined {
  if (!/^[0-9]{8}$/.test(digits)) return "shape";
  const values = [...digits].map(Number);
  // Keyboards wrap 9 to 0, so 67890123 is a run too.
  const runs = (step: number) => values.every((value, at) => at === 0 || (values[at - 1]! + step) % 10 === value);
  if (runs(1) || runs(9)) return "sequence";
  if ([1, 2, 4].some((block) => digits.slice(block) === digits.slice(0, 8 - block))) return "repeat";
  return birthDates.some((date) => spellings(date).includes(digits)) ? "birth-date" : undefined;
}

function spellings([year, month, day]: readonly [number, number, number]): string[] {
  const [y, m, d] = [String(year).padStart(4, "0"), String(month).padStart(2, "0"), String(day).padStart(2, "0")];
  return [y + m + d, d + m + y, m + d + y];
}
