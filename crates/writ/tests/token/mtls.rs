//! Client certificates, end to end: the listeners with TLS, identities from the agent socket, tokens bound to them.

mod gone;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData as _, SanType,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use writ::agent::form;
use writ::http::{Answer, HttpError, Peer};
use writ_testkit::{Desk, Project, Server, json, project, reason, runtime};
use writ_token::{SubjectKey, X509Authority, generate_signing_key};
use writ_types::{Secret, Value};

use crate::kit::{
    BOT, DOMAIN, JWT_SPIFFE, Key, OTHER, Proof, READ, TICKETS, base64url, decoded, now,
    random_bytes, refused, registrations, stolen, text,
};
use crate::vouching::JWT_BEARER;

const HOUR: Duration = Duration::from_secs(3600);

/// A certificate with its key.
struct Held {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// An installation whose listeners speak TLS.
struct Secure {
    project: Project,
    desk: Desk,
    roots: RootCertStore,
    /// The first admin's `authorization`.
    session: String,
    _server: Server,
}

impl Secure {
    async fn open() -> Self {
        Self::prepared(|_project| ()).await
    }

    /// The same, with something done to the project before it starts.
    async fn prepared(prepare: impl FnOnce(&Project)) -> Self {
        let project = project!();
        let desk = Desk::open(&project).await;
        registrations(&project);
        let roots = serve_tls(&project);
        prepare(&project);
        let server = project.start();
        let mut secure = Self {
            project,
            desk,
            roots,
            session: String::new(),
            _server: server,
        };
        secure.set_credential().await;
        secure
    }

    fn url(&self, port: u16) -> String {
        format!("https://127.0.0.1:{port}")
    }

    fn public(&self, path: &str) -> String {
        format!("{}{path}", self.url(self.project.gateway))
    }

    fn control(&self, path: &str) -> String {
        format!("{}{path}", self.url(self.project.control))
    }

    fn tls(&self, held: Option<&Held>) -> ClientConfig {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots.clone());
        match held {
            None => config.with_no_client_auth(),
            Some(held) => {
                let chain = vec![CertificateDer::from(held.certificate.clone())];
                let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(held.key.clone()));
                config.with_client_auth_cert(chain, key).unwrap()
            }
        }
    }

    fn peer(&self, port: u16, held: Option<&Held>) -> Peer {
        Peer::url(&self.url(port), Some(Arc::new(self.tls(held)))).unwrap()
    }

    async fn set_credential(&mut self) {
        let token = std::fs::read_to_string(self.project.path(".writ/first-boot-token")).unwrap();
        let control = self.peer(self.project.control, None);
        let kind = ("content-type", "application/json");
        let body = Value::object([("token", Value::from(token.trim()))]).to_string();
        let answer = control.send(Method::POST, "/v1/login", &[kind], body).await;
        let session = format!("Bearer {}", text(&answer.unwrap(), "session"));
        let body = Value::object([("value", Value::from(self.desk.key.as_str()))]).to_string();
        let headers = [kind, ("authorization", session.as_str())];
        let path = "/v1/credentials/helpdesk-key";
        let answer = control
            .send(Method::PUT, path, &headers, body)
            .await
            .unwrap();
        assert_eq!(answer.status, 200, "{}", answer.json());
        self.session = session;
    }

    /// An X.509-SVID of the agent socket.
    async fn svid(&self, spiffe: &str) -> Held {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let body = Value::object([
            ("spiffe_id", Value::from(spiffe)),
            (
                "public_key",
                Value::from(STANDARD.encode(key.subject_public_key_info())),
            ),
        ]);
        let socket = Peer::socket(&self.project.path(".writ-agent.sock"));
        let answer = socket
            .send(Method::POST, "/v1/x509-svid", &[], body.to_string())
            .await
            .unwrap();
        assert_eq!(text(&answer, "spiffe_id"), spiffe, "{}", answer.json());
        Held {
            certificate: STANDARD.decode(text(&answer, "certificate")).unwrap(),
            key: key.serialize_der(),
        }
    }

    /// Asks for a token with this certificate and these parameters beside the usual ones.
    async fn ask(&self, held: Option<&Held>, more: &[(&str, &str)]) -> Answer {
        let public = self.public("");
        let mut pairs = vec![
            ("grant_type", "client_credentials"),
            ("resource", public.as_str()),
            ("authorization_details", READ),
        ];
        pairs.extend_from_slice(more);
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        let control = self.peer(self.project.control, held);
        let sent = control.send(Method::POST, "/oauth/token", &kind, form(&pairs));
        sent.await.unwrap()
    }

    async fn call(
        &self,
        held: Option<&Held>,
        headers: &[(&str, &str)],
    ) -> Result<Answer, HttpError> {
        let gateway = self.peer(self.project.gateway, held);
        gateway
            .send(Method::GET, TICKETS, headers, Vec::new())
            .await
    }

    /// The same call over HTTP/2.
    async fn call_h2(&self, held: Option<&Held>, authorization: &str) -> (u16, Bytes) {
        let mut tls = self.tls(held);
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let stream = TcpStream::connect(("127.0.0.1", self.project.gateway))
            .await
            .unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(tls));
        let stream = connector.connect(name, stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .unwrap();
        let driver = tokio::spawn(connection);
        let request = Request::get(self.public(TICKETS))
            .header("authorization", authorization)
            .body(Full::new(Bytes::new()))
            .unwrap();
        let (head, body) = sender.send_request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        driver.abort();
        (head.status.as_u16(), body)
    }

    fn reached(&self) -> usize {
        self.desk.desk.requests().len()
    }
}

