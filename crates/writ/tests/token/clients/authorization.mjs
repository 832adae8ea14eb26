// An authorization server of another hand (oidc-provider) for an API behind Writ: client credentials with resource indicators, and
// RFC 8693 for subjects that Writ signs. Writ is its client by a secret (`writ-secret`) and by Writ's own keys (`writ-key`). Prints its
// issuer once it listens.
import { createServer } from 'node:http';
import { generateKeyPairSync } from 'node:crypto';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const { WRIT_MODULES, WRIT_ISSUER, WRIT_RESOURCE } = process.env;
const load = (...parts) => import(pathToFileURL(join(WRIT_MODULES, ...parts)));
const { default: Provider, errors } = await load('oidc-provider', 'lib', 'index.js');
const { createLocalJWKSet, jwtVerify } = await load('jose', 'dist', 'webapi', 'index.js');

const server = createServer();
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const issuer = `http://127.0.0.1:${server.address().port}`;
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const client = (client_id, more) => ({
  client_id,
  grant_types: ['client_credentials', EXCHANGE],
  response_types: [],
  redirect_uris: [],
  id_token_signed_response_alg: 'ES256',
  ...more,
});

// Begun with the first request, because Writ starts after this process and its keys are registered in their own words: the provider
// fetches nothing from loopback addresses.
const begin = async () => {
  const jwks = await (await fetch(`${WRIT_ISSUER}/oauth/jwks`)).json();
  const provider = new Provider(issuer, {
    clients: [
      client('writ-secret', { client_secret: 'a secret: with +signs/&%', token_endpoint_auth_method: 'client_secret_basic' }),
      client('writ-key', { jwks, token_endpoint_auth_method: 'private_key_jwt', token_endpoint_auth_signing_alg: 'ES256' }),
    ],
    jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: 'ec', use: 'sig' }] },
    scopes: ['items.read', 'items.write'],
    ttl: { ClientCredentials: 120 },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_context, resource) => {
          if (resource !== WRIT_RESOURCE) throw new errors.InvalidTarget();
          return { scope: 'items.read items.write', accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } };
        },
      },
    },
    extraTokenClaims: (context, token) => context.exchanged && { for: context.exchanged },
  });

  const keys = createLocalJWKSet(jwks);
  provider.registerGrantType(EXCHANGE, async (context) => {
    const { params, client: asks } = context.oidc;
    const verified = await jwtVerify(params.subject_token, keys, {
      issuer: WRIT_ISSUER, audience: issuer, requiredClaims: ['exp', 'sub', 'act', 'jti'],
    }).catch(() => { throw new errors.InvalidGrant('no subject'); });
    const { sub, act } = verified.payload;
    context.exchanged = { sub, act };
    const token = new provider.ClientCredentials({ client: asks, scope: params.scope });
    token.resourceServer = new provider.ResourceServer(params.resource, {
      scope: 'items.read items.write', accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } },
    });
    const access_token = await token.save();
    context.body = {
      access_token, token_type: 'Bearer', expires_in: token.expiration, scope: token.scope,
      issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    };
  }, ['subject_token', 'subject_token_type', 'requested_token_type', 'resource', 'scope']);

  provider.on('grant.error', (_context, fault) => console.error(fault.error_description, fault.error_detail));
  provider.on('server_error', (_context, fault) => console.error(fault));
  return provider.callback();
};

let serving;
server.on('request', async (request, response) => (await (serving ??= begin()))(request, response));
console.log(issuer);
