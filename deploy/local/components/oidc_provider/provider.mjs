// SPDX-License-Identifier: Apache-2.0
// A real OpenID provider on a loopback port, for tests and the local demo. Argument: a JSON file with
//   port      of 127.0.0.1
//   users     claims by login; any password will do
//   audience  of access tokens
// POST /keys/rotate makes a new key that signs from then on; with ?drop it takes the old ones out of the key set.
import { generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';

import { Provider } from 'oidc-provider';

const { port, users, audience } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const issuer = `http://127.0.0.1:${port}`;
const cookieKeys = [randomBytes(32).toString('hex')];

function newKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg: 'RS256' };
}

const claimsOf = (id) => ({ sub: id, ...users[id] });

function configuration(keys) {
  return {
    clients: [
      {
        client_id: 'furo',
        application_type: 'native', // its redirect may name any port of the loopback address
        token_endpoint_auth_method: 'none',
        grant_types: ['authorization_code', 'refresh_token'],
        redirect_uris: ['http://127.0.0.1/callback'],
      },
      {
        client_id: 'svc',
        client_secret: 'svc-secret-svc-secret-svc-secret-00',
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
      },
    ],
    jwks: { keys },
    cookies: { keys: cookieKeys },
    scopes: ['openid', 'offline_access', 'groups'],
    claims: { openid: ['sub'], groups: ['groups', 'tenant'] },
    conformIdTokenClaims: false, // groups stand in the ID token, as with most providers in use
    ttl: { AccessToken: 300, ClientCredentials: 300, IdToken: 600, Interaction: 600, Session: 600, Grant: 3600, RefreshToken: 3600 },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: (ctx, client) => (client.clientId === 'svc' ? audience : undefined),
        useGrantedResource: () => false,
        getResourceServerInfo: () => ({
          scope: '',
          audience,
          accessTokenFormat: 'jwt',
          accessTokenTTL: 300,
          jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
    findAccount: (ctx, id) => (id in users ? { accountId: id, claims: () => claimsOf(id) } : undefined),
    extraTokenClaims: (ctx, token) => (token.accountId ? users[token.accountId] : users[token.clientId]),
  };
}

let keys = [newKey()];
let answer = new Provider(issuer, configuration(keys)).callback();

const server = createServer((request, response) => {
  if (request.method === 'POST' && request.url.startsWith('/keys/rotate')) {
    keys = request.url.endsWith('?drop') ? [newKey()] : [newKey(), ...keys];
    answer = new Provider(issuer, configuration(keys)).callback();
    response.writeHead(204).end();
    return;
  }
  answer(request, response);
});
server.listen(port, '127.0.0.1', () => console.log('READY', issuer));
