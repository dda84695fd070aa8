/**
 * Offices in memory, as little of them as a wallet can see, and able to lie: the other side of the attack tests. They do
 * not check what the wallet sends; the end-to-end test does that against the real ones.
 */

import { ed25519, ed25519_FROST as frost } from "@noble/curves/ed25519.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { concat, b64, framed, random, unb64, utf8 } from "../bytes.ts";
import { contextOf } from "../sign_in.ts";
import { G1, type Group, RISTRETTO } from "../group.ts";
import { ep, sectorPoint, sub } from "../pairwise.ts";
import { assigned, holds, type NodeIndex, NODES, type Pair, SUBSETS, type Subset } from "../words.ts";

type Keys = Record<Subset, bigint>;
const ISSUER = "http://front.test";
export const ORIGIN = "http://wallet.test";
export const SECTOR = "https://shop.example";

const draw = (order: bigint) => random(48).reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n) % order;
const drawKeys = (order: bigint): Keys => ({ "12": draw(order), "13": draw(order), "23": draw(order) });
const json = (value: unknown) => utf8(JSON.stringify(value));

function encode(group: Group<any>, scalar: bigint): string {
  const bytes = Uint8Array.from(scalar.toString(16).padStart(64, "0").match(/../g)!, (byte) => parseInt(byte, 16));
  return b64(group === RISTRETTO ? bytes.reverse() : bytes);
}

/** The proof of crates/pairwise/src/dleq.rs. */
function evaluate(group: Group<any>, x: bigint, base: any) {
  const [commitment, element, k] = [group.base.multiply(x), base.multiply(x), draw(group.order)];
  const points = [group.base, commitment, base, element, group.base.multiply(k), base.multiply(k)];
  const c = group.hashToField(framed("hufu-v1-dleq", group.name, ...points.map((point) => point.toBytes())), `HUFU-V1-DLEQ-${group.name}`);
  const s = (((k - c * x) % group.order) + group.order) % group.order;
  return { element: b64(element.toBytes()), proof: { c: encode(group, c), s: encode(group, s) } };
}

/** The proof of crates/pairwise/src/composite.rs. */
export function evaluateBoth(x1: bigint, x2: bigint, base: any) {
  const k = draw(G1.order);
  const [c1, c2] = [x1, x2].map((x) => G1.base.multiply(x)) as [any, any];
  const [e1, e2] = [x1, x2].map((x) => base.multiply(x));
  const t = framed("hufu-v1-dleq-both", "INTL", ...[G1.base, c1, c2, base, e1, e2].map((point) => point.toBytes()));
  const w = G1.hashToField(t, "HUFU-V1-DLEQ-WEIGHT-INTL");
  const whole = concat(t, framed(G1.base.multiply(k).toBytes(), base.multiply(k).toBytes()));
  const c = G1.hashToField(whole, "HUFU-V1-DLEQ-BOTH-INTL");
  const s = (((k - c * (x1 + w * x2)) % G1.order) + G1.order) % G1.order;
  return { pseudonym: b64(e1.toBytes()), epoch: b64(e2.toBytes()), proof: { c: encode(G1, c), s: encode(G1, s) } };
}

/** What a node keeps between rounds. */
interface Session {
  nonces: any[];
  own: any[];
  inputs: string[];
  disclosures?: string[][];
  pair: Pair;
}

export class FakeOffices {
  readonly #secrets = { front: random(32), registry: random(32), nodes: NODES.map(() => random(32)) };
  readonly #group = frost.trustedDealer({ min: 2, max: 3 }, NODES.map((node) => frost.Identifier.fromNumber(node)));
  readonly #keys = { pseudonym: drawKeys(G1.order), epoch: drawKeys(G1.order), password: drawKeys(RISTRETTO.order) };
  readonly #sessions = new Map<string, Session>();
  #password: { salt: string; params_id: number } | undefined;
  #head = b64(random(32));
  #version = 1;
  #epoch = "";
  /** Whose words on the epoch each node has. */
  readonly #words = new Map<NodeIndex, Set<Subset>>(NODES.map((node) => [node, new Set(SUBSETS)]));
  now = 1_800_000_000;
  readonly enrolmentId = b64(random(16));
  readonly tx = b64(random(32));
  /** Nodes that do not answer. */
  down = new Set<NodeIndex>();
  /** Every request: who, path, body. */
  readonly seen: { to: string; path: string; body: any }[] = [];
  /** Changes an answer before it leaves: the lie. */
  lie: (to: NodeIndex | "front" | "registrar", path: string, answer: any) => any = (_to, _path, answer) => answer;
  /** Changes what the front or the registry signs. */
  forge: { transaction?: (t: any) => any; certificate?: (c: any) => any; token?: (t: any) => any; header?: any } = {};
  /** Whether a request to this path reaches anybody. */
  reaches: (path: string) => boolean = () => true;
  windowOpen = true;
  /** What each node was asked to tell this person. */
  requests: Record<NodeIndex, object[]> = { 1: [], 2: [], 3: [] };
  number = "KQ7MX3RT2C";
  /** Of K_A: 0 at first. */
  generation = 0;
  /** What the platform registered its subject handle for. */
  later: string[] = [];
  /** When copies of the certificate expire, if not after a day. */
  copiesExpire: number | undefined;

