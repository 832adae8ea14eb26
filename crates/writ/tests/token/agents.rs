//! Trust bundles from the Workload API of an agent on this machine: what it says, how it changes, what of it counts, and what
//! becomes of what it said when it is gone.

use std::path::PathBuf;

use hyper::Method;
use writ::agent::AgentClient;
use writ::http::Peer;
use writ_testkit::{Project, TestClock, project, runtime};
use writ_types::Value;

use crate::kit::{BOT, Key, Stage, opened, refused, text};
use crate::spire::{Act, Bundles, Spire, bundles, entry, field, frame};
use crate::trust::{Domain, GUEST, guest, until};

const GRANT: &str = "invalid_grant";
const OURS: &str = "spiffe://guest.example";

fn settings(socket: &std::path::Path, more: &str) -> String {
    format!(
        "[[trust_domain]]\nname = \"guest.example\"\nworkload_api = \"unix://{}\"\n{more}",
        socket.display()
    )
}

/// An installation that believes an agent, and the agent.
struct House {
    stage: Stage,
    spire: Spire,
    _folder: tempfile::TempDir,
}

impl House {
    async fn open(act: Act, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("agent.sock");
        let spire = Spire::serve(&socket, act);
        let settings = settings(&socket, more);
        let stage = Stage::prepared(|project| {
            project.settings(&settings);
            guest(project);
        });
        Self {
            stage: stage.await,
            spire,
            _folder: folder,
        }
    }

    /// The status of an exchange of a JWT-SVID that a generation of the domain's keys signed.
    async fn ask(&self, domain: &Domain) -> u16 {
        let svid = domain.svid(&self.stage, GUEST);
        self.stage
            .exchanged_with(&Key::new(), &svid, None)
            .await
            .status
    }

    async fn origin(&self) -> Value {
        let project = &self.stage.project;
        let answer = project.operator(Method::GET, "/v1/status", "").await.json();
        let keys = answer.member("keys").and_then(Value::as_array).unwrap();
        let named =
            |row: &&Value| row.member("name").and_then(Value::as_str) == Some("guest.example");
        keys.iter().find(named).cloned().unwrap_or(Value::Null)
    }

    async fn fault(&self) -> String {
        let origin = self.origin().await;
        let fault = origin.member("fault").and_then(Value::as_str);
        fault.unwrap_or_default().to_owned()
    }
}

fn of(domains: &[&Domain]) -> Bundles {
    bundles(&[("guest.example", domains)])
}

fn new() -> Domain {
    Domain::new("guest.example")
}

/// SPIFFE Workload API §4.3, §4.4: each message is the whole state. A key that is added is believed, one that is gone is refused,
/// and so is a domain of which the agent does not speak any more, all without being asked anew.
#[test]
fn what_an_agent_pushes_holds_at_once() {
    runtime().block_on(async {
        let (first, second) = (new(), new());
        let act = Act::Say(of(&[&first]));
        let house = House::open(act, "refresh = \"1h\"\ngood_for = \"2h\"\n").await;
        assert_eq!(house.ask(&first).await, 200);
        assert_eq!(house.ask(&second).await, 400, "not yet");
        let both = of(&[&first, &second]);
        house.spire.act(Act::Say(both));
        until(200, "a new key", async || house.ask(&second).await).await;
        assert_eq!(house.ask(&first).await, 200, "beside the old one");
        house.spire.act(Act::Say(of(&[&second])));
        until(400, "a key that was removed", async || {
            house.ask(&first).await
        })
        .await;
        assert_eq!(house.ask(&second).await, 200);
        assert_eq!(house.spire.opened(), 2, "nobody asked anew");
        let others = bundles(&[("other.example", &[&second])]);
        house.spire.act(Act::Say(others));
        until(400, "another domain alone", async || {
            house.ask(&second).await
        })
        .await;
        let origin = house.origin().await;
        assert_eq!(
            origin.member("believed"),
            Some(&Value::from(false)),
            "{origin}"
        );
        house.spire.act(Act::Say(of(&[&second])));
        until(200, "said again", async || house.ask(&second).await).await;
        house.spire.act(Act::Status("7"));
        until(400, "PermissionDenied", async || house.ask(&second).await).await;
        assert!(house.fault().await.contains("PermissionDenied"));
    });
}

