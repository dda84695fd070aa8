/** Receipts: the only history there is, and it is on this device. */

import type { ReceiptView } from "../core/index.ts";
import { Island, lang, moment, save } from "./island.ts";
import { wallet } from "./wallet.ts";

class Activity extends Island {
  protected async start(): Promise<void> {
    const opened = await wallet();
    const receipts = await opened.receipts();
    const { kind } = await opened.status();
    this.ready();
    if (kind !== "enrolled") return this.view("empty");
    if (this.getAttribute("view") === "list") return this.#list(receipts);
    const show = () => this.#receipt(receipts.find((receipt) => receipt.consent.tx === location.hash.slice(1)));
    addEventListener("hashchange", show);
    show();
  }

  #answers(receipt: ReceiptView): string {
    const names = receipt.consent.answers.map((answer) => this.text(answer));
    return names.join(lang === "zh-Hans" ? "；" : "; ");
  }

  #list(receipts: readonly ReceiptView[]): void {
    if (receipts.length === 0) return this.view("none");
    const template = this.find<HTMLTemplateElement & HTMLElement>("template[data-row]");
    const rows = receipts.map((receipt) => {
      const row = template.content.cloneNode(true) as DocumentFragment;
      const link = row.querySelector<HTMLAnchorElement>("[data-link]")!;
      link.textContent = receipt.platform.name[lang];
      // What stands after # is not sent to any server.
      link.href = `/sign-in/receipt#${receipt.consent.tx}`;
      row.querySelector("[data-when]")!.textContent = moment(receipt.at);
      row.querySelector("[data-answers]")!.textContent = this.#answers(receipt);
      return row;
    });
    this.find("[data-view='list']").replaceChildren(...rows);
    this.view("list");
  }

  #receipt(receipt: ReceiptView | undefined): void {
    this.view("none", !receipt);
    this.view("receipt", receipt !== undefined);
    if (!receipt) return;
    const purpose = receipt.platform.purposes.find(({ id }) => id === receipt.consent.purpose);
    this.fill("[data-name]", receipt.platform.name[lang]);
    this.fill("[data-when]", moment(receipt.at));
    this.fill("[data-purpose]", purpose?.text[lang] ?? "");
    this.fill("[data-shared]", this.#answers(receipt));
    this.fill("[data-sub]", receipt.sub);
    this.find("[data-save]").onclick = () => save("hufu-receipt.json", receipt.receipt);
  }
}

customElements.define("hufu-activity", Activity);
