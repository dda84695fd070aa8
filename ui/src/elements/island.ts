/** What all elements share: the markup is there first, and an element only finds, shows and fills its parts. */

import { WalletError, Refused, type Lang } from "../core/index.ts";
import { now } from "./wallet.ts";

/** The page's language. */
export const lang = document.documentElement.lang as Lang;

/** Shows these errors of the page, and no others: in the summary at the top and beside their fields, in the same words. */
export function showErrors(names: readonly string[]): void {
  for (const part of document.querySelectorAll<HTMLElement>("[data-error]")) {
    part.hidden = !names.includes(part.dataset["error"] ?? "");
  }
  for (const field of document.querySelectorAll<HTMLElement>("[data-field]")) {
    const wrong = field.querySelector("p[data-error]:not([hidden])") !== null;
    if (field.classList.contains("field")) field.classList.toggle("wrong", wrong);
    for (const input of field.querySelectorAll("input, textarea")) {
      if (wrong && field.classList.contains("field")) input.setAttribute("aria-invalid", "true");
      else input.removeAttribute("aria-invalid");
    }
  }
  const prefix = `${document.body.dataset["errorPrefix"]} `;
  const title = document.title.startsWith(prefix) ? document.title.slice(prefix.length) : document.title;
  document.title = names.length > 0 ? prefix + title : title;
  const summary = document.getElementById("errors");
  if (!summary) return;
  summary.hidden = names.length === 0;
  if (names.length > 0) summary.focus();
}

/** Whether this page can show the error itself. */
function shows(name: string): boolean {
  return document.querySelector(`#errors [data-error="${CSS.escape(name)}"]`) !== null;
}

/** Says why something could not be done: on this page where it can be mended here, else on the refusal's own page. */
export function tell(error: unknown): void {
  const name = nameOf(error);
  if (shows(name)) return showErrors([name]);
  const id = error instanceof Refused && error.errorId ? `?id=${encodeURIComponent(error.errorId)}` : "";
  location.assign(`/refused/${encodeURIComponent(name)}${id}`);
}

function nameOf(error: unknown): string {
  if (!(error instanceof WalletError)) {
    console.error(error);
    return "internal";
  }
  switch (error.kind) {
    case "refused": return (error as Refused).code;
    case "unreachable": return "nodes_unavailable";
    case "untrusted": return "signature_refused";
    case "device": return shows("device") ? "device" : "assertion_invalid";
    case "state": return "enrolment_order";
  }
}

/** A time as people of this language write it. */
export function moment(seconds: number): string {
  return new Intl.DateTimeFormat(lang, { dateStyle: "long", timeStyle: "short" }).format(seconds * 1000);
}

/** Offers `value` as a file. */
export function save(name: string, value: unknown): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(value, null, 2)], { type: "application/json" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Seconds before the end of what was begun at which a person is told (WCAG 2.2, 2.2.1). */
const NOTICE = 120;

export abstract class Island extends HTMLElement {
  connectedCallback(): void {
    // The parser may not have reached the markup inside yet; modules run after it has.
    this.start().catch(tell);
  }

  protected abstract start(): Promise<void>;

  /** A part that the page's markup has. */
  protected find<E extends HTMLElement = HTMLElement>(selector: string): E {
    const found = this.querySelector<E>(selector);
    if (!found) throw new Error(`the page has no ${selector}`);
    return found;
  }

  protected input(id: string): HTMLInputElement {
    return this.find<HTMLInputElement>(`#${id}`);
  }

  /** Shows or hides the parts of this view. */
  protected view(name: string, on = true): void {
    for (const part of this.querySelectorAll<HTMLElement>(`[data-view="${name}"]`)) part.hidden = !on;
  }

  /** A sentence of the page. */
  protected text(name: string): string {
    return this.querySelector(`[data-text="${name}"]`)?.textContent ?? "";
  }

  /** Fills a part. */
  protected fill(selector: string, text: string): void {
    this.find(selector).textContent = text;
  }

  /** Says a sentence of the page to everybody, screen readers included. */
  protected say(name: string | undefined): void {
    const status = this.querySelector("[data-status]");
    if (status) status.textContent = name === undefined ? "" : this.text(name);
  }

  /** Says two minutes before it that what was begun here will lapse, and then that it has. Nobody is asked: the time is known. */
  protected lapses(at: number): void {
    const status = this.find("[data-time]");
    const say = (name: string) => (status.textContent = this.text(name));
    const after = (seconds: number) => Math.max(0, seconds) * 1000;
    setTimeout(() => say("lapsing"), after(at - NOTICE - now()));
    setTimeout(() => say("lapsed"), after(at - now()));
  }

  /** Buttons wait until their scripts are there, and while something is being done. */
  protected ready(on = true): void {
    for (const button of this.querySelectorAll("button")) button.disabled = !on;
  }

  /** Does one thing at a time; says that it is being done, and why it could not be. */
  protected async doing(what: () => Promise<void>, saying = "working"): Promise<void> {
    showErrors([]);
    this.ready(false);
    this.say(saying);
    try {
      await what();
    } catch (error) {
      tell(error);
    } finally {
      this.ready();
      if (this.querySelector("[data-status]")?.textContent === this.text(saying)) this.say(undefined);
    }
  }

  protected onSubmit(form: HTMLFormElement, what: () => Promise<void>, saying?: string): void {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.doing(what, saying);
    });
  }

  protected onClick(button: HTMLElement, what: () => Promise<void>, saying?: string): void {
    button.addEventListener("click", () => void this.doing(what, saying));
  }

  /** Copies a part's text, and says so. */
  protected onCopy(button: HTMLElement, selector: string): void {
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(this.find(selector).textContent ?? "");
      this.say("copied");
    });
  }
}
