/** The two groups of the constructions, over @noble/curves, and the proofs of partial evaluations (crates/pairwise/src/dleq.rs). */

import { bls12_381 } from "@noble/curves/bls12-381.js";
import { ristretto255 } from "@noble/curves/ed25519.js";
import { hash_to_field } from "@noble/curves/abstract/hash-to-curve.js";
import { sha256, sha512 } from "@noble/hashes/sha2.js";
import { concat, framed, unb64 } from "./bytes.ts";
import type { BothPartials, Partial } from "./wire.ts";

/** A point of either group. */
interface PointOf<P> {
  add(other: P): P;
  multiply(scalar: bigint): P;
  multiplyUnsafe(scalar: bigint): P;
  is0(): boolean;
  toBytes(): Uint8Array;
}

/** A prime-order group with canonical encodings. */
export interface Group<P extends PointOf<P>> {
  /** In domain-separation tags. */
  readonly name: string;
  readonly order: bigint;
  readonly base: P;
  /** Reads a canonical encoding; throws for the identity and for anything outside the group. */
  point(bytes: Uint8Array): P;
  /** Reads a canonical 32-byte scalar; throws if it is not below the order. */
  scalar(bytes: Uint8Array): bigint;
  /** RFC 9380 hash_to_field to the order, 48 bytes. */
  hashToField(message: Uint8Array, tag: string): bigint;
}

export type G1Point = InstanceType<typeof bls12_381.G1.Point>;
export type RistrettoPoint = InstanceType<typeof ristretto255.Point>;

function number(bytes: Uint8Array): bigint {
  return bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
}

function scalarBelow(order: bigint, bytes: Uint8Array): bigint {
  const value = number(bytes);
  if (bytes.length !== 32 || value >= order) throw new Error("not a canonical scalar");
  return value;
}

function notIdentity<P extends PointOf<P>>(point: P): P {
  if (point.is0()) throw new Error("the identity element is refused");
  return point;
}

const g1Order = bls12_381.G1.Point.Fn.ORDER;
const ristrettoOrder = ristretto255.Point.Fn.ORDER;

/** BLS12-381 G1: suite INTL. */
export const G1: Group<G1Point> = {
  name: "INTL",
  order: g1Order,
  base: bls12_381.G1.Point.BASE,
  point(bytes) {
    // The uncompressed form would be a second spelling.
    if (bytes.length !== 48) throw new Error("not a canonical point");
    const point = notIdentity(bls12_381.G1.Point.fromBytes(bytes));
    point.assertValidity();
    return point;
  },
  scalar: (bytes) => scalarBelow(g1Order, bytes),
  hashToField: (message, tag) =>
    hash_to_field(message, 1, { DST: tag, p: g1Order, m: 1, k: 128, expand: "xmd", hash: sha256 })[0]![0]!,
};

/** ristretto255 (RFC 9496): both threshold OPRFs. */
export const RISTRETTO: Group<RistrettoPoint> = {
  name: "RISTRETTO255",
  order: ristrettoOrder,
  base: ristretto255.Point.BASE,
  point: (bytes) => notIdentity(ristretto255.Point.fromBytes(bytes)),
  scalar: (bytes) => scalarBelow(ristrettoOrder, bytes.toReversed()),
  hashToField: (message, tag) =>
    hash_to_field(message, 1, { DST: tag, p: ristrettoOrder, m: 1, k: 128, expand: "xmd", hash: sha512 })[0]![0]!,
};

/** base64url that a shape has read already. */
function read(text: string): Uint8Array {
  const bytes = unb64(text);
  if (!bytes) throw new Error("not base64url");
  return bytes;
}

/** The sum of points in their encodings; throws for none, and for what is not canonical. */
export function sum<P extends PointOf<P>>(group: Group<P>, elements: readonly string[]): P {
  const points = elements.map((element) => group.point(read(element)));
  if (points.length === 0) throw new Error("no parts");
  return points.reduce((total, point) => total.add(point));
}

/**
 * Checks a node's part against its commitments, one for each sub-key it was assigned, and gives the point. Public values
 * only, so the multiplications may take variable time.
 */
export function verifyPartial<P extends PointOf<P>>(group: Group<P>, part: Partial, commitments: readonly string[], base: P): P {
  const element = group.point(read(part.element));
  const commitment = notIdentity(sum(group, commitments));
  const [c, s] = [group.scalar(read(part.proof.c)), group.scalar(read(part.proof.s))];
  const a1 = group.base.multiplyUnsafe(s).add(commitment.multiplyUnsafe(c));
  const a2 = base.multiplyUnsafe(s).add(element.multiplyUnsafe(c));
  const transcript = [group.base, commitment, base, element, a1, a2].map((point) => point.toBytes());
  const expected = group.hashToField(framed("hufu-v1-dleq", group.name, ...transcript), `HUFU-V1-DLEQ-${group.name}`);
  if (expected !== c) throw new Error("the proof of the partial evaluation does not verify");
  return element;
}

/**
 * Checks a node's two parts of a sign-in, pseudonym and epoch, under their one proof (crates/pairwise/src/composite.rs): a
 * combination of both statements, whose weight is a hash of all their points, is proven instead of each.
 */
export function verifyBoth<P extends PointOf<P>>(
  group: Group<P>,
  both: BothPartials,
  commitments: { pseudonym: readonly string[]; epoch: readonly string[] },
  base: P,
): { pseudonym: P; epoch: P } {
  const [e1, e2] = [group.point(read(both.pseudonym)), group.point(read(both.epoch))];
  const [c1, c2] = [notIdentity(sum(group, commitments.pseudonym)), notIdentity(sum(group, commitments.epoch))];
  const [c, s] = [group.scalar(read(both.proof.c)), group.scalar(read(both.proof.s))];
  const transcript = framed("hufu-v1-dleq-both", group.name, ...[group.base, c1, c2, base, e1, e2].map((point) => point.toBytes()));
  const weight = (c * group.hashToField(transcript, `HUFU-V1-DLEQ-WEIGHT-${group.name}`)) % group.order;
  const a1 = group.base.multiplyUnsafe(s).add(c1.multiplyUnsafe(c)).add(c2.multiplyUnsafe(weight));
  const a2 = base.multiplyUnsafe(s).add(e1.multiplyUnsafe(c)).add(e2.multiplyUnsafe(weight));
  const whole = concat(transcript, framed(a1.toBytes(), a2.toBytes()));
  if (group.hashToField(whole, `HUFU-V1-DLEQ-BOTH-${group.name}`) !== c) {
    throw new Error("the proof of the partial evaluations does not verify");
  }
  return { pseudonym: e1, epoch: e2 };
}

/** The whole evaluation: the sum of the parts; throws for a sum that is the identity. */
export function combine<P extends PointOf<P>>(parts: readonly P[]): P {
  if (parts.length === 0) throw new Error("no parts");
  return notIdentity(parts.reduce((total, part) => total.add(part)));
}
