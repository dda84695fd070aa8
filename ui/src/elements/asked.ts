/** What this tab is asked. A transaction is served once; a reload, for another language or larger text, must find it again. */

import { CIBA_GRANT, Refused, type Asked, type PersonRequest } from "../core/index.ts";

/** In this tab alone: which transaction this browser may answer by which secret. */
const WAITING = "hufu-waiting";

/** In this tab alone: the transaction that was opened last. */
const OPENED = "hufu-sign-in-2";

/** The secret by which this tab answers `tx`, if it was asked so. */
export function secretOf(tx: string): string | undefined {
  const kept = JSON.parse(sessionStorage.getItem(WAITING) ?? "{}") as { tx?: string; secret?: string };
  return kept.tx === tx ? kept.secret : undefined;
}

/** This tab goes on to answer `tx`. */
export function answer(tx: string, secret: string): void {
  sessionStorage.setItem(WAITING, JSON.stringify({ tx, secret }));
  location.assign(`/sign-in?tx=${encodeURIComponent(tx)}&scanned=1`);
}

/** The transaction as this tab has it, else as the front serves it. */
export async function opened(tx: string, serve: (tx: string) => Promise<Asked>): Promise<Asked> {
  const kept = sessionStorage.getItem(OPENED);
  if (kept) {
    const { tx: of, asked } = JSON.parse(kept) as { tx: string; asked: Asked };
    if (of === tx) return asked;
  }
  const asked = await serve(tx);
  sessionStorage.setItem(OPENED, JSON.stringify({ tx, asked }));
  return asked;
}

/** It was answered. */
export function forget(): void {
  sessionStorage.removeItem(OPENED);
}

/** Whether it was asked without a browser at the platform. The front signs that; what this tab remembers says nothing of it. */
export function withoutBrowser({ transaction }: Asked): boolean {
  return transaction.redirect_uri === CIBA_GRANT;
}

/** Only who was asked has the secret: whoever was led here by a link to a caller's request must not answer it, nor ask nodes anything. */
export function mayAnswer(asked: Asked, secret: string | undefined): void {
  if (withoutBrowser(asked) && secret === undefined) throw new Refused("transaction_cookie");
}

/**
 * The first request that can still be opened: nodes name one for minutes after it was answered, and one that does not check out keeps
 * the person from no other. If there is none, but one failed for another reason than being over, that is the reason.
 */
export async function firstOpen(requests: readonly PersonRequest[], open: (tx: string) => Promise<unknown>): Promise<PersonRequest | undefined> {
  let failed: unknown;
  for (const request of requests) {
    try {
      await open(request.tx);
      return request;
    } catch (error) {
      if (!(error instanceof Refused) || error.code !== "transaction_gone") failed ??= error;
    }
  }
  if (failed) throw failed;
  return undefined;
}
