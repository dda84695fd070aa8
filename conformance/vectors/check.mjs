// Recomputes every vector of crates/pairwise/vectors with implementations that are not ours (@noble/curves,
// @noble/hashes). Exits non-zero on any difference. Written from flows 1, 3 and 4, not from the Rust code.

import { readFileSync } from "node:fs";
import { bls12_381 } from "@noble/curves/bls12-381.js";
import { ed25519, ed25519_FROST, ristretto255, ristretto255_hasher, ristretto255_oprf } from "@noble/curves/ed25519.js";
import { hash_to_field } from "@noble/curves/abstract/hash-to-curve.js";
import { argon2id } from "@noble/hashes/argon2.js";
import { hkdf } from "@noble/hashes/hkdf.js";
import { hmac } from "@noble/hashes/hmac.js";
import { sha256, sha512 } from "@noble/hashes/sha2.js";
import { bytesToHex as hex, concatBytes, hexToBytes as bytes, utf8ToBytes as utf8 } from "@noble/hashes/utils.js";

const folder = process.argv[2] ?? new URL("../../crates/pairwise/vectors/", import.meta.url).pathname;
const vectors = (name) => JSON.parse(readFileSync(`${folder}/${name}.json`, "utf8"));

let passed = 0;
let failed = 0;

/** Compares two values; `what` names the vector. */
function same(what, got, want) {
  if (got === want) passed += 1;
  else {
    failed += 1;
    console.error(`FAIL ${what}\n  computed ${got}\n  vector   ${want}`);
  }
}

const holds = (what, condition) => same(what, Boolean(condition), true);

// -- flows 1: bytes

const u32 = (n) => Uint8Array.of(n >>> 24, n >>> 16, n >>> 8, n);
const part = (x) => (typeof x === "string" ? utf8(x) : x);
const framed = (...parts) => concatBytes(...parts.map(part).flatMap((p) => [u32(p.length), p]));
const H = (...parts) => sha256(framed(...parts));
const b64 = (b) => Buffer.from(b).toString("base64url");
const be = (n) => bytes(n.toString(16).padStart(64, "0"));
const le = (n) => be(n).reverse();
const fromBe = (h) => BigInt(`0x${h}`);
const fromLe = (h) => fromBe(hex(bytes(h).reverse()));

/** A group as the proofs need it. */
function group(name, Point, hash, scalarBytes, scalarFrom) {
  const order = Point.Fn.ORDER;
  const field = (msg, DST) =>
    hash_to_field(msg, 1, { DST, p: order, m: 1, k: 128, expand: "xmd", hash })[0][0];
  return {
    name,
    Point,
    order,
    scalarBytes,
    scalarFrom,
    read: (h) => {
      const p = Point.fromHex(h);
      p.assertValidity?.();
      return p;
    },
    mod: (n) => ((n % order) + order) % order,
    h2s: (msg) => field(msg, `HUFU-V1-H2S-${name}`),
    challenge: (msg) => field(msg, `HUFU-V1-DLEQ-${name}`),
    weight: (msg) => field(msg, `HUFU-V1-DLEQ-WEIGHT-${name}`),
    challengeBoth: (msg) => field(msg, `HUFU-V1-DLEQ-BOTH-${name}`),
  };
}

const G1 = group("INTL", bls12_381.G1.Point, sha256, be, fromBe);
const R255 = group("RISTRETTO255", ristretto255.Point, sha512, le, fromLe);
const h2g = (msg) =>
  bls12_381.G1.hashToCurve(msg, { DST: "BBS_BLS12381G1_XMD:SHA-256_SSWU_RO_H2G_HM2S_PSEUDONYM_" });

/** The Chaum-Pedersen proof that E = x·base and C = x·G. */
function proves(g, C, base, partial) {
  const E = g.read(partial.element);
  const [c, s] = [g.scalarFrom(partial.c), g.scalarFrom(partial.s)];
  if (c >= g.order || s >= g.order) return false;
  const A1 = g.Point.BASE.multiplyUnsafe(s).add(C.multiplyUnsafe(c));
  const A2 = base.multiplyUnsafe(s).add(E.multiplyUnsafe(c));
  const points = [g.Point.BASE, C, base, E, A1, A2].map((p) => p.toBytes());
  return g.challenge(framed("hufu-v1-dleq", g.name, ...points)) === c;
}