/// Bundles in the same message are of the domains under whose names they stand, and count only where the settings take them from
/// there (SPIFFE Federation §5).
#[test]
fn an_agent_vouches_for_the_configured_domain_alone() {
    runtime().block_on(async {
        let (ours, other, impostor) = (new(), new(), Domain::new("writ.local"));
        let (partner, stranger) = (
            Domain::new("partner.example"),
            Domain::new("stranger.example"),
        );
        let said = bundles(&[
            ("guest.example", &[&ours]),
            ("other.example", &[&other]),
            ("partner.example", &[&partner]),
            ("stranger.example", &[&stranger]),
            ("writ.local", &[&impostor]),
        ]);
        let folder = tempfile::tempdir().unwrap();
        let spire = Spire::serve(&folder.path().join("agent.sock"), Act::Say(said));
        let federated = settings(&spire.socket, "").replace("guest.example", "partner.example");
        let settings = format!("{}{federated}", settings(&spire.socket, ""));
        let stage = Stage::prepared(|project| {
            project.settings(&settings);
            guest(project);
            for name in ["partner", "stranger"] {
                let agent = std::fs::read_to_string(project.path("agents/guest.toml")).unwrap();
                let agent = agent.replace("guest.example", &format!("{name}.example"));
                project.write(&format!("agents/{name}.toml"), &agent);
            }
        })
        .await;
        let ask = async |domain: &Domain, spiffe: &str| {
            let svid = domain.svid(&stage, spiffe);
            stage.exchanged_with(&Key::new(), &svid, None).await
        };
        let (at_partner, at_stranger) = (
            "spiffe://partner.example/worker",
            "spiffe://stranger.example/worker",
        );
        assert_eq!(ask(&ours, GUEST).await.status, 200);
        assert_eq!(
            ask(&partner, at_partner).await.status,
            200,
            "federated, and configured"
        );
        refused(
            &ask(&stranger, at_stranger).await,
            GRANT,
            "federated, and not configured",
        );
        refused(&ask(&other, GUEST).await, GRANT, "keys of another domain");
        refused(&ask(&impostor, BOT).await, GRANT, "the built-in domain");
        assert!(!stage.grant(BOT, crate::kit::READ).await.token.is_empty());
    });
}

/// What an agent does wrong, and what a person is told of it.
fn wrong(good: &Domain) -> Vec<(&'static str, Act, &'static str)> {
    let named = |entries: &[Vec<u8>]| Act::Raw(frame(&entries.concat()));
    let many = (0..1025).map(|at| entry(1, &format!("spiffe://d{at}"), b"{}"));
    let many: Vec<_> = many.collect();
    let mut compressed = frame(&entry(1, OURS, b"{}"));
    compressed[0] = 1;
    let mut huge = vec![0];
    huge.extend((4 * 1024 * 1024_u32 + 1).to_be_bytes());
    let message = entry(1, OURS, b"{\"keys\":[]}");
    let lists = [field(1, b"x"), entry(2, OURS, b"")].concat();
    let (authorities, jwks) = of(&[good])[OURS].clone();
    let secret = br#"{"keys":[{"kty":"oct","k":"AAAA","kid":"a"}]}"#.to_vec();
    let say = |authorities, jwks| Act::Say(Bundles::from([(OURS.to_owned(), (authorities, jwks))]));
    let broken = say(b"no certificate".to_vec(), jwks);
    let private = say(authorities, secret);
    vec![
        ("a stream that ends", Act::End, "ended the stream"),
        ("a good end", Act::Status("0"), "ended the stream"),
        ("not available", Act::Status("14"), "Unavailable"),
        ("a status of its own", Act::Status("99"), "Unknown"),
        (
            "a compressed message",
            Act::Raw(compressed),
            "malformed or larger",
        ),
        (
            "a message without end",
            Act::Raw(huge),
            "malformed or larger",
        ),
        (
            "half an entry",
            Act::Raw(frame(&message[..9])),
            "malformed or larger",
        ),
        ("nothing at all", Act::Raw(frame(&[])), "no bundle at all"),
        ("too many bundles", named(&many), "more than 1,024 bundles"),
        (
            "a large one",
            named(&[entry(1, OURS, &vec![b' '; 262_145])]),
            "larger than 256 KiB",
        ),
        (
            "one domain twice",
            named(&[message.clone(), message]),
            "says twice",
        ),
        (
            "revocation lists",
            Act::Raw(frame(&lists)),
            "revocation lists",
        ),
        ("no certificates", broken, "authority certificate"),
        ("a secret key", private, "is secret"),
        (
            "a flood",
            Act::Flood(of(&[good])),
            "more than 1,024 messages",
        ),
    ]
}

