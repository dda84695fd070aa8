// The peer: oidc-provider with its FAPI 2.0 profile and its own in-memory adapter, as lean as its options let it be.
//
//   node server.mjs CONFIG.json
//
// CONFIG.json: { "clients": [{ client_id, redirect_uri, jwks }] }. One JSON line on standard output says where it
// answers and under which key it signs; it ends when standard input ends, or with SIGTERM.
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const { clients } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
// EdDSA, as on the other side: one Ed25519 signature a sign-in.
const key = generateKeyPairSync('ed25519');
const signing = { kid: 'peer', use: 'sig', alg: 'EdDSA' };

const server = createServer({ keepAlive: true, keepAliveTimeout: 60_000 });
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const { port } = server.address();
const issuer = `http://localhost:${port}`;

const provider = new Provider(issuer, {
  clients: clients.map(({ client_id, redirect_uri, jwks }) => ({
    client_id,
    jwks,
    redirect_uris: [redirect_uri],
    response_types: ['code'],
    grant_types: ['authorization_code'],
    token_endpoint_auth_method: 'private_key_jwt',
    token_endpoint_auth_signing_alg: 'ES256',
    id_token_signed_response_alg: 'EdDSA',
    dpop_bound_access_tokens: true,
    // `pairwise` would cost it a hash more.
    subject_type: 'public',
  })),
  jwks: { keys: [{ ...key.privateKey.export({ format: 'jwk' }), ...signing }] },
  routes: { authorization: '/authorize', pushed_authorization_request: '/par', token: '/token' },
  features: {
    fapi: { enabled: true, profile: '2.0' },
    dPoP: { enabled: true },
    pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: true },
    devInteractions: { enabled: false },
    userinfo: { enabled: false },
    rpInitiatedLogout: { enabled: false },
  },
  enabledJWA: {
    idTokenSigningAlgValues: ['EdDSA'],
    clientAuthSigningAlgValues: ['ES256'],
    dPoPSigningAlgValues: ['ES256'],
  },
  clientAuthMethods: ['private_key_jwt'],
  responseTypes: ['code'],
  scopes: ['openid'],
  claims: { openid: ['sub'] },
  pkce: { required: () => true },
  ttl: { AccessToken: 300, AuthorizationCode: 60, Grant: 300, IdToken: 300, Interaction: 600, Session: 600 },
  findAccount: (_ctx, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
  // Consent is given here, which saves the second interaction and its two redirects.
  async loadExistingGrant(ctx) {
    const grant = new provider.Grant({
      clientId: ctx.oidc.client.clientId,
      accountId: ctx.oidc.session.accountId,
    });
    grant.addOIDCScope('openid');
    await grant.save();
    return grant;
  },
});

const answer = provider.callback();
server.on('request', async (request, response) => {
  if (request.method !== 'POST' || !request.url.startsWith('/interaction/')) {
    answer(request, response);
    return;
  }
  try {
    let body = '';
    for await (const chunk of request) body += chunk;
    // The person's answer: who they are. A real page would also fetch what is asked; the peer is spared that request.
    const login = { accountId: new URLSearchParams(body).get('login'), remember: false };
    await provider.interactionFinished(request, response, { login }, { mergeWithLastSubmission: false });
  } catch (error) {
    response.writeHead(500).end(String(error));
  }
});

process.stdin.on('end', () => process.exit(0)).resume();
process.on('SIGTERM', () => process.exit(0));
const jwk = { ...key.publicKey.export({ format: 'jwk' }), ...signing };
const { version } = JSON.parse(readFileSync(new URL('./node_modules/oidc-provider/package.json', import.meta.url)));
console.log(JSON.stringify({ port, issuer, jwk, name: 'oidc-provider', version, node: process.version }));
