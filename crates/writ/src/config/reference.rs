//! The commented default `writ.toml`.

use writ_types::{LIMIT_TABLE, TIMEOUT_TABLE};

const HEAD: &str = r#"# Writ: settings of this process. Every value shown is the default; remove the `#` to change one.

# Under which URL agents reach the gateway. It is the audience of every token and is never taken from a request.
# public_url = "http://127.0.0.1:8080"
# Under which URL the control plane is reached. It is the issuer of every token.
# control_url = "http://127.0.0.1:8081"

# Where state lives: store, keys (0600), log, evidence. Relative to this file.
# data = ".writ"

# Worker threads of the gateway. Default: one for each core.
# workers = 2

[listen]
# gateway = "127.0.0.1:8080"
# control = "127.0.0.1:8081"

# Without TLS the listeners stay on loopback.
# [tls]
# certificate = "tls/chain.pem"
# key = "tls/key.pem"

[identity]
# The built-in trust domain: it vouches for registered agents on this machine over a Unix socket. The socket lies outside the
# data directory, which other users cannot enter; agents of other users need a way to this folder.
# trust_domain = "writ.local"
# socket = ".writ-agent.sock"   # also a SPIFFE Workload API: SPIFFE_ENDPOINT_SOCKET=unix:///…
# Life of the X.509-SVIDs it hands out; a client is sent the next one half-way.
# x509_svid_life = "1h"
# On a machine with one user, agents run as the same user as Writ. Such an agent could read Writ's data directory, so
# this is off unless you say so; it is loud in `writ doctor`.
# single_user_machine = false

# Who vouches for the users that agents act for. Keys that are fetched are believed for `good_for` and no longer.
# [[issuer]]
# issuer = "https://login.example.org"
# audience = "writ"
# jwks_url = "https://login.example.org/jwks"   # or jwks_file = "issuer.jwks"
# refresh = "5m"
# good_for = "1h"

# Who vouches for workloads: a cluster, a CI system, a cloud. An agent names the claims of its own under [[federation]].
# [[issuer]]
# issuer = "https://token.ci.example.org"
# audience = "writ"
# vouches_for = "workloads"
# access_tokens = false                         # whether its tokens are access tokens, `typ` is `at+jwt` (RFC 9068)
# jwks_url = "https://token.ci.example.org/jwks"

# Who opens tasks for agents and vouches for what they are told: an orchestrator, with a key of its own.
# [[client]]
# id = "planner"
# agents = ["dns-bot"]
# introspects = false                           # whether it may ask about every token
# honey = false                                 # a trap: nobody is this client, and its use is an alarm
# jwks_file = "planner.jwks"                    # or jwks_url

# The MCP servers that may be started on this machine: command, working directory and the whole environment. An API names one with
# `upstream = "stdio:mail"`, and nothing else of a project reaches them. They run as Writ's own user, one process for each task.
# [mcp.program.mail]
# command = ["/usr/bin/mail-server", "--quiet"]  # an absolute path and its arguments; no shell
# directory = "/"
# environment = { LANG = "C.UTF-8" }
# credential = "MAIL_TOKEN"                      # the variable that holds the API's credential (`attach = "environment"`)

# With whose accounts operators sign in: `writ login --oidc` (authorization code with PKCE; the issuer sends the browser back to
# http://127.0.0.1:PORT/v1/sign-in/callback). An account is a registered operator's `identity`, `<issuer>#<sub>`.
# [sign_in]
# issuer = "https://login.example.org"
# client_id = "writ"
# client_secret_file = "sign-in.secret"         # 0600; none for a public client
# accounts = "registered"                       # or "viewer": whoever the claims let in is a viewer from their first sign-in on
# [[sign_in.role]]                              # up to which role a claim (a text, or a list with it) lets people in
# claim = "groups"
# value = "writ-admins"
# role = "admin"

# Trust domains whose workloads may be agents. Each vouches for its own alone.
# [[trust_domain]]
# name = "prod.example.org"
# bundle_url = "https://spire.example.org/bundle"   # or bundle_file = "prod.bundle.json"
# Or what an agent on this machine says of that one domain, also of one it federates with: its SPIFFE Workload API, asked anew every
# `refresh` and believed for `good_for`. "env:SPIFFE_ENDPOINT_SOCKET" takes the address from the environment.
# workload_api = "unix:///run/spire/sockets/agent.sock"
# workload_api_uid = 998   # the user that runs it, if that is neither root nor Writ's own

"#;

/// The text of a fresh `writ.toml`.
pub(crate) fn commented() -> String {
    let mut text = HEAD.to_owned();
    for (section, rows) in [("limits", LIMIT_TABLE), ("timeouts", TIMEOUT_TABLE)] {
        text.push_str(&format!("[{section}]\n"));
        for row in rows {
            text.push_str(&format!(
                "#{}\n# {} = \"{}\"\n",
                row.doc, row.name, row.default
            ));
        }
        text.push('\n');
    }
    text
}
