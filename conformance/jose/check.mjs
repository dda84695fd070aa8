// JWS of several libraries (crates/wire/vectors/jose.json) before npm's jose: what crates/wire accepts and refuses of them is compared with
// this. With --write its own are written into the file, whose keys and other cases check.py writes.
import { readFileSync, writeFileSync } from 'node:fs';
import { CompactSign, compactVerify, importJWK } from 'jose';

const FILE = new URL('../../crates/wire/vectors/jose.json', import.meta.url);
const file = JSON.parse(readFileSync(FILE, 'utf8'));
const ALGS = ['EdDSA', 'ES256', 'PS256', 'RS256'];

const privateKey = (alg) => importJWK(file.keys[alg === 'EdDSA' ? 'EdDSA' : alg === 'ES256' ? 'ES256' : 'RSA'], alg);

if (process.argv.includes('--write')) {
  const own = [];
  for (const alg of ALGS) {
    const payload = JSON.stringify({ sub: 'jose', alg, n: 1.5, text: '\u864e\u7b26 \ud83d\udc2f' });
    const header = { alg, typ: 'JWT', kid: 'k' };
    const jws = await new CompactSign(new TextEncoder().encode(payload)).setProtectedHeader(header).sign(await privateKey(alg));
    own.push({ by: 'jose', alg, jws, payload });
  }
  file.accepted = [...file.accepted.filter(({ by }) => by !== 'jose'), ...own];
  writeFileSync(FILE, `${JSON.stringify(file, null, 2)}\n`);
}

let passed = 0;
let failed = 0;
const report = (name, ok, note) => {
  ok ? (passed += 1) : (failed += 1);
  if (!ok) console.log(`FAIL ${name}: ${note}`);
};
/** What is signed, if it verifies under the key for this algorithm and no other. */
const judge = async ({ alg, jws }) => {
  const { d, p, q, dp, dq, qi, ...jwk } = file.keys[alg === 'EdDSA' ? 'EdDSA' : alg === 'ES256' ? 'ES256' : 'RSA'];
  const { payload } = await compactVerify(jws, await importJWK(jwk, alg), { algorithms: [alg] });
  return new TextDecoder().decode(payload);
};
for (const one of file.accepted) {
  const told = await judge(one).catch((error) => error);
  report(`${one.by} ${one.alg}`, told === one.payload, told);
}
for (const one of file.refused) {
  const told = await judge(one).then(() => 'accepted', () => 'refused');
  const lenient = (one.accepted_by ?? []).includes('jose');
  report(one.name, told === (lenient ? 'accepted' : 'refused'), told);
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
