// The official TypeScript clients, with a token bound to a key: WRIT_MCP_URL, WRIT_MCP_TOKEN, WRIT_MCP_KEY (PKCS#8, base64).
//
// Prints one JSON object for each of them: the revision agreed on, the tools found, and how the calls ended. The packages are
// looked for in WRIT_TEST_CLIENTS_DIR.

import { createHash, createPrivateKey, createPublicKey, randomUUID, sign } from "node:crypto";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const { WRIT_MCP_URL: url, WRIT_MCP_TOKEN: token, WRIT_MCP_KEY: key, WRIT_TEST_CLIENTS_DIR: folder } = process.env;
const found = createRequire(join(folder, "package.json"));
const load = (name) => import(pathToFileURL(found.resolve(name)));

const secret = createPrivateKey({ key: Buffer.from(key, "base64"), format: "der", type: "pkcs8" });
const { kty, crv, x, y } = createPublicKey(secret).export({ format: "jwk" });
const text = (value) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");

let nonce;
function proof(method, target) {
  const head = { alg: "ES256", typ: "dpop+jwt", jwk: { kty, crv, x, y } };
  const ath = createHash("sha256").update(token).digest("base64url");
  const claims = { jti: randomUUID(), htm: method, htu: `${target}`, iat: Math.floor(Date.now() / 1000), ath, nonce };
  const signed = `${text(head)}.${text(claims)}`;
  return `${signed}.${sign("sha256", Buffer.from(signed), { key: secret, dsaEncoding: "ieee-p1363" }).toString("base64url")}`;
}

/** A fresh proof for every request, again with the nonce that is asked for (RFC 9449). */
async function bound(target, init = {}) {
  for (let again = true; ; again = false) {
    const headers = new Headers(init.headers);
    headers.set("authorization", `DPoP ${token}`);
    headers.set("dpop", proof(init.method ?? "GET", target));
    const response = await fetch(target, { ...init, headers });
    nonce = response.headers.get("dpop-nonce") ?? nonce;
    if (response.status !== 401 || !again) return response;
  }
}

async function run(Client, Transport, options) {
  const client = new Client({ name: "test", version: "1" }, options);
  let revision;
  const seen = async (target, init) => {
    revision = new Headers(init?.headers).get("mcp-protocol-version") ?? revision;
    return bound(target, init);
  };
  await client.connect(new Transport(new URL(url), { fetch: seen }));
  const { tools } = await client.listTools();
  const ticket = { path: { ticket_id: "T-1001" } };
  const read = await client.callTool({ name: "helpdesk_getTicket", arguments: ticket });
  const refused = await client.callTool({ name: "helpdesk_closeTicket", arguments: ticket });
  console.log(
    JSON.stringify({
      revision,
      tools: tools.map((tool) => tool.name).sort(),
      read: [read.isError ?? false, JSON.parse(read.content[0].text).id],
      refused: [refused.isError ?? false, JSON.parse(refused.content[0].text).reason_code],
    }),
  );
  await client.close();
}

const current = await load("@modelcontextprotocol/client");
await run(current.Client, current.StreamableHTTPClientTransport, { versionNegotiation: { mode: "auto" } });
const { Client } = await load("@modelcontextprotocol/sdk/client/index.js");
const { StreamableHTTPClientTransport } = await load("@modelcontextprotocol/sdk/client/streamableHttp.js");
await run(Client, StreamableHTTPClientTransport);
