/** Somebody asks: a code to tell a platform that has no page open here, and what platforms that know this person ask. */

import { Island, lang } from "./island.ts";
import { now, wallet } from "./wallet.ts";

/** In this tab alone: which transaction this browser may answer by which secret. */
const KEPT = "hufu-waiting";

/** Milliseconds between two looks. */
const EVERY = 2_000;

/** The secret by which this tab answers `tx`, if it was asked so. */
export function secretOf(tx: string): string | undefined {
  const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "{}") as { tx?: string; secret?: string };
  return kept.tx === tx ? kept.secret : undefined;
}

function answer(tx: string, secret: string): void {
  sessionStorage.setItem(KEPT, JSON.stringify({ tx, secret }));
  location.assign(`/sign-in?tx=${encodeURIComponent(tx)}&scanned=1`);
}

class RequestsPage extends Island {
  protected async start(): Promise<void> {
    if (location.hash === "#agreed" || location.hash === "#refused") this.view(location.hash.slice(1));
    const opened = await wallet();
    if ((await opened.status()).kind !== "enrolled") return this.view("empty");
    this.onClick(this.find("[data-wait]"), () => this.#wait());
    this.onClick(this.find("#act"), () => this.#read(), "device");
    this.view("own");
    this.ready();
  }

  async #wait(): Promise<void> {
    const { requests } = await wallet();
    const waiting = await requests.wait();
    this.fill("[data-code]", waiting.code);
    this.view("closed", false);
    this.view("code");
    this.find("[data-code]").focus();
    const left = () => Math.max(0, waiting.exp - now());
    const told = this.find("[data-left]");
    const count = setInterval(() => (told.textContent = this.text("left").replace("{seconds}", new Intl.NumberFormat(lang).format(Math.ceil(left())))), 1_000);
    try {
      while (left() > 0) {
        await new Promise((resolve) => setTimeout(resolve, EVERY));
        const tx = await requests.look(waiting.secret).catch(() => undefined);
        if (tx) return answer(tx, waiting.secret);
      }
    } finally {
      clearInterval(count);
    }
    this.view("code", false);
    this.view("closed");
    this.say("lapsed");
  }

  async #read(): Promise<void> {
    const { requests } = await wallet();
    const [first] = await requests.read();
    if (first) return answer(first.tx, first.secret);
    this.say("nothing");
  }
}

customElements.define("hufu-requests", RequestsPage);
