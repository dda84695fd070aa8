/** The messages between wallet and offices: the twin of crates/wire/src/api. Byte strings are base64url text. */

import * as s from "./shape.ts";
import type { Read } from "./shape.ts";
import { AGE_BANDS, ANSWERS, NODES, STRENGTHS, SUBSETS } from "./words.ts";

const bytes = s.encoded();
const b16 = s.encoded(16);
const b32 = s.encoded(32);
const b64 = s.encoded(64);
const node = s.oneOf(NODES);
const root = s.oneOf(["sandbox", "production"]);

// -- trust.json

/** A JSON Web Key; its kind's members are read by WebCrypto. */
export const jwk: s.Shape<JsonWebKey> = (value, at) => {
  if (typeof value !== "object" || value === null) throw new s.ShapeError(`${at}: expected a key`);
  return value as JsonWebKey;
};

/** The public half of a trust root, pinned by the wallet page. */
export const trustShape = s.record({
  root,
  root_id: b16,
  issuer: s.text,
  wallet_origin: s.text,
  rp_id: s.text,
  offices: s.record({ registrar: b32, uniqueness: b32, registry: b32, front: b32 }),
  nodes: s.listOf(s.record({ signing: b32, sealing: bytes, es256: jwk, rs256: s.optional(jwk) }), 3),
  taggers: s.listOf(bytes, 3),
  group_key: b32,
  group_shares: s.listOf(b32, 3),
});
export type Trust = Read<typeof trustShape>;

// -- evaluations and signatures

export const partial = s.record({ element: bytes, proof: s.record({ c: b32, s: b32 }) });
/** One node's part of an evaluation, with its proof. */
export type Partial = Read<typeof partial>;

export const bothPartials = s.record({ pseudonym: bytes, epoch: bytes, proof: s.record({ c: b32, s: b32 }) });
/** One node's part of the two evaluations of a sign-in, with one proof of both. */
export type BothPartials = Read<typeof bothPartials>;

export const signed = s.record({ office: s.text, payload: bytes, signature: b64 });
/** The exact bytes that an office signed. */
export type Signed = Read<typeof signed>;

export const assertion = s.record({ credential_id: bytes, authenticator_data: bytes, client_data_json: bytes, signature: bytes });
/** What `navigator.credentials.get` returned. */
export type Assertion = Read<typeof assertion>;

// -- enrolment

export const ticket = s.record({ id: b16, key: b32 });
/** The wallet's hold on an enrolment. */
export type Ticket = Read<typeof ticket>;

export const NEXT_STEPS = ["face", "phone", "code", "device", "confirm", "done", "wait"] as const;

export const enrolmentView = s.record({
  id: b16,
  next: s.oneOf(NEXT_STEPS),
  expires: s.int,
  nodes: s.optional(s.list(node)),
  reports: s.optional(s.list(signed)),
  number: s.optional(s.text),
  until: s.optional(s.int),
});
/** Where an enrolment stands; `expires`, and `until` of a recovered device, in Unix seconds. */
export type EnrolmentView = Read<typeof enrolmentView>;

export const started = s.record({ ticket, view: enrolmentView });

const reported = s.record({ pseudonym: bytes, epoch: bytes, password: bytes });
/** The generation of K_A that commitments belong to; the first one is not written. */
const generation = s.optional(s.int);
export const report = s.record({ enrolment_id: b16, node, epoch: b16, generation, commitments: s.map(SUBSETS, reported) });
export type Report = Read<typeof report>;

export const epochReport = s.record({ head: b32, node, generation, commitments: s.map(SUBSETS, bytes) });
export const deviceEnrolled = s.record({ partial: s.optional(partial) });

// -- sign-in

const answers = s.list(s.oneOf(ANSWERS));
const strength = s.oneOf(STRENGTHS);

export const transaction = s.record({
  tx: b32,
  iss: s.text,
  certificate: s.text,
  client_id: s.text,
  redirect_uri: s.text,
  nonce: s.text,
  code_challenge: s.text,
  dpop_jkt: s.text,
  answers,
  purpose: s.text,
  strength,
  exp: s.int,
  elsewhere: s.optional(s.flag),
  binding_message: s.optional(s.text),
});
/** What the front says about one sign-in; `elsewhere`: it was begun on another device; `binding_message`: for the person to compare. */
export type Transaction = Read<typeof transaction>;

export const waiting = s.record({ code: s.text, secret: b32, exp: s.int });
/** What a waiting wallet shows and keeps. */
export type Waiting = Read<typeof waiting>;
export const found = s.record({ tx: s.optional(b32) });
const personRequest = s.record({ tx: b32, secret: b32, exp: s.int });
/** A platform that knows the person asks. */
export type PersonRequest = Read<typeof personRequest>;
export const personRequests = s.record({ requests: s.list(personRequest) });

