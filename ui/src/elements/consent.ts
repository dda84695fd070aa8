/** The consent page: what the platform asks for, checked before it is shown, and the person's yes or no. */

import { Refused, Unreachable } from "../core/index.ts";
import type { Agreed, Answer, Asked, CopyView } from "../core/index.ts";
import { forget, mayAnswer, opened, secretOf, withoutBrowser } from "./asked.ts";
import { Island, lang, showErrors } from "./island.ts";
import { wallet } from "./wallet.ts";

class Consent extends Island {
  protected async start(): Promise<void> {
    const tx = this.getAttribute("tx");
    if (!tx) return;
    const status = await (await wallet()).status();
    if (status.kind === "waiting") throw new Refused("veto_period");
    if (status.kind !== "enrolled") {
      this.view("start", false);
      this.view("empty");
      this.#refusal(tx);
      return this.ready();
    }
    this.fill("[data-reading]", this.text("reading"));
    const { signIn } = await wallet();
    const asked = await opened(tx, (one) => signIn.openTransaction(one));
    mayAnswer(asked, secretOf(tx));
    this.querySelector<HTMLElement>("[data-persona]")?.remove();
    await this.#show(asked);
    this.#answer(asked);
    this.lapses(asked.transaction.exp);
    this.view("start", false);
    this.view("consent");
    this.ready();
    document.title = `${this.find("h1[data-title]").textContent} — ${document.title.split(" — ").at(-1)}`;
  }

  async #show(asked: Asked): Promise<void> {
    const { transaction, certificate, purpose, later } = asked;
    this.fill("[data-name]", certificate.name[lang]);
    // What is asked without a browser goes to no address: then the platform's own name on the net says who it is.
    this.fill("[data-host]", new URL(transaction.redirect_uri).host || new URL(certificate.sector_id).host);
    this.fill("[data-binding]", transaction.binding_message ?? "");
    this.view("waiting", withoutBrowser(asked));
    this.view("binding", transaction.binding_message !== undefined);
    this.fill("[data-purpose]", purpose.text[lang]);
    // With the holder key's quarter of an hour open, fresh copies cost no prompt. Without one the page says who gives the values.
    const { certificates } = await wallet();
    const copy = await certificates.current().catch(() => undefined);
    const rows = transaction.answers.map((answer) => row(this.text(answer), this.#value(answer, copy)));
    this.find("[data-answers]").replaceChildren(...rows, this.find("[data-answer='pseudonym']"));
    this.find("[data-uses]").replaceChildren(...later.map((use) => item(this.text(use))));
    this.view("later", later.length > 0);
    this.view("direct", !later.includes("signals"));
    this.view("watched", later.includes("signals"));
    this.view("password", transaction.strength === "certificate+password");
    this.view("elsewhere", transaction.elsewhere === true);
    if (transaction.elsewhere) this.querySelector<HTMLElement>("[data-elsewhere]")?.remove();
  }

  /** What the platform will read, from this device's own copy of the certificate. */
  #value(answer: Answer, copy: CopyView | undefined): string {
    if (!copy || answer === "guardian_consent") return this.text("unknown");
    if (answer === "age_band") return this.text(copy.claims.age_band);
    return this.text(copy.claims[answer] ? "yes" : "no");
  }

  #answer(asked: Asked): void {
    const { tx } = asked.transaction;
    this.onSubmit(this.find<HTMLFormElement>("form[data-view='consent']"), async () => {
      const { signIn } = await wallet();
      const password = asked.transaction.strength === "certificate+password" ? this.input("password").value.trim() : undefined;
      if (password === "") return showErrors(["password_wrong"]);
      const agreed = await signIn.agree(asked, asked.transaction.answers, password);
      const { requests } = await wallet();
      const secret = secretOf(tx);
      if (secret) return this.#leave(() => requests.complete(agreed, secret));
      await this.#leave(() => signIn.complete(agreed), () => this.#post("[data-complete]", agreed));
    }, "device");
    this.#refusal(tx);
  }

  /** The way back to the platform, for a person who does not agree, and for one who has no certificate here. */
  #refusal(tx: string): void {
    for (const button of this.querySelectorAll<HTMLElement>("[data-refuse]")) {
      this.onClick(button, async () => {
        const { signIn, requests } = await wallet();
        const secret = secretOf(tx);
        if (secret) return this.#leave(() => requests.refuse(tx, secret));
        await this.#leave(() => signIn.refuse(tx), () => this.#post("[data-refusal]", { tx }));
      });
    }
  }

  /**
   * Goes back to the platform. A browser that keeps the front's cookie from our script still sends it with a form that it posts
   * itself, so that is the second way.
   */
  async #leave(byScript: () => Promise<string>, byForm?: () => void): Promise<void> {
    forget();
    try {
      const next = await byScript();
      this.say("done");
      location.assign(next);
    } catch (error) {
      const blocked = error instanceof Unreachable || (error instanceof Refused && error.code === "transaction_cookie");
      if (!blocked || !byForm) throw error;
      byForm();
    }
  }

  #post(selector: string, values: Partial<Agreed>): void {
    const form = this.find<HTMLFormElement>(`form${selector}`);
    for (const field of form.querySelectorAll("input")) {
      field.value = String(values[field.name as keyof Agreed] ?? "");
      // A front of before there were handles takes no field that it does not know: what has no value is not sent.
      field.disabled = field.value === "";
    }
    form.submit();
  }
}

function row(name: string, value: string): HTMLElement {
  const line = document.createElement("div");
  const term = line.appendChild(document.createElement("dt"));
  term.textContent = name;
  const told = line.appendChild(document.createElement("dd"));
  told.textContent = value;
  return line;
}

function item(text: string): HTMLElement {
  const line = document.createElement("li");
  line.textContent = text;
  return line;
}

customElements.define("hufu-consent", Consent);
