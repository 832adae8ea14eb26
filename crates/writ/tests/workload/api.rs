//! What the Workload API answers, and what it refuses.

use std::path::PathBuf;

use hyper::Method;
use tokio::io::AsyncReadExt as _;
use writ_testkit::{Project, Server, json, project, runtime};
use writ_token::{JwtSvid, KeyPins, TrustBundle, X509Svid};
use writ_types::{Timestamp, Value};

use crate::client::{Client, METADATA, Messages, field, fields, frame, map, text};

const DOMAIN: &str = "writ.local";
const BOT: &str = "spiffe://writ.local/agent/bot";
const OTHER: &str = "spiffe://writ.local/agent/other";
const METHODS: [&str; 5] = [
    "FetchX509SVID",
    "FetchX509Bundles",
    "FetchJWTSVID",
    "FetchJWTBundles",
    "ValidateJWTSVID",
];

/// An installation with two agents that are this user.
fn installed(more: &str) -> (Project, Server) {
    let project = project!();
    project.settings(more);
    project.agent("bot", "autonomous", &[]);
    project.agent("other", "autonomous", &[]);
    let server = project.start();
    (project, server)
}

fn socket(project: &Project) -> PathBuf {
    project.path(".writ-agent.sock")
}

fn now() -> Timestamp {
    writ_testkit::TestClock::start().now()
}

/// A message that the method would take from an agent.
fn sound(method: &str) -> Vec<u8> {
    match method {
        "FetchJWTSVID" => field(1, "a"),
        "ValidateJWTSVID" => [field(1, "a"), field(2, "x.y.z")].concat(),
        _ => Vec::new(),
    }
}

/// SPIFFE Workload Endpoint §6.1: without the metadata, nothing.
#[test]
fn a_call_says_that_it_means_the_workload_api() {
    runtime().block_on(async {
        let (project, _server) = installed("");
        let mut client = Client::connect(&socket(&project)).await;
        for metadata in [
            &[][..],
            &[("workload.spiffe.io", "TRUE")],
            &[("workload.spiffe.io", "")],
            &[
                ("workload.spiffe.io", "true"),
                ("workload.spiffe.io", "true"),
            ],
            &[("x-workload.spiffe.io", "true")],
        ] {
            for method in METHODS {
                let path = format!("/SpiffeWorkloadAPI/{method}");
                let body = frame(&sound(method));
                let response = client.send(Method::POST, &path, metadata, body).await;
                let refused = Messages::of(response).next().await;
                assert_eq!(refused, Err("3".to_owned()), "{method} {metadata:?}");
            }
        }
    });
}

