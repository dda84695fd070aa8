/** Parsers of what comes from outside, and what they must refuse. */

import { deepStrictEqual as equal, ok, rejects, throws } from "node:assert";
import { createPublicKey, generateKeyPairSync, sign } from "node:crypto";
import { readFileSync } from "node:fs";
import { b64, framed, own, random, same, unb64, utf8 } from "../bytes.ts";
import { parse, verify } from "../jws.ts";
import { Keys, SealedRecords } from "../keys.ts";
import { maskedName } from "../masked_name.ts";
import { grouped, maskedNumber, parseNumber, randomNumber } from "../network_number.ts";
import { verifyOneKey } from "../one_key.ts";
import { verifyPass } from "../pass.ts";
import * as sdJwt from "../sd_jwt.ts";
import { anything, encoded, int, list, map, oneOf, optional, parseExact, record, text } from "../shape.ts";
import { subjectHandle } from "../subject_handle.ts";
import { coseKey } from "../webauthn.ts";
import type { PlatformCertificate, SignInOffer } from "../wire.ts";
import { MemoryDatabase } from "./soft_device.mjs";

const folder = (globalThis as unknown as { hufuVectors: string }).hufuVectors;
const ed = generateKeyPairSync("ed25519");
const raw = (key: typeof ed.publicKey) => new Uint8Array(key.export({ format: "der", type: "spki" })).subarray(-32);
const KEY = raw(ed.publicKey);

function jws(header: unknown, payload: unknown, key = ed.privateKey): string {
  const input = [header, payload].map((part) => b64(utf8(typeof part === "string" ? part : JSON.stringify(part)))).join(".");
  return `${input}.${b64(new Uint8Array(sign(null, utf8(input), key)))}`;
}

/** Runs a property on many random inputs. */
function many(times: number, property: () => void): void {
  for (let at = 0; at < times; at += 1) property();
}

const pick = (below: number) => crypto.getRandomValues(new Uint32Array(1))[0]! % below;
const letters = (length: number, alphabet: string) => Array.from({ length }, () => alphabet[pick(alphabet.length)]).join("");

