//! Transaction tokens: what the upstream learns of a call, and that it can verify it.

use std::collections::BTreeSet;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::Method;
use writ_testkit::{Project, json, open, project, runtime};
use writ_types::Value;

use crate::odd::Odd;

const CONTRACT: &str = r#"{"openapi":"3.0.3","info":{"title":"inner","version":"1"},"paths":{
"/echo":{"get":{"operationId":"echo","parameters":[{"name":"Txn-Token","in":"header","schema":{"type":"string"}}],"responses":{"200":{"description":"done"}}}},
"/repeat":{"get":{"operationId":"repeat","responses":{"200":{"description":"done"}}}}}}"#;

/// The claims of a token, verified with the key that the JWKS has for it.
async fn verified(project: &Project, token: &str) -> Value {
    let jwks = project
        .control()
        .send(Method::GET, "/oauth/jwks", &[], "")
        .await;
    let jwks = jwks.unwrap().json();
    let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts.as_slice() else {
        panic!("{token}")
    };
    let header = json(&String::from_utf8(bytes(header)).unwrap());
    let names: Vec<_> = header
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(names, ["alg", "kid", "typ"]);
    assert_eq!(header.member("alg"), Some(&Value::from("ES256")));
    assert_eq!(header.member("typ"), Some(&Value::from("txntoken+jwt")));
    let keys = jwks.member("keys").and_then(Value::as_array).unwrap();
    let named = |key: &&Value| key.member("kid") == header.member("kid");
    let key = keys.iter().find(named).unwrap();
    let coordinate = |name| bytes(key.member(name).and_then(Value::as_str).unwrap());
    let point = [vec![4], coordinate("x"), coordinate("y")].concat();
    let signed = token.rsplit_once('.').unwrap().0;
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
    key.verify(signed.as_bytes(), &bytes(signature)).unwrap();
    json(&String::from_utf8(bytes(payload)).unwrap())
}

/// The transaction tokens of the last request the upstream saw.
fn shown(odd: &Odd) -> Vec<String> {
    let seen = odd.seen();
    let lines = seen.last().unwrap().lines();
    let fields = lines.filter_map(|line| line.split_once(": "));
    let own = fields.filter(|(name, _)| name.eq_ignore_ascii_case("txn-token"));
    own.map(|(_, value)| value.to_owned()).collect()
}

async fn installed(tokens: &str) -> (Project, std::sync::Arc<Odd>) {
    let project = project!();
    let odd = Odd::open(&project).await;
    project.write("apis/inner.openapi.json", CONTRACT);
    project.write(
        "apis/inner.toml",
        &format!(
            "owner = \"o@example.org\"\nupstream = \"http://{}\"\ncontract = \"inner.openapi.json\"\n[operations.echo]\neffect = \"read\"\n[operations.repeat]\neffect = \"read\"\n{tokens}",
            odd.address
        ),
    );
    project.agent("bot", "autonomous", &["trial"]);
    project.write(
        "purposes/trial.toml",
        "owner = \"o@example.org\"\nactions = [\"inner:echo\", \"inner:repeat\"]\n[budget]\ncalls = 50\n",
    );
    (project, odd)
}

const TASK: &str =
    r#"[{"type":"writ_task","purpose":"trial","actions":["inner:echo","inner:repeat"]}]"#;
const TOKENS: &str = "[transaction_tokens]\ntrust_domain = \"internal.example\"\n";

#[test]
fn the_upstream_verifies_who_calls_and_why() {
    runtime().block_on(async {
        let (project, odd) = installed(TOKENS).await;
        let _server = project.start();
        project.sign_in();
        let client = project.client();
        let task = open(&client, TASK).await;
        let mut transactions = BTreeSet::new();
        let mut kids = BTreeSet::new();
        for round in 0..3 {
            if round == 2 {
                let (code, _, said) = project.run(&["key", "rotate"]);
                assert_eq!(code, 0, "{said}");
            }
            let answer = client
                .call(&task, Method::GET, "/inner/echo", None)
                .await
                .unwrap();
            assert_eq!(answer.status, 200, "{}", answer.json());
            let tokens = shown(&odd);
            let [token] = tokens.as_slice() else {
                panic!("exactly one: {tokens:?}")
            };
            kids.insert(token.split('.').next().unwrap().to_owned());
            let claims = verified(&project, token).await;
            let text = |name| claims.member(name).and_then(Value::as_str).unwrap();
            let seconds = |name| claims.member(name).and_then(Value::as_u64).unwrap();
            assert_eq!(text("iss"), format!("http://127.0.0.1:{}", project.control));
            assert_eq!(text("aud"), "internal.example");
            assert_eq!(text("sub"), "spiffe://writ.local/agent/bot");
            assert_eq!(text("req_wl"), "spiffe://writ.local/agent/bot");
            assert_eq!(text("scope"), "inner:echo", "this action and no other");
            assert_eq!(
                Some(text("txn")),
                answer.header("writ-call-id"),
                "as it is in the log"
            );
            assert_eq!(seconds("exp") - seconds("iat"), 60);
            let context = claims.member("tctx").unwrap();
            assert_eq!(
                context.member("task_id"),
                Some(&Value::from(task.task.as_str()))
            );
            assert_eq!(context.member("purpose"), Some(&Value::from("trial")));
            assert!(
                !claims.to_string().contains(&task.token),
                "never the agent's own token"
            );
            transactions.insert(text("txn").to_owned());
        }
        assert_eq!(
            (transactions.len(), kids.len()),
            (3, 2),
            "a call is a transaction"
        );
    });
}

/// What the agent sends in that field is no transaction token, and what the upstream gets there the agent does not see.
#[test]
fn the_agent_neither_makes_one_nor_sees_one() {
    runtime().block_on(async {
        let (project, odd) = installed(TOKENS).await;
        let server = project.start();
        let client = project.client();
        let task = open(&client, TASK).await;
        let caller = writ_testkit::Caller::new(&project, &task);
        let forged = [("txn-token", "forged")];
        let answer = caller.send("GET", "/inner/echo", &forged, "").await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        let tokens = shown(&odd);
        assert_eq!(tokens.len(), 1);
        assert_ne!(tokens, ["forged"]);
        let answer = client
            .call(&task, Method::GET, "/inner/repeat", None)
            .await
            .unwrap();
        assert_eq!(
            answer.status, 502,
            "an upstream that repeats it is not forwarded"
        );
        let tokens = shown(&odd);
        let signature = tokens
            .first()
            .unwrap()
            .rsplit_once('.')
            .unwrap()
            .1
            .to_owned();
        assert!(!String::from_utf8_lossy(&answer.body).contains(&signature));
        let said = server.stop_and_tell();
        assert!(!said.contains(&signature), "never logged");
    });
}

#[test]
fn an_api_that_verifies_none_gets_none() {
    runtime().block_on(async {
        let (project, odd) = installed("").await;
        let _server = project.start();
        let client = project.client();
        let task = open(&client, TASK).await;
        let answer = client
            .call(&task, Method::GET, "/inner/echo", None)
            .await
            .unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(shown(&odd), Vec::<String>::new());
    });
}
