/** What a wallet remembers between uses, and what all its parts work with. The root of the pseudonyms is not in it: a wallet never has it. */

import { sha256 } from "@noble/hashes/sha2.js";
import { Api, type Offices } from "./api.ts";
import { b64, unb64, type Bytes } from "./bytes.ts";
import type { Commitments } from "./commitments.ts";
import { environment, type Environment } from "./environment.ts";
import { DeviceError, NotNow, Refused, trusted } from "./error.ts";
import { GroupKey } from "./frost.ts";
import { Keys, SealedRecords } from "./keys.ts";
import type { Status } from "./wallet.ts";
import { type Assertion, type EnrolmentView, type Signed, type Ticket, type Trust, trustShape } from "./wire.ts";
import { type Pair, PAIRS } from "./words.ts";

/** The passkey, as registration gave it. */
export interface RegisteredDevice {
  /** base64url. */
  credentialId: string;
  /** COSE_Key, base64url. */
  key: string;
  displayName: string;
}

/** One copy of the certificate and the name of its holder key. */
export interface HeldCopy {
  sdJwt: string;
  key: string;
}

/** One person's wallet, without its keys. */
export interface Profile {
  ticket?: Ticket;
  view?: EnrolmentView;
  /** The nodes' receipts that the pending row needs nothing but the confirmation. */
  ready?: Signed[];
  device?: RegisteredDevice;
  maskedName?: string;
  number?: string;
  commitments?: Commitments;
  copies?: HeldCopy[];
  /** A recovered device: it may be used from then on, in Unix seconds. */
  until?: number;
}

/** The name of the holder key. */
export const HOLDER_KEY = "holder";

/** Trust, memory, keys, clock and the way to the offices. */
export class Core {
  readonly trust: Trust;
  readonly api: Api;
  readonly group: GroupKey;
  readonly keys: Keys;
  readonly records: SealedRecords;
  readonly #environment: Environment;
  #writing: Promise<unknown> = Promise.resolve();

  private constructor(trust: Trust, offices: Offices, given: Environment) {
    this.trust = trust;
    this.api = new Api(offices, trust.issuer, given.fetch);
    this.group = trusted("the group key", () => new GroupKey(trust.group_key, trust.group_shares));
    this.keys = new Keys(given.database);
    this.records = new SealedRecords(given.database);
    this.#environment = given;
  }

  /**
   * Reads trust.json and looks whether this browser's memory belongs to that root. A sandbox that was made anew begins
   * empty, since the rows of the old one are gone; anything else under another root is refused and stays as it is.
   */
  static async open(trust: unknown, offices: Offices, given?: Partial<Environment>): Promise<Core> {
    const pinned = trusted("trust.json", () => trustShape(trust, "trust"));
    const core = new Core(pinned, offices, environment(given));
    const { database } = core.#environment;
    const held = await database.get("root");
    if (held === core.#root) return core;
    const bothSandboxes = typeof held === "string" && held.startsWith("sandbox:") && pinned.root === "sandbox";
    if (held !== undefined && !bothSandboxes) throw new Refused("wrong_root");
    await database.clear();
    await database.put("root", core.#root);
    return core;
  }

  /** Which root this memory is about. */
  get #root(): string {
    return `${this.trust.root}:${this.trust.root_id}`;
  }

  /** Unix seconds. */
  now(): number {
    return this.#environment.clock();
  }

  /** A pair to begin with: any is as good, and taking turns spreads the load. */
  anyPair(among: readonly number[] = [1, 2, 3]): Pair {
    const possible = PAIRS.filter((pair) => pair.every((node) => among.includes(node)));
    const drawn = possible[crypto.getRandomValues(new Uint32Array(1))[0]! % Math.max(possible.length, 1)];
    if (!drawn) throw new NotNow("fewer than two nodes hold the row");
    return drawn;
  }

  async profile(): Promise<Profile> {
    return (await this.records.read<Profile>("profile")) ?? {};
  }

  /** Changes the profile; one change at a time, across tabs too, and none while the network or the person is waited for. */
  async update(change: (profile: Profile) => void): Promise<void> {
    await this.exclusively(async () => {
      const profile = await this.profile();
      change(profile);
      await this.records.write("profile", profile);
    });
  }

  private exclusively<T>(work: () => Promise<T>): Promise<T> {
    const locks = globalThis.navigator?.locks;
    if (locks) return locks.request("hufu-wallet", work) as Promise<T>;
    const next = this.#writing.then(work, work);
    this.#writing = next.catch(() => undefined);
    return next;
  }

  /** An enrolled person's number, device and commitments, or {@link NotNow}. */
  async enrolled(): Promise<Profile & Required<Pick<Profile, "number" | "device" | "commitments">>> {
    const profile = await this.profile();
    const { number, device, commitments } = profile;
    if (!number || !device || !commitments) throw new NotNow("nobody is enrolled in this browser");
    return { ...profile, number, device, commitments };
  }

  /** This browser's device, enrolled or waiting, or {@link NotNow}. */
  async registered(): Promise<RegisteredDevice> {
    const { device, number, until } = await this.profile();
    if (!device || (!number && until === undefined)) throw new NotNow("nobody is enrolled in this browser");
    return device;
  }

  /** Has the passkey sign a challenge: one prompt. */
  async assert(device: RegisteredDevice, challenge: Bytes): Promise<Assertion> {
    const credentialId = unb64(device.credentialId);
    if (!credentialId) throw new DeviceError("failed", "no credential");
    return this.#environment.passkeys.assert({ rpId: this.trust.rp_id, credentialId, challenge });
  }

  /** Makes a passkey (one prompt) and the holder key beside it. */
  async makeDevice(displayName: string): Promise<RegisteredDevice> {
    const made = await this.#environment.passkeys.create({ rpId: this.trust.rp_id, displayName });
    await this.keys.remove(HOLDER_KEY);
    await this.keys.make(HOLDER_KEY);
    return { credentialId: b64(made.credentialId), key: b64(made.key), displayName };
  }

  async status(): Promise<Status> {
    const { number, device, view, maskedName, copies, until } = await this.profile();
    if (number && device) {
      const credential = credentialHash(device);
      return { kind: "enrolled", number, maskedName: maskedName ?? "", credential, copies: copies?.length ?? 0 };
    }
    if (until !== undefined && device) return { kind: "waiting", until };
    return view ? { kind: "enrolling", view } : { kind: "empty" };
  }

  /** What this browser holds, as text; keys cannot be exported and are not in it. */
  async exported(): Promise<unknown> {
    const { number, maskedName, device, commitments, copies } = await this.profile();
    return { number, maskedName, device, commitments, certificates: copies?.map((copy) => copy.sdJwt) };
  }

  /** Forgets everything in this browser. */
  async forget(): Promise<void> {
    await this.exclusively(async () => {
      await this.#environment.database.clear();
      await this.#environment.database.put("root", this.#root);
    });
  }
}

/** SHA-256 of the credential id: the name under which nodes find the row. */
export function credentialHash(device: RegisteredDevice): string {
  return b64(sha256(unb64(device.credentialId)!));
}