/// Gives the project a server certificate of an authority of its own, and settings with TLS; says whom clients believe.
fn serve_tls(project: &Project) -> RootCertStore {
    let pem = |label: &str, der: &[u8]| {
        let text = STANDARD.encode(der);
        let lines: Vec<_> = text
            .as_bytes()
            .chunks(64)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        format!(
            "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
            lines.join("\n")
        )
    };
    let (authority, key) = (
        generate_signing_key().unwrap(),
        generate_signing_key().unwrap(),
    );
    let authority = X509Authority::create(
        "servers.example".parse().unwrap(),
        &authority,
        now(),
        HOUR * 2,
        random_bytes(),
    )
    .unwrap();
    let leaf = authority.issue_server(
        &"spiffe://servers.example/writ".parse().unwrap(),
        &SubjectKey::of_pkcs8(&key).unwrap(),
        &["127.0.0.1"],
        now(),
        HOUR,
        random_bytes(),
    );
    project.write("server.pem", &pem("CERTIFICATE", &leaf.unwrap().der));
    project.write("server.key", &pem("PRIVATE KEY", key.expose()));
    let settings = std::fs::read_to_string(project.path("writ.toml")).unwrap();
    let settings = settings.replace("http://", "https://");
    project.write(
        "writ.toml",
        &format!("{settings}[tls]\ncertificate = \"server.pem\"\nkey = \"server.key\"\n"),
    );
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from(authority.certificate().to_vec()))
        .unwrap();
    roots
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases, one after another")]
fn a_token_bound_to_a_certificate_works_with_that_certificate_only() {
    runtime().block_on(async {
        let secure = Secure::open().await;
        let (bot, other) = (secure.svid(BOT).await, secure.svid(OTHER).await);
        let answer = secure.ask(Some(&bot), &[("client_id", BOT)]).await;
        assert_eq!(
            (answer.status, text(&answer, "token_type").as_str()),
            (200, "Bearer"),
            "{}",
            answer.json()
        );
        let token = text(&answer, "access_token");
        let (_, claims) = decoded(&token);
        let digest = base64url(writ_types::Digest::of(&bot.certificate).as_bytes());
        let bound = Value::object([("x5t#S256", Value::from(digest))]);
        assert_eq!(claims.member("cnf"), Some(&bound), "RFC 8705 §3.1");

        let bearer = format!("Bearer {token}");
        let authorized = [("authorization", bearer.as_str())];
        let answer = secure.call(Some(&bot), &authorized).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.json());
        assert_eq!(
            secure.call_h2(Some(&bot), &bearer).await.0,
            200,
            "over HTTP/2"
        );
        assert_eq!(secure.reached(), 2);

        let again = secure.svid(BOT).await;
        for (row, held) in [
            ("no certificate", None),
            ("another agent's", Some(&other)),
            ("another of the same agent", Some(&again)),
        ] {
            let answer = secure.call(held, &authorized).await.unwrap();
            assert_eq!(
                (answer.status, reason(&answer).as_str()),
                (401, "unauthenticated"),
                "{row}"
            );
            let (status, body) = secure.call_h2(held, &bearer).await;
            assert_eq!(status, 401, "{row} over HTTP/2: {body:?}");
        }
        let as_dpop = [("authorization", format!("DPoP {token}"))];
        let proof = Proof::new(&Key::new(), ("GET", &secure.public(TICKETS)), Some(&token))
            .sign(&Key::new());
        let as_dpop = [
            ("authorization", as_dpop[0].1.as_str()),
            ("dpop", proof.as_str()),
        ];
        assert_eq!(
            secure.call(Some(&bot), &as_dpop).await.unwrap().status,
            401,
            "as DPoP"
        );
        let with_proof = [authorized[0], ("dpop", proof.as_str())];
        assert_eq!(
            secure.call(Some(&bot), &with_proof).await.unwrap().status,
            401,
            "with a proof nobody asked for"
        );
        for field in [
            "client-cert",
            "x-client-cert",
            "x-forwarded-client-cert",
            "ssl-client-cert",
        ] {
            let text = STANDARD.encode(&bot.certificate);
            let answer = secure
                .call(None, &[authorized[0], (field, text.as_str())])
                .await
                .unwrap();
            assert_eq!(answer.status, 401, "a certificate in `{field}`");
        }
        assert_eq!(secure.reached(), 2);
    });
}

