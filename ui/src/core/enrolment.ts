/** Enrolment from the person's side (flows 5). */

import type { Core } from "./state.ts";
import type { EnrolmentView } from "./wire.ts";
import type { DocumentType, Lang } from "./words.ts";

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

/** The steps in order; each answers where the enrolment stands then (`view.next`), and survives a reload. */
export class Enrolment {
  readonly #core: Core;

  constructor(core: Core) {
    this.#core = core;
  }

  /** Step 1: the document. */
  start(details: Details): Promise<EnrolmentView>;
  /** Step 2: evidence for the registrar's face decision; in the sandbox UTF-8 of `pass` or `fail`. */
  face(evidence: Uint8Array): Promise<EnrolmentView>;
  /** Step 3, and again for another code: a code goes to the phone. */
  phone(phone: string, lang: Lang): Promise<EnrolmentView>;
  /** Step 4: the code. */
  code(code: string): Promise<EnrolmentView>;
  /** Step 5: a passkey (one prompt) and a holder key are made; the nodes take them. `displayName` is what the authenticator shows. */
  registerDevice(displayName: string): Promise<EnrolmentView>;
  /** Step 6: the password, made with two nodes (one prompt). `birthDates` are (year, month, day) it must not be. */
  secure(password: string, birthDates: readonly (readonly [number, number, number])[]): Promise<void>;
  /** Step 7: the person exists. Repeat it on `nodes_unavailable`. `view.number` is the network number. */
  confirm(): Promise<EnrolmentView>;
  /** Asks the registrar where the enrolment stands. */
  refresh(): Promise<EnrolmentView>;
  /** Gives an enrolment up: this browser forgets it, the registrar's part lapses. */
  abandon(): Promise<void>;
}