const SUBSETS = ["12", "13", "23"];
/** Who of a pair evaluates a subset: its first holder in the pair. */
const assigned = (pair, node) => SUBSETS.filter((a) => pair.find((n) => a.includes(n)) === node);

/** Every pair's parts: assignment, proofs against the summed commitments, a lie refused, the sum. */
function checkPairs(what, g, pairs, commitments, base, whole) {
  same(`${what}: pairs`, JSON.stringify(pairs.map((p) => p.pair)), "[[1,2],[1,3],[2,3]]");
  for (const { pair, parts } of pairs) {
    let sum = g.Point.ZERO;
    for (const { node, subsets, partial } of parts) {
      const name = `${what}: pair ${pair} node ${node}`;
      same(`${name}: assignment`, JSON.stringify(subsets), JSON.stringify(assigned(pair, node)));
      const C = subsets.reduce((acc, a) => acc.add(g.read(commitments[a])), g.Point.ZERO);
      holds(`${name}: proof`, proves(g, C, base, partial));
      holds(`${name}: lie refused`, !proves(g, C, base.add(g.Point.BASE), partial));
      sum = sum.add(g.read(partial.element));
    }
    same(`${what}: pair ${pair}: sum`, sum.toHex(), whole);
  }
}

// -- pseudonym.json

function sectorIdOk(id) {
  if (/^urn:hufu:sector:[a-z0-9._-]{1,64}$/.test(id)) return true;
  let url;
  try {
    url = new URL(id);
  } catch {
    return false;
  }
  const ip = /^\d+(\.\d+){3}$/.test(url.hostname) || url.hostname.startsWith("[");
  return url.protocol === "https:" && url.origin === id && url.port === "" && !ip && !url.hostname.endsWith(".");
}

function checkSector(name, person, k, v) {
  const base = h2g(utf8(v.sector_id));
  same(`${name}: H2G`, base.toHex(), v.h2g);
  const P = base.multiply(k);
  same(`${name}: P`, P.toHex(), v.p);
  same(`${name}: sub`, b64(H("hufu-v1-sub", "INTL", P.toBytes())), v.sub);
  checkPairs(name, G1, v.pairs, person.c, base, v.p);
}

function checkBlind(name, person, k, v) {
  const r = fromBe(v.r);
  const base = h2g(utf8(v.sector_id));
  const B = base.multiply(r);
  const E = B.multiply(k);
  const P = E.multiply(G1.Point.Fn.inv(r));
  same(`${name}: B`, B.toHex(), v.b);
  same(`${name}: E`, E.toHex(), v.e);
  same(`${name}: P`, P.toHex(), v.p);
  same(`${name}: P is the direct one`, P.toHex(), base.multiply(k).toHex());
  same(`${name}: sub`, b64(H("hufu-v1-sub", "INTL", P.toBytes())), v.sub);
  checkPairs(name, G1, v.pairs, person.c, B, v.e);
}

function checkEpoch(name, person, v) {
  const message = framed("hufu-v1-epoch", bytes(person.root_u), bytes(v.epoch));
  same(`${name}: message`, hex(message), v.message);
  let k = 0n;
  for (const a of SUBSETS) {
    const prf = hmac(sha256, bytes(person.keys[a]), message);
    same(`${name}: prf ${a}`, hex(prf), v.prf[a]);
    const e = G1.h2s(prf);
    same(`${name}: e ${a}`, hex(be(e)), v.e[a]);
    same(`${name}: C ${a}`, G1.Point.BASE.multiply(e).toHex(), v.c[a]);
    k = G1.mod(k + e);
  }
  same(`${name}: k`, hex(be(k)), v.k);
  const base = h2g(utf8(v.sector_id));
  const P = base.multiply(k);
  same(`${name}: P_ep`, P.toHex(), v.p);
  same(`${name}: ep`, b64(H("hufu-v1-ep", "INTL", P.toBytes())), v.ep);
  checkPairs(name, G1, v.pairs, v.c, base, v.p);
}