#[test]
fn the_token_endpoint_believes_the_connection() {
    runtime().block_on(async {
        let secure = Secure::open().await;
        let (bot, other) = (secure.svid(BOT).await, secure.svid(OTHER).await);
        let audience = secure.control("");
        let socket = Peer::socket(&secure.project.path(".writ-agent.sock"));
        let body = format!(r#"{{"audience":"{audience}","spiffe_id":"{BOT}"}}"#);
        let svid = text(
            &socket
                .send(Method::POST, "/v1/jwt-svid", &[], body)
                .await
                .unwrap(),
            "svid",
        );
        let assertion = [
            ("client_assertion_type", JWT_SPIFFE),
            ("client_assertion", svid.as_str()),
        ];
        let answer = secure.ask(Some(&bot), &assertion).await;
        assert_eq!(
            (answer.status, text(&answer, "token_type").as_str()),
            (200, "Bearer"),
            "{}",
            answer.json()
        );
        let bearer = format!("Bearer {}", text(&answer, "access_token"));
        assert_eq!(
            secure
                .call(Some(&bot), &[("authorization", &bearer)])
                .await
                .unwrap()
                .status,
            200
        );
        for (row, held, more, code) in [
            (
                "another agent's certificate",
                Some(&other),
                &[("client_id", BOT)][..],
                "invalid_client",
            ),
            (
                "no certificate",
                None,
                &[("client_id", BOT)],
                "invalid_client",
            ),
            (
                "a client id that is no SPIFFE id",
                Some(&bot),
                &[("client_id", "bot")],
                "invalid_client",
            ),
            ("no client id", Some(&bot), &[], "invalid_client"),
            (
                "an assertion over another agent's connection",
                Some(&other),
                &assertion,
                "invalid_grant",
            ),
            (
                "an assertion without anything to bind to",
                None,
                &assertion,
                "invalid_dpop_proof",
            ),
        ] {
            refused(&secure.ask(held, more).await, code, row);
        }
    });
}

/// A proof that is wrong is a refusal, also where another one on the same connection would have been good.
#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases, one after another")]
fn what_failed_is_not_made_good_by_something_else() {
    runtime().block_on(async {
        let secure = Secure::open().await;
        let bot = secure.svid(BOT).await;
        let public = secure.public("");
        let good = [
            ("grant_type", "client_credentials"),
            ("resource", public.as_str()),
            ("authorization_details", READ),
            ("client_id", BOT),
        ];
        let ask = async |fields: &[(&str, &str)], more: &[(&str, &str)]| {
            let mut headers = vec![("content-type", "application/x-www-form-urlencoded")];
            headers.extend_from_slice(fields);
            let body = form(&[&good, more].concat());
            let control = secure.peer(secure.project.control, Some(&bot));
            let sent = control.send(Method::POST, "/oauth/token", &headers, body);
            sent.await.unwrap()
        };
        assert_eq!(ask(&[], &[]).await.status, 200, "the certificate is good");
        let assertion = |kind, text| [("client_assertion_type", kind), ("client_assertion", text)];
        for (row, fields, more, code) in [
            (
                "an SVID that is none",
                &[][..],
                &assertion(JWT_SPIFFE, "e30.e30.e30")[..],
                "invalid_client",
            ),
            (
                "an assertion of nobody",
                &[],
                &assertion(JWT_BEARER, "e30.e30.e30"),
                "invalid_client",
            ),
            ("a secret", &[], &[("client_secret", "x")], "invalid_client"),
            (
                "a proof of possession that is none",
                &[("dpop", "e30.e30.e30")],
                &[],
                "invalid_dpop_proof",
            ),
            ("an empty proof", &[("dpop", "")], &[], "invalid_dpop_proof"),
            (
                "two proofs",
                &[("dpop", "e30.e30.e30"), ("dpop", "e30.e30.e30")],
                &[],
                "invalid_dpop_proof",
            ),
        ] {
            refused(&ask(fields, more).await, code, row);
        }
        let token = text(&ask(&[], &[]).await, "access_token");
        let bearer = format!("Bearer {token}");
        let call = async |headers: &[(&str, &str)]| {
            let answer = secure.call(Some(&bot), headers).await;
            answer.unwrap().status
        };
        let (own, none) = (
            ("authorization", bearer.as_str()),
            ("authorization", "Bearer e30"),
        );
        assert_eq!(call(&[own]).await, 200);
        for (row, headers) in [
            ("no token", &[][..]),
            ("another token first", &[none, own]),
            ("another token second", &[own, none]),
            ("a proof nobody asked for", &[own, ("dpop", "e30.e30.e30")]),
        ] {
            assert_eq!(call(headers).await, 401, "{row}");
        }
        assert_eq!(secure.reached(), 1);
    });
}

/// Certificates that the handshake must refuse, each wrong in one thing.
#[expect(clippy::too_many_lines, reason = "a table of cases, one after another")]
fn spoiled(project: &Project) -> Vec<(&'static str, Held)> {
    let pkcs8 = stolen(project, "authority.p8");
    let certificate = std::fs::read(project.path(".writ/keys/authority.der")).unwrap();
    let authority =
        X509Authority::load(DOMAIN.parse().unwrap(), &pkcs8, certificate.clone()).unwrap();
    let issue = |authority: &X509Authority, at| {
        let key = generate_signing_key().unwrap();
        let leaf = authority.issue(
            &BOT.parse().unwrap(),
            &SubjectKey::of_pkcs8(&key).unwrap(),
            at,
            HOUR,
            random_bytes(),
        );
        Held {
            certificate: leaf.unwrap().der,
            key: key.expose().clone(),
        }
    };
    let foreign = |domain: &str| {
        let key = generate_signing_key().unwrap();
        X509Authority::create(
            domain.parse().unwrap(),
            &key,
            now(),
            HOUR * 2,
            random_bytes(),
        )
        .unwrap()
    };
    let other_domain = {
        let (authority, key) = (foreign("other.example"), generate_signing_key().unwrap());
        let spiffe = "spiffe://other.example/agent/bot".parse().unwrap();
        let leaf = authority.issue(
            &spiffe,
            &SubjectKey::of_pkcs8(&key).unwrap(),
            now(),
            HOUR,
            random_bytes(),
        );
        Held {
            certificate: leaf.unwrap().der,
            key: key.expose().clone(),
        }
    };
    let mut held = vec![
        (
            "a foreign authority under our name",
            issue(&foreign(DOMAIN), now()),
        ),
        ("another trust domain", other_domain),
        ("expired", issue(&authority, now().minus(HOUR * 2))),
        ("not yet valid", issue(&authority, now().plus(HOUR * 2))),
        (
            "the authority itself",
            Held {
                certificate,
                key: pkcs8.expose().clone(),
            },
        ),
    ];
    let uri = |text: &str| SanType::URI(text.try_into().unwrap());
    held.push((
        "two URI SANs",
        signed(&pkcs8, |params| {
            params.subject_alt_names = vec![uri(BOT), uri(OTHER)]
        }),
    ));
    held.push((
        "no URI SAN",
        signed(&pkcs8, |params| params.subject_alt_names.clear()),
    ));
    held.push((
        "a URI that is no SPIFFE id",
        signed(&pkcs8, |params| {
            params.subject_alt_names = vec![uri("https://example.org/bot")]
        }),
    ));
    held.push((
        "a leaf that is an authority",
        signed(&pkcs8, |params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)
        }),
    ));
    held.push((
        "a leaf that may sign certificates",
        signed(&pkcs8, |params| {
            params.key_usages.push(KeyUsagePurpose::KeyCertSign)
        }),
    ));
    held.push((
        "for servers only",
        signed(&pkcs8, |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]
        }),
    ));
    held
}

