/** Adding two nodes' signature shares (RFC 9591, FROST-ED25519-SHA512-v1) into one ordinary Ed25519 signature, over @noble/curves. */

import { ed25519, ed25519_FROST as frost } from "@noble/curves/ed25519.js";
import { b64, unb64 } from "./bytes.ts";
import type { NodeIndex, Pair } from "./words.ts";

type Public = Parameters<typeof frost.aggregate>[0];

const id = (node: NodeIndex) => frost.Identifier.fromNumber(node);

/** A point of the prime-order subgroup in its one encoding, and not the identity: as the nodes' library reads points. */
function point(bytes: Uint8Array): InstanceType<typeof ed25519.Point> {
  const read = ed25519.Point.fromBytes(bytes, false);
  if (read.is0() || !read.isTorsionFree()) throw new Error("not a point of the prime-order subgroup");
  return read;
}

function decode(text: string, length: number): Uint8Array {
  const bytes = unb64(text);
  if (bytes?.length !== length) throw new Error(`expected ${length} bytes`);
  return bytes;
}

/** The nodes' group key, its points checked. */
export class GroupKey {
  readonly #public: Public;
  readonly #key: Uint8Array;

  /** Throws for anything that is no two-of-three group: points outside the subgroup, or shares that are not on one line. */
  constructor(groupKey: string, groupShares: readonly string[]) {
    const [group, ...shares] = [groupKey, ...groupShares].map((text) => point(decode(text, 32)));
    const [first, second, third] = shares;
    if (!group || !first || !second || !third) throw new Error("expected three shares");
    const slope = first.subtract(group);
    if (!first.add(slope).equals(second) || !second.add(slope).equals(third)) throw new Error("the shares are of another group");
    this.#key = group.toBytes();
    this.#public = {
      signers: { min: 2, max: 3 },
      commitments: [this.#key, slope.toBytes()],
      verifyingShares: Object.fromEntries(shares.map((share, at) => [id((at + 1) as NodeIndex), share.toBytes()])),
    };
  }

  /**
   * Adds the shares of the nodes of `pair`, in its order, and verifies the result as ordinary Ed25519. A commitment is
   * D ‖ E (64 bytes), a share 32 bytes, both base64url. Throws for a malformed or lying part.
   */
  aggregate(message: Uint8Array, pair: Pair, commitments: readonly [string, string], shares: readonly [string, string]): Uint8Array {
    const list = pair.map((node, at) => {
      const both = decode(commitments[at]!, 64);
      const [hiding, binding] = [both.subarray(0, 32), both.subarray(32)];
      point(hiding);
      point(binding);
      return { identifier: id(node), hiding, binding };
    });
    const parts = Object.fromEntries(pair.map((node, at) => [id(node), decode(shares[at]!, 32)]));
    const signature = frost.aggregate(this.#public, list, message, parts);
    if (!this.verify(message, signature)) throw new Error("the signature does not verify");
    return signature;
  }

  /** Whether `signature` is the group's over `message`. */
  verify(message: Uint8Array, signature: Uint8Array): boolean {
    return verifyEd25519(this.#key, message, signature);
  }

  /** base64url. */
  toString(): string {
    return b64(this.#key);
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
