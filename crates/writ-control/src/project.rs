//! A Writ project: the wanted state as files, read into what they mean.
//!
//! `apis/*.toml`, `agents/*.toml`, `purposes/*.toml` and `policies/*.cedar`. The same reader serves seeding, `writ apply`
//! and `writ doctor`, so a file means one thing everywhere. It collects every fault before it gives up, because a person
//! is waiting to mend them.

mod authorization_server;
mod raw;
mod timed;
mod upstream;
mod window;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::DeserializeOwned;
use toml::Spanned;
use writ_contract::{Contract, DiagnosticSource, Reviews, Severity};
use writ_policy::{EXCEPTIONS, Pack, PolicySource, SHADOW, SHADOW_TIME, WINDOWS};
use writ_types::{
    ActionName, Agent, AgentId, Api, ApiId, Attach, AuthorizationServer, Budget, CredentialName,
    Effect, Effects, Hours, OperationId, Planted, Purpose, PurposeName, SpiffeId, Timestamp,
    TrustDomain, Value, WantedAuthentication, Watch,
};

use timed::{EXCEPTIONS_FILE, SHADOW_FILE};
use window::WINDOWS_FILE;

use raw::{
    RawAgent, RawApi, RawAttach, RawCredential, RawFederation, RawHours, RawOperation, RawPacks,
    RawPurpose, RawUserAuthentication,
};

/// One fault in a project file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProjectFault {
    /// The file, relative to the project.
    pub file: String,
    /// The line, where it is known; the first is 1.
    pub line: Option<u32>,
    /// The column in characters, where it is known; the first is 1.
    pub column: Option<u32>,
    /// What it is about: the id of a policy lint, otherwise `project`.
    pub lint: &'static str,
    /// The policy it is about, if it is about one.
    pub rule: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do, where the message does not say it.
    pub fix: Option<String>,
}

impl fmt::Display for ProjectFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        f.write_str(": ")?;
        if let Some(rule) = &self.rule {
            write!(f, "`{rule}`: ")?;
        }
        f.write_str(&self.message)?;
        match &self.fix {
            Some(fix) => write!(f, " ({fix})"),
            None => Ok(()),
        }
    }
}

impl ProjectFault {
    /// A fault of a file that is no policy's.
    pub(crate) fn of_file(file: &str, line: Option<u32>, message: String) -> Self {
        Self {
            file: file.to_owned(),
            line,
            column: None,
            lint: "project",
            rule: None,
            message,
            fix: None,
        }
    }

    /// What a load found wrong with a policy, or with an API as policies see it.
    pub(crate) fn of_policy(found: &writ_policy::Diagnostic) -> Self {
        // What is made of a file that people write is shown to nobody.
        let written = match found.file.as_str() {
            EXCEPTIONS => Some(EXCEPTIONS_FILE),
            WINDOWS => Some(WINDOWS_FILE),
            SHADOW_TIME => Some(SHADOW_FILE),
            _ => None,
        };
        let has_lines = written.is_none() || written == Some(WINDOWS_FILE);
        let known = |number: u32| (number > 0 && has_lines).then_some(number);
        Self {
            file: written.unwrap_or(&found.file).to_owned(),
            line: known(found.line),
            column: known(found.column),
            lint: found.lint.id(),
            rule: found.policy.clone(),
            message: found.message.clone(),
            fix: Some(
                found
                    .help
                    .clone()
                    .unwrap_or_else(|| found.lint.fix().to_owned()),
            ),
        }
    }

    /// The fault as JSON.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let number = |number: Option<u32>| {
            number.map_or(Value::Null, |number| Value::from_u64(number.into()))
        };
        let text = |text: &Option<String>| text.as_deref().map_or(Value::Null, Value::from);
        Value::object([
            ("file", Value::from(self.file.as_str())),
            ("line", number(self.line)),
            ("column", number(self.column)),
            ("lint", Value::from(self.lint)),
            ("rule", text(&self.rule)),
            ("message", Value::from(self.message.as_str())),
            ("fix", text(&self.fix)),
        ])
    }
}

