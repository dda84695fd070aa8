/** Enrolment: what is typed here goes to the registrar and to nobody else; the fields have no names, so no form can send them. */

import { checkPassword, grouped, Refused } from "../core/index.ts";
import type { DocumentType, EnrolmentView } from "../core/index.ts";
import { Island, lang, moment, showErrors } from "./island.ts";
import { wallet } from "./wallet.ts";

type Step = "details" | "face" | "phone" | "code" | "device" | "password" | "done" | "recover" | "wait";

const PAGES: Record<EnrolmentView["next"], string> = {
  face: "/enrol/face",
  phone: "/enrol/phone",
  code: "/enrol/code",
  device: "/enrol/device",
  confirm: "/enrol/password",
  done: "/enrol/done",
  wait: "/enrol/wait",
};

/** Which `view.next` a page may stand at: going back for another phone number is allowed. */
const ALLOWED: Record<Exclude<Step, "details" | "done" | "wait">, readonly EnrolmentView["next"][]> = {
  face: ["face"],
  phone: ["phone", "code"],
  code: ["code"],
  device: ["device"],
  recover: ["device"],
  password: ["confirm"],
};

/** What later steps need of earlier ones: kept in this tab alone, and removed when the enrolment ends. */
const TAB = { phone: "hufu-enrol-phone", birth: "hufu-enrol-birth" } as const;

/** What the authenticator shows beside the passkey. */
const DISPLAY_NAME = "虎符 Hufu";

class Enrol extends Island {
  protected async start(): Promise<void> {
    const step = this.getAttribute("step") as Step;
    if (await this.#elsewhere(step)) return;
    await this[step]();
    const status = await (await wallet()).status();
    if (status.kind === "enrolling" && step in ALLOWED) this.lapses(status.view.expires);
    this.ready();
  }

  /** Goes to the page where the enrolment stands, if that is another one. */
  async #elsewhere(step: Step): Promise<boolean> {
    const status = await (await wallet()).status();
    if (step === "done") return false;
    if (status.kind === "waiting" || step === "wait") {
      if (status.kind !== "waiting") location.replace(status.kind === "enrolled" ? "/home" : "/enrol");
      else if (step !== "wait") location.replace(PAGES.wait);
      return status.kind !== "waiting" || step !== "wait";
    }
    if (status.kind === "enrolled") throw new Refused("already_enrolled");
    if (step === "details") return false;
    if (status.kind === "empty") throw new Refused("enrolment_order");
    if (ALLOWED[step].includes(status.view.next)) return false;
    location.replace(PAGES[status.view.next]);
    return true;
  }

