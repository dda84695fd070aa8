/** The network number (网号): ten characters, the last one a check (crates/wire/src/network_number.rs). */

import { random } from "./bytes.ts";

/** 31 letters and digits without look-alikes; 31 is prime, which the check character needs. */
const ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ";
const LENGTH = 10;

const weighted = (values: readonly number[]) => values.reduce((sum, value, at) => sum + (LENGTH - at) * value, 0);

/** A fresh number. Unbiased: bytes of 248 (8 × 31) and above are thrown away. */
export function randomNumber(draw: (length: number) => Uint8Array = random): string {
  const values: number[] = [];
  while (values.length < LENGTH - 1) {
    const byte = draw(1)[0]!;
    if (byte < 8 * ALPHABET.length) values.push(byte % ALPHABET.length);
  }
  // The check character's weight is 1, so it is the negative of the others' sum.
  const last = (ALPHABET.length - (weighted([...values, 0]) % ALPHABET.length)) % ALPHABET.length;
  return [...values, last].map((value) => ALPHABET[value]).join("");
}

/** Reads what a person typed (lower case, full-width forms, spaces, hyphens); `undefined` if the check does not fit. */
export function parseNumber(typed: string): string | undefined {
  const text = typed.normalize("NFKC").replace(/[\s\u2010-\u2015\u2212-]/gu, "").toUpperCase();
  const values = [...text].map((character) => ALPHABET.indexOf(character));
  if (values.length !== LENGTH || values.includes(-1) || weighted(values) % ALPHABET.length !== 0) return undefined;
  return text;
}

/** Two groups of five: `KQ7MX-3RT2C`. */
export function grouped(number: string): string {
  return `${number.slice(0, LENGTH / 2)}-${number.slice(LENGTH / 2)}`;
}

/** The first two and last two characters. */
export function maskedNumber(number: string): string {
  return `${number.slice(0, 2)}******${number.slice(-2)}`;
}