/// An API with its contract's document and what its owner reviewed.
#[derive(Debug, Clone)]
pub struct ProjectApi {
    /// The registration.
    pub api: Api,
    /// The OpenAPI document, as it is.
    pub document: Vec<u8>,
    /// The document's file, relative to the project.
    pub document_file: String,
    /// What the owner reviewed in the registration, and their overlay.
    pub reviews: Reviews,
}

/// A whole project.
#[derive(Debug, Clone, Default)]
pub struct Project {
    /// The APIs.
    pub apis: BTreeMap<ApiId, ProjectApi>,
    /// The agents, by workload identity; their ids are the store's to keep.
    pub agents: BTreeMap<SpiffeId, Agent>,
    /// The purposes.
    pub purposes: BTreeMap<PurposeName, Purpose>,
    /// The policies, in the order of their file names.
    pub policies: Vec<PolicySource>,
}

impl Project {
    /// Reads a project from its files, by path relative to the project.
    ///
    /// `keep` gives the id of an agent that is registered already, and a new id otherwise.
    ///
    /// # Errors
    ///
    /// Every fault that was found, in the order of files and lines.
    pub fn read(
        files: &BTreeMap<String, Vec<u8>>,
        trust_domain: &TrustDomain,
        mut keep: impl FnMut(&SpiffeId) -> AgentId,
    ) -> Result<Self, Vec<ProjectFault>> {
        let mut reader = Reader {
            files,
            agent_files: BTreeMap::new(),
            operations: BTreeMap::new(),
            faults: Vec::new(),
        };
        let mut project = Self::default();
        for (file, stem) in files_in(files, "apis/", ".toml") {
            if let Some(api) = reader.api(file, stem) {
                project.apis.insert(api.api.id.clone(), api);
            }
        }
        reader.overlays();
        for (file, stem) in files_in(files, "purposes/", ".toml") {
            if let Some(purpose) = reader.purpose(file, stem) {
                project.purposes.insert(purpose.name.clone(), purpose);
            }
        }
        for (file, stem) in files_in(files, "agents/", ".toml") {
            if let Some(agent) = reader.agent(file, stem, trust_domain, &mut keep) {
                let spiffe = agent.spiffe.clone();
                reader.agent_files.insert(spiffe.clone(), file.to_owned());
                if project.agents.insert(spiffe.clone(), agent).is_some() {
                    reader.fault(
                        file,
                        None,
                        format!("another agent has the SPIFFE id `{spiffe}`"),
                    );
                }
            }
        }
        let policies = files_in(files, "policies/", ".cedar");
        for (file, _) in policies.chain(files_in(files, SHADOW, ".cedar")) {
            let text = files
                .get(file)
                .and_then(|bytes| String::from_utf8(bytes.clone()).ok());
            match text {
                Some(text) => project.policies.push(PolicySource {
                    name: file.to_owned(),
                    text,
                }),
                None => reader.fault(file, None, "the file is not UTF-8 text".to_owned()),
            }
        }
        let timed = [
            reader.freezes(&project),
            reader.exceptions(&project),
            reader.windows(),
            reader.shadow(),
        ];
        project.policies.extend(timed.into_iter().flatten());
        let packs = reader.packs_of_all();
        for agent in project.agents.values_mut() {
            agent.groups.extend(packs.iter().cloned());
        }
        reader.references(&project);
        reader.faults.sort();
        if reader.faults.is_empty() {
            Ok(project)
        } else {
            Err(reader.faults)
        }
    }
}

/// The files of one folder with one ending, with their stems; files of folders below are not looked at.
fn files_in<'a>(
    files: &'a BTreeMap<String, Vec<u8>>,
    folder: &'a str,
    ending: &'a str,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    files.keys().filter_map(move |file| {
        let stem = file.strip_prefix(folder)?.strip_suffix(ending)?;
        (!stem.contains('/') && !stem.is_empty()).then_some((file.as_str(), stem))
    })
}

/// What the calls of an API carry.
struct Carried {
    credential: Option<(CredentialName, Attach)>,
    transaction_tokens: Option<TrustDomain>,
    authorization_server: Option<AuthorizationServer>,
}

struct Reader<'a> {
    files: &'a BTreeMap<String, Vec<u8>>,
    /// The file of each agent, for faults that show only when everything is read.
    agent_files: BTreeMap<SpiffeId, String>,
    /// The operations of each contract that compiles: a large one takes its time, and purposes name hundreds of them.
    operations: BTreeMap<ApiId, BTreeSet<OperationId>>,
    faults: Vec<ProjectFault>,
}