/// Every fault leaves what was believed, believes nothing else, and is told; the agent is asked again until it says something sound.
#[test]
fn what_an_agent_says_wrongly_changes_nothing() {
    runtime().block_on(async {
        let (good, other) = (new(), new());
        let sound = Act::Say(of(&[&good]));
        let house = House::open(sound.clone(), "refresh = \"1h\"\ngood_for = \"2h\"\n").await;
        for (row, act, told) in wrong(&good) {
            assert_eq!(house.ask(&good).await, 200, "{row}: before");
            house.spire.act(act);
            until(200, row, async || {
                if house.fault().await.contains(told) {
                    200
                } else {
                    0
                }
            })
            .await;
            assert_eq!(house.ask(&good).await, 200, "{row}: what was believed");
            assert_eq!(house.ask(&other).await, 400, "{row}: and nothing else");
            house.spire.act(sound.clone());
            until(200, row, async || {
                if house.fault().await.is_empty() {
                    200
                } else {
                    0
                }
            })
            .await;
        }
    });
}

/// An agent that never says anything sound vouches for nobody, and stops no start.
#[test]
fn an_agent_that_says_nothing_vouches_for_nobody() {
    runtime().block_on(async {
        let domain = new();
        for (row, act) in [
            ("silence", Act::Silence),
            (
                "another domain",
                Act::Say(bundles(&[("other.example", &[&domain])])),
            ),
            ("PermissionDenied", Act::Status("7")),
            ("a web page", Act::Html),
        ] {
            let house = House::open(act, "[timeouts]\nkey_fetch = \"1s\"\n").await;
            assert_eq!(house.ask(&domain).await, 400, "{row}");
            assert!(!house.fault().await.is_empty(), "{row}: it is told");
            let (code, output, _) = house.stage.project.run(&["doctor"]);
            assert_eq!(code, 1, "{row}: {output}");
            assert!(
                output.contains("guest.example from unix://"),
                "{row}: {output}"
            );
            assert!(output.contains("nobody has them"), "{row}: {output}");
            house.spire.act(Act::Say(of(&[&domain])));
            until(200, row, async || house.ask(&domain).await).await;
        }
    });
}

/// An agent is asked anew from time to time; once it is gone, what it said last is believed to its limit and no longer.
#[test]
fn an_agent_that_is_gone_is_believed_to_its_limit() {
    runtime().block_on(async {
        let (domain, next) = (new(), new());
        let act = Act::Say(of(&[&domain]));
        let house = House::open(act, "refresh = \"1s\"\ngood_for = \"5s\"\n").await;
        assert_eq!(house.ask(&domain).await, 200);
        let before = house.spire.opened();
        until(200, "it is asked again", async || {
            if house.spire.opened() > before {
                200
            } else {
                0
            }
        })
        .await;
        let House {
            stage,
            spire,
            _folder,
        } = house;
        let socket = spire.socket.clone();
        drop(spire);
        let ask = async |domain: &Domain| {
            let svid = domain.svid(&stage, GUEST);
            stage.exchanged_with(&Key::new(), &svid, None).await.status
        };
        assert_eq!(ask(&domain).await, 200, "what it said last");
        until(400, "beyond its limit", async || ask(&domain).await).await;
        let (code, output, _) = stage.project.run(&["doctor"]);
        assert_eq!(code, 1, "{output}");
        assert!(output.contains("nobody answers at the socket"), "{output}");
        let _back = Spire::serve(&socket, Act::Say(of(&[&next])));
        until(200, "it is back", async || ask(&next).await).await;
        assert_eq!(ask(&domain).await, 400, "with other keys");
    });
}

