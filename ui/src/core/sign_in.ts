/** Sign-in at level direct from the person's side (flows 7): read the request, agree, add two nodes' parts, check the whole. */

import { b64, random, unb64, utf8, type Bytes } from "./bytes.ts";
import { challenge, context, hashOf, requestDirect } from "./challenge.ts";
import { assignedTo, type Commitments } from "./commitments.ts";
import { isAboutOneNode, NotNow, Refused, trusted, Unreachable, Untrusted } from "./error.ts";
import { combine, G1, type G1Point, verifyBoth } from "./group.ts";
import { assemble, isTyp, parse, payloadOf, verify } from "./jws.ts";
import { verifyOneKey } from "./one_key.ts";
import * as oprf from "./oprf.ts";
import { ep, isSectorId, sectorPoint, sub } from "./pairwise.ts";
import { harden, type PasswordKey } from "./password.ts";
import type { Holder } from "./holder.ts";
import { Receipts } from "./receipts.ts";
import type { Core, RegisteredDevice } from "./state.ts";
import { handleUses, subjectHandle } from "./subject_handle.ts";
import {
  type Assertion, type Consent, idToken, type IdToken, passwordEvaluation, platformCertificate,
  type PlatformCertificate, proceed, type SignInOffer, signInOffer, signInShare, transaction, type Transaction,
} from "./wire.ts";
import { type Answer, type HandleUse, type NodeIndex, type Pair, PAIRS, type Strength } from "./words.ts";

/** A request that was checked and can be shown to the person. */
export interface Asked {
  /** What the front says. `strength` is the weakest that satisfies the platform. */
  transaction: Transaction;
  /** Who asks, by the registry's word. */
  certificate: PlatformCertificate;
  /** Why, by the registry's word: one of the certificate's purposes. */
  purpose: PlatformCertificate["purposes"][number];
  /** What the platform may do later, by the registry's word. */
  later: HandleUse[];
}

/** A sign-in ready for the front: the fields of a form posted to `<issuer>/complete`. */
export interface Agreed {
  tx: string;
  id_token: string;
  s: string;
  /** What the platform may ask for this person later with, closed to everybody but two nodes; only if it registered for that. */
  handle?: string;
  /** What the platform will read. */
  payload: IdToken;
  /** The pair of nodes that served. */
  pair: Pair;
}

/** What the device signed, and may be shown to one pair after another while it is fresh. */
interface Agreement {
  consent: Consent;
  ctx: Bytes;
  chal: Bytes;
  assertion: Assertion;
  /** By the password key, once two nodes have evaluated the password. */
  password?: string;
}

type Offers = readonly [SignInOffer, SignInOffer];
type Progress = (done: number) => void;

/** Nodes take an assertion for a minute; a retry begins with seconds to spare. */
const FRESH = 40;

/** What stands in the place of the redirect address where there is no browser at the platform (OpenID Connect CIBA). */
export const CIBA_GRANT = "urn:openid:params:grant-type:ciba";

const ACR: Record<Strength, string> = {
  certificate: "urn:hufu:acr:certificate",
  "certificate+password": "urn:hufu:acr:certificate+password",
};

export class SignIn {
  readonly #core: Core;
  readonly #holder: Holder;
  readonly #receipts: Receipts;

  constructor(core: Core, holder: Holder) {
    this.#core = core;
    this.#holder = holder;
    this.#receipts = new Receipts(core);
  }

  /** Fetches a transaction (base64url of 32 bytes) and checks everything in it: over-asking never reaches the person. */
  async openTransaction(tx: string): Promise<Asked> {
    if (unb64(tx)?.length !== 32) throw new Refused("transaction_gone");
    const { offices, issuer, root } = this.#core.trust;
    const jws = await this.#core.api.get("front", `/tx/${tx}`);
    const asked = verify(jws, unb64(offices.front)!, "hufu-tx+jwt", transaction, "the front's signature");
    const certificate = verify(
      asked.certificate, unb64(offices.registry)!, "hufu-platform+jwt", platformCertificate, "the platform's certificate",
    );
    const now = this.#core.now();
    const same = asked.tx === tx && asked.iss === issuer && asked.client_id === certificate.client_id;
    const live = certificate.root === root && now < asked.exp && now < certificate.exp;
    if (!same || !live || !isSectorId(certificate.sector_id)) throw new Untrusted("the transaction");
    if (!certificate.redirect_uris.includes(asked.redirect_uri) && !isBackchannel(asked, certificate)) throw new Untrusted("the redirect address");
    const purpose = certificate.purposes.find((one) => one.id === asked.purpose);
    if (!purpose) throw new Untrusted("the purpose");
    const entitled = (answer: Answer) => certificate.entitled.includes(answer) && purpose.answers.includes(answer);
    if (!asked.answers.every(entitled)) throw new Refused("over_asking");
    return { transaction: asked, certificate, purpose, later: handleUses(certificate) };
  }