  get trust() {
    const key = (secret: Uint8Array) => b64(ed25519.getPublicKey(secret));
    const id = (node: NodeIndex) => frost.Identifier.fromNumber(node);
    return {
      root: "sandbox",
      root_id: b64(new Uint8Array(16)),
      issuer: ISSUER,
      wallet_origin: ORIGIN,
      rp_id: "wallet.test",
      offices: { registrar: b64(random(32)), uniqueness: b64(random(32)), registry: key(this.#secrets.registry), front: key(this.#secrets.front) },
      nodes: this.#secrets.nodes.map((secret) => ({ signing: key(secret), sealing: b64(random(32)), es256: {} })),
      taggers: NODES.map(() => b64(random(32))),
      group_key: b64(this.#group.public.commitments[0]!),
      group_shares: NODES.map((node) => b64(this.#group.public.verifyingShares[id(node)]!)),
    };
  }

  readonly offices = { registrar: "http://registrar.test", nodes: ["http://1.test", "http://2.test", "http://3.test"] as const };

  readonly fetch = async (input: any, init: any): Promise<Response> => {
    const { host, pathname } = new URL(input);
    const name = host.replace(".test", "");
    const to = (["1", "2", "3"].includes(name) ? Number(name) : name) as NodeIndex | "front" | "registrar";
    const body = init.body ? JSON.parse(init.body) : undefined;
    if (!this.reaches(pathname)) throw new TypeError("the tab is gone");
    this.seen.push({ to: name, path: pathname, body });
    if (this.down.has(to as NodeIndex)) throw new TypeError("down");
    const answer = this.lie(to, pathname, this.#answer(to, pathname, body));
    if (answer instanceof Response) return answer;
    return new Response(typeof answer === "string" ? answer : JSON.stringify(answer), { status: 200 });
  };

  refusal(error: string, status = 409): Response {
    return new Response(JSON.stringify({ error, message: { "zh-Hans": "不。", en: "No." }, error_id: "0" }), { status, headers: { "retry-after": "2" } });
  }

  #answer(to: NodeIndex | "front" | "registrar", path: string, body: any): unknown {
    if (to === "front" && path.startsWith("/requests/")) {
      const secret = b64(new Uint8Array(32));
      if (path.endsWith("wait")) return { code: "12345 67890", secret, exp: this.now + 120 };
      return path.endsWith("look") ? { tx: this.tx } : { redirect_to: `${SECTOR}/done` };
    }
    if (to === "front") return path === "/complete" ? { redirect_to: `${SECTOR}/cb?code=1` } : this.transaction();
    if (to === "registrar") return this.#registrar(path);
    switch (path) {
      case "/v1/enrolments/device": {
        const partial = body.pair.includes(to) ? this.#evaluatePassword(to, body.pair, body.blinded) : undefined;
        return { ...(partial && { partial }) };
      }
      case "/v1/enrolments/password":
        this.#password = { salt: body.password.salt, params_id: body.password.params_id };
        return this.sign(to, "ready", { enrolment_id: this.enrolmentId, node: to });
      case "/v1/sign-in/password":
        return { partial: this.#evaluatePassword(to, body.pair, body.blinded), ...this.#password };
      case "/v1/sign-in/begin": return this.#begin(to, body);
      case "/v1/sign-in/finish": return this.#finish(to, body);
      case "/v1/row": return this.windowOpen ? this.#row(to) : this.refusal("holder_key_refused", 401);
      case "/v1/requests": return { requests: this.requests[to] };
      case "/v1/holder": this.windowOpen = true; return {};
      case "/v1/statements": return this.#statement(to, body);
      case "/v1/reports": return this.#reported(to, body);
      case "/v1/signing/finish": return this.#finishSigning(to, body);
      default: return this.refusal("not_found", 404);
    }
  }

  #registrar(path: string): unknown {
    const view = { id: this.enrolmentId, next: "face", expires: this.now + 600 };
    if (path.endsWith("start")) return { ticket: { id: this.enrolmentId, key: b64(random(32)) }, view };
    if (path.endsWith("device")) return { ...view, next: "confirm", nodes: [1, 2, 3], reports: NODES.map((node) => this.report(node)) };
    if (path.endsWith("recover")) return { ...view, next: "wait", until: this.now + 259_200 };
    if (path.endsWith("confirm")) return { ...view, next: "done", nodes: [1, 2, 3], reports: NODES.map((node) => this.report(node)), number: this.number };
    return view;
  }

  /** A message signed as an office does. */
  sign(node: NodeIndex, purpose: string, message: unknown) {
    const payload = json(message);
    const signature = ed25519.sign(framed("hufu-v1-office", `node-${node}`, purpose, payload), this.#secrets.nodes[node - 1]!);
    return { office: `node-${node}`, payload: b64(payload), signature: b64(signature) };
  }

  #commitment(kind: "pseudonym" | "epoch" | "password", subset: Subset): string {
    const group: Group<any> = kind === "password" ? RISTRETTO : G1;
    return b64(group.base.multiply(this.#keys[kind][subset]).toBytes());
  }

  #committed(subset: Subset) {
    return { pseudonym: this.#commitment("pseudonym", subset), epoch: this.#commitment("epoch", subset), password: this.#commitment("password", subset) };
  }

  /** What another device of the person does: this one knows the old epoch's commitments. */
  endSessionsElsewhere(): void {
    this.#keys.epoch = drawKeys(G1.order);
    this.#version += 1;
    this.#head = b64(random(32));
    for (const node of NODES) this.#words.set(node, new Set(SUBSETS));
  }

  /** New K_A: every sub-key changes, no sum does (docs/decisions/0017). */
  rotate(): void {
    for (const kind of ["pseudonym", "epoch"] as const) {
      const keys = this.#keys[kind];
      const [z12, z13] = [draw(G1.order), draw(G1.order)];
      const moved = { "12": keys["12"] + z12, "13": keys["13"] + z13, "23": keys["23"] + 2n * G1.order - z12 - z13 };
      for (const subset of SUBSETS) keys[subset] = moved[subset] % G1.order;
    }
    this.generation += 1;
  }

  /** As messages say it: the first generation is not written. */
  get #said(): { generation?: number } {
    return this.generation > 0 ? { generation: this.generation } : {};
  }

  /** Whether `node` can check every part of the epoch. */
  #knows(node: NodeIndex): boolean {
    return this.#words.get(node)!.size === SUBSETS.length;
  }

  #epochReport(node: NodeIndex) {
    const commitments = Object.fromEntries(
      SUBSETS.filter((subset) => holds(node, subset)).map((subset) => [subset, this.#commitment("epoch", subset)]),
    );
    return this.sign(node, "epoch-report", { head: this.#head, node, ...this.#said, commitments });
  }

  #reported(node: NodeIndex, { reports }: any): unknown {
    for (const { payload } of reports) {
      const said = JSON.parse(new TextDecoder().decode(unb64(payload)));
      if (said.head !== this.#head) return this.refusal("version_conflict");
      for (const subset of Object.keys(said.commitments)) this.#words.get(node)!.add(subset as Subset);
    }
    return {};
  }

  report(node: NodeIndex, change: (report: any) => any = (report) => report) {
    const commitments = Object.fromEntries(
      SUBSETS.filter((subset) => holds(node, subset)).map((subset) => [
        subset,
        this.#committed(subset),
      ]),
    );
    return this.sign(node, "report", change({ enrolment_id: this.enrolmentId, node, epoch: b64(random(16)), ...this.#said, commitments }));
  }

  #sum(kind: "pseudonym" | "epoch" | "password", pair: Pair, node: NodeIndex, order: bigint): bigint {
    return assigned(pair, node).reduce((sum, subset) => (sum + this.#keys[kind][subset]) % order, 0n);
  }

  #evaluatePassword(node: NodeIndex, pair: Pair, blinded: string) {
    return evaluate(RISTRETTO, this.#sum("password", pair, node, RISTRETTO.order), RISTRETTO.point(unb64(blinded)!));
  }

  #jws(secret: Uint8Array, typ: string, payload: unknown): string {
    const input = `${b64(json({ alg: "EdDSA", typ }))}.${b64(json(payload))}`;
    return `${input}.${b64(ed25519.sign(utf8(input), secret))}`;
  }

  certificate(): string {
    const purposes = [{ id: "login", text: { "zh-Hans": "登录", en: "Sign in" }, answers: ["real", "age_over_18"] }];
    const certificate = {
      root: "sandbox", client_id: "shop", sector_id: SECTOR, name: { "zh-Hans": "商店", en: "Shop" }, profile: "fapi2",
      redirect_uris: [`${SECTOR}/cb`], entitled: ["real", "age_over_18", "unique"], purposes,
      id_token_signed_response_alg: "EdDSA", jwks: { keys: [] }, ...(this.later.length > 0 && { registration: { subject_handle: this.later } }),
      iat: this.now - 1, exp: this.now + 86_400,
    };
    return this.#jws(this.#secrets.registry, "hufu-platform+jwt", this.forge.certificate?.(certificate) ?? certificate);
  }

  transaction(): string {
    const transaction = {
      tx: this.tx, iss: ISSUER, certificate: this.certificate(), client_id: "shop", redirect_uri: `${SECTOR}/cb`, nonce: "n",
      code_challenge: "cc", dpop_jkt: "", answers: ["real", "age_over_18"], purpose: "login", strength: "certificate", exp: this.now + 600,
    };
    return this.#jws(this.#secrets.front, "hufu-tx+jwt", this.forge.transaction?.(transaction) ?? transaction);
  }

  /** Round 1 over these inputs. */
  #open(pair: Pair, node: NodeIndex, inputs: string[], disclosures?: string[][]) {
    const secret = this.#group.secretShares[frost.Identifier.fromNumber(node)]!;
    const made = inputs.map(() => frost.commit(secret));
    const session = b64(random(16));
    this.#sessions.set(session, { nonces: made.map((one) => one.nonces), own: made.map((one) => one.commitments), inputs, pair, ...(disclosures && { disclosures }) });
    const commitments = made.map(({ commitments: c }) => b64(concat(c.hiding, c.binding)));
    return { session, commitments, state: { digest: b64(random(32)), code: b64(random(32)) } };
  }

  /** Round 2: the shares, with the peer's commitments. */
  #shares(node: NodeIndex, session: string, peer: string[]) {
    const begun = this.#sessions.get(session)!;
    const other = begun.pair.find((one) => one !== node)!;
    const shares = begun.inputs.map((input, at) => {
      const theirs = unb64(peer[at]!)!;
      const both = [begun.own[at], { identifier: frost.Identifier.fromNumber(other), hiding: theirs.subarray(0, 32), binding: theirs.subarray(32) }];
      both.sort((a, b) => (a.identifier < b.identifier ? -1 : 1));
      return b64(frost.signShare(this.#group.secretShares[frost.Identifier.fromNumber(node)]!, this.#group.public, begun.nonces[at], both, utf8(input)));
    });
    return { shares, begun };
  }

  #begin(node: NodeIndex, { pair, consent }: any) {
    if (!this.#knows(node)) return this.refusal("nodes_disagree", 503);
    const base = sectorPoint(SECTOR);
    const [x1, x2] = [this.#sum("pseudonym", pair, node, G1.order), this.#sum("epoch", pair, node, G1.order)];
    const total = (kind: "pseudonym" | "epoch") => SUBSETS.reduce((sum, subset) => (sum + this.#keys[kind][subset]) % G1.order, 0n);
    const values: Record<string, unknown> = { real: true, unique: true, age_over_18: true };
    const answers = Object.fromEntries(Object.entries(values).filter(([name]) => consent.answers.includes(name)));
    const password = consent.strength === "certificate+password";
    const token = {
      iss: consent.iss, sub: sub(base.multiply(total("pseudonym"))), aud: consent.client_id, nonce: consent.nonce, iat: consent.iat,
      exp: consent.iat + 300, auth_time: consent.t, acr: `urn:hufu:acr:${consent.strength}`,
      amr: password ? ["swk", "user", "pwd", "mfa"] : ["swk", "user"],
      hufu: { v: 1, ep: ep(base.multiply(total("epoch"))), ctx: b64(contextOf(consent, SECTOR)), strength: consent.strength, answers, ...(this.later.length > 0 && { handle: this.#handleHash(pair) }) },
    };
    const header = this.forge.header ?? { alg: "EdDSA", typ: "JWT", kid: "k" };
    const input = `${b64(json(header))}.${b64(json(this.forge.token?.(token) ?? token))}`;
    const { session, commitments, state } = this.#open(pair, node, [input]);
    const handle = this.later.length > 0 && { handle: b64(this.half(node)) };
    return { session, evaluation: evaluateBoth(x1, x2, base), commitments: commitments[0], state, ...this.#said, ...handle };
  }

  /** A node's half of the subject handle; an honest one is never the same twice. */
  half(node: NodeIndex): Uint8Array {
    return new Uint8Array(86).fill(node);
  }

  #handleHash(pair: Pair): string {
    return b64(sha256(framed("hufu-v1-subject-handle", Uint8Array.of(...pair), this.half(pair[0]), this.half(pair[1]))));
  }

  #finish(node: NodeIndex, { session, peer }: any) {
    const { shares, begun } = this.#shares(node, session, [peer.commitments]);
    return { signing_input: begun.inputs[0], share: shares[0] };
  }

  #finishSigning(node: NodeIndex, { session, peer }: any) {
    const { shares, begun } = this.#shares(node, session, peer.commitments);
    return { signing_inputs: begun.inputs, shares, ...(begun.disclosures && { disclosures: begun.disclosures }) };
  }

  #row(node: NodeIndex) {
    return {
      version: this.#version, head: this.#head, status: "active", number: this.number,
      flags: { real: true, unique: true, alive: true, band: "18_or_over" }, devices: [], next_batch: 1, contact: b64(random(32)),
      commitments: Object.fromEntries([...this.#words.get(node)!].sort().map((subset) => [subset, this.#committed(subset)])),
      ...this.#said,
      report: this.#epochReport(node),
      changes: [["lock", this.now]],
    };
  }

  /** The copies that one statement asks for: both nodes of a pair draw the same. */
  #copies(change: any): { inputs: string[]; disclosures: string[][] } {
    const made = change.keys.map((key: string, at: number) => {
      const point = unb64(key)!;
      const claims = { number: this.number, real: true, unique: true, alive: true, age_over_18: true, age_band: "18_or_over" };
      const disclosed = Object.entries(claims).map(([name, value]) => b64(json([`${change.seed}.${at}`, name, value])));
      const payload = {
        iat: this.now, exp: this.copiesExpire ?? this.now + 86_400, _sd: disclosed.map((one) => b64(sha256(utf8(one)))),
        cnf: { jwk: { kty: "EC", crv: "P-256", x: b64(point.slice(1, 33)), y: b64(point.slice(33)) } },
      };
      return { input: `${b64(json({ alg: "EdDSA", typ: "dc+sd-jwt" }))}.${b64(json(payload))}`, disclosed };
    });
    return { inputs: made.map((one: any) => one.input), disclosures: made.map((one: any) => one.disclosed) };
  }

  #statement(node: NodeIndex, { statement, pair }: any) {
    const { change } = JSON.parse(new TextDecoder().decode(unb64(statement)));
    if (change.kind === "replace_number") this.number = change.number;
    if (change.kind === "certificates") {
      const { inputs, disclosures } = this.#copies(change);
      const accepted = { version: this.#version + 1, head: this.#head };
      return pair.includes(node) ? { ...accepted, offer: this.#open(pair, node, inputs, disclosures) } : accepted;
    }
    if (change.kind !== "end_sessions") return { version: this.#version + 1, head: this.#head };
    if (this.#epoch !== change.epoch) {
      this.endSessionsElsewhere();
      this.#epoch = change.epoch;
      for (const each of NODES) this.#words.set(each, new Set(SUBSETS.filter((subset) => holds(each, subset))));
    }
    return { version: this.#version, head: this.#head, report: this.#epochReport(node) };
  }
}
