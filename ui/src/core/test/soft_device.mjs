// Stand-ins for what Node lacks of a browser: a passkey in software and a database in memory. Their bytes pass the very
// same checks of the nodes as a browser's.

const { subtle } = globalThis.crypto;
const b64 = (bytes) => Buffer.from(bytes).toString("base64url");
const utf8 = (text) => new TextEncoder().encode(text);
const sha256 = async (bytes) => new Uint8Array(await subtle.digest("SHA-256", bytes));

/** One integer of a DER signature: shortest form, positive. */
function integer(bytes) {
  let at = 0;
  while (at < bytes.length - 1 && bytes[at] === 0) at += 1;
  const value = bytes[at] & 0x80 ? [0, ...bytes.subarray(at)] : [...bytes.subarray(at)];
  return [2, value.length, ...value];
}

/** r ‖ s as WebAuthn section 6.5.5 wants it. */
function der(raw) {
  const both = [...integer(raw.subarray(0, 32)), ...integer(raw.subarray(32))];
  return Uint8Array.from([0x30, both.length, ...both]);
}

/** The `Passkeys` of the wallet's environment; `prompts` counts what a person would have been asked. */
export class SoftPasskeys {
  #origin;
  #keys = new Map();
  prompts = 0;

  constructor(origin) {
    this.#origin = origin;
  }

  async create({ rpId }) {
    this.prompts += 1;
    const pair = await subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign"]);
    const point = new Uint8Array(await subtle.exportKey("raw", pair.publicKey));
    const credentialId = crypto.getRandomValues(new Uint8Array(32));
    this.#keys.set(b64(credentialId), { rpId, privateKey: pair.privateKey });
    const head = [0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32];
    const key = Uint8Array.from([...head, ...point.subarray(1, 33), 0x22, 0x58, 32, ...point.subarray(33)]);
    return { credentialId, key };
  }

  async assert({ rpId, credentialId, challenge }) {
    this.prompts += 1;
    const held = this.#keys.get(b64(credentialId));
    if (held?.rpId !== rpId) throw new Error("no such passkey");
    // User present and verified; no counter.
    const authenticatorData = Uint8Array.from([...(await sha256(utf8(rpId))), 0x05, 0, 0, 0, 0]);
    const clientData = utf8(
      JSON.stringify({ type: "webauthn.get", challenge: b64(challenge), origin: this.#origin, crossOrigin: false }),
    );
    const signed = Uint8Array.from([...authenticatorData, ...(await sha256(clientData))]);
    const raw = new Uint8Array(await subtle.sign({ name: "ECDSA", hash: "SHA-256" }, held.privateKey, signed));
    return {
      credential_id: b64(credentialId),
      authenticator_data: b64(authenticatorData),
      client_data_json: b64(clientData),
      signature: b64(der(raw)),
    };
  }
}

/** The `Database` of the wallet's environment. */
export class MemoryDatabase {
  values = new Map();

  async get(name) {
    return this.values.get(name);
  }
  async put(name, value) {
    this.values.set(name, value);
  }
  async delete(name) {
    this.values.delete(name);
  }
  async names(prefix) {
    return [...this.values.keys()].filter((name) => name.startsWith(prefix)).sort();
  }
  async clear() {
    this.values.clear();
  }
}
