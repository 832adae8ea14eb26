"""AgentDojo through a running Writ: the adapter that the harness's `replay` is given.

Everything goes the way it goes in production. The adapter writes a project (API, overlay, agent, purpose), starts the built
binary on it, and signs in. A registered client, not the agent, opens each task with the prompt, the declared actions and the
bounds. The agent shows the identity that the agent socket gives it, its token is bound to a key by DPoP (RFC 9449), and each
call is an HTTP request to the gateway. Approvals are answered by a person at `/v1/approvals`, who sees the card and nothing
else. The adapter is told neither which calls are an attack's nor what the attack wants.

Options (JSON, `--options`):
  writ      the binary                                                     (required)
  packs     the packs of the agent; default: copilot
  mode      the agent's mode; default: copilot
  person    "gives": says yes and enters the values that a card asks for, as somebody who has them from elsewhere;
            "clicks": says yes and does nothing beside                     default: gives
  remember  whether their yes is to be remembered for the requester        default: false
"""
from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import pathlib
import re
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.parse

import httpx
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from dojo_harness.adapters.base import Adapter, Outcome

HERE = pathlib.Path(__file__).parent
AGENT = "spiffe://writ.local/agent/assistant"
PERSON = "emma@example.org"
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT = "urn:ietf:params:oauth:token-type:jwt"


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Key:
    """A P-256 key and what is signed with it (RFC 7515, ES256)."""

    def __init__(self):
        self.private = ec.generate_private_key(ec.SECP256R1())
        point = self.private.public_key().public_numbers()
        x, y = (base64url(number.to_bytes(32, "big")) for number in (point.x, point.y))
        self.jwk = {"kty": "EC", "crv": "P-256", "x": x, "y": y}
        # RFC 7638: the members in order, nothing between them.
        canonical = f'{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}'
        self.kid = base64url(hashlib.sha256(canonical.encode()).digest())

    def sign(self, header: dict, claims: dict) -> str:
        signed = ".".join(base64url(json.dumps(part).encode()) for part in ({"alg": "ES256", **header}, claims))
        r, s = decode_dss_signature(self.private.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{base64url(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    def proof(self, method: str, url: str, nonce: str | None, token: str | None) -> str:
        claims = {"jti": secrets.token_hex(16), "htm": method, "htu": url, "iat": int(time.time())}
        if nonce:
            claims["nonce"] = nonce
        if token:
            claims["ath"] = base64url(hashlib.sha256(token.encode()).digest())
        return self.sign({"typ": "dpop+jwt", "jwk": self.jwk}, claims)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class AgentSocket(http.client.HTTPConnection):
    """HTTP over the agent socket, where the kernel says who asks."""

    def __init__(self, path: str):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self.path)


class Installation:
    """A project in a temporary folder with the built binary running on it."""

    def __init__(self, suite: str, upstream: str, options: dict):
        self.suite, self.client = suite, httpx.Client(timeout=60)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="writ-agentdojo-"))
        self.gateway, self.control = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        self.planner, self.nonces = Key(), {}
        document = self.client.get(f"{upstream}/openapi.json").raise_for_status().json()
        self.operations = {path.rsplit("/", 1)[1]: item["post"]["operationId"] for path, item in document["paths"].items()}
        self.write(f"apis/{suite}.openapi.json", json.dumps(document))
        self.write(f"apis/{suite}.toml",
                   f'owner = "api-owner@example.org"\nupstream = "{upstream}"\ncontract = "{suite}.openapi.json"\n'
                   '[credential]\nname = "upstream-key"\nattach = "bearer"\n')
        shutil.copy(HERE / "overlays" / f"{suite}.overlay.yaml", self.folder / "apis")
        packs = options.get("packs", ["copilot"])
        self.write("agents/assistant.toml",
                   f'owner = "{PERSON}"\nmode = "{options.get("mode", "copilot")}"\npurposes = ["assistance"]\n'
                   f'packs = {json.dumps(packs)}\nselectors = ["unix:uid:{os.geteuid()}"]\n')
        actions = [f"{suite}:{operation}" for operation in self.operations.values()]
        self.write("purposes/assistance.toml",
                   f'owner = "{PERSON}"\nactions = {json.dumps(actions)}\n'
                   '[budget]\ncalls = 100\nwrites = 20\ndeletes = 2\nirreversible = 10\n')
        self.write("planner.jwks", json.dumps({"keys": [{**self.planner.jwk, "kid": self.planner.kid, "alg": "ES256",
                                                         "use": "sig"}]}))
        gateway, control = (url.removeprefix("http://") for url in (self.gateway, self.control))
        self.write("writ.toml",
                   f'public_url = "{self.gateway}"\ncontrol_url = "{self.control}"\n'
                   f'[listen]\ngateway = "{gateway}"\ncontrol = "{control}"\n[identity]\nsingle_user_machine = true\n'
                   # Traces are replayed as fast as they can be.
                   '[limits]\ntask_rate = "1000000"\ntask_burst = "1000000"\nagent_rate = "1000000"\nagent_burst = "1000000"\n'
                   '[[client]]\nid = "planner"\nagents = ["assistant"]\njwks_file = "planner.jwks"\n')
        self.command = [options["writ"], "--config", str(self.folder / "writ.toml")]
        self.said = open(self.folder / "said", "w")
        self.server = subprocess.Popen([*self.command, "serve"], stdin=subprocess.DEVNULL, stdout=self.said,
                                       stderr=self.said)
        self.wait()
        self.run("login")
        self.run("credential", "set", "upstream-key", given="key-0123456789abcdef")
        self.person = self.invite()

    def write(self, path: str, text: str):
        path = self.folder / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def run(self, *arguments: str, given: str | None = None):
        done = subprocess.run([*self.command, *arguments], input=given, text=True, capture_output=True)
        if done.returncode:
            raise RuntimeError(f"writ {arguments[0]}: {done.stderr}")

    def wait(self):
        for _ in range(300):
            if self.server.poll() is not None:
                raise RuntimeError((self.folder / "said").read_text())
            try:
                if self.client.get(f"{self.control}/healthz").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        raise RuntimeError("writ serve does not answer")

    def invite(self) -> str:
        """The person the agent works for: its owner, who may run Writ as well."""
        session = (self.folder / ".writ/operator-session").read_text().strip()
        who = {"name": PERSON, "role": "operator"}
        invited = self.client.post(f"{self.control}/v1/operators", json=who,
                                   headers={"authorization": f"Bearer {session}"}).raise_for_status().json()
        signed_in = self.client.post(f"{self.control}/v1/login", json={"token": invited["invitation"]})
        return signed_in.raise_for_status().json()["session"]

    def ask(self, method: str, path: str, body: dict | None = None) -> httpx.Response:
        """The person's own request."""
        return self.client.request(method, f"{self.control}{path}", json=body,
                                   headers={"authorization": f"Bearer {self.person}"})

    def svid(self) -> str:
        connection = AgentSocket(str(self.folder / ".writ-agent.sock"))
        connection.request("POST", "/v1/jwt-svid", json.dumps({"audience": self.control, "spiffe_id": AGENT}),
                           {"content-type": "application/json"})
        answer = json.loads(connection.getresponse().read())
        connection.close()
        return answer["svid"]

    def proven(self, key: Key, url: str, token: str | None, **request) -> httpx.Response:
        """A POST with a fresh proof; once more if the server asks for its nonce (RFC 9449 §8). A form that is good for one
        request alone is given as a function."""
        plane = urllib.parse.urlsplit(url).netloc
        headers = {"authorization": f"DPoP {token}"} if token else {}
        for _ in range(2):
            asked = self.nonces.get(plane)
            fresh = {name: value() if callable(value) else value for name, value in request.items()}
            answer = self.client.post(url, headers={**headers, "dpop": key.proof("POST", url, asked, token)}, **fresh)
            if nonce := answer.headers.get("dpop-nonce"):
                self.nonces[plane] = nonce
            if "use_dpop_nonce" not in answer.text[:400]:
                break
        return answer

    def open(self, key: Key, details: dict) -> dict:
        """The client asks for the agent, which shows its own identity and proves its key."""
        subject = self.svid()

        def form() -> dict:
            now = int(time.time())
            claims = {"iss": "planner", "sub": "planner", "aud": self.control, "iat": now, "exp": now + 60,
                      "jti": secrets.token_hex(16)}
            return {"grant_type": EXCHANGE, "client_assertion_type": JWT_BEARER,
                    "client_assertion": self.planner.sign({"typ": "JWT", "kid": self.planner.kid}, claims),
                    "subject_token": subject, "subject_token_type": JWT, "resource": self.gateway,
                    "authorization_details": json.dumps([details])}

        answer = self.proven(key, f"{self.control}/oauth/token", None, data=form)
        if answer.status_code != 200:
            raise RuntimeError(f"the task was not opened: {answer.text}")
        return answer.json()

    def stop(self):
        self.server.terminate()
        self.server.wait()
        self.said.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class WritAdapter(Adapter):
    """One installation for a whole run: what one task leaves behind, the next finds."""

    def __init__(self, suite, upstream, options=None):
        super().__init__(suite, upstream, options)
        self.writ = Installation(suite, upstream.base, self.opt)
        self.waiting: str | None = None

    def __del__(self):
        if getattr(self, "writ", None):
            self.writ.stop()

    def open_task(self, prompt, suite, declared_actions, bounds):
        action = {tool: f"{suite}:{operation}" for tool, operation in self.writ.operations.items()}
        places = {action[tool]: {f"/body/{name}": values for name, values in named.items()}
                  for tool, named in bounds.items() if named}
        details = {"type": "writ_task", "purpose": "assistance", "prompt": prompt,
                   "actions": [action[tool] for tool in declared_actions],
                   "budget": {"calls": 100, "writes": 20, "deletes": 2, "irreversible": 10}}
        if places:
            details["bounds"] = places
        self.key = Key()
        opened = self.writ.open(self.key, details)
        self.task, self.token = opened["task_id"], opened["access_token"]
        return {}

    def call(self, tool, args):
        self.refuse()
        return self.outcome(self.post(tool, args))

    def post(self, tool: str, args: dict) -> httpx.Response:
        return self.writ.proven(self.key, f"{self.writ.gateway}/{self.suite}/tools/{tool}", self.token, json=args)

    def outcome(self, answer: httpx.Response) -> Outcome:
        body = answer.json()
        if answer.status_code == 200:
            return Outcome("result", body)
        reason = body.get("reason_code") if isinstance(body, dict) else None
        if reason is None:
            return Outcome("result", "", f"{answer.status_code}: {answer.text[:300]}")
        if asked := body.get("approval"):
            self.waiting = asked["id"]
            return Outcome("needs_approval", reason=reason, approval_id=asked["id"])
        return Outcome("denied", reason=reason)

    def refuse(self):
        """What the person was asked and did not say yes to, they say no to, for this call alone."""
        if self.waiting:
            self.writ.ask("POST", f"/v1/approvals/{self.waiting}/no", {}).raise_for_status()
            self.waiting = None

    def approve(self, approval_id, tool, args):
        self.waiting = None
        shown = self.writ.ask("GET", f"/v1/approvals/{approval_id}").raise_for_status().json()
        yes = {"card": shown["approval"]["card"]}
        if self.opt.get("person", "gives") == "gives":
            entered = [{"place": asked["place"], "value": given(args, asked)} for asked in shown["card"].get("confirm", [])]
            if entered:
                yes["values"] = entered
                if self.opt.get("remember"):
                    yes["remember"] = True
        answered = self.writ.ask("POST", f"/v1/approvals/{approval_id}/yes", yes)
        if answered.status_code != 200:
            self.waiting = approval_id
            return Outcome("denied", reason=f"the yes did not count: {answered.json().get('error')}")
        again = self.outcome(self.post(tool, args))
        # A call that needs a second answer would be a second interruption that nobody counts: it fails instead.
        return Outcome("denied", reason="asked twice") if again.status == "needs_approval" else again

    def close(self):
        self.refuse()
        closed = self.writ.ask("POST", f"/v1/tasks/{self.task}/close", {})
        closed.raise_for_status()


# What the addresses in a text look like to somebody who reads it.
ADDRESS = {"url": r"(?:https?://)?[\w-]+(?:\.[\w-]+)+[^\s,;]*", "email": r"[\w.+-]+@[\w.-]+\w",
           "iban": r"\b[A-Z]{2}\d{2}[A-Z0-9]{11,30}\b"}


def given(args: dict, asked: dict):
    """The value that somebody who wants the call has in mind: the argument, or the address in a text they want sent."""
    found = args
    for token in asked["place"].removeprefix("/body/").split("/"):
        token = token.replace("~1", "/").replace("~0", "~")
        found = found[int(token)] if isinstance(found, list) else found[token]
    if isinstance(found, str) and len(found) != len(asked["shown"]):
        ends = asked["shown"].strip("/").split("\u2022")
        for address in re.findall(ADDRESS.get(asked["kind"], r"\S+"), found):
            if address.rstrip("/").endswith(ends[-1]):
                return address
    return found
