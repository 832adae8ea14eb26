"""The official Python client, with a token bound to a key: WRIT_MCP_URL, WRIT_MCP_TOKEN, WRIT_MCP_KEY (PKCS#8, base64).

Prints one JSON object for each revision: the one it agreed on, the tools it found, and how its calls ended.
"""

import asyncio
import base64
import hashlib
import json
import os
import time
import uuid

import httpx2
import jwt
from cryptography.hazmat.primitives import serialization
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

URL = os.environ["WRIT_MCP_URL"]
TOKEN = os.environ["WRIT_MCP_TOKEN"]
KEY = serialization.load_der_private_key(base64.b64decode(os.environ["WRIT_MCP_KEY"]), None)


def text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Bound(httpx2.Auth):
    """A fresh proof for every request, again with the nonce that is asked for (RFC 9449)."""

    def __init__(self) -> None:
        self.nonce = None

    def proof(self, request: httpx2.Request) -> str:
        numbers = KEY.public_key().public_numbers()
        jwk = {
            "kty": "EC",
            "crv": "P-256",
            "x": text(numbers.x.to_bytes(32, "big")),
            "y": text(numbers.y.to_bytes(32, "big")),
        }
        claims = {
            "jti": str(uuid.uuid4()),
            "htm": request.method,
            "htu": str(request.url),
            "iat": int(time.time()),
            "ath": text(hashlib.sha256(TOKEN.encode()).digest()),
        }
        if self.nonce:
            claims["nonce"] = self.nonce
        return jwt.encode(claims, KEY, algorithm="ES256", headers={"typ": "dpop+jwt", "jwk": jwk})

    def auth_flow(self, request: httpx2.Request):
        for _ in range(2):
            request.headers["authorization"] = f"DPoP {TOKEN}"
            request.headers["dpop"] = self.proof(request)
            response = yield request
            self.nonce = response.headers.get("dpop-nonce", self.nonce)
            if response.status_code != 401:
                return


async def run(mode: str) -> None:
    async with httpx2.AsyncClient(auth=Bound()) as http:
        transport = streamable_http_client(URL, http_client=http)
        async with Client(transport, mode=mode) as client:
            tools = (await client.list_tools()).tools
            ticket = {"path": {"ticket_id": "T-1001"}}
            read = await client.call_tool("helpdesk_getTicket", ticket)
            refused = await client.call_tool("helpdesk_closeTicket", ticket)
            print(
                json.dumps(
                    {
                        "revision": client.protocol_version,
                        "tools": sorted(tool.name for tool in tools),
                        "read": [read.is_error, json.loads(read.content[0].text)["id"]],
                        "refused": [refused.is_error, json.loads(refused.content[0].text)["reason_code"]],
                    }
                )
            )


for mode in ("auto", "legacy"):
    asyncio.run(run(mode))
