/** The frozen vectors of crates/pairwise/vectors: every value a wallet computes must be the same bytes. */

import { deepStrictEqual as equal, ok, throws } from "node:assert";
import { readFileSync } from "node:fs";
import { sha256 } from "@noble/hashes/sha2.js";
import { b64, framed, hex, unhex, utf8 } from "../bytes.ts";
import { challenge, context, requestDirect, statementContext } from "../challenge.ts";
import { GroupKey, verifyEd25519 } from "../frost.ts";
import { combine, G1, type Group, RISTRETTO, verifyBoth, verifyPartial } from "../group.ts";
import * as oprf from "../oprf.ts";
import { blinded, ep, hashToGroup, hashToScalar, isSectorId, sectorPoint, sub, unblind } from "../pairwise.ts";
import { checkPassword, harden, stretch } from "../password.ts";
import { assigned, LABELS, type NodeIndex, type Pair, PAIRS, SUBSETS } from "../words.ts";

const folder = (globalThis as unknown as { hufuVectors: string }).hufuVectors;
// eslint-style types would only repeat the files.
const vectors = (name: string): any => JSON.parse(readFileSync(`${folder}/${name}.json`, "utf8"));
const t = (text: string) => b64(unhex(text));
const be = (value: bigint) => value.toString(16).padStart(64, "0");
const part = (given: any) => ({ element: t(given.element), proof: { c: t(given.c), s: t(given.s) } });

/** Each pair's parts: who evaluates what, the proofs, the sum; and every lie is refused. */
function pairs<P extends { toBytes(): Uint8Array; add(o: P): P }>(group: Group<any>, given: any[], held: any, base: any, whole: string): void {
  equal(given.map((one) => one.pair), PAIRS);
  for (const { pair, parts } of given) {
    const points = parts.map(({ node, subsets, partial }: any) => {
      equal(subsets, assigned(pair, node));
      const commitments = subsets.map((subset: string) => t(held[subset]));
      const lie = { ...part(partial), element: b64(group.point(unhex(partial.element)).add(group.base).toBytes()) };
      throws(() => verifyPartial(group, lie, commitments, base), /proof/);
      throws(() => verifyPartial(group, part(partial), [], base));
      throws(() => verifyPartial(group, part(partial), [t(held["12"]), t(held["12"])], base), /proof/);
      throws(() => verifyPartial(group, part(partial), commitments, base.add(group.base)), /proof/);
      return verifyPartial(group, part(partial), commitments, base) as P;
    });
    equal(hex(combine<any>(points).toBytes()), whole);
  }
}

const pseudonym = vectors("pseudonym");
const both = vectors("both");
const challenges = vectors("challenge");
const oprfs = vectors("oprf");
const password = vectors("password");
const frost = vectors("frost");

