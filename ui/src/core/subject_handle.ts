/** What a platform gets to ask for this person later: two halves that only the nodes that made them can open (flows 9). */

import { sha256 } from "@noble/hashes/sha2.js";
import { b64, framed, unb64 } from "./bytes.ts";
import { Untrusted } from "./error.ts";
import type { PlatformCertificate, SignInOffer } from "./wire.ts";
import { type HandleUse, HANDLE_USES, type Pair } from "./words.ts";

/** What the platform may do with its handle, by the registry's word; without any there is none. */
export function handleUses({ registration }: PlatformCertificate): HandleUse[] {
  const listed = (registration as { subject_handle?: unknown } | undefined)?.subject_handle ?? [];
  const known = (use: unknown): use is HandleUse => HANDLE_USES.includes(use as HandleUse);
  // What this page cannot name it does not let anybody agree to.
  if (!Array.isArray(listed) || !listed.every(known)) throw new Untrusted("the uses of a subject handle");
  return listed;
}

/** The handle of a sign-in as text, and its hash, which both nodes put into the ID token. */
export interface SubjectHandle {
  text: string;
  hash: string;
}

/** Both nodes' halves. A platform that registered for one gets both, and any other none, whatever nodes send. */
export function subjectHandle(certificate: PlatformCertificate, pair: Pair, offers: readonly [SignInOffer, SignInOffer]): SubjectHandle | undefined {
  const [one, other] = [offers[0].handle, offers[1].handle];
  if (handleUses(certificate).length === 0) {
    if ((one ?? other) !== undefined) throw new Untrusted("a subject handle that nobody asked for");
    return undefined;
  }
  if (one === undefined || other === undefined) throw new Untrusted("half a subject handle");
  const hash = sha256(framed("hufu-v1-subject-handle", Uint8Array.of(...pair), unb64(one)!, unb64(other)!));
  return { text: `${pair[0]}${pair[1]}.${one}.${other}`, hash: b64(hash) };
}