  /**
   * Signs with the answers the person agreed to (one prompt), and tries another pair if one node fails. `password` where
   * the platform wants the strength; `progress` hears how far its stretching is, 0 to 1.
   */
  async agree(asked: Asked, answers: readonly Answer[], password?: string, progress?: Progress): Promise<Agreed> {
    try {
      return await this.#agree(asked, answers, password, progress);
    } catch (error) {
      // Another device of this person may have ended all sessions: then every node proves against an epoch this one does not
      // know. And who ended them may not have carried the nodes' words from one to the other: then none of them agree.
      const mayHeal = error instanceof Untrusted || (error instanceof Refused && error.code === "nodes_disagree");
      if (!mayHeal || !(await this.#holder.refresh())) throw error;
      return this.#agree(asked, answers, password, progress);
    }
  }

  async #agree(asked: Asked, answers: readonly Answer[], password?: string, progress?: Progress): Promise<Agreed> {
    if (!answers.every((answer) => asked.transaction.answers.includes(answer))) throw new Refused("over_asking");
    if (password === undefined && asked.transaction.strength === "certificate+password") throw new NotNow("the platform asks for the password");
    const { device, commitments } = await this.#core.enrolled();
    const first = this.#core.anyPair();
    let agreement: Agreement | undefined;
    let last: unknown;
    // A node that lies can use an assertion up at the two others. The same pair is then shown another one, once: with the next pair it may
    // have been the liar's word that counted, which leaves nothing to begin anew with.
    let shownAnew: Pair | undefined;
    const pairs = [first, ...PAIRS.filter((pair) => pair !== first)];
    for (let pair = pairs.shift(); pair; pair = pairs.shift()) {
      try {
        if (!agreement || this.#core.now() - agreement.consent.t > FRESH) {
          agreement = await this.#agreement(device, asked, answers, password !== undefined);
        }
        if (password !== undefined) agreement.password ??= await this.#passwordSignature(agreement, commitments, password, pair, progress);
        return await this.#with(pair, asked, agreement, commitments);
      } catch (error) {
        const usedUp = error instanceof Refused && error.code === "replayed";
        if (!usedUp && !isAboutOneNode(error)) throw error;
        if (usedUp && shownAnew !== pair) {
          pairs.unshift(pair);
          shownAnew = pair;
        }
        // A node evaluates one password for one assertion: without the signature another pair needs another assertion.
        if (usedUp || (password !== undefined && !agreement?.password)) agreement = undefined;
        last = error;
      }
    }
    throw last instanceof Unreachable ? new Refused("nodes_unavailable") : last;
  }

  async #agreement(device: RegisteredDevice, asked: Asked, answers: readonly Answer[], password: boolean): Promise<Agreement> {
    const { tx, iss, certificate, client_id, redirect_uri, nonce, code_challenge, dpop_jkt, purpose } = asked.transaction;
    const now = this.#core.now();
    const consent: Consent = {
      certificate, iss, client_id, redirect_uri, nonce, code_challenge, dpop_jkt, tx,
      answers: [...answers],
      purpose,
      s: b64(random(32)),
      strength: password ? "certificate+password" : "certificate",
      t: now,
      iat: now,
    };
    const ctx = contextOf(consent, asked.certificate.sector_id);
    const chal = challenge({
      label: "sign-in", level: "direct", subject: asked.certificate.sector_id, ctx, strength: consent.strength, t: now,
    });
    return { consent, ctx, chal, assertion: await this.#core.assert(device, chal) };
  }

  /** Has both nodes evaluate the blinded password, checks them, stretches, and signs the challenge. */
  async #passwordSignature(agreement: Agreement, commitments: Commitments, password: string, pair: Pair, progress?: Progress): Promise<string> {
    const blinded = oprf.blind(utf8(password));
    const { consent, assertion } = agreement;
    const request = { pair, consent, assertion, blinded: blinded.element };
    const [first, second] = await Promise.all(
      pair.map((node) => this.#core.api.post(node, "/v1/sign-in/password", request, passwordEvaluation)),
    );
    if (!first || !second || first.salt !== second.salt || first.params_id !== second.params_id) {
      throw new Untrusted("two nodes give different salts");
    }
    const y = trusted("a password evaluation", () => {
      const parts = [first, second].map((answer, at) =>
        oprf.verify(answer.partial, assignedTo(commitments.password, pair, pair[at]!), blinded.element),
      );
      return oprf.finalize(blinded, oprf.combineSum(parts));
    });
    let key: PasswordKey;
    try {
      key = await harden(y, unb64(first.salt)!, first.params_id, progress);
    } catch {
      throw new Untrusted("stretching parameters");
    }
    const signature = b64(key.sign(agreement.chal));
    key.wipe();
    return signature;
  }

  /**
   * The nodes have moved to new K_A since this wallet learnt their commitments: it takes the new ones, on two nodes' word and only with
   * the sum that it knows. The sign-in has opened the holder key's quarter of an hour, so that the person is asked for nothing.
   */
  async #keptUp([one, other]: Offers, commitments: Commitments): Promise<Commitments> {
    const generation = one.generation ?? 0;
    if (generation !== (other.generation ?? 0) || generation === (commitments.generation ?? 0)) return commitments;
    await this.#holder.refresh();
    return (await this.#core.enrolled()).commitments;
  }

  /** Both rounds with one pair. */
  async #with(pair: Pair, asked: Asked, agreement: Agreement, commitments: Commitments): Promise<Agreed> {
    const { consent, ctx, assertion, password } = agreement;
    const begin = { pair, consent, assertion, ...(password !== undefined && { password }) };
    const offers = await both(pair, (node) => this.#core.api.post(node, "/v1/sign-in/begin", begin, signInOffer));
    const base = sectorPoint(asked.certificate.sector_id);
    const expected = evaluated(pair, offers, await this.#keptUp(offers, commitments), base);
    const handle = subjectHandle(asked.certificate, pair, offers);
    const finish = (node: NodeIndex, at: 0 | 1) =>
      this.#core.api.post(node, "/v1/sign-in/finish", { session: offers[at].session, peer: offers[at === 0 ? 1 : 0] }, signInShare);
    const shares = await both(pair, finish);
    const input = shares[0].signing_input;
    if (input !== shares[1].signing_input) throw new Untrusted("two nodes would sign different tokens");
    const alg = asked.certificate.id_token_signed_response_alg;
    const payload = checkPayload(input, alg, consent, b64(ctx), expected);
    if (payload.hufu.handle !== handle?.hash) throw new Untrusted("the subject handle");
    const signature = await this.#signature(alg, pair, input, offers, [shares[0].share, shares[1].share]);
    await this.#receipts.add({ certificate: consent.certificate, consent, assertion, sub: payload.sub });
    return { tx: consent.tx, id_token: assemble(input, signature), s: consent.s, ...(handle && { handle: handle.text }), payload, pair };
  }

  async #signature(alg: string, pair: Pair, input: string, offers: Offers, shares: readonly [string, string]): Promise<Uint8Array> {
    const message = new Uint8Array(utf8(input));
    if (alg === "EdDSA") {
      const commitments = [offers[0].commitments, offers[1].commitments] as const;
      return trusted("a signature share", () => this.#core.group.aggregate(message, pair, commitments, shares));
    }
    // One-key mode: the lower node signs alone (docs/trust.md).
    const node = this.#core.trust.nodes[pair[0] - 1]!;
    const jwk = alg === "ES256" ? node.es256 : node.rs256;
    const signature = unb64(shares[0])!;
    if (!jwk || !(await verifyOneKey(alg, jwk, message, signature))) throw new Untrusted("a one-key signature");
    return signature;
  }

  /** Hands the result to the front by script; the answer is where the browser goes next. A form post does as well. */
  async complete({ tx, id_token, s, handle }: Agreed): Promise<string> {
    const answer = { tx, id_token, s, ...(handle !== undefined && { handle }) };
    return webAddress((await this.#core.api.post("front", "/complete", answer, proceed)).redirect_to);
  }

  /** Refuses: the platform learns that access was denied and nothing else. The answer is where the browser goes next. */
  async refuse(tx: string): Promise<string> {
    return webAddress((await this.#core.api.post("front", "/refuse", { tx }, proceed)).redirect_to);
  }
}

async function both<T>(pair: Pair, ask: (node: NodeIndex, at: 0 | 1) => Promise<T>): Promise<readonly [T, T]> {
  return Promise.all([ask(pair[0], 0), ask(pair[1], 1)]);
}

/** Whether it was asked without a browser, by who registered for that, and what the person compares is what their device binds. */
function isBackchannel(asked: Transaction, certificate: PlatformCertificate): boolean {
  const registered = certificate.registration as Record<string, unknown> | undefined;
  const bound = asked.code_challenge === b64(hashOf(asked.binding_message ?? "")) && asked.nonce === "";
  return asked.redirect_uri === CIBA_GRANT && bound && typeof registered?.["backchannel_token_delivery_mode"] === "string";
}

/** A page may go there: never `javascript:` or another scheme that runs in it. */
export function webAddress(text: string): string {
  const protocol = URL.canParse(text) ? new URL(text).protocol : "";
  if (protocol !== "https:" && protocol !== "http:") throw new Untrusted("the address to go on to");
  return text;
}

/** The sums of both nodes' parts, each proved against its commitments. */
function evaluated(pair: Pair, offers: Offers, held: Commitments, base: G1Point): { sub: string; ep: string } {
  return trusted("a partial evaluation", () => {
    const parts = offers.map(({ evaluation }, at) => {
      const node = pair[at]!;
      const committed = { pseudonym: assignedTo(held.pseudonym, pair, node), epoch: assignedTo(held.epoch, pair, node) };
      return verifyBoth(G1, evaluation, committed, base);
    });
    return { sub: sub(combine(parts.map((part) => part.pseudonym))), ep: ep(combine(parts.map((part) => part.epoch))) };
  });
}

/** The device's context commitment (flows 4). */
export function contextOf(consent: Consent, sectorId: string): Bytes {
  return context({
    s: unb64(consent.s)!,
    sectorId,
    nonce: consent.nonce,
    redirectUri: consent.redirect_uri,
    certificateHash: hashOf(consent.certificate),
    purpose: consent.purpose,
    answers: consent.answers,
    request: requestDirect(consent.client_id, consent.code_challenge, consent.dpop_jkt, unb64(consent.tx)!),
  });
}

/** What the nodes are about to sign must say what the person agreed to, and no more. */
export function checkPayload(input: string, alg: string, agreed: Consent, ctx: string, expected: { sub: string; ep: string }): IdToken {
  const wrong = "the token is not what was agreed";
  // The signature is still to be made; any stands in for it.
  const unsigned = `${input}.AA`;
  const token = trusted(wrong, () => payloadOf(unsigned, idToken));
  const { header } = parse(unsigned);
  const right =
    header["alg"] === alg &&
    // The group key signs certificates and passes too; typ keeps them apart.
    isTyp(header, "JWT") &&
    token.iss === agreed.iss &&
    token.aud === agreed.client_id &&
    (token.nonce ?? "") === agreed.nonce &&
    token.iat === agreed.iat &&
    token.auth_time === agreed.t &&
    token.exp > token.iat &&
    token.acr === ACR[agreed.strength] &&
    token.hufu.strength === agreed.strength &&
    token.hufu.ctx === ctx &&
    token.sub === expected.sub &&
    token.hufu.ep === expected.ep &&
    Object.keys(token.hufu.answers).every((name) => agreed.answers.includes(name as Answer));
  if (!right) throw new Untrusted(wrong);
  return token;
}