function checkPseudonym(v) {
  same("suite", v.suite, "INTL");
  same("generator", G1.Point.BASE.toHex(), v.generator);
  for (const { msg, scalar } of v.h2s) same(`H2S ${msg}`, hex(be(G1.h2s(bytes(msg)))), scalar);
  for (const { msg, point } of v.h2g) same(`H2G ${msg}`, h2g(bytes(msg)).toHex(), point);
  v.persons.forEach((person, i) => {
    const name = `person ${i}`;
    let k = 0n;
    for (const a of SUBSETS) {
      const prf = hmac(sha256, bytes(person.keys[a]), bytes(person.root_u));
      same(`${name}: prf ${a}`, hex(prf), person.prf[a]);
      same(`${name}: H2S ${a}`, hex(be(G1.h2s(prf))), person.h2s[a]);
      const e = G1.mod(G1.h2s(prf) + (person.d ? fromBe(person.d[a]) : 0n));
      same(`${name}: e ${a}`, hex(be(e)), person.e[a]);
      same(`${name}: C ${a}`, G1.Point.BASE.multiply(e).toHex(), person.c[a]);
      k = G1.mod(k + e);
    }
    same(`${name}: k_u`, hex(be(k)), person.k_u);
    for (const s of person.sectors) checkSector(`${name}: ${s.sector_id}`, person, k, s);
    checkBlind(`${name}: blind`, person, k, person.blind);
    person.epochs.forEach((e, n) => checkEpoch(`${name}: epoch ${n}`, person, e));
  });
  same("new keys, same person: k_u", v.persons[2].k_u, v.persons[0].k_u);
  holds("new keys are other keys", v.persons[2].keys["12"] !== v.persons[0].keys["12"]);
  for (const id of v.sector_ids.good) holds(`sector id ${id}`, sectorIdOk(id));
  for (const id of v.sector_ids.bad) holds(`no sector id ${id}`, !sectorIdOk(id));
}

// -- both.json

/** The one proof that E1 = x1·base, E2 = x2·base for C1 = x1·G, C2 = x2·G: by the composites of RFC 9497, section 2.2. */
function provesBoth(g, C1, C2, base, both) {
  const [E1, E2] = [g.read(both.pseudonym), g.read(both.epoch)];
  const [c, s] = [g.scalarFrom(both.c), g.scalarFrom(both.s)];
  if (c >= g.order || s >= g.order) return { proven: false };
  const points = [g.Point.BASE, C1, C2, base, E1, E2].map((p) => p.toBytes());
  const transcript = framed("hufu-v1-dleq-both", g.name, ...points);
  const w = g.weight(transcript);
  const [M, Z] = [C1.add(C2.multiplyUnsafe(w)), E1.add(E2.multiplyUnsafe(w))];
  const A1 = g.Point.BASE.multiplyUnsafe(s).add(M.multiplyUnsafe(c));
  const A2 = base.multiplyUnsafe(s).add(Z.multiplyUnsafe(c));
  const proven = g.challengeBoth(concatBytes(transcript, framed(A1.toBytes(), A2.toBytes()))) === c;
  return { proven, transcript: hex(transcript), w };
}