export default {
  "a subject handle's hash is that of crates/wire/src/subject_handle.rs; computed by neither"() {
    const certificate = { registration: { subject_handle: ["signals"] } } as unknown as PlatformCertificate;
    const offer = (byte: number) => ({ handle: b64(new Uint8Array(86).fill(byte)) }) as unknown as SignInOffer;
    const made = subjectHandle(certificate, [1, 3], [offer(1), offer(2)])!;
    equal(made.hash, "RAbBGZPPmLSV8mfrX3ad7MHAiXEp-JAyMMRORtyor3A");
    equal(made.text.length, 234);
  },

  "base64url has one spelling, the standard library's"() {
    many(500, () => {
      const bytes = random(pick(40));
      equal(b64(bytes), Buffer.from(bytes).toString("base64url"));
      ok(same(unb64(b64(bytes))!, bytes));
      const noise = letters(pick(12), "ABab019-_+/= ");
      const read = unb64(noise);
      if (read) equal(b64(read), noise);
    });
    for (const bad of ["A", "AB", "AA==", "A+/A", "AA\n"]) equal(unb64(bad), undefined, bad);
  },

  "framing is injective"() {
    many(300, () => {
      const [a, c] = [0, 0].map(() => Array.from({ length: pick(4) }, () => random(pick(6))));
      const alike = a!.length === c!.length && a!.every((part, at) => same(part, c![at]!));
      equal(same(framed(...a!), framed(...c!)), alike);
    });
  },

  "JSON from outside has exact members, and one spelling where it is signed"() {
    const shape = record({ a: text, b: optional(int), c: list(oneOf(["x", "y"])), d: map(["12", "13"], encoded(2)) });
    const good = { a: "1", c: ["x"], d: { "13": "AAA" } };
    equal(shape(good, "$"), good);
    for (const bad of [
      null, [], "a", { ...good, a: 1 }, { ...good, e: 1 }, { ...good, c: ["z"] }, { ...good, c: "x" }, { ...good, b: 1.5 },
      { ...good, b: 2 ** 53 }, { ...good, d: { "14": "AAA" } }, { ...good, d: { "12": "AAAA" } }, { ...good, d: { "12": "AAB" } },
      { a: "1", c: [] }, JSON.parse('{"a":"1","c":[],"d":{},"__proto__":{"b":1}}'),
    ]) throws(() => shape(bad, "$"), JSON.stringify(bad));
    equal(parseExact(shape, utf8(JSON.stringify(good))), good);
    for (const bad of ['{"a":"1","a":"1","c":[],"d":{}}', '{"a":"1", "c":[],"d":{}}', '{"a":"\\u0031","c":[],"d":{}}', ""]) {
      throws(() => parseExact(shape, utf8(bad)), bad);
    }
    throws(() => parseExact(text, Uint8Array.of(0x22, 0xff, 0x22)), "not UTF-8");
  },

  "a JWS counts only under the pinned key, with EdDSA, of its typ, without extensions"() {
    const good = { alg: "EdDSA", typ: "x+jwt" };
    const read = (text: string, key = KEY) => verify(text, key, "x+jwt", anything, "it");
    equal(read(jws(good, { a: 1 })), { a: 1 });
    equal(read(jws({ ...good, typ: "application/X+JWT" }, { a: 1 })), { a: 1 });
    const other = generateKeyPairSync("ed25519");
    const bad = [
      jws(good, { a: 1 }, other.privateKey),
      jws({ ...good, jwk: other.publicKey.export({ format: "jwk" }) }, { a: 1 }, other.privateKey),
      jws({ ...good, alg: "none" }, { a: 1 }),
      jws({ ...good, alg: "ES256" }, { a: 1 }),
      jws({ ...good, typ: "y+jwt" }, { a: 1 }),
      jws({ alg: "EdDSA" }, { a: 1 }),
      jws({ ...good, crit: ["exp"] }, { a: 1 }),
      jws({ ...good, b64: false }, { a: 1 }),
      jws('{"alg":"EdDSA","alg":"EdDSA","typ":"x+jwt"}', { a: 1 }),
      jws(good, '{"a":1,"a":2}'),
      jws(good, { a: 1 }).slice(0, -2),
      jws(good, { a: 1 }).replace(/\.[^.]*$/, "."),
      `${jws(good, { a: 1 })}.`,
      `${jws(good, { a: 1 })}=`,
      "..", "", "a.b.c",
    ];
    for (const text of bad) throws(() => read(text), { kind: "untrusted" }, text);
    const [header, , signature] = jws(good, { a: 1 }).split(".");
    throws(() => read(`${header}.${b64(utf8('{"a":2}'))}.${signature}`));
    throws(() => read(jws(good, { a: 1 }), new Uint8Array(32)), "a key of small order");
    throws(() => read(jws(good, { a: "x".repeat(70_000) })), "too long");
    many(300, () => {
      // Whatever arrives, there is an answer or an Untrusted, and nothing else.
      throws(() => read(letters(pick(60), "eyJh.bGciOi_-=~{}\"")), { kind: "untrusted" });
    });
  },

  "SD-JWTs: the vectors of crates/wire, both ways"() {
    const { cases } = JSON.parse(readFileSync(`${folder}/../../wire/vectors/sd_jwt.json`, "utf8"));
    const refused = ["a disclosure nobody signed", "a digest twice", "a claim twice", "an unknown hash"];
    let seen = 0;
    for (const one of cases) {
      if (one.claims && !one.bound) {
        equal(sdJwt.claims(one.text), one.claims, one.name);
        seen += 1;
      } else if (refused.includes(one.name)) {
        throws(() => sdJwt.claims(one.text), one.name);
        seen += 1;
      }
    }
    equal(seen, 6);
    const whole = cases[0].text;
    const shown = sdJwt.showing(whole, (name) => name === "real");
    equal(sdJwt.parse(shown).disclosures.map((one) => one.name), ["real"]);
    ok(!("network_number" in sdJwt.claims(shown)));
    for (const bad of ["", "~", "a.b.c", "a.b.c~d", `${whole}x`, whole.replace("~", "~~")]) throws(() => sdJwt.claims(bad), bad);
  },

  "network numbers: every substitution and every exchange of two characters is noticed"() {
    const alphabet = "23456789ABCDEFGHJKMNPQRSTUVWXYZ";
    many(50, () => {
      const number = randomNumber();
      equal(parseNumber(number), number);
      equal(parseNumber(` ${grouped(number).toLowerCase()} `), number);
      const [at, other] = [pick(10), pick(10)];
      for (const letter of alphabet) {
        const changed = number.slice(0, at) + letter + number.slice(at + 1);
        equal(parseNumber(changed) !== undefined, letter === number[at]);
      }
      const swapped = [...number];
      [swapped[at], swapped[other]] = [swapped[other]!, swapped[at]!];
      equal(parseNumber(swapped.join("")) !== undefined, swapped.join("") === number);
      equal(maskedNumber(number), `${number.slice(0, 2)}******${number.slice(8)}`);
    });
    equal(parseNumber("ＫＱ７ＭＸ－３ＲＴ２Ｃ"), parseNumber("KQ7MX3RT2C"));
    for (const bad of ["", "KQ7MX3RT2", "0000000000", "IIIIIIIIII", "KQ7MX3RT2CC"]) equal(parseNumber(bad), undefined, bad);
    // 31 characters, each as likely: bytes of 248 and above are drawn again.
    equal(randomNumber(((draws) => () => Uint8Array.of(draws.shift()!))([255, 248, 0, 31, 62, 247, 1, 2, 3, 4, 5])).slice(0, 4), "222Z");
  },

  "a pass is good for half a minute, and no key but the group's makes one"() {
    const now = 1_800_000_000;
    const make = (payload: object, typ = "hufu-pass+jwt") => jws({ alg: "EdDSA", typ }, payload);
    const jti = b64(random(16));
    const at = (exp: number) => verifyPass(make({ pass: 1, exp, jti }), b64(KEY), now).expired;
    equal([now + 30, now + 35, now, now - 5].map(at), [false, false, false, false]);
    equal([now + 36, now - 6, now + 86_400].map(at), [true, true, true]);
    for (const bad of [make({ pass: 2, exp: now, jti }), make({ pass: 1, exp: now, jti, sub: "x" }), make({ pass: 1, exp: now, jti }, "JWT")]) {
      throws(() => verifyPass(bad, b64(KEY), now), { kind: "untrusted" });
    }
    throws(() => verifyPass(make({ pass: 1, exp: now, jti }), b64(random(32)), now));
  },

  async "one-key mode: ES256 and RS256 under the pinned key, nothing else"() {
    const message = own(utf8("a.b"));
    const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const es = new Uint8Array(sign("sha256", message, { key: ec.privateKey, dsaEncoding: "ieee-p1363" }));
    const rs = new Uint8Array(sign("sha256", message, rsa.privateKey));
    const jwk = (pair: { publicKey: typeof ed.publicKey }) => ({ ...pair.publicKey.export({ format: "jwk" }), kid: "1", alg: "any" }) as JsonWebKey;
    ok(await verifyOneKey("ES256", jwk(ec), message, es));
    ok(await verifyOneKey("RS256", jwk(rsa), message, rs));
    for (const [alg, key, signature] of [["ES256", rsa, rs], ["RS256", ec, es], ["none", ec, es], ["__proto__", ec, es], ["ES256", ec, rs]] as const) {
      ok(!(await verifyOneKey(alg, jwk(key), message, signature)), alg);
    }
    ok(!(await verifyOneKey("ES256", jwk(ec), own(utf8("other")), es)));
  },

  "passkeys: the SPKI a browser gives becomes the canonical COSE_Key"() {
    const der = (pair: { publicKey: typeof ed.publicKey }) => new Uint8Array(pair.publicKey.export({ format: "der", type: "spki" }));
    const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const { x, y } = ec.publicKey.export({ format: "jwk" });
    equal(Buffer.from(coseKey(-7, der(ec))).toString("hex"),
      `a5010203262001215820${Buffer.from(x!, "base64url").toString("hex")}225820${Buffer.from(y!, "base64url").toString("hex")}`);
    equal(Buffer.from(coseKey(-8, der(ed))).toString("hex"), `a4010103272006215820${Buffer.from(KEY).toString("hex")}`);
    const p384 = generateKeyPairSync("ec", { namedCurve: "P-384" });
    for (const [alg, spki] of [[-7, der(ed)], [-8, der(ec)], [-7, der(p384)], [-257, der(ec)], [-7, der(ec).subarray(1)]] as const) {
      throws(() => coseKey(alg, spki), { kind: "device" });
    }
  },

  async "keys cannot be taken out, and records open only under their own name"() {
    const database = new MemoryDatabase();
    const [keys, records] = [new Keys(database), new SealedRecords(database)];
    const publicKey = await keys.make("holder");
    equal(await keys.make("holder"), publicKey);
    const signature = await keys.sign("holder", utf8("m"));
    const imported = createPublicKey({ format: "jwk", key: { kty: "EC", crv: "P-256", x: b64(publicKey.subarray(1, 33)), y: b64(publicKey.subarray(33)) } });
    ok((await import("node:crypto")).verify("sha256", utf8("m"), { key: imported, dsaEncoding: "ieee-p1363" }, signature));
    await rejects(keys.sign("another", utf8("m")), { kind: "device" });
    await records.write("profile", { number: "KQ7MX3RT2C" });
    equal(await records.read("profile"), { number: "KQ7MX3RT2C" });
    for (const value of database.values.values()) {
      const keysInside = [value, value.privateKey].filter((one) => one instanceof CryptoKey);
      for (const key of keysInside) equal(key.extractable, false);
      const text = JSON.stringify(value, (_, inner) => (inner instanceof Uint8Array ? Buffer.from(inner).toString("latin1") : inner));
      ok(!text.includes("KQ7MX3RT2C"));
    }
    database.values.set("record/other", database.values.get("record/profile"));
    await rejects(records.read("other"));
  },

  "the card's name is masked"() {
    equal(maskedName("王小明"), "王**");
    equal(maskedName(" Maria  Silva "), "M**** S****");
    equal(maskedName("𠮷野"), "𠮷*");
    equal(maskedName(""), "");
  },
};
