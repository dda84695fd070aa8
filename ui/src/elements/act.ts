/** One change to one's own record, one page each: lock, sign out everywhere, replace the number, leave. */

import { grouped } from "../core/index.ts";
import type { Wallet } from "../core/index.ts";
import { Island, showErrors } from "./island.ts";
import { wallet } from "./wallet.ts";

type Deed = "lock" | "sessions" | "number" | "leave";

class Act extends Island {
  protected async start(): Promise<void> {
    const opened = await wallet();
    if ((await opened.status()).kind !== "enrolled") return this.view("empty");
    const deed = this.getAttribute("do") as Deed;
    this.onSubmit(this.find<HTMLFormElement>("form"), () => this[deed](opened), "device");
    if (deed === "lock") {
      this.onClick(this.find("[data-other]"), async () => {
        await opened.statements.unlock();
        this.fill("[data-view='done'] p", this.text("unlocked"));
        this.#done();
      }, "device");
    }
    this.view("own");
    this.ready();
  }

  #done(): void {
    this.view("own", false);
    this.view("done");
    this.find("[data-view='done']").focus();
  }

  protected async lock({ statements }: Wallet): Promise<void> {
    await statements.lock();
    this.#done();
  }

  protected async sessions({ statements }: Wallet): Promise<void> {
    await statements.endSessions();
    this.#done();
  }

  protected async number({ statements, certificates }: Wallet): Promise<void> {
    const number = await statements.replaceNumber();
    this.fill("[data-number]", grouped(number));
    this.#done();
    // The old copies carry the old number. If this fails the card asks for new ones.
    await certificates.issue().catch(() => undefined);
  }

  protected async leave({ statements }: Wallet): Promise<void> {
    if (!this.input("sure").checked) return showErrors(["sure"]);
    await statements.leave();
    location.assign("/left");
  }
}

customElements.define("hufu-act", Act);
