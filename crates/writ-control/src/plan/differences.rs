//! What is written differently: APIs, credentials' names, contracts, agents, purposes, policies.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use writ_contract::{Contract, Operation};
use writ_policy::{EXCEPTIONS, Exception, SHADOW, WINDOWS, declared_windows, exceptions};
use writ_types::{Agent, Api, Attach, Budget, Digest, Purpose, Scope, SpiffeId, Value};

use super::access::Surveys;
use super::side::Side;
use super::{either, strings};

/// What kind of thing differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An API's registration.
    Api,
    /// What an API's owner registered as its credential. Its value is never compared.
    Credential,
    /// An API's contract.
    Contract,
    /// An agent.
    Agent,
    /// A purpose.
    Purpose,
    /// A policy file.
    Policy,
}

impl Kind {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Credential => "credential",
            Self::Contract => "contract",
            Self::Agent => "agent",
            Self::Purpose => "purpose",
            Self::Policy => "policy",
        }
    }
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It is another.
    Changed,
}

impl Change {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }
}

/// One thing that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// What became of it.
    pub change: Change,
    /// How, one to a line; nothing for what is new or gone and needs no words.
    pub details: Vec<String>,
}

impl Difference {
    pub(super) fn to_value(&self) -> Value {
        Value::object([
            ("kind", Value::from(self.kind.as_str())),
            ("name", Value::from(self.name.as_str())),
            ("change", Value::from(self.change.as_str())),
            ("details", strings(self.details.iter().map(String::as_str))),
        ])
    }
}

/// Everything that differs, in the order of its kinds and names.
pub(super) fn of(before: &Side, after: &Side, surveys: &Surveys<'_>) -> Vec<Difference> {
    let (old, new) = (&before.registry, &after.registry);
    let mut found = Vec::new();
    for id in either(old.apis.keys(), new.apis.keys()) {
        let sides = (old.apis.get(id), new.apis.get(id));
        let bare = (sides.0.map(Bare::of), sides.1.map(Bare::of));
        let bare = (bare.0.as_ref(), bare.1.as_ref());
        found.extend(difference(Kind::Api, id.as_str(), bare, api));
        found.extend(credential(id.as_str(), sides));
    }
    for id in either(before.contracts.keys(), after.contracts.keys()) {
        let of = |side: &'_ Side| -> Option<Digest> { Some(side.contracts.get(id)?.digest()) };
        let sides = (of(before), of(after));
        let details =
            |_: &Digest, _: &Digest| match (before.contracts.get(id), after.contracts.get(id)) {
                (Some(old), Some(new)) => contract(old, new),
                (None, _) | (_, None) => Vec::new(),
            };
        let sides = (sides.0.as_ref(), sides.1.as_ref());
        found.extend(difference(Kind::Contract, id.as_str(), sides, details));
    }
    let named = |side: &'_ Side| -> BTreeMap<SpiffeId, Agent> {
        let agents = side.registry.agents.values();
        agents
            .map(|agent| (agent.spiffe.clone(), agent.clone()))
            .collect()
    };
    let (old_agents, new_agents) = (named(before), named(after));
    for spiffe in either(old_agents.keys(), new_agents.keys()) {
        let sides = (old_agents.get(spiffe), new_agents.get(spiffe));
        found.extend(difference(Kind::Agent, spiffe.as_str(), sides, agent));
    }
    for name in either(old.purposes.keys(), new.purposes.keys()) {
        let sides = (old.purposes.get(name), new.purposes.get(name));
        let radii =
            |old: &Purpose, new: &Purpose| (before.blast_radius(old), after.blast_radius(new));
        let details = |old: &Purpose, new: &Purpose| {
            let mut details = purpose(old, new);
            let (was, is) = radii(old, new);
            details.extend(moved("blast radius of a task", &was, &is));
            details
        };
        found.extend(difference(Kind::Purpose, name.as_str(), sides, details));
    }
    found.extend(policies(before, after, surveys));
    found.sort_by(|one, other| (one.kind, &one.name).cmp(&(other.kind, &other.name)));
    found
}

