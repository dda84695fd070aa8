/** This browser's wallet, opened once a page. */

import { Wallet } from "../core/index.ts";
import type { Offices } from "../core/index.ts";

let opened: Promise<Wallet> | undefined;

/** The wallet. What it pins and where the offices are comes from this page's own origin. */
export function wallet(): Promise<Wallet> {
  opened ??= open();
  return opened;
}

async function open(): Promise<Wallet> {
  const [trust, offices] = await Promise.all([publicDocument("/trust.json"), publicDocument("/services.json")]);
  return Wallet.open(trust, offices as Offices, { clock: now });
}

async function publicDocument(path: string): Promise<unknown> {
  const answer = await fetch(path, { credentials: "omit" });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

/** A sandbox's clock can be moved; its pages say by how much. Elsewhere the device's own clock counts. */
const shift = shiftOf(document.body?.dataset["now"]);

function shiftOf(text: string | undefined): number {
  if (!text) return 0;
  const seconds = Number(text) - Math.floor(Date.now() / 1000);
  return Math.abs(seconds) > 5 ? seconds : 0;
}

/** Unix seconds. */
export function now(): number {
  return Math.floor(Date.now() / 1000) + shift;
}