/// A leaf for the bot, signed by the trust domain's own authority, with something about it changed.
fn signed(pkcs8: &Secret<Vec<u8>>, change: impl FnOnce(&mut CertificateParams)) -> Held {
    let name = |common: Option<&str>| {
        let mut name = DistinguishedName::new();
        name.push(DnType::OrganizationName, "Writ");
        if let Some(common) = common {
            name.push(DnType::CommonName, common);
        }
        name
    };
    let mut issuer = CertificateParams::default();
    issuer.distinguished_name = name(Some(DOMAIN));
    issuer.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = PrivatePkcs8KeyDer::from(pkcs8.expose().as_slice());
    let key = KeyPair::from_pkcs8_der_and_sign_algo(&key, &PKCS_ECDSA_P256_SHA256).unwrap();
    let mut leaf = CertificateParams::default();
    leaf.distinguished_name = name(None);
    leaf.subject_alt_names = vec![SanType::URI(BOT.try_into().unwrap())];
    leaf.is_ca = IsCa::ExplicitNoCa;
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    change(&mut leaf);
    let own = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let leaf = leaf
        .signed_by(&own, &Issuer::from_params(&issuer, key))
        .unwrap();
    Held {
        certificate: leaf.der().to_vec(),
        key: own.serialize_der(),
    }
}

