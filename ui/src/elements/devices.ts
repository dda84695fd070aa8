/** A person's devices: the list, and the two halves of adding one. */

import { deviceOfferCode, Untrusted } from "../core/index.ts";
import type { RowView } from "../core/index.ts";
import { Island, moment, showErrors } from "./island.ts";
import { now, wallet } from "./wallet.ts";

type Device = RowView["devices"][number];

class Devices extends Island {
  protected async start(): Promise<void> {
    const status = await (await wallet()).status();
    const view = this.getAttribute("view");
    if (view === "new") {
      if (status.kind === "enrolled") {
        this.view("make", false);
        return this.view("taken");
      }
      this.#offer();
    } else if (status.kind !== "enrolled") {
      return this.view("empty");
    } else {
      this.view("own");
      if (view === "add") this.#add();
      else this.onClick(this.find("[data-show]"), () => this.#list(status.credential), "device");
    }
    this.ready();
  }

  // -- the list

  async #list(own: string): Promise<void> {
    const devices = await (await wallet()).devices();
    const list = this.find("[data-list]");
    list.replaceChildren(...devices.map((device) => this.#row(device, device.credential === own, own)));
    list.hidden = false;
  }

  #row(device: Device, isOwn: boolean, own: string): DocumentFragment {
    const row = this.find<HTMLTemplateElement & HTMLElement>("template[data-row]").content.cloneNode(true) as DocumentFragment;
    const label = `${this.text(isOwn ? "this" : "other")} ${device.credential.slice(0, 4)}`;
    row.querySelector("[data-label]")!.textContent = label;
    row.querySelector("[data-since]")!.textContent = `${this.text("since")} ${moment(device.since)}`;
    row.querySelector("[data-which]")!.textContent = label;
    if (device.not_before !== undefined && now() < device.not_before) return this.#waiting(row, device, own);
    const button = row.querySelector<HTMLButtonElement>("[data-remove]")!;
    button.addEventListener("click", () => this.#remove(button, device, own));
    return row;
  }

  /** A recovered device that waits can be stopped at once: whoever it is for may begin again. */
  #waiting(row: DocumentFragment, device: Device, own: string): DocumentFragment {
    row.querySelector("[data-since]")!.textContent = `${this.text("waits")} ${moment(device.not_before!)}`;
    const button = row.querySelector<HTMLButtonElement>("[data-remove]")!;
    button.firstChild!.textContent = `${this.text("stop")} `;
    this.onClick(button, async () => {
      await (await wallet()).statements.veto(device.credential);
      await this.#list(own);
      this.say("stopped");
    }, "device");
    return row;
  }

  /** Removing cannot be undone, so the first press only asks. */
  #remove(button: HTMLButtonElement, device: Device, own: string): void {
    if (!button.dataset["asked"]) {
      button.dataset["asked"] = "yes";
      button.textContent = this.text("confirm");
      return;
    }
    void this.doing(async () => {
      await (await wallet()).statements.removeDevice(device.credential);
      // Its own wallet is gone with it.
      if (device.credential === own) return location.assign("/");
      await this.#list(own);
      this.say("removed");
    }, "device");
  }

  // -- on the device that is registered

  #add(): void {
    let compared = "";
    this.onSubmit(this.find<HTMLFormElement>("form"), async () => {
      const offer = this.input("offer").value.replace(/\s/g, "");
      if (!offer) return showErrors(["offer"]);
      if (compared !== offer) {
        compared = offer;
        this.fill("[data-compare]", digits(offer));
        this.input("check").checked = false;
        this.view("compare");
        return this.input("check").focus();
      }
      if (!this.input("check").checked) return showErrors(["check"]);
      const { statements } = await wallet();
      const welcome = await statements.addDevice(offer).catch(unreadable);
      if (welcome === undefined) return showErrors(["offer"]);
      this.fill("[data-answer]", welcome);
      this.view("own", false);
      this.view("answer");
      this.find("[data-answer]").focus();
    });
    this.onCopy(this.find("[data-copy]"), "[data-answer]");
  }

  // -- on the new device

  #offer(): void {
    const [make, finish] = [this.find<HTMLFormElement>("form[data-view='make']"), this.find<HTMLFormElement>("form[data-view='offer']")];
    this.onSubmit(make, async () => {
      const offer = await (await wallet()).statements.offerDevice("虎符 Hufu");
      this.fill("[data-offer]", offer);
      this.fill("[data-compare]", digits(offer));
      this.view("make", false);
      this.view("offer");
    }, "device");
    this.onSubmit(finish, async () => {
      const welcome = this.input("answer").value.replace(/\s/g, "");
      if (!welcome) return showErrors(["answer"]);
      const joined = await (await wallet()).statements.joinDevice(welcome).then(() => true, unreadable);
      if (!joined) return showErrors(["answer"]);
      // The consent page shows values from this device's own copies; without them it says so.
      await (await wallet()).certificates.issue().catch(() => undefined);
      location.assign("/home");
    }, "device");
    this.onCopy(this.find("[data-copy]"), "[data-offer]");
  }
}

/** A text that was not copied whole, or is meant for another device, can be mended on this page. */
function unreadable(error: unknown): undefined {
  if (!(error instanceof Untrusted)) throw error;
}

/** A text's six digits, in two groups: a person reads them off two screens. */
function digits(offer: string): string {
  const code = deviceOfferCode(offer);
  return `${code.slice(0, 3)} ${code.slice(3)}`;
}

customElements.define("hufu-devices", Devices);
