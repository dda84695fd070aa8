// Every row of crates/wire/vectors/webauthn.json before @simplewebauthn/server: it must come to our verdict, except where
// the row names it as differing, and there it must differ.
import { readFileSync } from 'node:fs';
import { verifyAuthenticationResponse, verifyRegistrationResponse } from '@simplewebauthn/server';

const JUDGE = 'simplewebauthn';
const corpus = JSON.parse(readFileSync(new URL('../../crates/wire/vectors/webauthn.json', import.meta.url), 'utf8'));
const common = {
  expectedChallenge: corpus.challenge,
  expectedOrigin: corpus.origin,
  expectedRPID: corpus.rp_id,
  requireUserVerification: true,
};

const ceremonies = {
  assertions: async ({ device, input }) => {
    const { credential_id: id, cose_key } = corpus.devices[device];
    const response = {
      authenticatorData: input.authenticator_data,
      clientDataJSON: input.client_data_json,
      signature: input.signature,
    };
    const { verified } = await verifyAuthenticationResponse({
      ...common,
      response: { id, rawId: id, type: 'public-key', response, clientExtensionResults: {} },
      credential: { id, publicKey: new Uint8Array(Buffer.from(cose_key, 'base64url')), counter: 0 },
    });
    return verified;
  },
  registrations: async ({ input }) => {
    const response = { clientDataJSON: input.client_data_json, attestationObject: input.attestation_object };
    const { verified } = await verifyRegistrationResponse({
      ...common,
      response: { id: 'AA', rawId: 'AA', type: 'public-key', response, clientExtensionResults: {} },
      supportedAlgorithmIDs: [-7, -8],
    });
    return verified;
  },
};

let passed = 0;
let failed = 0;
for (const [kind, judge] of Object.entries(ceremonies)) {
  for (const row of corpus[kind]) {
    const answer = await judge(row).catch((error) => error);
    const accepts = answer === true;
    const reason = row.differs[JUDGE];
    if ((accepts === (row.verdict === 'accept')) === (reason === undefined)) {
      passed += 1;
    } else {
      failed += 1;
      const why = reason === undefined ? '' : `, which no longer differs: ${reason}`;
      console.error(`${kind}: ${row.name}: we say ${row.verdict}, it says ${answer}${why}`);
    }
  }
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 100 ? 0 : 1;