function checkBoth(v, pseudonyms) {
  const person = pseudonyms.persons[0];
  const epoch = person.epochs[0];
  same("both: suite", v.suite, "INTL");
  same("both: generator", G1.Point.BASE.toHex(), v.generator);
  same("both: root", v.root_u, person.root_u);
  same("both: epoch", v.epoch, epoch.epoch);
  same("both: commitments", JSON.stringify([v.c_pseudonym, v.c_epoch]), JSON.stringify([person.c, epoch.c]));
  same("both: levels", v.cases.map((c) => c.level).join(), "direct,blind");
  same("both: base at direct", v.cases[0].base, h2g(utf8(v.sector_id)).toHex());
  same("both: base at blind", v.cases[1].base, person.blind.b);
  for (const { level, base: at, pairs } of v.cases) {
    const base = G1.read(at);
    same(`both ${level}: pairs`, JSON.stringify(pairs.map((p) => p.pair)), "[[1,2],[1,3],[2,3]]");
    for (const { pair, parts } of pairs) {
      const sums = [G1.Point.ZERO, G1.Point.ZERO];
      for (const part of parts) {
        const name = `both ${level}: pair ${pair} node ${part.node}`;
        const subsets = assigned(pair, part.node);
        same(`${name}: assignment`, JSON.stringify(part.subsets), JSON.stringify(subsets));
        const [C1, C2] = [person.c, epoch.c].map((c) => subsets.reduce((sum, a) => sum.add(G1.read(c[a])), G1.Point.ZERO));
        const [x1, x2] = [person.e, epoch.e].map((e) => subsets.reduce((sum, a) => G1.mod(sum + fromBe(e[a])), 0n));
        same(`${name}: pseudonym`, base.multiply(x1).toHex(), part.pseudonym);
        same(`${name}: epoch`, base.multiply(x2).toHex(), part.epoch);
        const { proven, transcript, w } = provesBoth(G1, C1, C2, base, part);
        same(`${name}: transcript`, transcript, part.transcript);
        same(`${name}: weight`, hex(be(w)), part.weight);
        holds(`${name}: proof`, proven);
        const refused = (what, C1, C2, base, part) => holds(`${name}: ${what} refused`, !provesBoth(G1, C1, C2, base, part).proven);
        refused("another base", C1, C2, base.add(G1.Point.BASE), part);
        refused("swapped elements", C1, C2, base, { ...part, pseudonym: part.epoch, epoch: part.pseudonym });
        refused("swapped statements", C2, C1, base, { ...part, pseudonym: part.epoch, epoch: part.pseudonym });
        // E1 + D, E2 − D/w: the composite under the honest weight does not change.
        const [E1, E2] = [G1.read(part.pseudonym), G1.read(part.epoch)];
        const cancelled = E2.subtract(base.multiply(G1.Point.Fn.inv(w)));
        refused("cancelling errors", C1, C2, base, { ...part, pseudonym: E1.add(base).toHex(), epoch: cancelled.toHex() });
        sums[0] = sums[0].add(E1);
        sums[1] = sums[1].add(E2);
      }
      same(`both ${level}: pair ${pair}: sum`, sums[0].toHex(), base.multiply(fromBe(person.k_u)).toHex());
      same(`both ${level}: pair ${pair}: sum of the epoch`, sums[1].toHex(), base.multiply(fromBe(epoch.k)).toHex());
    }
  }
}

// -- challenge.json

function checkChallenge(v) {
  for (const c of v.contexts) {
    const of = c.request_of;
    const request = c.level === "direct" ? H(of.client_id, of.code_challenge, of.dpop_jkt, bytes(of.tx)) : new Uint8Array();
    same(`request ${c.level}`, hex(request), c.request);
    const answers = framed(...[...new Set(c.answers)].sort());
    const ctx = H("hufu-v1-ctx", bytes(c.s), c.sector_id, c.nonce, c.redirect_uri, bytes(c.certificate_hash), c.purpose, answers, request);
    same(`ctx ${c.level}`, hex(ctx), c.ctx);
  }
  for (const s of v.statements) same("statement ctx", hex(H("hufu-v1-statement", bytes(s.statement))), s.ctx);
  for (const c of v.challenges) {
    const t = new Uint8Array(8);
    new DataView(t.buffer).setBigInt64(0, BigInt(c.t));
    const chal = H("hufu-v1-chal", c.label, c.level, bytes(c.subject), bytes(c.ctx), c.strength, t);
    same(`chal ${c.label} ${c.level} ${c.strength}`, hex(chal), c.chal);
  }
  const labels = "enrol sign-in add-device remove-device lock unlock end-sessions replace-number export pass leave guardian recover veto event";
  const seen = new Set(v.challenges.map((c) => c.label));
  same("every label has a vector", [...seen].sort().join(" "), labels.split(" ").sort().join(" "));
}