#[test]
fn certificates_that_are_no_identity_end_the_handshake() {
    runtime().block_on(async {
        let secure = Secure::open().await;
        for (row, held) in spoiled(&secure.project) {
            for port in [secure.project.gateway, secure.project.control] {
                let peer = secure.peer(port, Some(&held));
                let answer = peer
                    .send(
                        Method::GET,
                        "/.well-known/oauth-protected-resource",
                        &[],
                        Vec::new(),
                    )
                    .await;
                let fault = answer.map(|answer| answer.status).expect_err(row);
                assert!(
                    chain(&fault).to_lowercase().contains("alert"),
                    "{row}: {}",
                    chain(&fault)
                );
            }
        }
        // The same leaf with nothing changed is an identity, so that each row above fails for its own reason.
        let good = signed(&stolen(&secure.project, "authority.p8"), |_params| ());
        let answer = secure.ask(Some(&good), &[("client_id", BOT)]).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        let answer = secure.call(None, &[]).await.unwrap();
        assert_eq!(
            answer.status, 401,
            "no certificate is no fault of the handshake"
        );
        assert_eq!(secure.reached(), 0);
    });
}

/// A fault with everything that caused it.
fn chain(fault: &dyn std::error::Error) -> String {
    let mut text = format!("{fault:?}");
    let mut source = fault.source();
    while let Some(cause) = source {
        text.push_str(&format!(" <- {cause}"));
        source = cause.source();
    }
    text
}

