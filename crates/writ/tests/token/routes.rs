//! The control plane: every route asks who is there, and each role may do what the table says.

use std::time::Duration;

use hyper::Method;
use writ::http::Answer;
use writ_control::{Access, Endpoint, ROUTES};
use writ_store::{Operator, Role, Store};
use writ_testkit::{Project, project, runtime};
use writ_types::{Digest, OperatorId, Tenant};

use crate::kit::{now, random_bytes};

async fn send(project: &Project, method: &str, path: &str, authorization: &[&str]) -> Answer {
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(authorization.iter().map(|value| ("authorization", *value)));
    let peer = project.control();
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    peer.send(method, path, &headers, "{}").await.unwrap()
}

/// The route's path with something in its `{…}` segment.
fn concrete(pattern: &str) -> String {
    let segment = |segment: &str| {
        let open = segment.starts_with('{');
        if open {
            "unknown".to_owned()
        } else {
            segment.to_owned()
        }
    };
    pattern
        .split('/')
        .map(segment)
        .collect::<Vec<_>>()
        .join("/")
}

#[test]
fn without_a_session_there_is_nothing() {
    runtime().block_on(async {
        let project = project!();
        let _server = project.start();
        let strangers: [&[&str]; 8] = [
            &[],
            &["Bearer"],
            &["Bearer "],
            &["Bearer wos_unknown"],
            &["Basic d3JpdDp3cml0"],
            &["DPoP wos_unknown"],
            &["wos_unknown"],
            &["Bearer wos_unknown", "Bearer wos_other"],
        ];
        let mut looked_at = 0;
        for (method, pattern, access, _) in ROUTES {
            if *access == Access::Public {
                continue;
            }
            looked_at += 1;
            for stranger in strangers {
                let answer = send(&project, method, &concrete(pattern), stranger).await;
                assert_eq!(answer.status, 401, "{method} {pattern} {stranger:?}");
                assert!(
                    answer.header("www-authenticate").is_some(),
                    "{method} {pattern}"
                );
                assert_eq!(answer.header("cache-control"), Some("no-store"));
            }
        }
        assert!(looked_at > 10);
        let mut bodies = Vec::new();
        for (method, path) in [
            ("GET", "/v1/tasks"),
            ("DELETE", "/v1/tasks"),
            ("GET", "/v1/nothing"),
            ("GET", "/"),
            ("POST", "/oauth/jwks"),
            ("GET", "/oauth/token"),
            ("GET", "/oauth/token/"),
            ("GET", "//oauth/jwks"),
            ("GET", "/OAUTH/JWKS"),
            ("GET", "/%6fauth/jwks"),
            ("OPTIONS", "/v1/tasks"),
            ("PUT", "/healthz"),
        ] {
            let answer = send(&project, method, path, &[]).await;
            assert_eq!(answer.status, 401, "{method} {path}");
            bodies.push(answer.body);
        }
        bodies.dedup();
        assert_eq!(bodies.len(), 1, "strangers do not learn which paths exist");
    });
}

/// What the store keeps of a session's text.
fn kept(session: &str) -> Digest {
    Digest::of_parts(&[b"writ operator token v1\n", session.as_bytes()])
}

/// An operator of this role with a session until `life` from now; the session's text.
async fn sign_in(store: &Store, role: Role, name: &str, life: Duration) -> String {
    let tenant = Tenant::default_tenant();
    let operator = Operator {
        id: OperatorId::new(now(), random_bytes()),
        name: name.to_owned(),
        role,
        approves: [].into(),
        identity: None,
        certificate: None,
        created: now(),
        since: now(),
        made_by: None,
        signed_in: None,
    };
    store.put_operator(&tenant, &operator).await.unwrap();
    let session = format!("wos_{name}");
    let (digest, times) = (kept(&session), (now(), now().plus(life)));
    let put = store.put_session(&tenant, &digest, operator.id, times);
    put.await.unwrap();
    session
}

const fn rank(role: Role) -> u8 {
    match role {
        Role::Viewer => 0,
        Role::Approver => 1,
        Role::Operator => 2,
        Role::Admin => 3,
    }
}

#[test]
fn each_role_may_do_what_the_table_says() {
    runtime().block_on(async {
        let project = project!();
        // The first start makes the store; operators are put into it while nobody has it open.
        assert!(project.start().stop().success());
        let store = Store::open(&project.path(".writ/writ.db")).await.unwrap();
        let day = Duration::from_secs(86_400);
        let mut sessions = Vec::new();
        for role in [Role::Viewer, Role::Approver, Role::Operator, Role::Admin] {
            sessions.push((role, sign_in(&store, role, role.as_str(), day).await));
        }
        let over = sign_in(&store, Role::Admin, "over", Duration::ZERO).await;
        store.close().await;
        let _server = project.start();
        for (role, session) in &sessions {
            let bearer = format!("Bearer {session}");
            for (method, pattern, access, endpoint) in ROUTES {
                let Access::Role(least) = access else {
                    continue;
                };
                let answer = send(&project, method, &concrete(pattern), &[&bearer]).await;
                let row = format!("{} {method} {pattern}: {}", role.as_str(), answer.json());
                if rank(*role) < rank(*least) {
                    assert_eq!(answer.status, 403, "{row}");
                } else {
                    assert!(!matches!(answer.status, 401 | 403 | 500..), "{row}");
                    let asks_for_nothing = matches!(
                        endpoint,
                        Endpoint::Status
                            | Endpoint::Tasks
                            | Endpoint::Apis
                            | Endpoint::Agents
                            | Endpoint::Reload
                    );
                    assert!(!asks_for_nothing || answer.status == 200, "{row}");
                }
            }
            assert_eq!(
                send(&project, "GET", "/v1/nothing", &[&bearer])
                    .await
                    .status,
                404
            );
            assert_eq!(
                send(&project, "DELETE", "/v1/tasks", &[&bearer])
                    .await
                    .status,
                405
            );
        }
        let expired = format!("Bearer {over}");
        assert_eq!(
            send(&project, "GET", "/v1/status", &[&expired])
                .await
                .status,
            401,
            "an expired session"
        );
        let digest = format!("Bearer {}", kept(&sessions[3].1));
        assert_eq!(
            send(&project, "GET", "/v1/status", &[&digest]).await.status,
            401,
            "what the store keeps is no session"
        );
    });
}

/// The first-boot token lets in one admin, once.
#[test]
fn the_first_boot_token_dies_at_the_first_sign_in() {
    runtime().block_on(async {
        let project = project!();
        let _server = project.start();
        let path = project.path(".writ/first-boot-token");
        let token = std::fs::read_to_string(&path).unwrap();
        let login = async |token: &str| {
            let body = format!(r#"{{"token":"{}"}}"#, token.trim());
            let json = [("content-type", "application/json")];
            let peer = project.control();
            peer.send(Method::POST, "/v1/login", &json, body)
                .await
                .unwrap()
                .status
        };
        for wrong in ["", "wft_unknown"] {
            assert_eq!(login(wrong).await, 401);
        }
        assert_eq!(login(&token).await, 200);
        assert_eq!(login(&token).await, 401, "used twice");
    });
}
