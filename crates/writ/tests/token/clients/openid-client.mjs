// A client of another hand (openid-client): a user signs in at an OpenID provider, and a registered client exchanges the ID
// token for a task of the agent at Writ, calls, asks and revokes. Says on the way what it did.
import { strict as assert } from 'node:assert';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const { WRIT_MODULES, WRIT_PROVIDER, WRIT_AUDIENCE, WRIT_ISSUER, WRIT_RESOURCE, WRIT_CALL, WRIT_SVID, WRIT_DETAILS } = process.env;
const { WRIT_CLIENT, WRIT_KEY, WRIT_KID } = process.env;
const client = await import(pathToFileURL(join(WRIT_MODULES, 'openid-client', 'build', 'index.js')));
const loopback = { execute: [client.allowInsecureRequests] };

// A browser, as far as signing in takes one: it keeps cookies and follows redirects until one leads to `until`.
async function browse(url, until) {
  const jar = new Map();
  for (let hops = 0; hops < 10; hops += 1) {
    if (url.href.startsWith(until)) return url;
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
    const answer = await fetch(url, { redirect: 'manual', headers: { cookie } });
    for (const line of answer.headers.getSetCookie()) {
      const [name, ...value] = line.split(';')[0].split('=');
      jar.set(name, value.join('='));
    }
    assert.ok(answer.headers.has('location'), `${answer.status} ${await answer.text()}`);
    url = new URL(answer.headers.get('location'), url);
  }
  throw new Error('one redirect after another');
}

const provider = await client.discovery(new URL(WRIT_PROVIDER), WRIT_AUDIENCE, undefined, client.None(), loopback);
const redirect_uri = 'http://127.0.0.1/callback';
const pkceCodeVerifier = client.randomPKCECodeVerifier();
const [expectedState, expectedNonce] = [client.randomState(), client.randomNonce()];
const authorize = client.buildAuthorizationUrl(provider, {
  redirect_uri,
  scope: 'openid',
  login_hint: 'alice',
  state: expectedState,
  nonce: expectedNonce,
  code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
  code_challenge_method: 'S256',
});
const returned = await browse(authorize, redirect_uri);
const signedIn = await client.authorizationCodeGrant(provider, returned, { pkceCodeVerifier, expectedState, expectedNonce });
assert.equal(signedIn.claims().sub, 'alice');
console.log('OpenID Connect sign-in at the provider');

const pkcs8 = Buffer.from(WRIT_KEY, 'base64');
const key = await crypto.subtle.importKey('pkcs8', pkcs8, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign']);
const authentication = client.PrivateKeyJwt({ key, kid: WRIT_KID });
const writ = await client.discovery(new URL(WRIT_ISSUER), WRIT_CLIENT, undefined, authentication, { algorithm: 'oauth2', ...loopback });
assert.equal(writ.serverMetadata().issuer, WRIT_ISSUER);
console.log('RFC 8414 metadata');

const proof = client.getDPoPHandle(writ, await client.randomDPoPKeyPair('ES256'));
const jwt = 'urn:ietf:params:oauth:token-type:jwt';
const parameters = {
  subject_token: signedIn.id_token,
  subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
  actor_token: WRIT_SVID,
  actor_token_type: jwt,
  resource: WRIT_RESOURCE,
  authorization_details: WRIT_DETAILS,
};
const exchange = 'urn:ietf:params:oauth:grant-type:token-exchange';
const token = await client.genericGrantRequest(writ, exchange, parameters, { DPoP: proof });
assert.equal(token.token_type, 'dpop');
assert.ok(token.expires_in > 0 && token.expires_in <= 120);
console.log('RFC 8693 exchange for the user, with RFC 7523 authentication and RFC 9449 proof');

const answer = await client.fetchProtectedResource(writ, token.access_token, new URL(WRIT_CALL), 'GET', undefined, undefined, { DPoP: proof });
assert.equal(answer.status, 200);
console.log('a call');

const told = await client.tokenIntrospection(writ, token.access_token);
assert.equal(told.active, true);
assert.equal(told.sub, 'alice');
console.log('RFC 7662 introspection');

await client.tokenRevocation(writ, 'none');
await assert.rejects(client.tokenRevocation(writ, token.access_token), { error: 'unauthorized_client' });
console.log('RFC 7009 revocation');

for (const [row, changed] of [
  ['an ID token as the actor', { actor_token: signedIn.id_token }],
  ['an ID token for the agent itself', { actor_token: undefined, actor_token_type: undefined, subject_token_type: jwt }],
]) {
  const asked = Object.fromEntries(Object.entries({ ...parameters, ...changed }).filter(([, value]) => value !== undefined));
  await assert.rejects(client.genericGrantRequest(writ, exchange, asked, { DPoP: proof }), { error: 'invalid_grant' }, row);
}
console.log('refusals');