  #form(what: () => Promise<void>, saying?: string): void {
    this.onSubmit(this.find<HTMLFormElement>("form"), what, saying);
  }

  protected async details(): Promise<void> {
    this.#form(async () => {
      const type = this.querySelector<HTMLInputElement>("[name='document-type']:checked")?.value;
      const number = this.input("document-number").value.trim();
      const name = this.input("name").value.trim();
      const wrong = [...(type ? [] : ["type"]), ...(number ? [] : ["document_number"]), ...(name ? [] : ["name"])];
      if (!type || wrong.length > 0) return showErrors(wrong);
      const noticeVersion = this.getAttribute("notice") ?? "";
      await (await wallet()).enrol.start({ documentType: type as DocumentType, documentNumber: number, name, noticeVersion });
      sessionStorage.setItem(TAB.birth, birthIn(number));
      location.assign(PAGES.face);
    });
  }

  protected async face(): Promise<void> {
    // A deployment without a face check has no form here.
    if (!this.querySelector("form")) return;
    this.#form(async () => {
      const choice = this.querySelector<HTMLInputElement>("[name='evidence']:checked")?.value;
      if (!choice) return showErrors(["choice"]);
      await (await wallet()).enrol.face(new TextEncoder().encode(choice));
      location.assign(PAGES.phone);
    });
  }

  protected async phone(): Promise<void> {
    this.#form(async () => {
      const phone = this.input("phone").value.trim();
      if (!phone) return showErrors(["phone_number"]);
      await (await wallet()).enrol.phone(phone, lang);
      sessionStorage.setItem(TAB.phone, phone);
      location.assign(PAGES.code);
    });
  }

  protected async code(): Promise<void> {
    this.#form(async () => {
      await (await wallet()).enrol.code(this.input("code").value);
      sessionStorage.removeItem(TAB.phone);
      location.assign(PAGES.device);
    });
    this.onClick(this.find("[data-resend]"), async () => {
      const phone = sessionStorage.getItem(TAB.phone);
      // Another tab: the number is not here, so it is asked for again.
      if (!phone) return location.assign(PAGES.phone);
      await (await wallet()).enrol.phone(phone, lang);
      this.say("sent");
    });
  }

  protected async device(): Promise<void> {
    this.#form(async () => {
      const known = await (await wallet()).enrol.registerDevice(DISPLAY_NAME).then(() => false, isKnown);
      location.assign(known ? "/enrol/recover" : PAGES.confirm);
    }, "device");
  }

  protected async recover(): Promise<void> {
    const join = this.find<HTMLAnchorElement>("[data-join]");
    join.addEventListener("click", (event) => {
      event.preventDefault();
      // A browser holds one person's wallet: what was begun here makes room for what the old device brings.
      void this.doing(async () => {
        await (await wallet()).enrol.abandon();
        sessionStorage.removeItem(TAB.birth);
        location.assign(join.href);
      });
    });
    this.#form(async () => {
      await (await wallet()).enrol.recover(DISPLAY_NAME);
      sessionStorage.removeItem(TAB.birth);
      location.assign(PAGES.wait);
    }, "device");
  }

  protected async wait(): Promise<void> {
    const status = await (await wallet()).status();
    if (status.kind !== "waiting") return;
    this.fill("[data-until]", moment(status.until));
    this.view("until");
    this.#form(async () => {
      const { enrol, certificates } = await wallet();
      await enrol.finishRecovery();
      await certificates.issue().catch(() => undefined);
      location.assign("/home");
    }, "device");
    this.onClick(this.find("[data-forget]"), async () => {
      await (await wallet()).forget();
      location.assign("/");
    });
  }

  protected async password(): Promise<void> {
    const fields = [this.input("password"), this.input("password-again")] as const;
    this.find("[data-reveal]").addEventListener("change", (event) => {
      const type = (event.target as HTMLInputElement).checked ? "text" : "password";
      for (const field of fields) field.type = type;
    });
    let secured = false;
    this.#form(async () => {
      const { enrol, certificates } = await wallet();
      if (!secured) {
        const [typed, again] = fields.map((field) => field.value.normalize("NFKC").replace(/\s/g, "")) as [string, string];
        const birthDates = birthDatesOf(sessionStorage.getItem(TAB.birth) ?? "");
        const weak = checkPassword(typed, birthDates);
        if (weak) return showErrors([weak === "shape" ? "password_shape" : "weak_password"]);
        if (typed !== again) return showErrors(["password_again"]);
        await enrol.secure(typed, birthDates, () => this.say("stretching"));
        secured = true;
      }
      await enrol.confirm();
      // The nodes have just heard this device. If it fails, the consent page asks for copies.
      await certificates.issue().catch(() => undefined);
      sessionStorage.removeItem(TAB.birth);
      location.assign(PAGES.done);
    }, "device");
  }

  protected async done(): Promise<void> {
    const status = await (await wallet()).status();
    if (status.kind !== "enrolled") return;
    this.fill("[data-number]", grouped(status.number));
    this.view("number");
  }
}

/** The person has a number: the page of recovery says what can be done. */
function isKnown(error: unknown): true {
  if (error instanceof Refused && error.code === "already_enrolled") return true;
  throw error;
}

/** The date of birth in an 18-character number, as `YYYYMMDD`: the password must not be it. */
function birthIn(number: string): string {
  const digits = number.normalize("NFKC").replace(/[\s-]/g, "");
  return /^[0-9]{17}[0-9Xx]$/.test(digits) ? digits.slice(6, 14) : "";
}

function birthDatesOf(text: string): [number, number, number][] {
  return text === "" ? [] : [[Number(text.slice(0, 4)), Number(text.slice(4, 6)), Number(text.slice(6, 8))]];
}

customElements.define("hufu-enrol", Enrol);