// -- oprf.json

const oprf = ristretto255_oprf.oprf;
const hashToGroup = (input) =>
  ristretto255_hasher.hashToCurve(input, { DST: concatBytes(utf8("HashToGroup-OPRFV1-"), Uint8Array.of(0), utf8("-ristretto255-SHA512")) });

function checkTag(v) {
  const input = framed(v.country, v.type, v.number);
  same("tag: input", hex(input), v.input);
  const f = v.shares.map(fromLe);
  const key = R255.mod(2n * f[0] - f[1]);
  same("tag: the third share is on the line", R255.mod(2n * f[1] - f[0]), f[2]);
  same("tag: public", R255.Point.BASE.multiply(key).toHex(), v.public);
  const blinded = hashToGroup(input).multiply(fromLe(v.blind));
  same("tag: blinded", blinded.toHex(), v.blinded);
  f.forEach((share, i) => {
    const C = R255.Point.BASE.multiply(share);
    same(`tag: commitment ${i + 1}`, C.toHex(), v.commitments[i]);
    same(`tag: part ${i + 1}`, blinded.multiply(share).toHex(), v.partials[i].element);
    holds(`tag: proof ${i + 1}`, proves(R255, C, blinded, v.partials[i]));
    holds(`tag: lie ${i + 1} refused`, !proves(R255, C, blinded.add(R255.Point.BASE), v.partials[i]));
  });
  same("tag: evaluated", hex(oprf.blindEvaluate(le(key), bytes(v.blinded))), v.evaluated);
  same("tag", hex(oprf.finalize(input, bytes(v.blind), bytes(v.evaluated))), v.tag);
}

function checkPasswordOprf(v) {
  let key = 0n;
  for (const a of SUBSETS) {
    const prf = hmac(sha256, bytes(v.keys[a]), bytes(v.root_u));
    same(`password: prf ${a}`, hex(prf), v.prf[a]);
    const k = R255.h2s(prf);
    same(`password: sub-key ${a}`, hex(le(k)), v.sub_keys[a]);
    same(`password: commitment ${a}`, R255.Point.BASE.multiply(k).toHex(), v.commitments[a]);
    key = R255.mod(key + k);
  }
  const input = utf8(v.password);
  const blinded = hashToGroup(input).multiply(fromLe(v.blind));
  same("password: blinded", blinded.toHex(), v.blinded);
  same("password: evaluated", hex(oprf.blindEvaluate(le(key), bytes(v.blinded))), v.evaluated);
  checkPairs("password", R255, v.pairs, v.commitments, blinded, v.evaluated);
  same("password: y", hex(oprf.finalize(input, bytes(v.blind), bytes(v.evaluated))), v.y);
}

function checkOprf(v) {
  v.rfc9497.cases.forEach((c, i) => {
    same(`RFC 9497 A.1.1.${i + 1}: blinded`, hashToGroup(bytes(c.input)).multiply(fromLe(v.rfc9497.blind)).toHex(), c.blinded);
    same(`RFC 9497 A.1.1.${i + 1}: evaluated`, hex(oprf.blindEvaluate(bytes(v.rfc9497.sk), bytes(c.blinded))), c.evaluated);
    same(`RFC 9497 A.1.1.${i + 1}: output`, hex(oprf.finalize(bytes(c.input), bytes(v.rfc9497.blind), bytes(c.evaluated))), c.output);
  });
  checkTag(v.tag);
  checkPasswordOprf(v.password);
}

// -- password.json

const two = (n) => String(n).padStart(2, "0");

/** The rule against trivial passwords, by listing what it refuses. */
function refusal(digits, births) {
  if (!/^[0-9]{8}$/.test(digits)) return "Shape";
  const wheel = "0123456789".repeat(2);
  const back = [...wheel].reverse().join("");
  if (wheel.includes(digits) || back.includes(digits)) return "Sequence";
  if ([1, 2, 4].some((n) => digits.slice(0, n).repeat(8 / n) === digits)) return "Repeat";
  const dates = births.flatMap(([y, m, d]) => [`${y}${two(m)}${two(d)}`, `${two(d)}${two(m)}${y}`, `${two(m)}${two(d)}${y}`]);
  return dates.includes(digits) ? "BirthDate" : null;
}

