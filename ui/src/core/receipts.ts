/** Who was told what: the only history there is, and it is here (design 3). */

import { b64, random } from "./bytes.ts";
import { payloadOf } from "./jws.ts";
import type { Core } from "./state.ts";
import { type Assertion, type Consent, type PlatformCertificate, platformCertificate } from "./wire.ts";

/** The person's record of one consent: held by wallet and platform, by no office. */
export interface Receipt {
  /** Who asked: the certificate as it was then. */
  certificate: string;
  /** What was agreed to, with the opening of its commitment. */
  consent: Consent;
  /** The device's signature over it. */
  assertion: Assertion;
  /** The pseudonym the platform got. */
  sub: string;
}

/** A receipt as a page shows it. */
export interface ReceiptView {
  /** Unix seconds. */
  at: number;
  platform: PlatformCertificate;
  /** The answers that were agreed to, the purpose's id, the strength. */
  consent: Consent;
  sub: string;
  receipt: Receipt;
}

export class Receipts {
  readonly #core: Core;

  constructor(core: Core) {
    this.#core = core;
  }

  /** Keeps a receipt, a record of its own: two tabs cannot overwrite each other's. */
  add(receipt: Receipt): Promise<void> {
    return this.#core.records.write(`receipt/${b64(random(12))}`, receipt);
  }

  /** Newest first. */
  async list(): Promise<ReceiptView[]> {
    const names = await this.#core.records.names("receipt/");
    const receipts = await Promise.all(names.map((name) => this.#core.records.read<Receipt>(name)));
    return receipts
      .flatMap((receipt) => (receipt ? [view(receipt)] : []))
      .sort((a, b) => b.at - a.at);
  }
}

function view(receipt: Receipt): ReceiptView {
  // Verified when it was made, and sealed since.
  const platform = payloadOf(receipt.certificate, platformCertificate);
  return { at: receipt.consent.t, platform, consent: receipt.consent, sub: receipt.sub, receipt };
}
