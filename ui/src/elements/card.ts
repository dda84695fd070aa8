/** The card: what this device knows of its holder, and the dynamic code that others scan. */

import { encode } from "uqr";
import { grouped } from "../core/index.ts";
import { Island, tell } from "./island.ts";
import { now, wallet } from "./wallet.ts";

/** Seconds after which another pass is asked for; one lives 30. */
const RENEW = 25;

/** Seconds for which codes follow one another: the holder key's quarter of an hour. */
const SHOWN = 14 * 60;

class Card extends Island {
  #timer: ReturnType<typeof setInterval> | undefined;

  protected async start(): Promise<void> {
    const opened = await wallet();
    const status = await opened.status();
    if (status.kind === "waiting") return location.replace("/enrol/wait");
    if (status.kind !== "enrolled") return this.view("empty");
    this.fill("[data-name]", status.maskedName || "—");
    this.fill("[data-number]", grouped(status.number));
    this.view("card");
    this.onClick(this.find("[data-show]"), async () => {
      await this.#begin();
      // With the quarter of an hour open, fresh copies of the certificate cost no further prompt.
      this.view("recovery", (await opened.devices()).some((device) => now() < (device.not_before ?? 0)));
      await opened.certificates.current().catch(() => undefined);
    }, "device");
    this.find("[data-hide]").addEventListener("click", () => this.#end());
    this.onCopy(this.find("[data-copy]"), "[data-pass]");
    document.addEventListener("visibilitychange", () => document.hidden && this.#end());
    this.ready();
  }

  disconnectedCallback(): void {
    this.#end();
  }

  async #begin(): Promise<void> {
    await this.#renew();
    clearInterval(this.#timer);
    const until = now() + SHOWN;
    let next = now() + RENEW;
    const tick = () => {
      if (now() >= until) return this.#end();
      if (now() >= next) {
        next = now() + RENEW;
        this.#renew().catch((error: unknown) => {
          this.#end();
          tell(error);
        });
      }
      this.fill("[data-left]", `${Math.max(0, next - now())} ${this.text("left")}`);
    };
    this.#timer = setInterval(tick, 1000);
    tick();
  }

  async #renew(): Promise<void> {
    const pass = await (await wallet()).pass();
    this.find("[data-qr]").replaceChildren(drawn(pass, this.text("alt")));
    this.fill("[data-pass]", pass);
    this.view("qr");
    this.view("closed", false);
  }

  #end(): void {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.view("qr", false);
    this.view("closed");
    this.find("[data-qr]").replaceChildren();
    this.fill("[data-pass]", "");
    this.say("off");
  }
}

const SVG = "http://www.w3.org/2000/svg";

/** A text as a QR code (ISO/IEC 18004). */
function drawn(text: string, name: string): SVGElement {
  const { size, data } = encode(text, { ecc: "M", border: 0 });
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${size} ${size}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", name);
  svg.setAttribute("shape-rendering", "crispEdges");
  const path = svg.appendChild(document.createElementNS(SVG, "path"));
  const dark = data.flatMap((row, y) => row.flatMap((on, x) => (on ? [`M${x} ${y}h1v1h-1z`] : [])));
  path.setAttribute("d", dark.join(""));
  path.setAttribute("fill", "#000");
  return svg;
}

customElements.define("hufu-card", Card);
