/** Enrolment from the person's side (flows 5). */

import { b64, framed, random, unb64, utf8 } from "./bytes.ts";
import { plainChallenge } from "./challenge.ts";
import { assignedTo, fromReports } from "./commitments.ts";
import { isAboutOneNode, NotNow, Refused, trusted, Unreachable, Untrusted } from "./error.ts";
import { type Holder, twoOf } from "./holder.ts";
import { maskedName } from "./masked_name.ts";
import * as oprf from "./oprf.ts";
import { checkPassword, harden, type PasswordKey, PARAMS_ID } from "./password.ts";
import { type Core, HOLDER_KEY, type Profile, type RegisteredDevice } from "./state.ts";
import { deviceEnrolled, type EnrolmentView, enrolmentView, signed, started } from "./wire.ts";
import type { DocumentType, Lang, NodeIndex, Pair } from "./words.ts";

/** What the person says about themselves. */
export interface Details {
  documentType: DocumentType;
  /** As printed. */
  documentNumber: string;
  /** As printed; only a masked form is remembered. */
  name: string;
  /** The version of the notice that was shown and accepted. */
  noticeVersion: string;
}

type Progress = (done: number) => void;
type Pending = Profile & Required<Pick<Profile, "ticket" | "view">>;

/** The steps in order; each answers where the enrolment stands then (`view.next`), and survives a reload. */
export class Enrolment {
  readonly #core: Core;
  readonly #holder: Holder;

  constructor(core: Core, holder: Holder) {
    this.#core = core;
    this.#holder = holder;
  }

