/** A wallet before offices that a test plays. */

import { Wallet } from "../index.ts";
import type { NodeIndex } from "../words.ts";
import { FakeOffices, ORIGIN } from "./fake_offices.ts";
import { MemoryDatabase, SoftPasskeys } from "./soft_device.mjs";

export const PASSWORD = "19283746";
export const DETAILS = { documentType: "resident_identity_card", documentNumber: "1", name: "王小明", noticeVersion: "1" } as const;

export async function empty(offices = new FakeOffices()) {
  const [passkeys, database] = [new SoftPasskeys(ORIGIN), new MemoryDatabase()];
  const open = () => Wallet.open(offices.trust, offices.offices, { clock: () => offices.now, fetch: offices.fetch as typeof fetch, passkeys, database });
  return { offices, passkeys, database, open, wallet: await open() };
}

export async function enrolled(offices = new FakeOffices()) {
  const made = await empty(offices);
  const { wallet } = made;
  await wallet.enrol.start(DETAILS);
  await wallet.enrol.registerDevice("me");
  await wallet.enrol.secure(PASSWORD, []);
  await wallet.enrol.confirm();
  offices.seen.length = 0;
  made.passkeys.prompts = 0;
  return made;
}

export const untrusted = { kind: "untrusted" };
export const refused = (code: string) => ({ kind: "refused", code });

/** Changes the node's answer on one path. */
export function lies(offices: FakeOffices, path: string, change: (answer: any, to: NodeIndex) => any): void {
  offices.lie = (to, at, answer) => (at === path ? change(answer, to as NodeIndex) : answer);
}
