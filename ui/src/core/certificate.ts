/** Copies of the certificate, and passes (flows 9). */

import { b64, be8, framed, random, utf8, type Bytes } from "./bytes.ts";
import { isAboutOneNode, NotNow, Refused, trusted, Unreachable, Untrusted } from "./error.ts";
import type { Holder } from "./holder.ts";
import { isTyp, parse } from "./jws.ts";
import { PASS_LIFE, verifyPass } from "./pass.ts";
import * as sdJwt from "./sd_jwt.ts";
import { flag, int, oneOf, text } from "./shape.ts";
import { finishSigning } from "./signing.ts";
import type { Core, HeldCopy } from "./state.ts";
import { type SigningOffer, signingOffer, statementAccepted } from "./wire.ts";
import { AGE_BANDS, type AgeBand, NODES, type Pair, PAIRS } from "./words.ts";

/** How many copies are asked for. */
const COPIES = 10;

/** How often a batch is asked for before giving up. */
const TRIES = 4;

/** One copy, as the card shows it. */
export interface CopyView {
  /** Unix seconds. */
  issued: number;
  expires: number;
  claims: { number: string; real: boolean; unique: boolean; alive: boolean; age_over_18: boolean; age_band: AgeBand };
}

export class Certificates {
  readonly #core: Core;
  readonly #holder: Holder;

  constructor(core: Core, holder: Holder) {
    this.#core = core;
    this.#holder = holder;
  }

  /** Ten fresh copies, each with its own key, signed by two nodes; prompts only if the quarter of an hour is over. */
  async issue(): Promise<number> {
    for (let tries = 1; tries < TRIES; tries += 1) {
      try {
        return await this.#issueOnce();
      } catch (error) {
        // A place in a status list was taken, or another device came first: another seed, and the row as it is now.
        if (!(error instanceof Refused && error.code === "version_conflict")) throw error;
      }
    }
    return this.#issueOnce();
  }

