// Both ways: SD-JWTs of ours (crates/wire/vectors/sd_jwt.json) before @sd-jwt/core, and with --write its SD-JWTs for ours
// to judge (crates/wire/vectors/sd_jwt_theirs.json).
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes, sign, verify } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { SDJwtInstance } from '@sd-jwt/core';

const OURS = new URL('../../crates/wire/vectors/sd_jwt.json', import.meta.url);
const THEIRS = new URL('../../crates/wire/vectors/sd_jwt_theirs.json', import.meta.url);
const es256 = { dsaEncoding: 'ieee-p1363' };

const verifierOf = (jwk) => (data, signature) => {
  const key = { key: createPublicKey({ key: jwk, format: 'jwk' }), ...es256 };
  return verify('sha256', Buffer.from(data), key, Buffer.from(signature, 'base64url'));
};
const signerOf = (jwk) => (data) => {
  const key = { key: createPrivateKey({ key: jwk, format: 'jwk' }), ...es256 };
  return sign('sha256', Buffer.from(data), key).toString('base64url');
};
const hashing = {
  hasher: (data, name) => {
    if (name !== 'sha-256') throw new Error(`hash ${name}`);
    return new Uint8Array(createHash('sha256').update(Buffer.from(data)).digest());
  },
  hashAlg: 'sha-256',
};

let passed = 0;
let failed = 0;
const report = (name, ok, note) => {
  ok ? (passed += 1) : (failed += 1);
  if (!ok) console.log(`FAIL ${name}: ${note}`);
};

const judge = async (file, { text, bound }) => {
  const instance = new SDJwtInstance({
    ...hashing,
    verifier: verifierOf(file.issuer),
    kbVerifier: (data, signature, payload) => verifierOf(payload.cnf.jwk)(data, signature),
  });
  const options = { currentDate: file.now, ...(bound ? { keyBindingNonce: file.nonce } : {}) };
  const { payload, kb } = await instance.verify(text, options);
  if (bound && (kb.payload.aud !== file.aud || kb.payload.iat !== file.now)) throw new Error('bound to something else');
  return payload;
};

const judgeAll = async (file) => {
  for (const vector of file.cases) {
    try {
      const claims = await judge(file, vector);
      // Where the judge is known to skip a rule it must still skip it: once it does not, the note has to go.
      const expected = vector.judge_skips !== undefined || isDeepStrictEqual(claims, vector.claims);
      report(vector.name, expected, `accepted as ${JSON.stringify(claims)}`);
    } catch (error) {
      report(vector.name, vector.claims === undefined && vector.judge_skips === undefined, error.message);
    }
  }
};

// Shapes that we never issue and yet must read: nested and recursive disclosures, array elements, decoys.
const write = async () => {
  const [issuer, holder] = [0, 1].map(() => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    return privateKey.export({ format: 'jwk' });
  });
  const publicOf = ({ kty, crv, x, y }) => ({ kty, crv, x, y });
  const instance = new SDJwtInstance({
    ...hashing,
    signer: signerOf(issuer),
    verifier: verifierOf(publicOf(issuer)),
    signAlg: 'ES256',
    kbSigner: signerOf(holder),
    kbSignAlg: 'ES256',
    kbVerifier: (data, signature, payload) => verifierOf(payload.cnf.jwk)(data, signature),
    saltGenerator: () => randomBytes(16).toString('base64url'),
  });
  const file = { issuer: publicOf(issuer), aud: 'https://verifier.example', nonce: 'abc-123', now: 1800000000, cases: [] };
  const claims = {
    iss: 'https://issuer.example',
    name: '古丽·艾山',
    address: { city: '云洲', street: 'Elm "Street"', geo: { lat: 1.5, lon: -2 } },
    nationalities: ['CHN', 'XXA', ['inner']],
    cnf: { jwk: publicOf(holder) },
  };
  const shapes = {
    flat: [{ _sd: ['name', 'address'] }, { name: true }],
    'with decoys': [{ _sd: ['name'], _sd_decoy: 3 }, { name: true }],
    structured: [{ address: { _sd: ['city', 'street'] } }, { address: { city: true } }],
    recursive: [{ _sd: ['address'], address: { _sd: ['geo'], geo: { _sd: ['lat'] } } }, { address: { geo: { lat: true } } }],
    'array elements': [{ nationalities: { _sd: [0, 2] } }, { nationalities: { 0: true } }],
    'array elements hidden': [{ nationalities: { _sd: [0, 1] } }, {}],
  };
  for (const [name, [hidden, shown]] of Object.entries(shapes)) {
    const issued = await instance.issue(claims, hidden, { header: { typ: 'dc+sd-jwt' } });
    const kb = { payload: { iat: file.now, aud: file.aud, nonce: file.nonce } };
    const text = await instance.present(issued, shown, { kb });
    const vector = { name, text, bound: true };
    file.cases.push({ ...vector, claims: await judge(file, vector) });
  }
  writeFileSync(THEIRS, `${JSON.stringify(file, null, 2)}\n`);
};

if (process.argv.includes('--write')) await write();
await judgeAll(JSON.parse(readFileSync(OURS, 'utf8')));
await judgeAll(JSON.parse(readFileSync(THEIRS, 'utf8')));
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