function checkPassword(v) {
  const params = Object.fromEntries(v.params.map((p) => [p.params_id, p]));
  v.keys.forEach((k, i) => {
    const { version, m_kib: m, t, p } = params[k.params_id];
    const stretched = argon2id(bytes(k.y), bytes(k.salt_u), { version, m, t, p, dkLen: 32 });
    same(`password key ${i}: Argon2id`, hex(stretched), k.argon2id);
    const seed = hkdf(sha256, stretched, undefined, utf8(v.info), 32);
    same(`password key ${i}: seed`, hex(seed), k.seed);
    same(`password key ${i}: public`, hex(ed25519.getPublicKey(seed)), k.public);
    same(`password key ${i}: signature`, hex(ed25519.sign(bytes(k.message), seed)), k.signature);
    holds(`password key ${i}: verifies`, ed25519.verify(bytes(k.signature), bytes(k.message), bytes(k.public)));
  });
  for (const r of v.rule) same(`rule ${r.digits}`, refusal(r.digits, r.birth_dates), r.refused);
}

// -- frost.json

function checkFrost(v) {
  const { Point } = ed25519;
  const id = (n) => ed25519_FROST.Identifier.fromNumber(n);
  const shares = v.key_shares.map(bytes);
  shares.forEach((share, i) => {
    same(`FROST share ${i + 1}: index`, share[0], i + 1);
    same(`FROST share ${i + 1}: group key`, hex(share.slice(33)), v.verifying_key);
    same(`FROST share ${i + 1}: public`, Point.BASE.multiply(fromLe(hex(share.slice(1, 33)))).toHex(), v.verifying_shares[i]);
  });
  const group = Point.fromHex(v.verifying_key);
  const slope = Point.fromHex(v.verifying_shares[0]).subtract(group);
  const pub = {
    signers: { min: 2, max: 3 },
    commitments: [group.toBytes(), slope.toBytes()],
    verifyingShares: Object.fromEntries(v.verifying_shares.map((s, i) => [id(i + 1), bytes(s)])),
  };
  shares.forEach((share, i) =>
    ed25519_FROST.validateSecret({ identifier: id(i + 1), signingShare: share.slice(1, 33) }, pub),
  );
  for (const s of v.signatures) {
    const list = s.pair.map((n, i) => ({
      identifier: id(n),
      hiding: bytes(s.commitments[i].slice(0, 64)),
      binding: bytes(s.commitments[i].slice(64)),
    }));
    const message = bytes(s.message);
    s.pair.forEach((n, i) =>
      holds(`FROST ${s.pair}: share of ${n}`, ed25519_FROST.verifyShare(pub, list, message, id(n), bytes(s.shares[i]))),
    );
    const parts = Object.fromEntries(s.pair.map((n, i) => [id(n), bytes(s.shares[i])]));
    same(`FROST ${s.pair}: aggregate`, hex(ed25519_FROST.aggregate(pub, list, message, parts)), s.signature);
    holds(`FROST ${s.pair}: Ed25519`, ed25519.verify(bytes(s.signature), message, bytes(v.verifying_key), { zip215: false }));
    holds(`FROST ${s.pair}: other message`, !ed25519.verify(bytes(s.signature), utf8("other"), bytes(v.verifying_key)));
  }
}

// -- coin.json