/// Without a certificate DPoP works over TLS as it does without.
#[test]
fn proofs_of_possession_work_over_tls() {
    runtime().block_on(async {
        let secure = Secure::open().await;
        let project = &secure.project;
        let url = |text: String| text.parse().unwrap();
        let client = writ::agent::AgentClient::new(
            &project.path(".writ-agent.sock"),
            (&url(secure.control("")), secure.peer(project.control, None)),
            (&url(secure.public("")), secure.peer(project.gateway, None)),
            writ_testkit::TestClock::start(),
        );
        let identity = client.identity(Some(BOT)).await.unwrap();
        let task = client.open(&identity, &json(READ)).await.unwrap().unwrap();
        let answer = client
            .call(&task, Method::GET, TICKETS, None)
            .await
            .unwrap();
        assert_eq!(answer.status, 200, "{}", answer.json());
    });
}

/// An operator signs in with the certificate that is registered for them; an agent's never opens the control plane.
#[test]
fn operators_sign_in_with_their_certificate() {
    const ANN: &str = "spiffe://writ.local/people/ann";
    runtime().block_on(async {
        let secure = Secure::open().await;
        let pkcs8 = stolen(&secure.project, "authority.p8");
        let of = |spiffe: &str| {
            let name = SanType::URI(spiffe.try_into().unwrap());
            signed(&pkcs8, |leaf| leaf.subject_alt_names = vec![name])
        };
        let post = async |held: Option<&Held>, path: &str, authorization: &str, body: String| {
            let kind = ("content-type", "application/json");
            let mut headers = vec![kind];
            if !authorization.is_empty() {
                headers.push(("authorization", authorization));
            }
            let peer = secure.peer(secure.project.control, held);
            peer.send(Method::POST, path, &headers, body).await.unwrap()
        };
        let ann = of(ANN);
        let sign_in = async |held: Option<&Held>| {
            post(held, "/v1/login/certificate", "", "{}".to_owned()).await
        };
        assert_eq!(sign_in(Some(&ann)).await.status, 401, "not registered");
        let register = |certificate: &str| {
            let member = |name, text| (name, Value::from(text));
            let name = format!("with {}", certificate.len());
            let members = [
                member("name", name.as_str()),
                member("role", "operator"),
                member("certificate", certificate),
            ];
            Value::object(members).to_string()
        };
        let path = "/v1/operators";
        let agents = post(None, path, &secure.session, register(BOT)).await;
        assert_eq!(agents.status, 400, "an agent's: {}", agents.json());
        let added = post(None, path, &secure.session, register(ANN)).await;
        assert_eq!(added.status, 200, "{}", added.json());
        let session = sign_in(Some(&ann)).await;
        assert_eq!(session.status, 200, "{}", session.json());
        let bearer = format!("Bearer {}", text(&session, "session"));
        let reload = "/v1/reload";
        assert_eq!(
            post(None, reload, &bearer, "{}".to_owned()).await.status,
            200
        );
        assert_eq!(
            post(None, path, &bearer, register("spiffe://writ.local/x"))
                .await
                .status,
            403
        );
        let agent = secure.svid(BOT).await;
        let other = of("spiffe://writ.local/people/ann2");
        for (row, held) in [
            ("no certificate", None),
            ("an agent's", Some(&agent)),
            ("somebody else's", Some(&other)),
        ] {
            assert_eq!(sign_in(held).await.status, 401, "{row}");
            // A certificate alone is no session.
            let alone = post(held, reload, "", "{}".to_owned()).await;
            assert_eq!(alone.status, 401, "{row}");
        }
        assert_eq!(
            post(Some(&ann), reload, "", "{}".to_owned()).await.status,
            401
        );
    });
}