/// A reload begins to follow an agent once people approve it, and ends what the settings do not name any more.
#[test]
fn a_reload_follows_and_leaves() {
    runtime().block_on(async {
        let domain = new();
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("agent.sock");
        let spire = Spire::serve(&socket, Act::Say(of(&[&domain])));
        let stage = Stage::prepared(guest).await;
        let ask = async || {
            let key = Key::new();
            let svid = domain.svid(&stage, GUEST);
            (stage.exchanged_with(&key, &svid, None).await, key)
        };
        assert_eq!(ask().await.0.status, 400, "nobody named it");
        let project = &stage.project;
        project.settings(&settings(&socket, ""));
        stage.order("/v1/reload", "{}").await;
        assert_eq!(ask().await.0.status, 400, "nobody has approved it");
        assert_eq!(spire.opened(), 0, "and nobody asks it");
        let trust = project.operator(Method::GET, "/v1/trust", "").await;
        let body = format!(r#"{{"digest":"{}"}}"#, text(&trust, "digest"));
        stage.order("/v1/trust/approve", &body).await;
        until(200, "approved", async || ask().await.0.status).await;
        let (answer, key) = ask().await;
        let task = opened(&answer, key);
        let streams = spire.opened();
        stage.order("/v1/reload", "{}").await;
        assert_eq!(
            spire.opened(),
            streams,
            "what has not changed is left alone"
        );
        project.settings("");
        stage.order("/v1/reload", "{}").await;
        assert_eq!(ask().await.0.status, 400, "gone from the settings");
        let answer = stage.call(&task, Method::GET, crate::kit::TICKETS).await;
        assert_eq!(writ_testkit::reason(&answer), "task_ended");
        spire.left_alone().await;
        for (row, more) in [
            ("tcp", "workload_api = \"tcp://127.0.0.1:8000\""),
            ("relative", "workload_api = \"unix:agent.sock\""),
            (
                "a file as well",
                "workload_api = \"unix:///a\"\nbundle_file = \"a\"",
            ),
            (
                "an empty environment",
                "workload_api = \"env:SPIFFE_ENDPOINT_SOCKET\"",
            ),
            (
                "believed too shortly",
                "workload_api = \"unix:///a\"\nrefresh = \"1h\"",
            ),
        ] {
            project.settings(&format!(
                "[[trust_domain]]\nname = \"guest.example\"\n{more}\n"
            ));
            let answer = project.operator(Method::POST, "/v1/reload", "{}").await;
            assert_ne!(answer.status, 200, "{row}");
        }
    });
}

/// Another installation, with its own trust domain, whose agents this one knows by name.
fn neighbour() -> Project {
    let project = project!();
    project.settings("trust_domain = \"guest.example\"\n");
    project.agent("worker", "autonomous", &[]);
    project
}

/// Two real processes: one serves its Workload API, the other believes it for its trust domain, and is told by `doctor` of how old
/// it is; then the first is gone.
#[test]
fn one_writ_believes_the_workload_api_of_another() {
    runtime().block_on(async {
        let neighbour = neighbour();
        let serving = neighbour.start();
        let socket: PathBuf = neighbour.path(".writ-agent.sock");
        let worker = "spiffe://guest.example/agent/worker";
        let more = "refresh = \"1s\"\ngood_for = \"4s\"\n";
        let stage = Stage::prepared(|project| {
            project.settings(&settings(&socket, more));
            guest(project);
            let agent = std::fs::read_to_string(project.path("agents/guest.toml")).unwrap();
            project.write("agents/guest.toml", &agent.replace(GUEST, worker));
        })
        .await;
        let peer = |url: &str| Peer::url(url, None).unwrap();
        let (control, public) = (stage.control(""), stage.public(""));
        let agent = AgentClient::new(
            &socket,
            (&control.parse().unwrap(), peer(&control)),
            (&public.parse().unwrap(), peer(&public)),
            TestClock::start(),
        );
        let identity = agent.identity(Some(worker)).await.unwrap();
        let ask = async || {
            let answer = stage
                .exchanged_with(&Key::new(), &identity.svid, None)
                .await;
            answer.status
        };
        assert_eq!(ask().await, 200);
        let (_, output, _) = stage.project.run(&["doctor"]);
        let told = format!("guest.example from unix://{}", socket.display());
        let line = output
            .lines()
            .find(|line| line.contains(&told))
            .unwrap_or_default();
        assert!(line.contains("s old, believed until 20"), "{output}");
        assert!(line.starts_with("ok"), "{output}");
        serving.kill();
        assert_eq!(ask().await, 200, "what it said last");
        until(400, "beyond its limit", ask).await;
        let _serving = neighbour.start();
        until(200, "it is back", ask).await;
    });
}