  /** Step 1: the document. */
  async start(details: Details): Promise<EnrolmentView> {
    const { number, until } = await this.#core.profile();
    if (number || until !== undefined) throw new NotNow("somebody is enrolled in this browser");
    const request = {
      document_type: details.documentType,
      document_number: details.documentNumber,
      name: details.name,
      notice_version: details.noticeVersion,
    };
    const { ticket, view } = await this.#core.api.post("registrar", "/v1/enrol/start", request, started);
    await this.#core.update((profile) => {
      for (const name of Object.keys(profile)) delete profile[name as keyof Profile];
      Object.assign(profile, { ticket, view, maskedName: maskedName(details.name) });
    });
    return view;
  }

  /** Step 2: evidence for the registrar's face decision; in the sandbox UTF-8 of `pass` or `fail`. */
  face(evidence: Uint8Array): Promise<EnrolmentView> {
    return this.#step("face", { evidence: b64(evidence) });
  }

  /** Step 3, and again for another code: a code goes to the phone. */
  phone(phone: string, lang: Lang): Promise<EnrolmentView> {
    return this.#step("phone", { phone, lang });
  }

  /** Step 4: the code. */
  code(code: string): Promise<EnrolmentView> {
    return this.#step("code", { code });
  }

  /**
   * Step 5: a passkey (one prompt) and a holder key are made; the nodes take them. `displayName` is what the authenticator
   * shows. A repeated call sends the passkey that was made, and makes no second one.
   */
  async registerDevice(displayName: string): Promise<EnrolmentView> {
    const device = await this.#device(displayName);
    const view = await this.#step("device", { credential_id: device.credentialId, device_key: device.key });
    const commitments = fromReports(this.#core.trust, view.id, view.reports ?? []);
    await this.#core.update((profile) => void (profile.commitments = commitments));
    return view;
  }

  async #device(displayName: string): Promise<RegisteredDevice> {
    const { device } = await this.#pending();
    if (device) return device;
    const made = await this.#core.makeDevice(displayName);
    await this.#core.update((profile) => void (profile.device = made));
    return made;
  }

  /**
   * In place of step 5, for a person who has a number (`already_enrolled`): the passkey is registered (one prompt, and one more
   * if there is none yet) and waits until `view.until`. An old device may object; the person is told at the phone on record.
   */
  async recover(displayName: string): Promise<EnrolmentView> {
    const device = await this.#device(displayName);
    const { ticket } = await this.#pending();
    const holderKey = await this.#core.keys.make(HOLDER_KEY);
    const t = this.#core.now();
    const assertion = await this.#core.assert(device, plainChallenge("recover", framed(unb64(ticket.id)!, holderKey), t));
    const request = { ticket, device: { key: device.key, holder_key: b64(holderKey), assertion, t } };
    const view = await this.#core.api.post("registrar", "/v1/enrol/recover", request, enrolmentView);
    const { until } = view;
    if (until === undefined) throw new Untrusted("a recovery without its time");
    await this.#core.update((profile) => {
      profile.until = until;
      delete profile.ticket;
      delete profile.view;
    });
    return view;
  }

  /** After the delay: number and commitments come from two nodes (one prompt), and this device is enrolled. */
  async finishRecovery(): Promise<void> {
    await this.#holder.refresh();
    await this.#core.update((profile) => void delete profile.until);
  }

  /**
   * Step 6: the password, made with two nodes (one prompt, and another if one of them has gone silent). `birthDates` are (year, month, day) it must not be; `progress`
   * hears how far the stretching is, 0 to 1.
   */
  async secure(
    password: string,
    birthDates: readonly (readonly [number, number, number])[],
    progress?: Progress,
  ): Promise<void> {
    if (checkPassword(password, birthDates)) throw new Refused("weak_password");
    const { view } = await this.#pending();
    const nodes = view.nodes ?? [];
    const { key, salt } = await this.#firstPassword(password, nodes, progress);
    // The node hashes these members in this order.
    const record = { public: b64(key.publicKey), salt: b64(salt), params_id: PARAMS_ID };
    const t = this.#core.now();
    const challenge = plainChallenge("enrol", framed(unb64(view.id)!, JSON.stringify(record)), t);
    const request = {
      enrolment_id: view.id,
      password: record,
      t,
      holder_signature: b64(await this.#core.keys.sign(HOLDER_KEY, challenge)),
      password_signature: b64(key.sign(challenge)),
    };
    key.wipe();
    const ready = twoOf(
      await Promise.allSettled(nodes.map((node) => this.#core.api.post(node, "/v1/enrolments/password", request, signed))),
    );
    await this.#core.update((profile) => void (profile.ready = ready));
  }

  /** Has two nodes that answer evaluate the password; the others hear of the device only, and may be down. */
  async #firstPassword(password: string, nodes: readonly NodeIndex[], progress?: Progress): Promise<{ key: PasswordKey; salt: Uint8Array }> {
    let left = nodes;
    for (;;) {
      const pair = this.#core.anyPair(left);
      const { blinded, answers } = await this.#evaluate(password, nodes, pair);
      const wrong = answers.flatMap(({ node, settled }) => (pair.includes(node) && settled.status === "rejected" ? [{ node, reason: settled.reason as unknown }] : []));
      if (wrong.length === 0) {
        const parts = answers.flatMap(({ settled }) => (settled.status === "fulfilled" && settled.value ? [settled.value] : []));
        const y = trusted("a password evaluation", () => oprf.finalize(blinded, oprf.combineSum(parts)));
        const salt = random(32);
        return { key: await harden(y, salt, PARAMS_ID, progress), salt };
      }
      const { reason } = wrong.find((one) => !isAboutOneNode(one.reason)) ?? wrong[0]!;
      left = left.filter((node) => !wrong.some((one) => one.node === node));
      if (!isAboutOneNode(reason) || left.length < 2) throw reason instanceof Unreachable ? new Refused("nodes_unavailable") : reason;
    }
  }

  /** The device proves itself to the nodes (one prompt); those of the pair each give their part of the evaluation, with its proof. */
  async #evaluate(password: string, nodes: readonly NodeIndex[], pair: Pair) {
    const { view, device, commitments } = await this.#pending();
    if (!device || !commitments) throw new NotNow("no device has been registered");
    const blinded = oprf.blind(utf8(password));
    const holderKey = await this.#core.keys.make(HOLDER_KEY);
    const t = this.#core.now();
    const bytes = framed(unb64(view.id)!, holderKey, unb64(blinded.element)!);
    const request = {
      enrolment_id: view.id,
      assertion: await this.#core.assert(device, plainChallenge("enrol", bytes, t)),
      holder_key: b64(holderKey),
      blinded: blinded.element,
      pair,
      t,
    };
    const ask = async (node: NodeIndex) => {
      const { partial } = await this.#core.api.post(node, "/v1/enrolments/device", request, deviceEnrolled);
      if (!pair.includes(node)) return undefined;
      if (!partial) throw new Untrusted("a password evaluation is missing");
      return trusted("a password evaluation", () => oprf.verify(partial, assignedTo(commitments.password, pair, node), blinded.element));
    };
    const settled = await Promise.allSettled(nodes.map(ask));
    return { blinded, answers: nodes.map((node, at) => ({ node, settled: settled[at]! })) };
  }

  /** Step 7: the person exists. Repeat it on `nodes_unavailable`. `view.number` is the network number. */
  async confirm(): Promise<EnrolmentView> {
    const { ticket, ready } = await this.#pending();
    if (!ready) throw new NotNow("no password has been chosen");
    const view = await this.#core.api.post("registrar", "/v1/enrol/confirm", { ticket, ready }, enrolmentView);
    const number = view.number;
    if (!number) throw new Untrusted("a network number is missing");
    const commitments = fromReports(this.#core.trust, view.id, view.reports ?? []);
    await this.#core.update((profile) => {
      Object.assign(profile, { commitments, number });
      delete profile.ticket;
      delete profile.view;
      delete profile.ready;
    });
    return view;
  }

  /** Asks the registrar where the enrolment stands. */
  async refresh(): Promise<EnrolmentView> {
    const { ticket } = await this.#pending();
    return this.#keep(await this.#core.api.post("registrar", "/v1/enrol/status", ticket, enrolmentView));
  }

  /** Gives an enrolment up: this browser forgets it, the registrar's part lapses. */
  async abandon(): Promise<void> {
    await this.#pending();
    await this.#core.forget();
  }

  async #pending(): Promise<Pending> {
    const profile = await this.#core.profile();
    const { ticket, view } = profile;
    if (!ticket || !view) throw new NotNow("no enrolment has been started");
    return { ...profile, ticket, view };
  }

  async #step(path: string, members: Record<string, unknown>): Promise<EnrolmentView> {
    const { ticket } = await this.#pending();
    return this.#keep(await this.#core.api.post("registrar", `/v1/enrol/${path}`, { ticket, ...members }, enrolmentView));
  }

  async #keep(view: EnrolmentView): Promise<EnrolmentView> {
    await this.#core.update((profile) => void (profile.view = view));
    return view;
  }
}