export default {
  "H2S, H2G and the generator"() {
    equal(hex(G1.base.toBytes()), pseudonym.generator);
    for (const { msg, scalar } of pseudonym.h2s) equal(be(hashToScalar(unhex(msg))), scalar);
    for (const { msg, point } of pseudonym.h2g) equal(hex(hashToGroup(unhex(msg)).toBytes()), point);
  },

  "sub, ep and every partial evaluation of every person"() {
    for (const person of pseudonym.persons) {
      for (const sector of person.sectors) {
        const base = sectorPoint(sector.sector_id);
        equal(hex(base.toBytes()), sector.h2g);
        equal(sub(G1.point(unhex(sector.p))), sector.sub);
        pairs(G1, sector.pairs, person.c, base, sector.p);
      }
      for (const epoch of person.epochs) {
        equal(ep(G1.point(unhex(epoch.p))), epoch.ep);
        pairs(G1, epoch.pairs, epoch.c, sectorPoint(epoch.sector_id), epoch.p);
      }
    }
  },

  "blind evaluation gives the same pseudonym as direct"() {
    for (const person of pseudonym.persons) {
      const given = person.blind;
      const r = BigInt(`0x${given.r}`);
      const point = blinded(sectorPoint(given.sector_id), r);
      equal(hex(point.toBytes()), given.b);
      pairs(G1, given.pairs, person.c, point, given.e);
      const unblinded = unblind(r, G1.point(unhex(given.e)));
      equal(hex(unblinded.toBytes()), given.p);
      equal(sub(unblinded), given.sub);
    }
  },

  "both evaluations of a sign-in under one proof, and every lie about one of them"() {
    for (const { base: at, pairs: given } of both.cases) {
      const base = G1.point(unhex(at));
      equal(given.map((one: any) => one.pair), PAIRS);
      for (const { pair, parts } of given) {
        for (const { node, subsets, pseudonym: first, epoch: second, c, s } of parts) {
          equal(subsets, assigned(pair, node));
          const commitments = {
            pseudonym: subsets.map((subset: string) => t(both.c_pseudonym[subset])),
            epoch: subsets.map((subset: string) => t(both.c_epoch[subset])),
          };
          const honest = { pseudonym: t(first), epoch: t(second), proof: { c: t(c), s: t(s) } };
          const points = verifyBoth(G1, honest, commitments, base);
          equal([hex(points.pseudonym.toBytes()), hex(points.epoch.toBytes())], [first, second]);
          const other = b64(points.pseudonym.add(G1.base).toBytes());
          const swapped = { ...honest, pseudonym: honest.epoch, epoch: honest.pseudonym };
          throws(() => verifyBoth(G1, { ...honest, pseudonym: other }, commitments, base), /proof/);
          throws(() => verifyBoth(G1, { ...honest, epoch: other }, commitments, base), /proof/);
          throws(() => verifyBoth(G1, swapped, commitments, base), /proof/);
          throws(() => verifyBoth(G1, swapped, { pseudonym: commitments.epoch, epoch: commitments.pseudonym }, base), /proof/);
          throws(() => verifyBoth(G1, honest, commitments, base.add(G1.base)), /proof/);
          throws(() => verifyBoth(G1, honest, { ...commitments, epoch: [] }, base));
        }
      }
    }
  },

  "sector ids"() {
    for (const id of pseudonym.sector_ids.good) ok(isSectorId(id), id);
    for (const id of pseudonym.sector_ids.bad) ok(!isSectorId(id), id);
  },

  "contexts, statements and the challenge of every label"() {
    for (const given of challenges.contexts) {
      const of = given.request_of;
      const request = given.level === "direct"
        ? requestDirect(of.client_id, of.code_challenge, of.dpop_jkt, unhex(of.tx)) : new Uint8Array();
      equal(hex(request), given.request);
      equal(hex(context({
        s: unhex(given.s), sectorId: given.sector_id, nonce: given.nonce, redirectUri: given.redirect_uri,
        certificateHash: unhex(given.certificate_hash), purpose: given.purpose, answers: given.answers, request,
      })), given.ctx);
    }
    for (const { statement, ctx } of challenges.statements) equal(hex(statementContext(unhex(statement))), ctx);
    for (const given of challenges.challenges) {
      const made = challenge({
        label: given.label, level: given.level || undefined, subject: unhex(given.subject), ctx: unhex(given.ctx),
        strength: given.strength || undefined, t: given.t,
      });
      equal(hex(made), given.chal);
    }
    equal([...new Set(challenges.challenges.map((given: any) => given.label))].sort(), [...LABELS].sort());
  },

  "RFC 9497 and the password OPRF"() {
    for (const given of oprfs.rfc9497.cases) {
      const made = { input: unhex(given.input), factor: unhex(oprfs.rfc9497.blind), element: t(given.blinded) };
      equal(hex(oprf.blind(made.input, drawing(oprfs.rfc9497.blind)).factor), oprfs.rfc9497.blind);
      equal(oprf.blind(made.input, drawing(oprfs.rfc9497.blind)).element, made.element);
      equal(hex(oprf.finalize(made, t(given.evaluated))), given.output);
    }
    const given = oprfs.password;
    const made = oprf.blind(utf8(given.password), drawing(given.blind));
    equal(made.element, t(given.blinded));
    pairs(RISTRETTO, given.pairs, given.commitments, RISTRETTO.point(unhex(given.blinded)), given.evaluated);
    for (const { parts } of given.pairs) {
      const verified = parts.map(({ subsets, partial }: any) =>
        oprf.verify(part(partial), subsets.map((subset: string) => t(given.commitments[subset])), made.element));
      equal(oprf.combineSum(verified), t(given.evaluated));
    }
    equal(hex(oprf.finalize(made, t(given.evaluated))), given.y);
    for (const subset of SUBSETS) {
      const scalar = RISTRETTO.hashToField(unhex(given.prf[subset]), given.h2s_dst);
      equal(hex(unhex(be(scalar)).reverse()), given.sub_keys[subset]);
    }
  },

  "the tag's evaluation is proved by each tagger"() {
    const given = oprfs.tag;
    given.partials.forEach((partial: any, at: number) => {
      equal(oprf.verify(part(partial), [t(given.commitments[at])], t(given.blinded)), t(partial.element));
      throws(() => oprf.verify(part(partial), [t(given.commitments[(at + 1) % 3])], t(given.blinded)));
    });
    equal(hex(framed(given.country, given.type, given.number)), given.input);
    const made = { input: unhex(given.input), factor: unhex(given.blind), element: t(given.blinded) };
    equal(hex(oprf.finalize(made, t(given.evaluated))), given.tag);
  },

  async "Argon2id, HKDF and the password key"() {
    for (const given of password.keys) {
      equal(hex(await stretch(unhex(given.y), unhex(given.salt_u), given.params_id)), given.argon2id);
      const key = await harden(unhex(given.y), unhex(given.salt_u), given.params_id);
      equal(hex(key.publicKey), given.public);
      equal(hex(key.sign(unhex(given.message))), given.signature);
      ok(verifyEd25519(key.publicKey, unhex(given.message), unhex(given.signature)));
    }
  },

  "the rule against trivial passwords"() {
    const names: Record<string, string> = { shape: "Shape", sequence: "Sequence", repeat: "Repeat", "birth-date": "BirthDate" };
    for (const given of password.rule) {
      const refused = checkPassword(given.digits, given.birth_dates);
      equal(refused ? names[refused] : null, given.refused, given.digits);
    }
  },

  "two nodes' shares are one Ed25519 signature; a lie makes none"() {
    const group = new GroupKey(t(frost.verifying_key), frost.verifying_shares.map(t));
    for (const given of frost.signatures) {
      const message = unhex(given.message);
      const [pair, commitments, shares]: [Pair, any, any] = [given.pair, given.commitments.map(t), given.shares.map(t)];
      const signature = group.aggregate(message, pair, commitments, shares);
      equal(hex(signature), given.signature);
      ok(verifyEd25519(unhex(frost.verifying_key), message, signature));
      throws(() => group.aggregate(utf8("another message"), pair, commitments, shares));
      throws(() => group.aggregate(message, pair, commitments, [shares[0], shares[0]]));
      throws(() => group.aggregate(message, pair, [commitments[1], commitments[0]], shares));
      const third = ([1, 2, 3] as NodeIndex[]).find((node) => !pair.includes(node))!;
      throws(() => group.aggregate(message, [pair[0], third], commitments, shares));
      const identity = `01${"00".repeat(31)}`;
      throws(() => group.aggregate(message, pair, [t(identity + given.commitments[0].slice(64)), commitments[1]], shares));
    }
    throws(() => new GroupKey(t(frost.verifying_key), [0, 2, 1].map((at) => t(frost.verifying_shares[at]))));
  },

  "points outside the group are refused"() {
    const bad = [
      `c0${"00".repeat(47)}`, // the identity
      `80${"00".repeat(46)}04`, // on the curve or not, but not in the subgroup
      "00".repeat(48),
      pseudonym.generator.slice(2),
      `${pseudonym.generator}00`,
    ];
    for (const point of bad) throws(() => G1.point(unhex(point)), point);
    const uncompressed = hex(G1.base.toBytes()) && (G1.base as any).toBytes(false);
    throws(() => G1.point(uncompressed));
    for (const point of ["00".repeat(32), "ff".repeat(32), `01${"00".repeat(31)}`]) throws(() => RISTRETTO.point(unhex(point)));
    throws(() => G1.scalar(unhex(G1.order.toString(16))));
    throws(() => RISTRETTO.scalar(unhex(RISTRETTO.order.toString(16).padStart(64, "0")).reverse()));
    equal(sha256(new Uint8Array()).length, 32);
  },
};

/** A generator that makes noble draw exactly this scalar: it reduces little-endian bytes modulo order − 1 and adds one. */
function drawing(scalar: string): (length?: number) => Uint8Array {
  const value = BigInt(`0x${hex(unhex(scalar).reverse())}`) - 1n;
  return (length = 48) => {
    const out = new Uint8Array(length);
    for (let at = 0, rest = value; at < length; at += 1, rest >>= 8n) out[at] = Number(rest & 255n);
    return out;
  };
}
