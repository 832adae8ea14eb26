//! A store in a folder of its own, and things to put in it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use writ_types::{
    Agent, AgentId, Api, Asserter, Asserters, Attach, AuthorizationServer, Bounds, Budget, Digest,
    Federation, Grant, JsonLimits, KeyedDigest, Mode, OperatorId, Plan, Planted, Purpose, Reaction,
    Requester, RevisionId, Secret, Selector, TaskId, Tenant, Timestamp, UpstreamAuthentication,
    UpstreamGrant, Value, WantedAuthentication, Watch,
};

use crate::{Contract, Registry, Store};

pub(super) const NOON: Timestamp = Timestamp::from_secs(1_795_000_000);

pub(super) fn tenant() -> Tenant {
    Tenant::default_tenant()
}

pub(super) fn other() -> Tenant {
    "acme".parse().unwrap()
}

pub(super) struct Bench {
    pub(super) folder: TempDir,
    pub(super) store: Store,
}

impl Bench {
    pub(super) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("writ.db")).await.unwrap();
        Self { folder, store }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("writ.db")
    }
}

fn random(number: u8) -> [u8; 10] {
    [0, 0, 0, 0, 0, 0, 0, 0, 0, number]
}

pub(super) fn revision(number: u8) -> RevisionId {
    RevisionId::new(NOON, random(number))
}

pub(super) fn task(number: u8) -> TaskId {
    TaskId::new(NOON, random(number))
}

pub(super) fn operator(number: u8) -> OperatorId {
    OperatorId::new(NOON, random(number))
}

pub(super) fn api(id: &str, attach: Option<Attach>) -> Api {
    Api {
        id: id.parse().unwrap(),
        owner: "ops@example.org".parse().unwrap(),
        upstream: "http://127.0.0.1:8081/api/v1".parse().unwrap(),
        drift: attach
            .as_ref()
            .map(|_| "http://127.0.0.1:8081/api/docs".parse().unwrap()),
        credential: attach.map(|attach| ("dns-key".parse().unwrap(), attach)),
        transaction_tokens: Some("internal.example".parse().unwrap()),
        authorization_server: Some(server()),
        allow_unbound_tokens: false,
        max_token_life: Duration::from_millis(299_999),
        environment: (id == "dns").then(|| "production".parse().unwrap()),
    }
}

fn purpose() -> Purpose {
    Purpose {
        name: "acme-renewal".parse().unwrap(),
        owner: "alice@example.org".parse().unwrap(),
        description: "Renew certificates.\nNothing else — ünïcödé".to_owned(),
        actions: BTreeSet::from([
            "dns:patchZone".parse().unwrap(),
            "dns:GET:/a/{b}".parse().unwrap(),
        ]),
        budget: Budget {
            calls: u64::MAX,
            writes: 9_007_199_254_740_993,
            deletes: 0,
            irreversible: 1,
        },
        max_task_life: Duration::from_secs(3600),
        agent_vouches: true,
        plan_required: true,
        hours: Some("mon,sun 22:00-06:30 -03:30".parse().unwrap()),
        environments: BTreeSet::from(["production".parse().unwrap()]),
        max_blast_radius: Some(u64::MAX),
        user_authentication: Some(
            WantedAuthentication::new(
                Some(Duration::from_secs(900)),
                ["phr", "mfa"].map(|acr| acr.parse().unwrap()).to_vec(),
            )
            .unwrap(),
        ),
    }
}

