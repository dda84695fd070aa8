/** Keys that never leave the browser: WebCrypto, not extractable, kept in the database (flows 4). */

import { own, type Bytes } from "./bytes.ts";
import type { Database } from "./database.ts";
import { DeviceError } from "./error.ts";

const P256 = { name: "ECDSA", namedCurve: "P-256" } as const;
const ES256 = { name: "ECDSA", hash: "SHA-256" } as const;

interface Held {
  privateKey: CryptoKey;
  publicKey: Bytes;
}

/** P-256 signing keys by name. */
export class Keys {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async #held(name: string): Promise<Held | undefined> {
    return (await this.#database.get(`key/${name}`)) as Held | undefined;
  }

  /** Makes a key, or finds the one of this name; its public half, SEC1 uncompressed. */
  async make(name: string): Promise<Bytes> {
    const held = await this.#held(name);
    if (held) return held.publicKey;
    const pair = await crypto.subtle.generateKey(P256, false, ["sign"]);
    const publicKey = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
    await this.#database.put(`key/${name}`, { privateKey: pair.privateKey, publicKey } satisfies Held);
    return publicKey;
  }

  /** ES256, r ‖ s. */
  async sign(name: string, message: Uint8Array): Promise<Bytes> {
    const held = await this.#held(name);
    if (!held) throw new DeviceError("failed", "this browser no longer has the key");
    return new Uint8Array(await crypto.subtle.sign(ES256, held.privateKey, own(message)));
  }

  /** Forgets a key. */
  remove(name: string): Promise<void> {
    return this.#database.delete(`key/${name}`);
  }
}

const AES = { name: "AES-GCM", length: 256 } as const;

/** Records encrypted at rest under a key that cannot be extracted: a copied disk or a database dump shows nothing. */
export class SealedRecords {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async #key(): Promise<CryptoKey> {
    const held = await this.#database.get("seal");
    if (held) return held as CryptoKey;
    const key = await crypto.subtle.generateKey(AES, false, ["encrypt", "decrypt"]);
    await this.#database.put("seal", key);
    return key;
  }

  /** The record of this name; `undefined` without one. A record moved to another name does not open. */
  async read<T>(name: string): Promise<T | undefined> {
    const held = (await this.#database.get(`record/${name}`)) as { iv: Bytes; sealed: Bytes } | undefined;
    if (!held) return undefined;
    const algorithm = { name: "AES-GCM", iv: held.iv, additionalData: own(new TextEncoder().encode(name)) };
    const json = await crypto.subtle.decrypt(algorithm, await this.#key(), held.sealed);
    return JSON.parse(new TextDecoder().decode(json)) as T;
  }

  async write(name: string, value: unknown): Promise<void> {
    const iv = crypto.getRandomValues(new Uint8Array(12));
    const algorithm = { name: "AES-GCM", iv, additionalData: own(new TextEncoder().encode(name)) };
    const json = own(new TextEncoder().encode(JSON.stringify(value)));
    const sealed = new Uint8Array(await crypto.subtle.encrypt(algorithm, await this.#key(), json));
    await this.#database.put(`record/${name}`, { iv, sealed });
  }

  /** The names that begin so. */
  async names(prefix: string): Promise<string[]> {
    return (await this.#database.names(`record/${prefix}`)).map((name) => name.slice("record/".length));
  }
}
