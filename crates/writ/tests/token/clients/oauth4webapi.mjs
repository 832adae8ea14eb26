// A client of another hand (oauth4webapi) against Writ: discovery, resource metadata, token exchange with private_key_jwt and
// DPoP, a call, introspection, revocation. Ends with 0 if everything is as the RFCs say; says on the way what it did.
import { strict as assert } from 'node:assert';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const { WRIT_MODULES, WRIT_ISSUER, WRIT_RESOURCE, WRIT_CALL, WRIT_SVID, WRIT_DETAILS, WRIT_CLIENT, WRIT_KEY, WRIT_KID } = process.env;
const oauth = await import(pathToFileURL(join(WRIT_MODULES, 'oauth4webapi', 'build', 'index.js')));
const loopback = { [oauth.allowInsecureRequests]: true };

const issuer = new URL(WRIT_ISSUER);
const server = await oauth.processDiscoveryResponse(
  issuer,
  await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...loopback }),
);
console.log('RFC 8414 metadata');

const resource = new URL(WRIT_RESOURCE);
const metadata = await oauth.processResourceDiscoveryResponse(
  resource,
  await oauth.resourceDiscoveryRequest(resource, loopback),
);
assert.deepEqual(metadata.authorization_servers, [WRIT_ISSUER]);
console.log('RFC 9728 metadata');

const pkcs8 = Buffer.from(WRIT_KEY, 'base64');
const algorithm = { name: 'ECDSA', namedCurve: 'P-256' };
const key = await crypto.subtle.importKey('pkcs8', pkcs8, algorithm, false, ['sign']);
const client = { client_id: WRIT_CLIENT };
const authentication = oauth.PrivateKeyJwt({ key, kid: WRIT_KID });
const proof = oauth.DPoP(client, await oauth.generateKeyPair('ES256'));

// Writ asks for a nonce of its own once, at each of its listeners (RFC 9449 §8, §9).
async function withNonce(ask) {
  try {
    return await ask();
  } catch (fault) {
    assert.ok(oauth.isDPoPNonceError(fault), String(fault));
    return ask();
  }
}

const parameters = new URLSearchParams({
  subject_token: WRIT_SVID,
  subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
  resource: WRIT_RESOURCE,
  authorization_details: WRIT_DETAILS,
});
const grant = 'urn:ietf:params:oauth:grant-type:token-exchange';
const token = await withNonce(async () =>
  oauth.processGenericTokenEndpointResponse(
    server,
    client,
    await oauth.genericTokenEndpointRequest(server, client, authentication, grant, parameters, { DPoP: proof, ...loopback }),
  ),
);
assert.equal(token.token_type, 'dpop');
console.log('RFC 8693 exchange with RFC 7523 authentication and RFC 9449 proof');

const call = () =>
  oauth.protectedResourceRequest(token.access_token, 'GET', new URL(WRIT_CALL), undefined, undefined, { DPoP: proof, ...loopback });
const answer = await withNonce(call);
assert.equal(answer.status, 200);
console.log('a call');

const told = await oauth.processIntrospectionResponse(
  server,
  client,
  await oauth.introspectionRequest(server, client, authentication, token.access_token, loopback),
);
assert.equal(told.active, true);
assert.equal(told.cnf.jkt, await proof.calculateThumbprint());
console.log('RFC 7662 introspection');

const unknown = await oauth.revocationRequest(server, client, authentication, 'none', loopback);
assert.equal(await oauth.processRevocationResponse(unknown), undefined);
const foreign = await oauth.revocationRequest(server, client, authentication, token.access_token, loopback);
await assert.rejects(oauth.processRevocationResponse(foreign), { error: 'unauthorized_client' });
assert.equal((await call()).status, 200);
console.log('RFC 7009 revocation');
