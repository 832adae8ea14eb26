// An OpenID provider of another hand (oidc-provider), as the outside issuer that the tests configure. It signs in whoever
// `login_hint` names, without asking; without one it shows a form. It says in the tokens of jobs where they run. Prints its issuer once it listens.
import { createServer } from 'node:http';
import { generateKeyPairSync } from 'node:crypto';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const { WRIT_MODULES, WRIT_AUDIENCE } = process.env;
const { default: Provider } = await import(pathToFileURL(join(WRIT_MODULES, 'oidc-provider', 'lib', 'index.js')));

const server = createServer();
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const issuer = `http://127.0.0.1:${server.address().port}`;

const key = (kid, type, options) => {
  const { privateKey } = generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: 'jwk' }), kid, use: 'sig' };
};
const person = (client_id, algorithm) => ({
  client_id,
  application_type: 'native',
  token_endpoint_auth_method: 'none',
  grant_types: ['authorization_code'],
  response_types: ['code'],
  redirect_uris: ['http://127.0.0.1/callback', 'http://127.0.0.1/v1/sign-in/callback'],
  id_token_signed_response_alg: algorithm,
});
const job = (client_id) => ({
  client_id,
  client_secret: `secret-of-${client_id}`,
  grant_types: ['client_credentials'],
  response_types: [],
  redirect_uris: [],
});

const provider = new Provider(issuer, {
  clients: [person(WRIT_AUDIENCE, 'ES256'), person('operators', 'RS256'), person('elsewhere', 'ES256'), job('app'), job('fork')],
  jwks: { keys: [key('ec', 'ec', { namedCurve: 'P-256' }), key('rsa', 'rsa', { modulusLength: 2048 })] },
  cookies: { keys: ['of this process alone'] },
  findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  // Nobody is asked whether they consent: the tests are about what the tokens say.
  loadExistingGrant: async (context) => {
    const { client, session } = context.oidc;
    const grant = new context.oidc.provider.Grant({ clientId: client.clientId, accountId: session.accountId });
    grant.addOIDCScope('openid');
    await grant.save();
    return grant;
  },
  interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
  ttl: { IdToken: 120, AccessToken: 120, ClientCredentials: 120 },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => 'https://writ.example/',
      getResourceServerInfo: () => ({
        scope: '',
        audience: WRIT_AUDIENCE,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
  extraTokenClaims: (_context, token) => ({ repository: `acme/${token.clientId}`, 'kubernetes.io': { namespace: 'prod' } }),
});

const serve = provider.callback();
server.on('request', async (request, response) => {
  if (!request.url.startsWith('/interaction/')) return serve(request, response);
  try {
    const { params } = await provider.interactionDetails(request, response);
    let accountId = params.login_hint;
    if (!accountId && request.method === 'POST') {
      let form = '';
      for await (const part of request) form += part;
      accountId = new URLSearchParams(form).get('login');
    }
    if (!accountId) {
      response.writeHead(200, { 'content-type': 'text/html' });
      return response.end('<form method="post"><input name="login" autofocus><button>Sign in</button></form>');
    }
    await provider.interactionFinished(request, response, { login: { accountId }, consent: {} });
  } catch (fault) {
    response.writeHead(400).end(String(fault));
  }
});
console.log(issuer);
