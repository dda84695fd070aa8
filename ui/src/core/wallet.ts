/** The wallet: one person's passkey, keys and memory in this browser, and the way to the offices. */

import { Certificates } from "./certificate.ts";
import type { Environment } from "./environment.ts";
import { Enrolment } from "./enrolment.ts";
import { Holder } from "./holder.ts";
import type { Offices } from "./api.ts";
import { Receipts, type ReceiptView } from "./receipts.ts";
import { Requests } from "./requests.ts";
import { SignIn } from "./sign_in.ts";
import { Core } from "./state.ts";
import { Statements } from "./statements.ts";
import type { EnrolmentView, RowView, Trust } from "./wire.ts";
import type { NodeIndex } from "./words.ts";

/** Where the person stands, from this browser's memory alone: no office is asked. */
export type Status =
  /** Nothing here: enrol, or join as another device. */
  | { kind: "empty" }
  /** An enrolment was begun; `view.next` is the step to take. */
  | { kind: "enrolling"; view: EnrolmentView }
  /** A recovered device: `until` (Unix seconds) it may do nothing; then {@link Enrolment.finishRecovery}. */
  | { kind: "waiting"; until: number }
  /** `credential` is this device's name in {@link RowView.devices}; `copies` how many certificate copies are left. */
  | { kind: "enrolled"; number: string; maskedName: string; credential: string; copies: number };

/** Everything this browser and the nodes hold, for the export page. */
export interface Export {
  made: number;
  wallet: unknown;
  receipts: ReceiptView[];
  nodes: { node: NodeIndex; row?: RowView; refused?: string }[];
}

/** Every method throws a `WalletError` (error.ts): `Refused`, `Unreachable`, `Untrusted`, `DeviceError` or `NotNow`. */
export class Wallet {
  /** Enrolment, step by step. */
  readonly enrol: Enrolment;
  /** Signing in at platforms. */
  readonly signIn: SignIn;
  /** Being asked without a browser at the platform. */
  readonly requests: Requests;
  /** Copies of the certificate. */
  readonly certificates: Certificates;
  /** Changes to one's own row, each with a passkey prompt. */
  readonly statements: Statements;
  readonly #core: Core;
  readonly #holder: Holder;
  readonly #receipts: Receipts;

  private constructor(core: Core) {
    this.#core = core;
    this.#holder = new Holder(core);
    this.#receipts = new Receipts(core);
    this.enrol = new Enrolment(core, this.#holder);
    this.signIn = new SignIn(core, this.#holder);
    this.requests = new Requests(core, this.#holder);
    this.certificates = new Certificates(core, this.#holder);
    this.statements = new Statements(core, this.#holder);
  }

  /**
   * Opens this browser's wallet. `trust` is trust.json as the wallet's own origin serves it; `offices` says where the
   * registrar and the nodes answer. `environment` replaces parts of the browser in tests; its `clock` is in Unix seconds.
   */
  static async open(trust: unknown, offices: Offices, environment?: Partial<Environment>): Promise<Wallet> {
    return new Wallet(await Core.open(trust, offices, environment));
  }

  /** The pinned trust root. */
  get trust(): Trust {
    return this.#core.trust;
  }

  /** Where the person stands. */
  status(): Promise<Status> {
    return this.#core.status();
  }

  /** A fresh pass for the card's dynamic QR: a compact JWS of two nodes, 30 s. Prompts only if the quarter of an hour is over. */
  pass(): Promise<string> {
    return this.certificates.pass();
  }

  /** What one node holds about this person; any that answers, if none is named. */
  row(node?: NodeIndex): Promise<RowView> {
    return this.#holder.row(node);
  }

  /** This person's devices, as all nodes together have them. */
  devices(): Promise<RowView["devices"]> {
    return this.#holder.devices();
  }

  /** Opens the holder key's quarter of an hour: one passkey prompt. `pass`, `row` and `certificates.issue` do it themselves when needed. */
  openHolder(): Promise<void> {
    return this.#holder.open();
  }

  /** Who was told what, newest first. */
  receipts(): Promise<ReceiptView[]> {
    return this.#receipts.list();
  }

  /** All of it. */
  async exportAll(): Promise<Export> {
    return {
      made: this.#core.now(),
      wallet: await this.#core.exported(),
      receipts: await this.#receipts.list(),
      nodes: await this.#holder.rows(),
    };
  }

  /** Forgets everything in this browser; the nodes keep their rows, and the passkey stays in its authenticator. */
  forget(): Promise<void> {
    return this.#core.forget();
  }
}
