/** The sample verifier, in the browser: nothing is sent. Without scripts the same form is checked by the server. */

import { Untrusted, verifyPass } from "../core/index.ts";
import { Island, showErrors } from "./island.ts";
import { now, wallet } from "./wallet.ts";

class Verify extends Island {
  protected async start(): Promise<void> {
    const { trust } = await wallet();
    const field = this.find<HTMLTextAreaElement>("#pass");
    const outcome = this.find("[data-outcome]");
    this.find<HTMLFormElement>("form").addEventListener("submit", (event) => {
      event.preventDefault();
      const pass = field.value.replace(/\s/g, "");
      showErrors(pass ? [] : ["pass"]);
      outcome.hidden = pass === "";
      if (!pass) return;
      const found = check(pass, trust.group_key);
      outcome.textContent = this.text(found);
      outcome.classList.toggle("good", found === "sound");
      outcome.classList.toggle("bad", found !== "sound");
    });
  }
}

function check(pass: string, groupKey: string): "sound" | "expired" | "forged" {
  try {
    return verifyPass(pass, groupKey, now()).expired ? "expired" : "sound";
  } catch (error) {
    if (error instanceof Untrusted) return "forged";
    throw error;
  }
}

customElements.define("hufu-verify", Verify);