const bilingual = s.record({ "zh-Hans": s.text, en: s.text });

export const platformCertificate = s.record({
  root,
  client_id: s.text,
  sector_id: s.text,
  name: bilingual,
  profile: s.oneOf(["fapi2", "basic"]),
  redirect_uris: s.list(s.text),
  entitled: answers,
  purposes: s.list(s.record({ id: s.text, text: bilingual, answers })),
  id_token_signed_response_alg: s.text,
  jwks: s.anything,
  client_secret_sha256: s.optional(b32),
  registration: s.optional(s.anything),
  iat: s.int,
  exp: s.int,
});
/** What the registry says about a platform. */
export type PlatformCertificate = Read<typeof platformCertificate>;

export const consent = s.record({
  certificate: s.text,
  iss: s.text,
  client_id: s.text,
  redirect_uri: s.text,
  nonce: s.text,
  code_challenge: s.text,
  dpop_jkt: s.text,
  tx: b32,
  answers,
  purpose: s.text,
  s: b32,
  strength,
  t: s.int,
  iat: s.int,
});
/** What the person agreed to, with everything the challenge binds. */
export type Consent = Read<typeof consent>;

export const passwordEvaluation = s.record({ partial, salt: b32, params_id: s.int });

const rowState = s.record({ digest: b32, code: b32 });
export const signInOffer = s.record({ session: b16, evaluation: bothPartials, commitments: bytes, state: rowState, generation, handle: s.optional(s.encoded(86)) });
export type SignInOffer = Read<typeof signInOffer>;

export const signInShare = s.record({ signing_input: s.text, share: bytes });
export type SignInShare = Read<typeof signInShare>;

export const proceed = s.record({ redirect_to: s.text });

const values = s.record({
  real: s.optional(s.flag),
  unique: s.optional(s.flag),
  alive: s.optional(s.flag),
  age_over_18: s.optional(s.flag),
  age_band: s.optional(s.oneOf(AGE_BANDS)),
  guardian_consent: s.optional(s.flag),
});
/** Values of the answers. */
export type Answers = Read<typeof values>;

export const idToken = s.record({
  iss: s.text,
  sub: s.text,
  aud: s.text,
  nonce: s.optional(s.text),
  iat: s.int,
  exp: s.int,
  auth_time: s.int,
  acr: s.text,
  amr: s.list(s.text),
  hufu: s.record({ v: s.oneOf([1]), ep: s.text, ctx: b32, strength, answers: values, handle: s.optional(b32) }),
});
/** The payload of an ID token. */
export type IdToken = Read<typeof idToken>;

// -- the person's own row

const deviceRecord = s.record({ credential: b32, key: bytes, holder_key: bytes, since: s.int, not_before: s.optional(s.int) });
/** One device of a person; `credential` is SHA-256 of its credential id. */
export type DeviceRecord = Read<typeof deviceRecord>;

const change: s.Shape<readonly [kind: string, minute: number]> = (value, at) => {
  const [kind, minute] = s.listOf(s.anything, 2)(value, at);
  return [s.text(kind, `${at}[0]`), s.int(minute, `${at}[1]`)];
};

export const rowView = s.record({
  version: s.int,
  head: b32,
  status: s.text,
  number: s.text,
  flags: s.record({ real: s.flag, unique: s.flag, alive: s.flag, band: s.oneOf(AGE_BANDS), band_until: s.optional(s.int) }),
  devices: s.list(deviceRecord),
  next_batch: s.int,
  contact: b32,
  commitments: s.map(SUBSETS, reported),
  generation,
  report: signed,
  changes: s.list(change),
});
/** What a node holds about a person: all of it. `report` is its word on the present epoch for its peers; `status` is `active`, `locked` or `suspended`. */
export type RowView = Read<typeof rowView>;

export const signingOffer = s.record({ session: b16, commitments: s.list(bytes), state: rowState });
export type SigningOffer = Read<typeof signingOffer>;

export const signingShares = s.record({
  signing_inputs: s.list(s.text),
  shares: s.list(bytes),
  disclosures: s.optional(s.list(s.list(s.text))),
});
export type SigningShares = Read<typeof signingShares>;

export const statementAccepted = s.record({
  version: s.int,
  head: b32,
  report: s.optional(signed),
  offer: s.optional(signingOffer),
});
export type StatementAccepted = Read<typeof statementAccepted>;

export const done = s.record({});
