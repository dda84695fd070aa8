/** The passkey: navigator.credentials under the wallet's own RP ID (WebAuthn Level 3). */

import { b64, concat, own, random, type Bytes } from "./bytes.ts";
import { DeviceError, WalletError } from "./error.ts";
import type { Assertion } from "./wire.ts";

/** A new passkey. */
export interface NewPasskey {
  credentialId: Uint8Array;
  /** Its public key, a canonical COSE_Key (RFC 9053). */
  key: Uint8Array;
}

/** What a wallet asks of the authenticator. Both prompt the person, with user verification. */
export interface Passkeys {
  create(request: { rpId: string; displayName: string; existing?: Uint8Array }): Promise<NewPasskey>;
  assert(request: { rpId: string; credentialId: Uint8Array; challenge: Uint8Array }): Promise<Assertion>;
}

const ES256 = -7;
const EDDSA = -8;

/** Milliseconds for one ceremony. */
const TIMEOUT = 120_000;

/** The fixed part of a SubjectPublicKeyInfo (RFC 5480, RFC 8410) before the raw key. */
const SPKI = {
  [ES256]: Uint8Array.from("3059301306072a8648ce3d020106082a8648ce3d03010703420004".match(/../g)!, (byte) => parseInt(byte, 16)),
  [EDDSA]: Uint8Array.from("302a300506032b6570032100".match(/../g)!, (byte) => parseInt(byte, 16)),
};

/** The canonical COSE_Key of an SPKI that `getPublicKey()` gave; throws for any other kind of key. */
export function coseKey(algorithm: number, spki: Uint8Array): Bytes {
  const prefix = algorithm === ES256 || algorithm === EDDSA ? SPKI[algorithm] : undefined;
  const length = algorithm === ES256 ? 64 : 32;
  if (!prefix || spki.length !== prefix.length + length || prefix.some((byte, at) => spki[at] !== byte)) {
    throw new DeviceError("unsupported", "the authenticator made a key of another kind");
  }
  const raw = spki.subarray(prefix.length);
  // {1: kty, 3: alg, -1: crv, -2: x, -3: y}, in the order and the shortest forms of CTAP 2.
  if (algorithm === EDDSA) return own(concat(Uint8Array.of(0xa4, 1, 1, 3, 0x27, 0x20, 6, 0x21, 0x58, 32), raw));
  const [x, y] = [raw.subarray(0, 32), raw.subarray(32)];
  return own(concat(Uint8Array.of(0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32), x, Uint8Array.of(0x22, 0x58, 32), y));
}

/** What went wrong, by the DOMException's name (WebAuthn sections 5.1.3 and 5.1.4). */
function device(error: unknown): WalletError {
  if (error instanceof WalletError) return error;
  const name = error instanceof Error ? error.name : "";
  if (name === "NotAllowedError" || name === "AbortError") return new DeviceError("cancelled", name);
  if (name === "InvalidStateError") return new DeviceError("already-registered", name);
  if (name === "NotSupportedError" || name === "ConstraintError") return new DeviceError("unsupported", name);
  return new DeviceError("failed", name || "unknown");
}

function container(): CredentialsContainer {
  const credentials = globalThis.navigator?.credentials;
  if (!credentials || typeof PublicKeyCredential === "undefined") throw new DeviceError("unsupported", "this browser has no passkeys");
  return credentials;
}

/** The browser's authenticators. */
export class BrowserPasskeys implements Passkeys {
  async create({ rpId, displayName, existing }: { rpId: string; displayName: string; existing?: Uint8Array }): Promise<NewPasskey> {
    const publicKey: PublicKeyCredentialCreationOptions = {
      rp: { id: rpId, name: "虎符 Hufu" },
      // The user handle is used nowhere else: it must not say who this is, nor link two enrolments.
      user: { id: random(32), name: displayName, displayName },
      // No office reads the registration; each node checks an assertion of the new key instead (flows 5).
      challenge: random(32),
      pubKeyCredParams: [{ type: "public-key", alg: ES256 }, { type: "public-key", alg: EDDSA }],
      authenticatorSelection: { residentKey: "required", requireResidentKey: true, userVerification: "required" },
      excludeCredentials: existing ? [{ type: "public-key", id: own(existing) }] : [],
      attestation: "none",
      timeout: TIMEOUT,
    };
    try {
      const made = (await container().create({ publicKey })) as PublicKeyCredential | null;
      const response = made?.response as AuthenticatorAttestationResponse | undefined;
      const spki = response?.getPublicKey();
      if (!made || !response || !spki) throw new DeviceError("unsupported", "the authenticator gave no key");
      return { credentialId: new Uint8Array(made.rawId), key: coseKey(response.getPublicKeyAlgorithm(), new Uint8Array(spki)) };
    } catch (error) {
      throw device(error);
    }
  }

  async assert({ rpId, credentialId, challenge }: { rpId: string; credentialId: Uint8Array; challenge: Uint8Array }): Promise<Assertion> {
    const publicKey: PublicKeyCredentialRequestOptions = {
      rpId,
      challenge: own(challenge),
      allowCredentials: [{ type: "public-key", id: own(credentialId) }],
      userVerification: "required",
      timeout: TIMEOUT,
    };
    try {
      const got = (await container().get({ publicKey })) as PublicKeyCredential | null;
      if (!got) throw new DeviceError("failed", "no credential");
      const response = got.response as AuthenticatorAssertionResponse;
      return {
        credential_id: b64(new Uint8Array(got.rawId)),
        authenticator_data: b64(new Uint8Array(response.authenticatorData)),
        client_data_json: b64(new Uint8Array(response.clientDataJSON)),
        signature: b64(new Uint8Array(response.signature)),
      };
    } catch (error) {
      throw device(error);
    }
  }
}