fn difference<T: PartialEq>(
    kind: Kind,
    name: &str,
    sides: (Option<&T>, Option<&T>),
    details: impl Fn(&T, &T) -> Vec<String>,
) -> Option<Difference> {
    let (change, details) = match sides {
        (Some(old), Some(new)) => {
            if old == new {
                return None;
            }
            let mut details = details(old, new);
            if details.is_empty() {
                details.push("in something that has no words here".to_owned());
            }
            (Change::Changed, details)
        }
        (None, Some(_)) => (Change::Added, Vec::new()),
        (Some(_), None) => (Change::Removed, Vec::new()),
        (None, None) => return None,
    };
    Some(Difference {
        kind,
        name: name.to_owned(),
        change,
        details,
    })
}

/// `what: old -> new`, if they differ.
fn moved<T: PartialEq + ToString>(what: &str, old: &T, new: &T) -> Option<String> {
    (old != new).then(|| format!("{what}: {} -> {}", old.to_string(), new.to_string()))
}

/// `what: + a, b` and `what: - c`.
fn members<T: Ord + ToString>(what: &str, old: &BTreeSet<T>, new: &BTreeSet<T>) -> Vec<String> {
    let line = |sign: &str, names: Vec<String>| {
        (!names.is_empty()).then(|| format!("{what} {sign} {}", names.join(", ")))
    };
    let added = new.difference(old).map(ToString::to_string).collect();
    let removed = old.difference(new).map(ToString::to_string).collect();
    line("+", added)
        .into_iter()
        .chain(line("-", removed))
        .collect()
}

fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match (seconds % 3600, seconds % 60) {
        (0, _) if seconds > 0 => format!("{}h", seconds.div_euclid(3600)),
        (_, 0) if seconds > 0 => format!("{}m", seconds.div_euclid(60)),
        _ => format!("{}ms", span.as_millis()),
    }
}

/// A registration without its credential, which is a difference of its own.
#[derive(PartialEq)]
struct Bare(Api);

impl Bare {
    fn of(api: &Api) -> Self {
        Self(Api {
            credential: None,
            ..api.clone()
        })
    }
}

