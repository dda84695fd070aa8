// Chromium, a person's device in it, and what is looked at on every page.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const SHOTS = process.env.HUFU_SCREENSHOTS;

/** The four ways to read: language × size, the large ones on the narrowest screen. */
export const WAYS = [
  { lang: "zh-Hans", locale: "zh-CN", size: "normal", viewport: { width: 1280, height: 900 } },
  { lang: "en", locale: "en-GB", size: "normal", viewport: { width: 1280, height: 900 } },
  { lang: "zh-Hans", locale: "zh-CN", size: "large", viewport: { width: 320, height: 640 } },
  { lang: "en", locale: "en-GB", size: "large", viewport: { width: 320, height: 640 } },
];

/** Does it for all of them, two beside each other: every context has a process of its own. */
export async function twoAtATime(all, act) {
  const waiting = [...all.entries()];
  const lane = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) await act(next[1], next[0]);
  };
  await Promise.all([lane(), lane()]);
}

export function launch() {
  return chromium.launch({
    executablePath: process.env.HUFU_CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--force-color-profile=srgb"],
  });
}

/** A device of one person: a browser profile with an authenticator of its own. */
export class Device {
  static async make(browser, ready, way, report, options = {}) {
    const device = new Device();
    device.context = await browser.newContext({ locale: way.locale, viewport: way.viewport, colorScheme: way.scheme ?? "light", ...options });
    device.page = await device.context.newPage();
    device.wallet = ready.wallet;
    device.way = way;
    device.report = report;
    device.#listen();
    if (options.javaScriptEnabled !== false) await device.#authenticator();
    if (way.size === "large") await device.enlarge();
    return device;
  }

  #listen() {
    this.page.on("pageerror", (error) => this.report.fail(`script error at ${this.page.url()}: ${error.message}`));
    this.page.on("console", (message) => {
      if (/Content.Security.Policy|Refused to|violates/i.test(message.text())) this.report.fail(`CSP at ${this.page.url()}: ${message.text()}`);
    });
  }

  async #authenticator() {
    const cdp = await this.context.newCDPSession(this.page);
    await cdp.send("WebAuthn.enable");
    const { authenticatorId } = await cdp.send("WebAuthn.addVirtualAuthenticator", {
      options: { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true },
    });
    this.cdp = cdp;
    this.authenticatorId = authenticatorId;
  }

  /** Whether the person confirms when the device asks. */
  confirms(yes) {
    return this.cdp.send("WebAuthn.setUserVerified", { authenticatorId: this.authenticatorId, isUserVerified: yes });
  }

  async enlarge() {
    await this.go("/");
    await this.page.locator("form[action='/size'] button").click();
    await this.page.waitForSelector("html[data-size='large']");
  }

  go(path) {
    return this.page.goto(path.startsWith("http") ? path : this.wallet + path);
  }

  /** Waits until the browser is at this path, whatever the query. */
  async at(path, timeout = 30_000) {
    await this.page.waitForURL((url) => url.pathname === path, { timeout });
    await this.page.waitForLoadState();
  }

  async click(selector) {
    await this.page.locator(selector).click();
  }

  /** Submits the page's own form, when its scripts are there. */
  async submit(selector = "main button.button:visible") {
    await this.page.locator(selector).first().click();
  }

  /** Waits for an error of the page, and looks at it. */
  async errs(name, row) {
    await this.page.waitForSelector(`#errors:not([hidden]) [data-error="${name}"]:not([hidden])`);
    const title = await this.page.title();
    this.report.check(/^(错误：|Error:) /.test(title), `${row} ${name}: the title says that there is an error`);
    const focused = await this.page.evaluate(() => document.activeElement?.id);
    this.report.check(focused === "errors", `${row} ${name}: the summary has the focus (${focused})`);
    await this.look(`${row} ${name}`);
  }

  /** Everything that must hold for what is on the screen now. */
  async look(name) {
    const { report, way } = this;
    const where = `${name} [${way.lang} ${way.size}${way.scheme === "dark" ? " dark" : ""}]`;
    await this.page.evaluate(AXE);
    const found = await this.page.evaluate((tags) => globalThis.axe.run(document, { runOnly: tags, resultTypes: ["violations"] }), TAGS);
    const wrong = found.violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.target.join(" ")).slice(0, 3).join(", ")}`);
    report.check(wrong.length === 0, `${where}: axe ${wrong.join("; ") || "clean"}`);
    const layout = await this.page.evaluate(measure, way.size === "large" ? 60 : 44);
    report.check(!layout.wide, `${where}: nothing is wider than the screen ${layout.wide ?? ""}`);
    report.check(layout.small.length === 0, `${where}: targets ${layout.small.join(", ") || "large enough"}`);
    report.check(layout.lang === way.lang, `${where}: language ${layout.lang}`);
    report.check(!layout.text.includes("⟦"), `${where}: every message is there`);
    await this.shoot(name);
  }

  /** What the looking is worth: a page with mistakes must be found wanting. */
  async control() {
    await this.page.goto("data:text/html,<!doctype html><html lang=fr><title>t</title><main><h1>t</h1><img src=x><p style='color:%23bbb'>hard to read</p><div style='width:3000px'>t</div><button>t</button></main>");
    await this.page.evaluate(AXE);
    const found = await this.page.evaluate((tags) => globalThis.axe.run(document, { runOnly: tags }), TAGS);
    const ids = found.violations.map(({ id }) => id);
    this.report.check(ids.includes("image-alt") && ids.includes("color-contrast"), `axe finds a missing text and poor contrast: ${ids}`);
    const layout = await this.page.evaluate(measure, 44);
    this.report.check(Boolean(layout.wide) && layout.small.length === 1 && layout.lang === "fr", "a wide page, a small button and a foreign language are seen");
  }

  async shoot(name) {
    if (!SHOTS) return;
    mkdirSync(SHOTS, { recursive: true });
    const file = `${name.replace(/[^a-z0-9]+/gi, "-").replace(/^-|-$/g, "") || "start"}.${this.way.lang}.${this.way.size}${this.way.scheme === "dark" ? ".dark" : ""}.png`;
    await this.page.screenshot({ path: join(SHOTS, file), fullPage: true });
  }

  close() {
    return this.context.close();
  }
}

/** Runs in the page. */
function measure(least) {
  const root = document.documentElement;
  const beyond = [...document.body.querySelectorAll("*")].find((part) => {
    const box = part.getBoundingClientRect();
    const clipped = part.closest(".vh, .skip, pre");
    return box.width > 0 && box.right > root.clientWidth + 1 && !clipped;
  });
  const targets = [...document.querySelectorAll("button, .button, summary, input:not([type=hidden]):not([type=checkbox]):not([type=radio]), .choice, nav a, .actions a, .back, footer a")];
  const small = targets
    .filter((part) => part.checkVisibility({ visibilityProperty: true }) && !part.closest(".skip"))
    .map((part) => ({ part, box: part.getBoundingClientRect() }))
    .filter(({ box }) => box.height > 0 && box.height < least - 0.6)
    .map(({ part, box }) => `${part.tagName.toLowerCase()}.${part.className}#${part.id} ${box.height.toFixed(0)}px`);
  return {
    wide: root.scrollWidth > root.clientWidth + 1 ? `${beyond?.tagName}.${beyond?.className}` : undefined,
    small: [...new Set(small)],
    lang: root.lang,
    text: document.body.innerText,
  };
}
