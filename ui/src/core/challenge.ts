/** The challenge a device signs, and the context it commits to (flows 4). */

import { sha256 } from "@noble/hashes/sha2.js";
import { be8, framed, own, utf8, type Bytes } from "./bytes.ts";
import type { Answer, Label, Level, Strength } from "./words.ts";

function hash(...parts: (Uint8Array | string)[]): Bytes {
  return own(sha256(framed(...parts)));
}

/** What a challenge is over. For every label but sign-in: no level, subject or strength, and ctx is {@link statementContext}. */
export interface Challenged {
  label: Label;
  level?: Level;
  /** The sector id at level direct, the compressed B at level blind. */
  subject?: Uint8Array | string;
  ctx: Uint8Array;
  strength?: Strength;
  /** Unix seconds. */
  t: number;
}

/** chal = H("hufu-v1-chal" ‖ label ‖ level ‖ subject ‖ ctx ‖ strength ‖ t). */
export function challenge(of: Challenged): Bytes {
  return hash("hufu-v1-chal", of.label, of.level ?? "", of.subject ?? "", of.ctx, of.strength ?? "", be8(of.t));
}

/** The challenge of every label but sign-in, over the bytes the device acts on. */
export function plainChallenge(label: Label, bytes: Uint8Array | string, t: number): Bytes {
  return challenge({ label, ctx: statementContext(bytes), t });
}

/** H("hufu-v1-statement" ‖ statement). */
export function statementContext(statement: Uint8Array | string): Bytes {
  return hash("hufu-v1-statement", statement);
}

/** The parts of ctx: what a sign-in is for. */
export interface ContextParts {
  s: Uint8Array;
  sectorId: string;
  nonce: string;
  redirectUri: string;
  /** SHA-256 of the platform certificate's text. */
  certificateHash: Uint8Array;
  purpose: string;
  /** Hashed as a set. */
  answers: readonly Answer[];
  /** {@link requestDirect} at level direct, empty at blind. */
  request: Uint8Array;
}

/** ctx = H("hufu-v1-ctx" ‖ s ‖ sector_id ‖ nonce ‖ redirect_uri ‖ H(certificate) ‖ purpose ‖ answers ‖ request). */
export function context(of: ContextParts): Bytes {
  // The names are ASCII, so sorting by code unit is sorting by bytes.
  const answers = framed(...[...new Set(of.answers)].sort());
  return hash(
    "hufu-v1-ctx", of.s, of.sectorId, of.nonce, of.redirectUri, of.certificateHash, of.purpose, answers, of.request,
  );
}

/** `request` at level direct: H(client_id ‖ code_challenge ‖ dpop_jkt ‖ tx), tx decoded. */
export function requestDirect(clientId: string, codeChallenge: string, dpopJkt: string, tx: Uint8Array): Bytes {
  return hash(clientId, codeChallenge, dpopJkt, tx);
}

/** H over a text's UTF-8, unframed: a certificate as it was published. */
export function hashOf(text: string): Bytes {
  return own(sha256(utf8(text)));
}