function checkCoin({ ceremony, key, parties, commitments, reveals, secret, check_message, check }) {
  const name = `coin ${key}`;
  for (const party of parties) {
    const commitment = H("hufu-v1-coin-commit", bytes(ceremony), key, Uint8Array.of(party), bytes(reveals[party]));
    same(`${name}: commitment of ${party}`, hex(commitment), commitments[party]);
    const other = H("hufu-v1-coin-commit", bytes(ceremony), key, Uint8Array.of((party % 3) + 1), bytes(reveals[party]));
    holds(`${name}: ${party}'s commitment is nobody else's`, hex(other) !== commitments[party]);
  }
  const drawn = framed(...parties.map((party) => bytes(reveals[party])));
  const info = framed("hufu-v1-coin-key", bytes(ceremony), key, Uint8Array.from(parties));
  same(`${name}: key`, hex(hkdf(sha256, drawn, utf8("hufu-v1-coin"), info, 32)), secret);
  same(`${name}: what is compared`, hex(framed("hufu-v1-key-check", bytes(ceremony), key)), check_message);
  same(`${name}: comparison`, hex(hmac(sha256, bytes(secret), bytes(check_message))), check);
}

// -- dkg.json, repair.json

/** The groups of shared keys, with the domain of the FROST paper's proofs of knowledge as RFC 9591's suites write it. */
const SHARED = {
  Ed25519: { Point: ed25519.Point, domain: "FROST-ED25519-SHA512-v1" },
  RISTRETTO255: { Point: ristretto255.Point, domain: "FROST-RISTRETTO255-SHA512-v1" },
};
const numbered = (map) => Object.entries(map).map(([party, value]) => [Number(party), value]);

function checkGeneration({ group, packages, given, key, verifying_shares, shares }) {
  const { Point, domain } = SHARED[group];
  const order = Point.Fn.ORDER;
  const mod = (n) => ((n % order) + order) % order;
  const point = (h) => Point.fromHex(h);
  const lines = numbered(packages).map(([party, text]) => {
    const [phi0, phi1, R, z] = [0, 64, 128, 192].map((at) => text.slice(at, at + 64));
    const preimage = concatBytes(le(BigInt(party)), bytes(phi0), bytes(R));
    const c = mod(fromLe(hex(sha512(concatBytes(utf8(`${domain}dkg`), preimage)))));
    const proven = (c) => point(phi0).multiplyUnsafe(c).add(point(R)).equals(Point.BASE.multiply(fromLe(z)));
    holds(`${group}: ${party} knows its part`, proven(c));
    holds(`${group}: under its own number`, !proven(mod(c + 1n)));
    return { party, at: (x) => point(phi0).add(point(phi1).multiply(BigInt(x))), start: point(phi0) };
  });
  for (const { party, at } of lines) {
    for (const [to, share] of numbered(given[party])) {
      same(`${group}: what ${party} gives ${to} is on its line`, Point.BASE.multiply(fromLe(share)).toHex(), at(to).toHex());
    }
  }
  const whole = (x) => lines.reduce((sum, line) => sum.add(line.at(x)), Point.ZERO);
  same(`${group}: key`, lines.reduce((sum, line) => sum.add(line.start), Point.ZERO).toHex(), key);
  shares.forEach((share, i) => {
    same(`${group}: public share ${i + 1}`, whole(i + 1).toHex(), verifying_shares[i]);
    same(`${group}: share ${i + 1}`, Point.BASE.multiply(fromLe(share)).toHex(), verifying_shares[i]);
    const got = numbered(given).reduce((sum, [from, to]) => (from === i + 1 ? sum : sum + fromLe(to[i + 1])), 0n);
    // What a party gave itself is on its own line.
    const own = lines[i].at(i + 1);
    same(`${group}: share ${i + 1} is what was given`, Point.BASE.multiply(mod(got)).add(own).toHex(), verifying_shares[i]);
  });
}

