/** Why a wallet could not go on, and who is to blame. */

/** A sentence in both languages. */
export interface Bilingual {
  "zh-Hans": string;
  en: string;
}

/** Any reason of this library; `kind` says which. */
export abstract class WalletError extends Error {
  abstract readonly kind: "refused" | "unreachable" | "untrusted" | "device" | "state";
}

/** An office refused, or the wallet itself by the same rule. `code` is one of the refusal table (crates/kernel/src/refusal.rs). */
export class Refused extends WalletError {
  readonly kind = "refused";
  readonly code: string;
  /** The office's sentences; none where the wallet itself refused: the page has the table's. */
  readonly sentences: Bilingual | undefined;
  /** For help: `hufu explain <id>`. */
  readonly errorId: string | undefined;
  /** Seconds to wait before another try, where the office says so. */
  readonly retryAfter: number | undefined;

  constructor(code: string, sentences?: Bilingual, errorId?: string, retryAfter?: number) {
    super(code);
    this.name = "Refused";
    this.code = code;
    this.sentences = sentences;
    this.errorId = errorId;
    this.retryAfter = retryAfter;
  }
}

/** An office did not answer, or not in our language. */
export class Unreachable extends WalletError {
  readonly kind = "unreachable";
  readonly office: string;

  constructor(office: string, cause: string) {
    super(`no answer from ${office}: ${cause}`);
    this.name = "Unreachable";
    this.office = office;
  }
}

/** An office's answer does not check out: nothing is built on it. */
export class Untrusted extends WalletError {
  readonly kind = "untrusted";

  constructor(what: string) {
    super(`an answer does not check out: ${what}`);
    this.name = "Untrusted";
  }
}

/** Why the device did not sign. */
export type DeviceReason = "cancelled" | "unsupported" | "already-registered" | "failed";

/** The passkey or a key in the browser did not sign. */
export class DeviceError extends WalletError {
  readonly kind = "device";
  /** `cancelled`: the person closed the prompt, or it timed out; ask again. */
  readonly reason: DeviceReason;

  constructor(reason: DeviceReason, detail: string) {
    super(`the device did not sign: ${detail}`);
    this.name = "DeviceError";
    this.reason = reason;
  }
}

/** The wallet is not in a state for this: not enrolled yet, or enrolled already. */
export class NotNow extends WalletError {
  readonly kind = "state";

  constructor(what: string) {
    super(`not now: ${what}`);
    this.name = "NotNow";
  }
}

/**
 * `session_gone`: a node that was restarted between the two rounds has forgotten the first. `too_many`: each node counts by itself what
 * it was asked, and one that lies can say so.
 */
const PASSING = ["nodes_disagree", "signature_refused", "internal", "store_unavailable", "clock_off", "session_gone", "busy", "too_many"];

/** Whether another pair of nodes might serve. */
export function isAboutOneNode(error: unknown): boolean {
  if (error instanceof Unreachable || error instanceof Untrusted) return true;
  return error instanceof Refused && PASSING.includes(error.code);
}

/** Runs a check of ours: whatever it throws means that the answer is not to be trusted. */
export function trusted<T>(what: string, check: () => T): T {
  try {
    return check();
  } catch {
    throw new Untrusted(what);
  }
}
