//! An `OpenID` provider of another hand: oidc-provider from npm, a process of its own.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use hyper::Method;
use writ::agent::{form, random_id};
use writ::http::{Answer, Peer};
use writ_types::{Digest, Value};

use crate::kit::base64url;

/// The audience that its tokens name: the client id of the users who sign in, and the resource of jobs.
pub(crate) const AUDIENCE: &str = "writ-test";

/// Where it sends the users of its clients back to.
const CALLBACK: &str = "http://127.0.0.1/callback";

/// Where `cargo xtask test` has put the clients; none, loudly, where it has not.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
pub(crate) fn modules() -> Option<PathBuf> {
    let folder = std::env::var_os("WRIT_TEST_CLIENTS_DIR").map(PathBuf::from);
    if folder.is_none() {
        eprintln!(
            "SKIPPED: WRIT_TEST_CLIENTS_DIR is not set; `cargo xtask test` installs the clients"
        );
    }
    folder.map(|folder| folder.join("node_modules"))
}

/// A running provider. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Provider {
    child: Child,
    /// Kept open: it warns now and then, and would end of having nobody to tell.
    _said: BufReader<ChildStdout>,
    /// Its `iss`, and where it answers.
    pub(crate) issuer: String,
}

impl Provider {
    /// Starts one; none, loudly, where the clients are not installed.
    pub(crate) fn start() -> Option<Self> {
        Self::run("provider.mjs", &[("WRIT_AUDIENCE", AUDIENCE)])
    }

    /// Starts one of the scripts beside the clients with these variables.
    pub(crate) fn run(script: &str, environment: &[(&str, &str)]) -> Option<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/token/clients");
        let mut child = Command::new("node")
            .arg(folder.join(script))
            .env("WRIT_MODULES", modules()?)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut issuer = String::new();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        said.read_line(&mut issuer).unwrap();
        let provider = Self {
            child,
            _said: said,
            issuer: issuer.trim().to_owned(),
        };
        assert!(provider.issuer.starts_with("http://127.0.0.1:"));
        Some(provider)
    }

    /// The settings of an installation that believes it.
    pub(crate) fn settings(&self, vouches_for: &str) -> String {
        let issuer = &self.issuer;
        format!(
            "[[issuer]]\nissuer = \"{issuer}\"\naudience = \"{AUDIENCE}\"\nvouches_for = \"{vouches_for}\"\njwks_url = \"{issuer}/jwks\"\n"
        )
    }

    pub(crate) fn peer(&self) -> Peer {
        Peer::url(&self.issuer, None).unwrap()
    }

    async fn post(&self, pairs: &[(&str, &str)]) -> Value {
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        let asked = self.peer();
        let answer = asked.send(Method::POST, "/token", &kind, form(pairs)).await;
        let answer = answer.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.json());
        answer.json()
    }

    /// The access token of a job, a client of its own (RFC 9068).
    pub(crate) async fn job(&self, client: &str) -> String {
        let secret = format!("secret-of-{client}");
        let pairs = [
            ("grant_type", "client_credentials"),
            ("client_id", client),
            ("client_secret", &secret),
        ];
        member(&self.post(&pairs).await, "access_token")
    }

    /// The ID token of a user who signs in at a client of the provider.
    pub(crate) async fn id_token(&self, client: &str, user: &str) -> String {
        let verifier = random_id().unwrap().repeat(3);
        let challenge = base64url(Digest::of(verifier.as_bytes()).as_bytes());
        let asked = form(&[
            ("client_id", client),
            ("redirect_uri", CALLBACK),
            ("response_type", "code"),
            ("scope", "openid"),
            ("login_hint", user),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        let back = Browser::default()
            .follow(&self.peer(), &format!("/auth?{asked}"), CALLBACK)
            .await;
        let code = parameter(&back, "code").unwrap();
        let pairs = [
            ("grant_type", "authorization_code"),
            ("client_id", client),
            ("redirect_uri", CALLBACK),
            ("code", &code),
            ("code_verifier", &verifier),
        ];
        member(&self.post(&pairs).await, "id_token")
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn member(value: &Value, name: &str) -> String {
    value
        .member(name)
        .and_then(Value::as_str)
        .unwrap()
        .to_owned()
}

/// A query parameter of a URL, which needs no decoding.
pub(crate) fn parameter(url: &str, name: &str) -> Option<String> {
    let (_, query) = url.split_once('?')?;
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(known, _)| *known == name)?;
    Some(value.to_owned())
}

/// A browser, as far as signing in takes one: it keeps cookies and follows redirects.
#[derive(Debug, Default)]
pub(crate) struct Browser {
    cookies: BTreeMap<String, String>,
}

impl Browser {
    /// A look with the cookies.
    async fn look(&mut self, peer: &Peer, path: &str) -> Answer {
        self.send(peer, Method::GET, path, String::new()).await
    }

    /// One request with the cookies; those of the answer are kept.
    async fn send(&mut self, peer: &Peer, method: Method, path: &str, body: String) -> Answer {
        let cookies = self.cookies.iter();
        let cookies: Vec<_> = cookies
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let cookies = cookies.join("; ");
        let headers = [
            ("cookie", cookies.as_str()),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        let answer = peer.send(method, path, &headers, body).await.unwrap();
        for line in answer.headers.get_all("set-cookie") {
            let line = line.to_str().unwrap();
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        answer
    }

    /// Follows redirects to the page that asks who somebody is, which has to come, fills it in, and follows redirects again
    /// until one leads to `until`; the URL it leads to.
    pub(crate) async fn sign_in(
        &mut self,
        provider: &Provider,
        path: &str,
        who: &str,
        until: &str,
    ) -> String {
        let peer = provider.peer();
        let page = self.follow(&peer, path, "/interaction/").await;
        let asked = self.look(&peer, &page).await;
        assert_eq!(asked.status, 200, "{page}");
        assert!(String::from_utf8_lossy(&asked.body).contains("name=\"login\""));
        let filled = form(&[("login", who)]);
        let answer = self.send(&peer, Method::POST, &page, filled).await;
        let next = answer.header("location").unwrap_or_default().to_owned();
        let at = next
            .find("/auth/")
            .unwrap_or_else(|| panic!("{}: {next}", answer.status));
        self.follow(&peer, next.get(at..).unwrap(), until).await
    }

    /// Follows redirects of one origin until one leads to `until`; the URL it leads to.
    pub(crate) async fn follow(&mut self, peer: &Peer, path: &str, until: &str) -> String {
        let mut path = path.to_owned();
        for _ in 0..10 {
            let answer = self.look(peer, &path).await;
            let location = answer.header("location");
            let location = location.unwrap_or_else(|| panic!("{path}: {}", answer.status));
            if location.starts_with(until) {
                return location.to_owned();
            }
            let own = location.split("127.0.0.1:").nth(1);
            let own = own.and_then(|rest| rest.find('/').and_then(|at| rest.get(at..)));
            path = own.unwrap_or(location).to_owned();
        }
        panic!("one redirect after another")
    }
}