/// What was asked, and the status of gRPC that answers it.
#[test]
fn what_is_no_call_is_refused() {
    runtime().block_on(async {
        let (project, _server) = installed("");
        let mut client = Client::connect(&socket(&project)).await;
        let jwt = |parts: &[Vec<u8>]| ("FetchJWTSVID", frame(&parts.concat()));
        let validate = |parts: &[Vec<u8>]| ("ValidateJWTSVID", frame(&parts.concat()));
        let audience = field(1, "a");
        let mut compressed = frame(&audience);
        compressed[0] = 1;
        for (row, (method, body), status) in [
            ("no such method", ("FetchWITSVID", frame(&[])), "12"),
            ("a path below", ("FetchX509SVID/", frame(&[])), "12"),
            ("no message", ("FetchX509SVID", Vec::new()), "3"),
            (
                "a message too many",
                ("FetchX509SVID", [frame(&[]), frame(&[])].concat()),
                "3",
            ),
            ("half a message", jwt(&[vec![0x0A, 9, b'a']]), "3"),
            ("compressed", ("FetchJWTSVID", compressed), "12"),
            ("too large", jwt(&[field(1, &"a".repeat(70_000))]), "8"),
            ("no audience", jwt(&[]), "3"),
            ("an empty audience", jwt(&[field(1, "")]), "3"),
            ("seventeen audiences", jwt(&vec![audience.clone(); 17]), "3"),
            (
                "no SPIFFE id",
                jwt(&[audience.clone(), field(2, "bot")]),
                "3",
            ),
            (
                "another's identity",
                jwt(&[
                    audience.clone(),
                    field(2, "spiffe://writ.local/agent/third"),
                ]),
                "7",
            ),
            (
                "nothing to validate",
                validate(std::slice::from_ref(&audience)),
                "3",
            ),
            ("validated for nobody", validate(&[field(2, "x")]), "3"),
            (
                "no JWT-SVID",
                validate(&[audience.clone(), field(2, "x.y.z")]),
                "3",
            ),
        ] {
            let path = format!("/SpiffeWorkloadAPI/{method}");
            let response = client.send(Method::POST, &path, METADATA, body).await;
            let refused = Messages::of(response).next().await;
            assert_eq!(refused, Err(status.to_owned()), "{row}");
        }
        for (method, path) in [
            (Method::GET, "/SpiffeWorkloadAPI/FetchX509SVID"),
            (Method::POST, "/FetchX509SVID"),
            (Method::POST, "/v1/jwt-svid"),
        ] {
            let response = client.send(method, path, METADATA, frame(&[])).await;
            let refused = Messages::of(response).next().await;
            assert_eq!(refused, Err("12".to_owned()), "{path}");
        }
        assert!(
            client.once("FetchX509SVID", &[]).await.is_ok(),
            "the connection lives on"
        );
    });
}

#[test]
fn a_process_that_is_no_agent_gets_nothing() {
    runtime().block_on(async {
        let project = project!();
        let uid = rustix::process::geteuid().as_raw();
        project.write(
            "agents/foreign.toml",
            &format!("owner = \"o@example.org\"\nmode = \"autonomous\"\npurposes = []\nselectors = [\"unix:uid:{}\"]\n", uid + 1),
        );
        let server = project.start();
        let mut client = Client::connect(&socket(&project)).await;
        for method in METHODS {
            let refused = client.once(method, &sound(method)).await;
            assert_eq!(refused, Err("7".to_owned()), "{method}: nobody's process");
        }
        assert!(server.stop().success());
        project.agent("bot", "autonomous", &[]);
        let settings = std::fs::read_to_string(project.path("writ.toml")).unwrap();
        project.write("writ.toml", &settings.replace("machine = true", "machine = false"));
        let _server = project.start();
        let mut client = Client::connect(&socket(&project)).await;
        for method in METHODS {
            let refused = client.once(method, &sound(method)).await;
            assert_eq!(refused, Err("7".to_owned()), "{method}: Writ's own user");
        }
    });
}

/// The trust domain's bundle, as it is published on the web.
async fn bundle(project: &Project) -> TrustBundle {
    let control = project.control();
    let published = control.send(Method::GET, "/.well-known/spiffe-bundle", &[], "");
    let document = published.await.unwrap().json();
    TrustBundle::of_value(DOMAIN.parse().unwrap(), &document, &KeyPins::default()).unwrap()
}