  async #issueOnce(): Promise<number> {
    const { copies: old = [] } = await this.#core.enrolled();
    const { row, nodes } = await this.#holder.rowOfTwo();
    const pair = this.#core.anyPair(nodes);
    const names = Array.from({ length: COPIES }, () => `copy-${b64(random(9))}`);
    const keys = await Promise.all(names.map((name) => this.#core.keys.make(name)));
    const change = { kind: "certificates", batch: row.next_batch, keys: keys.map(b64), seed: b64(random(32)) };
    const statement = framedStatement(row.version, row.head, this.#core.now(), change);
    const authority = { holder: await this.#holder.proof(statement) };
    const offers = await this.#offers(pair, { statement: b64(statement), authority, pair });
    const signed = await finishSigning(this.#core, pair, offers);
    const { number } = await this.#core.enrolled();
    const copies = names.map((key, at): HeldCopy => {
      const [jws, disclosures, publicKey] = [signed.messages[at], signed.disclosures[at], keys[at]];
      if (!jws || !disclosures || !publicKey) throw new Untrusted("a copy is missing");
      const copy = sdJwt.assemble(jws, disclosures);
      checkCopy(copy, publicKey, number);
      return { sdJwt: copy, key };
    });
    await this.#core.update((profile) => void (profile.copies = copies));
    await Promise.all(old.map((copy) => this.#core.keys.remove(copy.key)));
    return copies.length;
  }

  /** The pair answers with offers; the third node only keeps the change, and may be down. */
  async #offers(pair: Pair, request: unknown): Promise<readonly [SigningOffer, SigningOffer]> {
    const submit = (node: (typeof NODES)[number]) => this.#core.api.post(node, "/v1/statements", request, statementAccepted);
    const [first, second] = await Promise.all([submit(pair[0]), submit(pair[1])]);
    if (!first.offer || !second.offer) throw new Untrusted("a signing offer is missing");
    // Not waited for: signing nonces live ten seconds.
    for (const node of NODES) if (!pair.includes(node)) submit(node).catch(() => undefined);
    return [first.offer, second.offer];
  }

  /** A copy that holds now: of those here, or of fresh ones if there are none, they have expired or they say an old number. */
  async current(): Promise<CopyView> {
    const held = async () => {
      const { number } = await this.#core.enrolled();
      return (await this.list()).find((copy) => copy.claims.number === number && copy.expires > this.#core.now());
    };
    const here = await held();
    if (here) return here;
    await this.issue();
    const fresh = await held();
    if (!fresh) throw new Untrusted("a copy of the certificate");
    return fresh;
  }

  /** The copies this browser holds. */
  async list(): Promise<CopyView[]> {
    const { copies = [] } = await this.#core.profile();
    return copies.map((copy) => view(copy.sdJwt));
  }

  /** What a platform may be shown of a copy (an SD-JWT): never the number. */
  async showing(index: number, claims: readonly string[]): Promise<string> {
    const copy = (await this.#core.profile()).copies?.[index];
    if (!copy) throw new NotNow("there is no such copy");
    return sdJwt.showing(copy.sdJwt, (name) => name !== "number" && claims.includes(name));
  }

  /** A pass for the card's dynamic QR: a compact JWS, half a minute. Tries another pair if one node fails. */
  async pass(): Promise<string> {
    const first = this.#core.anyPair();
    let last: unknown;
    for (const pair of [first, ...PAIRS.filter((pair) => pair !== first)]) {
      try {
        return await this.#holder.within(() => this.#passWith(pair));
      } catch (error) {
        if (!isAboutOneNode(error)) throw error;
        last = error;
      }
    }
    throw last instanceof Unreachable ? new Refused("nodes_unavailable") : last;
  }

  async #passWith(pair: Pair): Promise<string> {
    const jti = random(16);
    const exp = this.#core.now() + PASS_LIFE;
    const proof = await this.#holder.proof(framed("pass", jti, be8(exp)));
    const request = { proof, pair, jti: b64(jti), exp };
    const begin = (node: (typeof NODES)[number]) => this.#core.api.post(node, "/v1/pass/begin", request, signingOffer);
    const offers = await Promise.all([begin(pair[0]), begin(pair[1])]);
    const [pass] = (await finishSigning(this.#core, pair, offers)).messages;
    if (!pass) throw new Untrusted("a pass is missing");
    const said = verifyPass(pass, this.#core.trust.group_key, this.#core.now());
    if (said.jti !== b64(jti) || said.exp !== exp) throw new Untrusted("the pass is not what was asked for");
    return pass;
  }
}

/** The exact bytes of a statement (flows 6). */
export function framedStatement(version: number, head: string, t: number, change: unknown): Bytes {
  return new Uint8Array(utf8(JSON.stringify({ version, head, t, change })));
}

/** A copy is bound to the key that was sent, and says this person's number. */
function checkCopy(copy: string, publicKey: Uint8Array, number: string): void {
  const what = "a copy of the certificate";
  const { header } = trusted(what, () => parse(sdJwt.parse(copy).jws));
  const claims = trusted(what, () => sdJwt.claims(copy));
  const jwk = (claims["cnf"] as { jwk?: Record<string, unknown> } | undefined)?.jwk;
  const [x, y] = [b64(publicKey.subarray(1, 33)), b64(publicKey.subarray(33))];
  const bound = jwk?.["kty"] === "EC" && jwk["crv"] === "P-256" && jwk["x"] === x && jwk["y"] === y;
  if (!isTyp(header, "dc+sd-jwt") || !bound || claims["number"] !== number) throw new Untrusted(what);
  trusted(what, () => view(copy));
}

function view(copy: string): CopyView {
  const claims = sdJwt.claims(copy);
  return {
    issued: int(claims["iat"], "iat"),
    expires: int(claims["exp"], "exp"),
    claims: {
      number: text(claims["number"], "number"),
      real: flag(claims["real"], "real"),
      unique: flag(claims["unique"], "unique"),
      alive: flag(claims["alive"], "alive"),
      age_over_18: flag(claims["age_over_18"], "age_over_18"),
      age_band: oneOf(AGE_BANDS)(claims["age_band"], "age_band"),
    },
  };
}

