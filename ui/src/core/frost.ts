/**
 * Adding two nodes' signature shares (RFC 9591 section 5.3, FROST-ED25519-SHA512-v1) into one ordinary Ed25519 signature.
 *
 * A wallet holds no share, so this is all of FROST it needs, and no error here can pass for a signature: the sum is
 * returned only if it verifies under RFC 8032.
 */

import { ed25519 } from "@noble/curves/ed25519.js";
import { sha512 } from "@noble/hashes/sha2.js";
import { concat, own, unb64, utf8 } from "./bytes.ts";
import type { NodeIndex, Pair } from "./words.ts";

type Point = InstanceType<typeof ed25519.Point>;
const ORDER = ed25519.Point.Fn.ORDER;
const SUITE = "FROST-ED25519-SHA512-v1";

/** H1, H4 and H5 of RFC 9591 section 6.1: SHA-512 under the suite's name and one word. */
const hash = (word: "rho" | "msg" | "com", ...parts: Uint8Array[]) => sha512(concat(utf8(SUITE + word), ...parts));

const little = (bytes: Uint8Array) => bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);

/** An identifier as a scalar: the node's number, little-endian. */
const identifier = (node: NodeIndex) => Uint8Array.from({ length: 32 }, (_, at) => (at === 0 ? node : 0));

/** A point of the prime-order subgroup in its one encoding, and not the identity: as the nodes' library reads points. */
function point(bytes: Uint8Array): Point {
  const read = ed25519.Point.fromBytes(bytes, false);
  if (read.is0() || !read.isTorsionFree()) throw new Error("not a point of the prime-order subgroup");
  return read;
}

function decode(text: string, length: number): Uint8Array {
  const bytes = unb64(text);
  if (bytes?.length !== length) throw new Error(`expected ${length} bytes`);
  return bytes;
}

function scalar(bytes: Uint8Array): bigint {
  const value = little(bytes);
  if (value >= ORDER) throw new Error("not a canonical scalar");
  return value;
}

/** The nodes' group key, its points checked. */
export class GroupKey {
  readonly #key: Uint8Array;

  /** Throws for anything that is no two-of-three group: points outside the subgroup, or shares that are not on one line. */
  constructor(groupKey: string, groupShares: readonly string[]) {
    const [group, first, second, third] = [groupKey, ...groupShares].map((text) => point(decode(text, 32)));
    if (!group || !first || !second || !third) throw new Error("expected three shares");
    const slope = first.subtract(group);
    if (!first.add(slope).equals(second) || !second.add(slope).equals(third)) throw new Error("the shares are of another group");
    this.#key = group.toBytes();
  }

  /**
   * Adds the shares of the nodes of `pair`, in its order, and verifies the result as ordinary Ed25519. A commitment is
   * D ‖ E (64 bytes), a share 32 bytes, both base64url. Throws for a malformed or lying part.
   */
  aggregate(message: Uint8Array, pair: Pair, commitments: readonly [string, string], shares: readonly [string, string]): Uint8Array {
    const encoded = pair.map((node, at) => concat(identifier(node), decode(commitments[at]!, 64)));
    const prefix = concat(this.#key, hash("msg", message), hash("com", ...encoded));
    const parts = encoded.map((one) => {
      const binding = little(hash("rho", prefix, one.subarray(0, 32))) % ORDER;
      return point(one.subarray(32, 64)).add(point(one.subarray(64)).multiplyUnsafe(binding));
    });
    const r = parts.reduce((sum, part) => sum.add(part));
    const z = shares.map((share) => scalar(decode(share, 32))).reduce((sum, share) => (sum + share) % ORDER);
    const signature = concat(r.toBytes(), ed25519.Point.Fn.toBytes(z));
    if (!verifyEd25519(this.#key, message, signature)) throw new Error("a signature share does not verify");
    return own(signature);
  }
}

/** RFC 8032 verification, strict: canonical encodings, no key of small order. */
export function verifyEd25519(key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  try {
    return ed25519.verify(signature, message, key, { zip215: false });
  } catch {
    return false;
  }
}
