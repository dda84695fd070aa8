/** One-key mode (docs/trust.md): an ID token that one node signs alone, checked by WebCrypto under the pinned key. */

import { own, type Bytes } from "./bytes.ts";

const ALGORITHMS: Record<string, { import: RsaHashedImportParams | EcKeyImportParams; verify: AlgorithmIdentifier | EcdsaParams }> = {
  ES256: { import: { name: "ECDSA", namedCurve: "P-256" }, verify: { name: "ECDSA", hash: "SHA-256" } },
  RS256: { import: { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" }, verify: { name: "RSASSA-PKCS1-v1_5" } },
};

/** Whether `signature` (JOSE form) is by `jwk` over `message`; false for any other algorithm or a key that does not fit. */
export async function verifyOneKey(alg: string, jwk: JsonWebKey, message: Bytes, signature: Uint8Array): Promise<boolean> {
  const algorithm = Object.hasOwn(ALGORITHMS, alg) ? ALGORITHMS[alg] : undefined;
  if (!algorithm) return false;
  try {
    const { kty, crv, x, y, n, e } = jwk;
    const bare = kty === "EC" ? { kty, crv, x, y } : { kty, n, e };
    const key = await crypto.subtle.importKey("jwk", bare as JsonWebKey, algorithm.import, false, ["verify"]);
    return await crypto.subtle.verify(algorithm.verify, key, own(signature), message);
  } catch {
    return false;
  }
}