/// X509-SVID §4, Workload API §5.2: every identity of the process, with its key and its trust domain's authorities.
#[test]
fn x509_svids() {
    runtime().block_on(async {
        let (project, _server) = installed("");
        let bundle = bundle(&project).await;
        let authorities: Vec<u8> = bundle.authorities().flatten().copied().collect();
        let mut client = Client::connect(&socket(&project)).await;
        let response = fields(&client.once("FetchX509SVID", &[]).await.unwrap());
        assert_eq!(
            response.keys().collect::<Vec<_>>(),
            [&1],
            "no other trust domain"
        );
        let mut keys = Vec::new();
        for (svid, wanted) in response[&1].iter().zip([BOT, OTHER]) {
            let svid = fields(svid);
            assert_eq!(text(&svid[&1][0]), wanted);
            let leaf = &svid[&2][0];
            let verified = X509Svid::verify(&[leaf], &bundle, now()).unwrap();
            assert_eq!(verified.spiffe().as_str(), wanted);
            let key = &svid[&3][0];
            let pair = rcgen::KeyPair::try_from(key.as_slice()).unwrap();
            let public = rcgen::PublicKeyData::der_bytes(&pair).to_vec();
            assert!(
                leaf.windows(public.len()).any(|window| window == public),
                "the key is the certificate's"
            );
            assert_eq!(svid[&4][0], authorities);
            keys.push(key.clone());
        }
        assert_eq!(keys.len(), 2);
        assert_ne!(keys[0], keys[1], "a key is one identity's");
        let bundles = fields(&client.once("FetchX509Bundles", &[]).await.unwrap());
        let bundles = map(&bundles[&2]);
        assert_eq!(bundles.len(), 1);
        assert_eq!(bundles["spiffe://writ.local"], authorities);
    });
}

/// JWT-SVID §2, §3 and §5; Workload API §6.
#[test]
fn jwt_svids() {
    runtime().block_on(async {
        let (project, _server) = installed("");
        let bundle = bundle(&project).await;
        let mut client = Client::connect(&socket(&project)).await;
        let bundles = fields(&client.once("FetchJWTBundles", &[]).await.unwrap());
        let bundles = map(&bundles[&1]);
        let jwks = json(&text(&bundles["spiffe://writ.local"]));
        assert_eq!(jwks, *bundle.jwks());
        assert_eq!(
            jwks.member("keys").and_then(Value::as_array).unwrap().len(),
            1
        );

        let both = [field(1, "one"), field(1, "two")].concat();
        let response = fields(&client.once("FetchJWTSVID", &both).await.unwrap());
        let ids: Vec<_> = response[&1]
            .iter()
            .map(|svid| text(&fields(svid)[&1][0]))
            .collect();
        assert_eq!(ids, [BOT, OTHER], "every identity of the process");
        let named = [both, field(2, OTHER)].concat();
        let response = fields(&client.once("FetchJWTSVID", &named).await.unwrap());
        assert_eq!(response[&1].len(), 1);
        let svid = fields(&response[&1][0]);
        assert_eq!(text(&svid[&1][0]), OTHER);
        let svid = text(&svid[&2][0]);
        assert!(JwtSvid::validate(&svid, &bundle, "two", now()).is_ok());
        assert!(
            JwtSvid::verify(&svid, &bundle, "two", now()).is_err(),
            "Writ itself takes none that is for others too"
        );

        let ask = |audience: &str| [field(1, audience), field(2, &svid)].concat();
        let valid = fields(&client.once("ValidateJWTSVID", &ask("one")).await.unwrap());
        assert_eq!(text(&valid[&1][0]), OTHER);
        let claims = fields(&valid[&2][0]);
        let claims = map(&claims[&1]);
        assert_eq!(text(&fields(&claims["sub"])[&3][0]), OTHER);
        let audiences = fields(&fields(&claims["aud"])[&6][0]);
        let audiences: Vec<_> = audiences[&1]
            .iter()
            .map(|one| text(&fields(one)[&3][0]))
            .collect();
        assert_eq!(audiences, ["one", "two"]);
        let number = f64::from_le_bytes(claims["exp"][1..].try_into().unwrap());
        assert!(number > 1e9 && number.fract() == 0.0, "{number}");
        assert_eq!(
            client.once("ValidateJWTSVID", &ask("three")).await,
            Err("3".to_owned())
        );
    });
}