fn api(old: &Bare, new: &Bare) -> Vec<String> {
    let environment = |api: &Api| {
        let environment = api.environment.as_ref();
        environment.map_or_else(|| "none".to_owned(), ToString::to_string)
    };
    let (Bare(old), Bare(new)) = (old, new);
    let unbound = moved(
        "allow_unbound_tokens",
        &old.allow_unbound_tokens,
        &new.allow_unbound_tokens,
    );
    let life = moved(
        "max_token_life",
        &span(old.max_token_life),
        &span(new.max_token_life),
    );
    [
        moved("owner", &old.owner.as_str(), &new.owner.as_str()),
        moved("upstream", &old.upstream, &new.upstream),
        moved("environment", &environment(old), &environment(new)),
        moved("authorization server", &server(old), &server(new)),
        unbound,
        life,
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// All that the registration says of where its tokens come from.
fn server(api: &Api) -> String {
    let Some(server) = &api.authorization_server else {
        return "none".to_owned();
    };
    let words = |scopes: &BTreeSet<Scope>| {
        let words: Vec<&str> = scopes.iter().map(Scope::as_str).collect();
        words.join(" ")
    };
    let text = |name: &str, text: &Option<String>| {
        text.as_ref()
            .map(|text| format!(", {name} {text}"))
            .unwrap_or_default()
    };
    let single = server.operations.iter();
    let single = single.map(|(id, scopes)| format!(", {id} with {}", words(scopes)));
    format!(
        "{} at {} as {} by {}{}{}{}, scopes {}{}",
        server.grant.as_str(),
        server.token_endpoint,
        server.client_id,
        server.authentication.as_str(),
        text("issuer", &server.issuer),
        text("resource", &server.resource),
        text("audience", &server.audience),
        words(&server.scopes),
        single.collect::<String>(),
    )
}

fn credential(name: &str, sides: (Option<&Api>, Option<&Api>)) -> Option<Difference> {
    let said = |api: Option<&Api>| {
        api.and_then(|api| api.credential.as_ref()).map_or_else(
            || "none".to_owned(),
            |(name, attach)| match attach {
                Attach::Header(header) => format!("{name} in `{header}`"),
                Attach::Bearer => format!("{name} as bearer token"),
                Attach::Basic => format!("{name} as user and password"),
                Attach::Environment => format!("{name} in the program's environment"),
                Attach::ClientSecret => format!("{name} at its authorization server"),
            },
        )
    };
    let detail = moved(name, &said(sides.0), &said(sides.1))?;
    Some(Difference {
        kind: Kind::Credential,
        name: name.to_owned(),
        change: Change::Changed,
        details: vec![detail],
    })
}

fn contract(old: &Contract, new: &Contract) -> Vec<String> {
    let by_name = |contract: &'_ Contract| -> BTreeSet<String> {
        let names = contract
            .operations()
            .map(|operation| operation.id().to_string());
        names.collect()
    };
    let mut details = vec![format!("digest: {} -> {}", old.digest(), new.digest())];
    details.extend(members("operations", &by_name(old), &by_name(new)));
    for operation in new.operations() {
        let changed = old
            .operation(operation.id())
            .map(|before| self::operation(before, operation))
            .unwrap_or_default();
        if !changed.is_empty() {
            details.push(format!("{}: {}", operation.id(), changed.join("; ")));
        }
    }
    details
}

fn operation(old: &Operation, new: &Operation) -> Vec<String> {
    let routed = |operation: &Operation| format!("{} {}", operation.method(), operation.template());
    let mut details = Vec::new();
    details.extend(moved("route", &routed(old), &routed(new)));
    details.extend(moved("effects", &old.effects(), &new.effects()));
    details.extend(moved("reviewed", &old.reviewed(), &new.reviewed()));
    details.extend(members("labels", old.labels(), new.labels()));
    details.extend(moved("streamed", &old.stream(), &new.stream()));
    if old.attributes() != new.attributes() {
        details.push("its input is another".to_owned());
    }
    details
}

fn agent(old: &Agent, new: &Agent) -> Vec<String> {
    let mut details: Vec<String> = [
        moved("owner", &old.owner.as_str(), &new.owner.as_str()),
        moved("mode", &old.mode.as_str(), &new.mode.as_str()),
        moved("enabled", &old.enabled, &new.enabled),
        moved(
            "second_source",
            &old.watch.second_source,
            &new.watch.second_source,
        ),
        moved(
            "second_instance",
            &old.watch.second_instance,
            &new.watch.second_instance,
        ),
        moved("honey", &old.watch.honey, &new.watch.honey),
    ]
    .into_iter()
    .flatten()
    .collect();
    details.extend(members("groups", &old.groups, &new.groups));
    details.extend(members("purposes", &old.purposes, &new.purposes));
    details.extend(members("selectors", &old.selectors, &new.selectors));
    if old.federations != new.federations {
        details.push("federations: tokens of other issuers are its own, or no longer".to_owned());
    }
    if old.watch.planted != new.watch.planted {
        details.push("planted: what was laid for thieves is other".to_owned());
    }
    details
}

fn purpose(old: &Purpose, new: &Purpose) -> Vec<String> {
    let mut details: Vec<String> = [
        moved("owner", &old.owner.as_str(), &new.owner.as_str()),
        moved("agent_vouches", &old.agent_vouches, &new.agent_vouches),
        moved("plan_required", &old.plan_required, &new.plan_required),
        moved("description", &old.description, &new.description),
        moved("budget", &budget(old.budget), &budget(new.budget)),
        moved(
            "max_task_life",
            &span(old.max_task_life),
            &span(new.max_task_life),
        ),
    ]
    .into_iter()
    .flatten()
    .collect();
    details.extend(members("actions", &old.actions, &new.actions));
    let hours = |purpose: &Purpose| {
        let hours = purpose.hours.as_ref();
        hours.map_or_else(|| "always".to_owned(), ToString::to_string)
    };
    let radius = |purpose: &Purpose| {
        let most = purpose.max_blast_radius;
        most.map_or_else(|| "any".to_owned(), |most| most.to_string())
    };
    let user = |purpose: &Purpose| {
        let wanted = purpose.user_authentication.as_ref();
        wanted.map_or_else(|| "any".to_owned(), ToString::to_string)
    };
    details.extend(moved("hours", &hours(old), &hours(new)));
    details.extend(moved("user_authentication", &user(old), &user(new)));
    details.extend(moved("max_blast_radius", &radius(old), &radius(new)));
    // From none to some is narrower, from some to none wider: each is said.
    let any = |purpose: &Purpose| purpose.environments.is_empty();
    details.extend(moved("any environment", &any(old), &any(new)));
    details.extend(members(
        "environments",
        &old.environments,
        &new.environments,
    ));
    details
}

fn budget(budget: Budget) -> String {
    let Budget {
        calls,
        writes,
        deletes,
        irreversible,
    } = budget;
    format!("{calls} calls, {writes} writes, {deletes} deletes, {irreversible} irreversible")
}

/// The exceptions that one side has alone.
fn excepted(old: Option<&String>, new: Option<&String>) -> Vec<String> {
    let read = |text: Option<&String>| {
        let text = text.map_or("", String::as_str);
        exceptions([(EXCEPTIONS, text)])
    };
    let (old, new) = (read(old), read(new));
    let told = |word: &'static str| {
        move |exception: &Exception| {
            let actions: Vec<String> = exception.actions.iter().map(ToString::to_string).collect();
            let purpose = exception.purpose.as_ref();
            let purpose = purpose.map_or(String::new(), |name| format!(" for `{name}`"));
            let (agent, actions) = (&exception.agent, actions.join(", "));
            format!("exception {exception}, by {agent}{purpose} of {actions}: {word}")
        }
    };
    let gone = old.iter().filter(|one| !new.contains(one));
    let come = new.iter().filter(|one| !old.contains(one));
    let mut details: Vec<String> = come.map(told("added")).collect();
    details.extend(gone.map(told("taken out")));
    details
}

