/** The person changes their own row (flows 6): each takes effect when two nodes have committed it. */

import { sha256 } from "@noble/hashes/sha2.js";
import { b64, random, unb64, utf8 } from "./bytes.ts";
import { framedStatement } from "./certificate.ts";
import { plainChallenge } from "./challenge.ts";
import { newEpoch } from "./commitments.ts";
import { NotNow, Refused, Untrusted } from "./error.ts";
import { type Holder, twoOf } from "./holder.ts";
import { parseNumber, randomNumber } from "./network_number.ts";
import { encoded, int, map, oneOf, optional, parseExact, record, type Shape, text } from "./shape.ts";
import { type Core, credentialHash, HOLDER_KEY } from "./state.ts";
import { type StatementAccepted, statementAccepted } from "./wire.ts";
import { type Label, NODES, SUBSETS } from "./words.ts";

const offerShape = record({
  v: oneOf([1]),
  root_id: encoded(16),
  credential: encoded(32),
  key: encoded(),
  holder_key: encoded(65),
});

const held = map(SUBSETS, encoded());
const welcomeShape = record({
  v: oneOf([1]),
  root_id: encoded(16),
  credential: encoded(32),
  number: text,
  masked_name: text,
  commitments: record({ pseudonym: held, epoch: held, password: held, generation: optional(int) }),
});

export class Statements {
  readonly #core: Core;
  readonly #holder: Holder;

  constructor(core: Core, holder: Holder) {
    this.#core = core;
    this.#holder = holder;
  }

  /** Signs a change under `label` (one prompt, and one more if the holder key's quarter of an hour is over) and takes it to every node. */
  async #change(label: Label, change: Record<string, unknown>): Promise<StatementAccepted[]> {
    const { device } = await this.#core.enrolled();
    const { row } = await this.#holder.rowOfTwo();
    const t = this.#core.now();
    const statement = framedStatement(row.version, row.head, t, change);
    const assertion = await this.#core.assert(device, plainChallenge(label, statement, t));
    const request = { statement: b64(statement), authority: { device: assertion } };
    const accepted = twoOf(await Promise.allSettled(NODES.map((node) => this.#core.api.post(node, "/v1/statements", request, statementAccepted))));
    // A change has taken effect when two nodes have come to the same head.
    const agreed = accepted.find(({ head }) => accepted.filter((one) => one.head === head).length >= 2);
    if (!agreed) throw new Refused("nodes_disagree");
    return accepted.filter(({ head }) => head === agreed.head);
  }

  /** Stops all use. */
  async lock(): Promise<void> {
    await this.#change("lock", { kind: "lock" });
  }

  /** Resumes use. */
  async unlock(): Promise<void> {
    await this.#change("unlock", { kind: "unlock" });
  }

  /** Ends all sessions: platforms see another epoch pseudonym at the next sign-in. */
  async endSessions(): Promise<void> {
    const accepted = await this.#change("end-sessions", { kind: "end_sessions", epoch: b64(random(16)) });
    const reports = accepted.flatMap((one) => (one.report ? [one.report] : []));
    const { epoch, words } = newEpoch(this.#core.trust, accepted[0]!.head, reports);
    await this.#core.update((profile) => void (profile.commitments &&= { ...profile.commitments, epoch }));
    await this.#holder.report(words);
  }

  /**
   * A new network number, which is returned; copies of the certificate that say the old one are dropped. On `version_conflict`
   * the number drawn was taken: repeat.
   */
  async replaceNumber(): Promise<string> {
    const number = randomNumber();
    await this.#change("replace-number", { kind: "replace_number", number });
    const { copies: old = [] } = await this.#core.profile();
    await this.#core.update((profile) => {
      profile.number = number;
      delete profile.copies;
    });
    await Promise.all(old.map((copy) => this.#core.keys.remove(copy.key)));
    return number;
  }

  /**
   * On a *new* device with an empty wallet: makes a passkey and a holder key, and returns a text to be brought to a device
   * that is registered (typed, pasted or scanned). Both pages show {@link deviceOfferCode} for comparison.
   */
  async offerDevice(displayName: string): Promise<string> {
    if ((await this.#core.status()).kind !== "empty") throw new NotNow("this browser has a wallet already");
    const device = (await this.#core.profile()).device ?? (await this.#core.makeDevice(displayName));
    await this.#core.update((profile) => void (profile.device = device));
    const offer = {
      v: 1,
      root_id: this.#core.trust.root_id,
      credential: credentialHash(device),
      key: device.key,
      holder_key: b64(await this.#core.keys.make(HOLDER_KEY)),
    };
    return b64(utf8(JSON.stringify(offer)));
  }

  /** On a registered device: adds the offered one, and returns a text to be brought back to it. */
  async addDevice(offer: string): Promise<string> {
    const { root_id, credential, key, holder_key } = read(offerShape, offer, "the offer of a device");
    if (root_id !== this.#core.trust.root_id) throw new Refused("wrong_root");
    const now = this.#core.now();
    // To the minute: nothing finer is stored (design 3).
    const device = { credential, key, holder_key, since: now - (now % 60) };
    await this.#change("add-device", { kind: "add_device", device });
    const { number, maskedName, commitments } = await this.#core.enrolled();
    const welcome = { v: 1, root_id, credential, number, masked_name: maskedName ?? "", commitments };
    return b64(utf8(JSON.stringify(welcome)));
  }

  /** On the new device: takes that text; from then on it is enrolled. A wrong one only makes every sign-in fail its checks. */
  async joinDevice(welcome: string): Promise<void> {
    const { root_id, credential, number, masked_name, commitments } = read(welcomeShape, welcome, "the answer to the offer");
    const { device, number: enrolled } = await this.#core.profile();
    if (!device || enrolled) throw new NotNow("this browser has offered no device");
    const ours = root_id === this.#core.trust.root_id && credential === credentialHash(device);
    if (!ours || parseNumber(number) !== number) throw new Untrusted("the answer to the offer");
    await this.#core.update((profile) => void Object.assign(profile, { number, maskedName: masked_name, commitments }));
  }

  /** Removes a device by its name in `RowView.devices[].credential`; if it is this one, the browser forgets everything. */
  async removeDevice(credential: string): Promise<void> {
    const { device } = await this.#core.enrolled();
    await this.#change("remove-device", { kind: "remove_device", credential });
    if (credential === credentialHash(device)) await this.#core.forget();
  }

  /** Objects to a recovered device that waits, by its name in `RowView.devices[].credential`. */
  async veto(credential: string): Promise<void> {
    await this.#change("veto", { kind: "veto", credential });
  }

  /** Leaves the service; only the tag index stays. This browser forgets everything. */
  async leave(): Promise<void> {
    await this.#change("leave", { kind: "leave" });
    await this.#core.forget();
  }
}

function read<T>(shape: Shape<T>, given: string, what: string): T {
  try {
    return parseExact(shape, unb64(given.replace(/\s/g, ""))!);
  } catch {
    throw new Untrusted(what);
  }
}

/** Six digits over an offer, for both pages: a person who compares them adds no stranger's device. */
export function deviceOfferCode(offer: string): string {
  const [a = 0, b = 0, c = 0, d = 0] = sha256(utf8(offer.replace(/\s/g, "")));
  const value = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
  return String(value % 1_000_000).padStart(6, "0");
}