/// Workload API §4.2.1: the next identity comes on the stream before the one before ends.
#[test]
fn an_identity_is_renewed_on_its_stream() {
    runtime().block_on(async {
        let (project, _server) = installed("x509_svid_life = \"2s\"\n");
        let bundle = bundle(&project).await;
        let mut client = Client::connect(&socket(&project)).await;
        let mut stream = client.call("FetchX509SVID", &[]).await;
        let mut keys = Vec::new();
        for _ in 0..3 {
            let message = fields(&stream.next().await.unwrap().unwrap());
            assert_eq!(message[&1].len(), 2, "each message says everything");
            let svid = fields(&message[&1][0]);
            X509Svid::verify(&[&svid[&2][0]], &bundle, now()).unwrap();
            keys.push(svid[&3][0].clone());
        }
        keys.dedup();
        assert_eq!(keys.len(), 3, "each with a key of its own");
    });
}

#[test]
fn a_stream_ends_when_the_process_is_no_agent_any_more() {
    runtime().block_on(async {
        let (project, _server) = installed("");
        project.sign_in();
        let mut client = Client::connect(&socket(&project)).await;
        let mut svids = client.call("FetchX509SVID", &[]).await;
        let mut bundles = client.call("FetchX509Bundles", &[]).await;
        let mut jwks = client.call("FetchJWTBundles", &[]).await;
        let ids = |message: &[u8]| -> Vec<String> {
            fields(message)[&1]
                .iter()
                .map(|svid| text(&fields(svid)[&1][0]))
                .collect()
        };
        assert_eq!(ids(&svids.next().await.unwrap().unwrap()), [BOT, OTHER]);
        assert!(bundles.next().await.unwrap().is_some() && jwks.next().await.unwrap().is_some());
        let kill = |agent| project.run(&["kill", "agent", agent]);
        let (code, _, said) = kill(OTHER);
        assert_eq!(code, 0, "{said}");
        assert_eq!(
            ids(&svids.next().await.unwrap().unwrap()),
            [BOT],
            "at once, and all of it"
        );
        let (code, _, said) = kill(BOT);
        assert_eq!(code, 0, "{said}");
        let refused = Err("7".to_owned());
        assert_eq!(svids.next().await, refused);
        assert_eq!(
            bundles.next().await,
            refused,
            "nothing changed in it, and nothing was sent in between"
        );
        assert_eq!(jwks.next().await, refused);
        assert_eq!(client.once("FetchX509SVID", &[]).await, Err("7".to_owned()));
    });
}

/// One user's processes leave room for the others': what is beyond is closed at once.
#[test]
fn a_user_has_so_many_connections() {
    runtime().block_on(async {
        let (project, _server) = installed("");
        let mut open = Vec::new();
        for _ in 0..96 {
            let mut client = Client::connect(&socket(&project)).await;
            client.once("FetchX509Bundles", &[]).await.unwrap();
            open.push(client);
        }
        let mut beyond = tokio::net::UnixStream::connect(socket(&project))
            .await
            .unwrap();
        let mut nothing = Vec::new();
        let read = beyond.read_to_end(&mut nothing).await;
        assert!(read.is_err() || nothing.is_empty(), "{nothing:?}");
        drop(open.pop());
        // The place is given back when the server has seen the end.
        let peer = writ::http::Peer::socket(&socket(&project));
        while peer.send(Method::GET, "/v1/bundle", &[], "").await.is_err() {}
    });
}

/// Beside each other on one socket: the JSON requests over HTTP/1.1, and the Workload API.
#[test]
fn both_ways_to_ask_say_the_same() {
    runtime().block_on(async {
        let (project, _server) = installed("");
        let bundle = bundle(&project).await;
        let plain = project.client().identity(Some(BOT)).await.unwrap();
        let mut client = Client::connect(&socket(&project)).await;
        let audience = format!("http://127.0.0.1:{}", project.control);
        let message = [field(1, &audience), field(2, BOT)].concat();
        let response = fields(&client.once("FetchJWTSVID", &message).await.unwrap());
        let svid = text(&fields(&response[&1][0])[&2][0]);
        for svid in [plain.svid, svid] {
            let verified = JwtSvid::verify(&svid, &bundle, &audience, now()).unwrap();
            assert_eq!(verified.spiffe().as_str(), BOT);
        }
    });
}
