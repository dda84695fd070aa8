/** Everything this browser and the nodes hold, shown and saved as a file. */

import { Island, save } from "./island.ts";
import { wallet } from "./wallet.ts";

class Hold extends Island {
  protected async start(): Promise<void> {
    const opened = await wallet();
    if ((await opened.status()).kind !== "enrolled") return this.view("empty");
    let held: unknown;
    this.onClick(this.find("#act"), async () => {
      held = await opened.exportAll();
      this.fill("[data-json]", JSON.stringify(held, null, 2));
      this.view("row");
    }, "device");
    this.find("[data-save]").addEventListener("click", () => save("hufu-export.json", held));
    this.view("own");
    this.ready();
  }
}

customElements.define("hufu-hold", Hold);