/// The windows that one side has alone.
fn counted(old: Option<&String>, new: Option<&String>) -> Vec<String> {
    let read = |text: Option<&String>| {
        let text = text.map_or("", String::as_str);
        let declared = declared_windows(text).unwrap_or_default();
        declared
            .into_iter()
            .map(|one| one.window)
            .collect::<Vec<_>>()
    };
    let (old, new) = (read(old), read(new));
    let come = new.iter().filter(|one| !old.contains(one));
    let gone = old.iter().filter(|one| !new.contains(one));
    // What it held before nobody has counted.
    let mut details: Vec<String> = come
        .map(|one| format!("window `{}`: added, and counts from then on", one.name))
        .collect();
    details.extend(gone.map(|one| format!("window `{}`: taken out", one.name)));
    if details.is_empty() {
        details.push("words and layout only: every window counts the same".to_owned());
    }
    details
}

/// Policy files with the rules in them that differ.
fn policies(before: &Side, after: &Side, surveys: &Surveys<'_>) -> Vec<Difference> {
    let (old, new) = (&before.registry.policies, &after.registry.policies);
    let mut found = Vec::new();
    for name in either(old.keys(), new.keys()) {
        let (old_text, new_text) = (old.get(name), new.get(name));
        if old_text == new_text {
            continue;
        }
        let (old_rules, new_rules) = (surveys.before.in_file(name), surveys.after.in_file(name));
        let mut details = Vec::new();
        for rule in either(old_rules.keys().copied(), new_rules.keys().copied()) {
            let word = match (old_rules.get(rule), new_rules.get(rule)) {
                (None, _) => "added",
                (_, None) => "removed",
                (old, new) if old != new => "changed",
                _ => continue,
            };
            details.push(format!("rule `{rule}` {word}"));
        }
        let change = match (old_text, new_text) {
            (None, _) => Change::Added,
            (_, None) => Change::Removed,
            _ => Change::Changed,
        };
        if name.starts_with(SHADOW) {
            details.push("a draft: it is tried, and binds nobody".to_owned());
        } else if name == EXCEPTIONS {
            details = excepted(old_text, new_text);
        } else if name == WINDOWS {
            details = counted(old_text, new_text);
        } else if details.is_empty() {
            details.push("words and layout only: every rule says the same".to_owned());
        }
        found.push(Difference {
            kind: Kind::Policy,
            name: name.clone(),
            change,
            details,
        });
    }
    found
}
