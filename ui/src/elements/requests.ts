/** Somebody asks: a code to tell a platform that has no page open here, and what platforms that know this person ask. */

import { answer, firstOpen, opened } from "./asked.ts";
import { Island, lang } from "./island.ts";
import { now, wallet } from "./wallet.ts";

/** Milliseconds between two looks. */
const EVERY = 2_000;

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
    const { requests, signIn } = await wallet();
    const first = await firstOpen(await requests.read(), (tx) => opened(tx, (one) => signIn.openTransaction(one)));
    if (first) return answer(first.tx, first.secret);
    this.say("nothing");
  }
}

customElements.define("hufu-requests", RequestsPage);
