/** The pseudonym function of suite INTL (flows 1 and 8). */

import { bls12_381 } from "@noble/curves/bls12-381.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { b64, framed, random, utf8 } from "./bytes.ts";
import { G1, type G1Point } from "./group.ts";

/** H2G's tag: the one of the BBS pseudonym draft, so that level unlinkable gives the same `sub`. */
const H2G = "BBS_BLS12381G1_XMD:SHA-256_SSWU_RO_H2G_HM2S_PSEUDONYM_";

/** H2G: RFC 9380 hash to the group. */
export function hashToGroup(message: Uint8Array): G1Point {
  return bls12_381.G1.hashToCurve(message, { DST: H2G });
}

/** H2S of flows 1. */
export function hashToScalar(message: Uint8Array): bigint {
  return G1.hashToField(message, `HUFU-V1-H2S-${G1.name}`);
}

/** H2G(sector_id). */
export function sectorPoint(sectorId: string): G1Point {
  return hashToGroup(utf8(sectorId));
}

/** The sector pseudonym: 43 characters. */
export function sub(point: G1Point): string {
  return name("hufu-v1-sub", point);
}

/** The epoch pseudonym: 43 characters. */
export function ep(point: G1Point): string {
  return name("hufu-v1-ep", point);
}

function name(purpose: string, point: G1Point): string {
  return b64(sha256(framed(purpose, G1.name, point.toBytes())));
}

/** r of blind evaluation: uniform and not zero. */
export function blindingFactor(): bigint {
  const wide = random(48).reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  return (wide % (G1.order - 1n)) + 1n;
}

/** B = r·H2G(sector_id). */
export function blinded(sector: G1Point, r: bigint): G1Point {
  return sector.multiply(r);
}

/** P = r⁻¹·E. */
export function unblind(r: bigint, evaluated: G1Point): G1Point {
  return evaluated.multiply(bls12_381.G1.Point.Fn.inv(r));
}

const URN = /^urn:hufu:sector:[a-z0-9._-]{1,64}$/;
const LABEL = /^(?!-)[a-z0-9-]{1,63}(?<!-)$/;
/** A host whose last label is a number is an IPv4 address to a browser (WHATWG URL, "ends in a number"). */
const NUMBER = /^(\d+|0x[0-9a-f]*)$/;

/** Whether this is a sector id of flows 1: `https://` and lower-case A-labels without port or path, or our URN. */
export function isSectorId(id: string): boolean {
  if (!id.startsWith("https://")) return URN.test(id);
  const host = id.slice("https://".length);
  const labels = host.split(".");
  return host.length <= 253 && labels.every((label) => LABEL.test(label)) && !NUMBER.test(labels.at(-1)!);
}