/// One of everything, with every optional part both there and not.
pub(super) fn registry() -> Registry {
    let agent = Agent {
        id: AgentId::new(NOON, random(1)),
        spiffe: "spiffe://writ.local/agent/dns".parse().unwrap(),
        owner: "alice@example.org".parse().unwrap(),
        groups: BTreeSet::from(["dns".to_owned(), "\"quoted\" \\ 0".to_owned()]),
        mode: Mode::Autonomous,
        purposes: BTreeSet::from(["acme-renewal".parse().unwrap()]),
        selectors: BTreeSet::from([
            Selector::Uid(1000),
            Selector::Path("/usr/bin/a:b".to_owned()),
        ]),
        federations: BTreeSet::from([Federation::new(
            "https://ci.example".to_owned(),
            BTreeMap::from([
                ("repository".parse().unwrap(), "acme/app".to_owned()),
                ("/kubernetes.io/a~1b".parse().unwrap(), String::new()),
            ]),
        )
        .unwrap()]),
        enabled: true,
        watch: Watch {
            second_source: Reaction::Raise,
            second_instance: Reaction::Refuse,
            honey: true,
            planted: BTreeSet::from([Planted {
                name: "environment of the build".to_owned(),
                digest: Digest::of(b"planted"),
                stop: true,
            }]),
        },
    };
    let purpose = purpose();
    let contract = Contract {
        document: vec![0, 255, b'{', b'\n'],
        reviews: r#"{"patchZone":{"kind":"write"}}"#.to_owned(),
    };
    let apis = [
        api("dns", Some(Attach::Header("x-api-key".to_owned()))),
        api("crm", Some(Attach::Bearer)),
        api("old", Some(Attach::Basic)),
        Api {
            upstream: "stdio:local".parse().unwrap(),
            ..api("local", Some(Attach::Environment))
        },
        api("open", None),
    ];
    Registry {
        live: BTreeMap::from([("dns".parse().unwrap(), contract.clone())]),
        beside: BTreeMap::from([(
            "dns".parse().unwrap(),
            vec![Contract {
                document: b"{}".to_vec(),
                reviews: String::new(),
            }],
        )]),
        contracts: BTreeMap::from([("dns".parse().unwrap(), contract)]),
        apis: apis.into_iter().map(|api| (api.id.clone(), api)).collect(),
        agents: BTreeMap::from([(agent.id, agent)]),
        purposes: BTreeMap::from([(purpose.name.clone(), purpose)]),
        policies: BTreeMap::from([(
            "baseline".to_owned(),
            "permit(principal, action, resource);".to_owned(),
        )]),
    }
}

/// A grant with everything that can be there but a parent.
pub(super) fn grant(number: u8) -> Grant {
    let bounds = br#"{"dns:patchZone":{"/path/zone":["a."],"/body/amount":{"max":"100.00"},"/body/day":{"from":"2026-01-01"},"/body/b":{"prefix":"x/"}}}"#;
    let bounds = Bounds::parse(&Value::parse(bounds, &JsonLimits::REQUEST).unwrap()).unwrap();
    let plan = br#"[{"action":"dns:patchZone","arguments":{"/path/zone":["a."]},"times":3}]"#;
    let plan = Plan::parse(&Value::parse(plan, &JsonLimits::REQUEST).unwrap()).unwrap();
    let requester = Requester {
        issuer: "https://idp.example".to_owned(),
        subject: "a\"b".to_owned(),
    };
    Grant {
        tenant: tenant(),
        task: task(number),
        agent: AgentId::new(NOON, random(1)),
        requester: Some(requester),
        purpose: "acme-renewal".parse().unwrap(),
        mode: Mode::Copilot,
        actions: BTreeSet::from(["dns:patchZone".parse().unwrap()]),
        bounds,
        plan,
        budget: Budget {
            calls: u64::MAX,
            ..Budget::DEFAULT
        },
        opened: NOON,
        deadline: NOON.plus(Duration::from_secs(60)),
        parent: None,
        prompt: Some(KeyedDigest::of(&Secret::new([1; 32]), "prompt", b"renew")),
        asserters: Asserters {
            bounds: Asserter::Client("plan:ner".to_owned()),
            prompt: Asserter::AgentAccepted,
            plan: Asserter::Agent,
        },
    }
}

/// A grant without anything that can be absent.
pub(super) fn bare_grant(number: u8) -> Grant {
    Grant {
        requester: None,
        bounds: Bounds::none(),
        plan: Plan::none(),
        prompt: None,
        asserters: Asserters::default(),
        ..grant(number)
    }
}

/// A grant below another.
pub(super) fn grant_below(number: u8, parent: u8) -> Grant {
    Grant {
        parent: Some(task(parent)),
        ..grant(number)
    }
}

/// An authorization server of which everything is said.
fn server() -> AuthorizationServer {
    let scopes = |words: &[&str]| words.iter().map(|word| word.parse().unwrap()).collect();
    AuthorizationServer {
        grant: UpstreamGrant::TokenExchange,
        token_endpoint: "https://as.example/token".parse().unwrap(),
        client_id: "writ".to_owned(),
        authentication: UpstreamAuthentication::PrivateKeyJwt,
        issuer: Some("https://as.example".to_owned()),
        resource: Some("https://api.example/v1".to_owned()),
        audience: Some("tickets".to_owned()),
        scopes: scopes(&["read", "write"]),
        operations: BTreeMap::from([("list".parse().unwrap(), scopes(&["read"]))]),
    }
}