impl Reader<'_> {
    fn fault(&mut self, file: &str, line: Option<u32>, message: String) {
        self.faults.push(ProjectFault::of_file(file, line, message));
    }

    /// An overlay stands beside what it is of: one that is not read would not bind.
    fn overlays(&mut self) {
        for (file, name) in files_in(self.files, "apis/", "") {
            let Some((stem, ending)) = name.split_once(".overlay.") else {
                continue;
            };
            if ending != "yaml" || !self.files.contains_key(&format!("apis/{stem}.toml")) {
                let message =
                    "an overlay is called apis/<id>.overlay.yaml and stands beside apis/<id>.toml";
                self.fault(file, None, message.to_owned());
            }
        }
    }

    /// The line on which a file first names something, in quotes.
    fn line_naming(&self, file: &str, name: &str) -> Option<u32> {
        let text = std::str::from_utf8(self.files.get(file)?).ok()?;
        let at = text.find(&format!("\"{name}\""))?;
        Some(line_of(text, at))
    }

    /// The file's text and what it says, or a fault with its line.
    fn toml<T: DeserializeOwned>(&mut self, file: &str) -> Option<(String, T)> {
        let text = self
            .files
            .get(file)
            .and_then(|bytes| String::from_utf8(bytes.clone()).ok());
        let Some(text) = text else {
            self.fault(file, None, "the file is not UTF-8 text".to_owned());
            return None;
        };
        match toml::from_str(&text) {
            Ok(value) => Some((text, value)),
            Err(fault) => {
                let line = fault.span().map(|span| line_of(&text, span.start));
                self.fault(
                    file,
                    line,
                    fault.message().lines().collect::<Vec<_>>().join("; "),
                );
                None
            }
        }
    }

    /// Parses one spanned text; a fault names its line.
    fn parse<T>(&mut self, file: &str, text: &str, raw: &Spanned<String>) -> Option<T>
    where
        T: std::str::FromStr,
        T::Err: fmt::Display,
    {
        match raw.get_ref().parse() {
            Ok(value) => Some(value),
            Err(fault) => {
                self.fault(
                    file,
                    Some(line_of(text, raw.span().start)),
                    fault.to_string(),
                );
                None
            }
        }
    }

    fn parse_all<T, C>(&mut self, file: &str, text: &str, raw: &[Spanned<String>]) -> C
    where
        T: std::str::FromStr,
        T::Err: fmt::Display,
        C: FromIterator<T>,
    {
        raw.iter()
            .filter_map(|item| self.parse(file, text, item))
            .collect()
    }

    fn api(&mut self, file: &str, stem: &str) -> Option<ProjectApi> {
        let (text, raw): (String, RawApi) = self.toml(file)?;
        let id: ApiId = match stem.parse() {
            Ok(id) => id,
            Err(fault) => {
                self.fault(
                    file,
                    None,
                    format!("{fault}; the file's name is the API's id"),
                );
                return None;
            }
        };
        let owner = self.parse(file, &text, &raw.owner);
        let upstream = self.parse(file, &text, &raw.upstream);
        let drift = match &raw.drift {
            Some(url) => Some(self.parse(file, &text, url)?),
            None => None,
        };
        let carried = self.carried(file, &text, &raw)?;
        let document_file = format!("apis/{}", raw.contract.get_ref());
        let environment = match &raw.environment {
            Some(name) => Some(self.parse(file, &text, name)?),
            None => None,
        };
        let Some(document) = self.files.get(&document_file).cloned() else {
            let line = line_of(&text, raw.contract.span().start);
            self.fault(
                file,
                Some(line),
                format!("there is no file `{document_file}`"),
            );
            return None;
        };
        let mut reviews = self.reviews(file, &text, &raw.operations);
        reviews.overlay = self.overlay(&id);
        reviews.rate = match &raw.rate {
            Some(rate) => Some(self.parse(file, &text, rate)?),
            None => None,
        };
        let api = Api {
            id: id.clone(),
            owner: owner?,
            upstream: upstream?,
            drift,
            credential: carried.credential,
            transaction_tokens: carried.transaction_tokens,
            authorization_server: carried.authorization_server,
            allow_unbound_tokens: raw.allow_unbound_tokens,
            max_token_life: raw.max_token_life.0,
            environment,
        };
        self.contract(file, &id, &document_file, &document, &reviews);
        let fault = upstream::mismatch(&api, &document, &reviews);
        if let Some(fault) = fault.or_else(|| authorization_server::mismatch(&api, &document)) {
            let line = Some(line_of(&text, raw.upstream.span().start));
            self.fault(file, line, fault.to_owned());
        }
        Some(ProjectApi {
            api,
            document,
            document_file,
            reviews,
        })
    }

    /// What the calls of an API carry; none if something of it cannot be read.
    fn carried(&mut self, file: &str, text: &str, raw: &RawApi) -> Option<Carried> {
        let credential = match &raw.credential {
            Some(credential) => Some(self.credential(file, text, credential)?),
            None => None,
        };
        let transaction_tokens = match &raw.transaction_tokens {
            Some(raw) => Some(self.parse(file, text, &raw.trust_domain)?),
            None => None,
        };
        let authorization_server = match &raw.authorization_server {
            Some(raw) => Some(self.authorization_server(file, text, raw)?),
            None => None,
        };
        Some(Carried {
            credential,
            transaction_tokens,
            authorization_server,
        })
    }

    fn overlay(&mut self, api: &ApiId) -> Option<String> {
        let file = format!("apis/{api}.overlay.yaml");
        let overlay = String::from_utf8(self.files.get(&file)?.clone());
        if overlay.is_err() {
            self.fault(&file, None, "the file is not UTF-8 text".to_owned());
        }
        overlay.ok()
    }

    fn credential(
        &mut self,
        file: &str,
        text: &str,
        raw: &RawCredential,
    ) -> Option<(CredentialName, Attach)> {
        let name = self.parse(file, text, &raw.name)?;
        let attach = self.attach(file, text, &raw.attach, raw.header.as_deref())?;
        Some((name, attach))
    }

    fn attach(
        &mut self,
        file: &str,
        text: &str,
        raw: &Spanned<RawAttach>,
        header: Option<&str>,
    ) -> Option<Attach> {
        let line = Some(line_of(text, raw.span().start));
        match (raw.get_ref(), header) {
            (RawAttach::Bearer, None) => Some(Attach::Bearer),
            (RawAttach::Basic, None) => Some(Attach::Basic),
            (RawAttach::Environment, None) => Some(Attach::Environment),
            (RawAttach::ClientSecret, None) => Some(Attach::ClientSecret),
            (RawAttach::Header, Some(name)) => {
                let name = name.to_ascii_lowercase();
                let plain = name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
                let taken = matches!(
                    name.as_str(),
                    "host"
                        | "connection"
                        | "content-length"
                        | "transfer-encoding"
                        | "te"
                        | "txn-token"
                );
                if plain && !name.is_empty() && !taken {
                    return Some(Attach::Header(name));
                }
                self.fault(file, line, format!("`{name}` cannot carry a credential: name a header field such as `X-API-Key`"));
                None
            }
            (RawAttach::Header, None) => {
                self.fault(
                    file,
                    line,
                    "`attach = \"header\"` also needs `header = \"X-API-Key\"`".to_owned(),
                );
                None
            }
            (
                RawAttach::Bearer
                | RawAttach::Basic
                | RawAttach::Environment
                | RawAttach::ClientSecret,
                Some(_),
            ) => {
                self.fault(
                    file,
                    line,
                    "`header` goes with `attach = \"header\"` only".to_owned(),
                );
                None
            }
        }
    }

    fn reviews(
        &mut self,
        file: &str,
        text: &str,
        raw: &BTreeMap<Spanned<String>, RawOperation>,
    ) -> Reviews {
        let mut reviews = Reviews::default();
        for (name, operation) in raw {
            let Some(id) = self.parse(file, text, name) else {
                continue;
            };
            let kind: Option<Effect> = operation
                .effect
                .as_ref()
                .and_then(|effect| self.parse(file, text, effect));
            let effects = kind.map(|kind| Effects {
                kind,
                irreversible: operation.irreversible,
                external_send: operation.external_send,
            });
            let labels = self.parse_all(file, text, &operation.labels);
            reviews.operations.insert(
                id,
                writ_contract::Review {
                    effects,
                    labels,
                    stream: operation.stream,
                    strict: operation.strict,
                    rate: operation
                        .rate
                        .as_ref()
                        .and_then(|rate| self.parse(file, text, rate)),
                },
            );
        }
        reviews
    }

    /// Compiles the contract once here, so that a broken document, or a review of something that it does not have, is a
    /// fault of its file.
    fn contract(
        &mut self,
        file: &str,
        id: &ApiId,
        document_file: &str,
        document: &[u8],
        reviews: &Reviews,
    ) {
        let (contract, diagnostics) = Contract::compile(id, document, reviews);
        if let Some(contract) = contract {
            let operations = contract.operations().map(|one| one.id().clone());
            self.operations.insert(id.clone(), operations.collect());
            return;
        }
        let before = self.faults.len();
        for error in diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.severity == Severity::Error)
        {
            let reviewed = error.operation.as_ref().filter(|operation| {
                operation
                    .parse()
                    .is_ok_and(|id: OperationId| reviews.operations.contains_key(&id))
            });
            if error.source == DiagnosticSource::Overlay {
                let place = format!("{} (at `{}`)", error.message, error.pointer);
                self.fault(&format!("apis/{id}.overlay.yaml"), error.line, place);
                continue;
            }
            match reviewed {
                Some(operation) => {
                    self.fault(file, None, format!("`{operation}`: {}", error.message))
                }
                None => self.fault(
                    document_file,
                    error.line,
                    format!("{} (at `{}`)", error.message, error.pointer),
                ),
            }
        }
        if self.faults.len() == before {
            self.fault(
                document_file,
                None,
                "the document is no OpenAPI contract".to_owned(),
            );
        }
    }

    fn purpose(&mut self, file: &str, stem: &str) -> Option<Purpose> {
        let (text, raw): (String, RawPurpose) = self.toml(file)?;
        let name = match stem.parse() {
            Ok(name) => name,
            Err(fault) => {
                let fault: writ_types::NameError = fault;
                self.fault(
                    file,
                    None,
                    format!("{fault}; the file's name is the purpose's name"),
                );
                return None;
            }
        };
        let owner = self.parse(file, &text, &raw.owner)?;
        let actions = self.parse_all::<ActionName, _>(file, &text, &raw.actions);
        let budget = Budget {
            calls: raw.budget.calls,
            writes: raw.budget.writes,
            deletes: raw.budget.deletes,
            irreversible: raw.budget.irreversible,
        };
        let max_task_life = raw.max_task_life.0;
        let environments = match &raw.environments {
            None => BTreeSet::new(),
            // None named is any: a list that was emptied must not become that.
            Some(named) if named.get_ref().is_empty() => {
                let line = Some(line_of(&text, named.span().start));
                let message = "`environments` names none: take it out if the purpose reaches all";
                self.fault(file, line, message.to_owned());
                return None;
            }
            Some(named) => self.parse_all(file, &text, named.get_ref()),
        };
        let hours = match &raw.hours {
            Some(hours) => Some(self.hours(file, &text, hours)?),
            None => None,
        };
        let user_authentication = match &raw.user_authentication {
            Some(wanted) => Some(self.user_authentication(file, &text, wanted)?),
            None => None,
        };
        Some(Purpose {
            name,
            owner,
            description: raw.description,
            actions,
            budget,
            max_task_life,
            agent_vouches: raw.agent_vouches,
            plan_required: raw.plan_required,
            hours,
            environments,
            max_blast_radius: raw.max_blast_radius,
            user_authentication,
        })
    }

    fn user_authentication(
        &mut self,
        file: &str,
        text: &str,
        raw: &Spanned<RawUserAuthentication>,
    ) -> Option<WantedAuthentication> {
        let line = Some(line_of(text, raw.span().start));
        let raw = raw.get_ref();
        let mut acr = Vec::new();
        for name in raw.acr.as_deref().unwrap_or_default() {
            acr.push(self.parse(file, text, name)?);
        }
        let wanted = match &raw.acr {
            // None named is any: a list that was emptied must not become that.
            Some(named) if named.is_empty() => {
                Err("`acr` names none: take it out if any class will do".to_owned())
            }
            _ => WantedAuthentication::new(raw.max_age.map(|age| age.0), acr)
                .map_err(|fault| fault.to_string()),
        };
        match wanted {
            Ok(wanted) => Some(wanted),
            Err(fault) => {
                self.fault(file, line, fault);
                None
            }
        }
    }

    fn hours(&mut self, file: &str, text: &str, raw: &Spanned<RawHours>) -> Option<Hours> {
        let line = Some(line_of(text, raw.span().start));
        let raw = raw.get_ref();
        match Hours::parse(&raw.days, &raw.from, &raw.until, &raw.zone) {
            Ok(hours) => Some(hours),
            Err(fault) => {
                self.fault(file, line, fault.to_string());
                None
            }
        }
    }

    fn agent(
        &mut self,
        file: &str,
        stem: &str,
        trust_domain: &TrustDomain,
        keep: &mut impl FnMut(&SpiffeId) -> AgentId,
    ) -> Option<Agent> {
        let (text, raw): (String, RawAgent) = self.toml(file)?;
        let spiffe = match &raw.spiffe {
            Some(spiffe) => self.parse::<SpiffeId>(file, &text, spiffe)?,
            None => match format!("spiffe://{trust_domain}/agent/{stem}").parse() {
                Ok(spiffe) => spiffe,
                Err(fault) => {
                    self.fault(
                        file,
                        None,
                        format!("{fault}; the file's name ends the agent's SPIFFE id"),
                    );
                    return None;
                }
            },
        };
        let owner = self.parse(file, &text, &raw.owner)?;
        let mode = self.parse(file, &text, &raw.mode)?;
        let selectors =
            self.parse_all::<writ_types::Selector, BTreeSet<_>>(file, &text, &raw.selectors);
        if !selectors.is_empty()
            && !selectors
                .iter()
                .any(|selector| matches!(selector, writ_types::Selector::Uid(_)))
        {
            let message = "a path alone recognises every user's process of that program, and so does a digest: add `unix:uid:…`";
            self.fault(file, None, message.to_owned());
        }
        if selectors.iter().any(crate::attest::names_an_interpreter) {
            let message = "an interpreter's path recognises every script it runs: such an agent runs as a user of its own, with `unix:uid:…` alone";
            self.fault(file, None, message.to_owned());
        }
        let federations = raw
            .federation
            .iter()
            .filter_map(|federation| self.federation(file, &text, federation))
            .collect();
        if let Some(group) = raw
            .groups
            .iter()
            .find(|group| group.starts_with(Pack::GROUPS))
        {
            let message = format!(
                "`{group}` is no group of yours: choose packs with `packs = [\"{}\"]`",
                Pack::Autonomous.as_str()
            );
            self.fault(file, None, message);
        }
        let watch = self.watch(file, &text, &raw)?;
        let mut groups = self.packs(file, &text, &raw.packs);
        groups.extend(raw.groups);
        let id = keep(&spiffe);
        Some(Agent {
            id,
            spiffe,
            owner,
            groups,
            mode,
            purposes: self.parse_all::<PurposeName, _>(file, &text, &raw.purposes),
            selectors,
            federations,
            // A trap is nobody: all that refuses an agent that may not act refuses it too.
            enabled: raw.enabled && !raw.honey,
            watch,
        })
    }

    /// What is watched for in the agent's name.
    fn watch(&mut self, file: &str, text: &str, raw: &RawAgent) -> Option<Watch> {
        let default = Watch::default();
        let second_source = match &raw.second_source {
            Some(word) => self.parse(file, text, word)?,
            None => default.second_source,
        };
        let second_instance = match &raw.second_instance {
            Some(word) => self.parse(file, text, word)?,
            None => default.second_instance,
        };
        let mut planted = BTreeSet::new();
        for one in &raw.planted {
            let (name, line) = (one.name.get_ref(), line_of(text, one.name.span().start));
            if name.is_empty() || name.len() > 128 || name.chars().any(char::is_control) {
                let message = "the name says where it was laid, in 1 to 128 printable characters";
                self.fault(file, Some(line), message.to_owned());
            }
            let digest = self.parse(file, text, &one.digest)?;
            if planted.iter().any(|other: &Planted| other.digest == digest) {
                let message =
                    "what was laid in two places does not say where it was found: lay two texts";
                self.fault(file, Some(line), message.to_owned());
            }
            planted.insert(Planted {
                name: name.clone(),
                digest,
                stop: one.stop,
            });
        }
        Some(Watch {
            second_source,
            second_instance,
            honey: raw.honey,
            planted,
        })
    }

    fn federation(
        &mut self,
        file: &str,
        text: &str,
        raw: &RawFederation,
    ) -> Option<writ_types::Federation> {
        let issuer: writ_token::IssuerUrl = self.parse(file, text, &raw.issuer)?;
        let mut claims = BTreeMap::new();
        for (name, value) in &raw.claims {
            claims.insert(self.parse(file, text, name)?, value.clone());
        }
        let federation = writ_types::Federation::new(issuer.to_string(), claims);
        if federation.is_none() {
            let message = "name at least one claim: without one, every token of the issuer would be this agent's";
            let line = line_of(text, raw.issuer.span().start);
            self.fault(file, Some(line), message.to_owned());
        }
        federation
    }

    /// The groups of the packs that are named; a name that is none is a fault.
    fn packs(&mut self, file: &str, text: &str, raw: &[Spanned<String>]) -> BTreeSet<String> {
        let mut groups = BTreeSet::new();
        for name in raw {
            match Pack::named(name.get_ref()) {
                Some(pack) => {
                    groups.insert(pack.group());
                }
                None => {
                    let line = line_of(text, name.span().start);
                    let known = Pack::ALL.map(Pack::as_str).join(", ");
                    let message = format!("there is no pack `{}`: {known}", name.get_ref());
                    self.fault(file, Some(line), message);
                }
            }
        }
        groups
    }

    /// The packs of `policies/packs.toml`, which every agent has.
    fn packs_of_all(&mut self) -> BTreeSet<String> {
        let file = "policies/packs.toml";
        if !self.files.contains_key(file) {
            return BTreeSet::new();
        }
        let Some((text, raw)) = self.toml::<RawPacks>(file) else {
            return BTreeSet::new();
        };
        self.packs(file, &text, &raw.packs)
    }

    /// What one file names in another must exist there.
    fn references(&mut self, project: &Project) {
        for purpose in project.purposes.values() {
            let file = format!("purposes/{}.toml", purpose.name);
            for action in &purpose.actions {
                if !project.apis.contains_key(&action.api) {
                    self.fault(
                        &file,
                        self.line_naming(&file, &action.to_string()),
                        format!(
                            "`{action}` names an API that is not registered: add apis/{}.toml",
                            action.api
                        ),
                    );
                    continue;
                }
                // Of one that does not compile its own file tells.
                let operations = self.operations.get(&action.api);
                if operations.is_some_and(|known| !known.contains(&action.operation)) {
                    self.fault(
                        &file,
                        self.line_naming(&file, &action.to_string()),
                        format!(
                            "the contract of `{}` has no operation `{}`",
                            action.api, action.operation
                        ),
                    );
                }
            }
        }
        for agent in project.agents.values() {
            for purpose in agent
                .purposes
                .iter()
                .filter(|purpose| !project.purposes.contains_key(*purpose))
            {
                let file = self
                    .agent_files
                    .get(&agent.spiffe)
                    .cloned()
                    .unwrap_or_default();
                self.fault(
                    &file,
                    None,
                    format!("there is no purpose `{purpose}`: add purposes/{purpose}.toml"),
                );
            }
        }
    }
}

/// An instant as people write it: RFC 3339 in UTC, with or without milliseconds.
pub(crate) fn instant(text: &str) -> Option<Timestamp> {
    let whole = text.strip_suffix('Z').map(|text| format!("{text}.000Z"));
    Timestamp::parse(text).or_else(|| Timestamp::parse(&whole?))
}

/// The line of a byte offset; the first is 1.
pub(crate) fn line_of(text: &str, offset: usize) -> u32 {
    let before = text
        .bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count();
    u32::try_from(before).unwrap_or(u32::MAX).saturating_add(1)
}

#[cfg(test)]
mod tests;