function checkRepair({ group, lost, verifying_shares, commitments, given, sums, share }) {
  const { Point } = SHARED[group];
  const { Fn } = Point;
  const name = `${group}: repair of ${lost}`;
  const helpers = Object.keys(sums).map(Number);
  same(`${name}: helpers`, helpers.join(), [1, 2, 3].filter((party) => party !== lost).join());
  let mended = 0n;
  helpers.forEach((helper, i) => {
    const other = helpers[1 - i];
    // λ of the helper at the lost party's number.
    const weight = Fn.mul(Fn.create(BigInt(lost - other)), Fn.inv(Fn.create(BigInt(helper - other))));
    const [kept, gave] = [commitments[helper].kept, commitments[helper].given].map((h) => Point.fromHex(h));
    same(`${name}: both parts of ${helper}`, kept.add(gave).toHex(), Point.fromHex(verifying_shares[helper - 1]).multiply(weight).toHex());
    same(`${name}: part of ${helper}`, Point.BASE.multiply(fromLe(given[helper])).toHex(), gave.toHex());
    const got = Point.fromHex(commitments[other].given);
    same(`${name}: sum of ${helper}`, Point.BASE.multiply(fromLe(sums[helper])).toHex(), kept.add(got).toHex());
    mended = Fn.add(mended, fromLe(sums[helper]));
  });
  same(`${name}: share`, hex(le(mended)), share);
  same(`${name}: public share`, Point.BASE.multiply(mended).toHex(), verifying_shares[lost - 1]);
}

// -- reshare.json

function checkMoving(what, root, purpose, sector, { epoch, message, generations, sum, name }) {
  const of = epoch === null ? root : framed("hufu-v1-epoch", root, bytes(epoch));
  same(`${what}: message`, hex(of), message);
  let before;
  for (const g of generations) {
    const at = `${what}: generation ${g.generation}`;
    let zero = { 12: 0n, 13: 0n, 23: 0n };
    if (before) {
      const messages = ["12", "13"].map((a) =>
        epoch === null ? framed("hufu-v1-zero", a, root) : framed("hufu-v1-zero-epoch", a, root, bytes(epoch)),
      );
      same(`${at}: what Z is applied to`, messages.map(hex).join(), g.zero_messages.join());
      const [z12, z13] = messages.map((message) => G1.h2s(hmac(sha256, bytes(g.z), message)));
      zero = { 12: z12, 13: z13, 23: G1.mod(-z12 - z13) };
    }
    const [e, c] = [{}, {}];
    for (const a of SUBSETS) {
      const fresh = G1.h2s(hmac(sha256, bytes(g.keys[a]), of));
      const d = before ? G1.mod(before.e[a] + zero[a] - fresh) : 0n;
      same(`${at}: d ${a}`, before ? hex(be(d)) : null, before ? g.d[a] : g.d);
      if (before) same(`${at}: z ${a}`, hex(be(zero[a])), g.zero[a]);
      e[a] = G1.mod(fresh + d);
      c[a] = before ? before.c[a].add(G1.Point.BASE.multiply(zero[a])) : G1.Point.BASE.multiply(e[a]);
      same(`${at}: e ${a}`, hex(be(e[a])), g.e[a]);
      same(`${at}: C ${a}`, c[a].toHex(), g.c[a]);
      same(`${at}: C ${a} is e·G`, G1.Point.BASE.multiply(e[a]).toHex(), g.c[a]);
      if (before) holds(`${at}: e ${a} has changed`, e[a] !== before.e[a]);
    }
    same(`${at}: sum`, hex(be(SUBSETS.reduce((total, a) => G1.mod(total + e[a]), 0n))), sum);
    before = { e, c };
  }
  const P = h2g(utf8(sector)).multiply(fromBe(sum));
  same(`${what}: name`, b64(H(purpose, "INTL", P.toBytes())), name);
}

function checkReshare(v) {
  same("reshare: suite", v.suite, "INTL");
  checkMoving("reshare", bytes(v.root_u), "hufu-v1-sub", v.sector_id, v.sub);
  checkMoving("reshare of an epoch", bytes(v.root_u), "hufu-v1-ep", v.sector_id, v.ep);
}

vectors("coin").flips.forEach(checkCoin);
vectors("dkg").generations.forEach(checkGeneration);
vectors("repair").repairs.forEach(checkRepair);
checkReshare(vectors("reshare"));
checkPseudonym(vectors("pseudonym"));
checkBoth(vectors("both"), vectors("pseudonym"));
checkChallenge(vectors("challenge"));
checkOprf(vectors("oprf"));
checkPassword(vectors("password"));
checkFrost(vectors("frost"));

console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
