//! A compiled bundle: APIs and policies that fit together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cedar_policy::PolicySet;
use writ_types::{ActionName, ApiId, Digest, Projection, Timestamp, Window, Windows};

use crate::diagnostic::{Diagnostic, Severity};
use crate::exception::{EXCEPTIONS, Exception, Lifting, Liftings};
use crate::findings::Lint;
use crate::index::{self, ActionIndex, Index, Known};
use crate::rule::{Comparison, Loaded, Rule, Turn};
use crate::schema::{ApiActions, ApiModel, CoreNames, Operation, Root};
use crate::scope::{Apis, Scope};
use crate::shadow::{self, Draft, SHADOW, Shadow, Split};
use crate::source::PolicySource;
use crate::validate::{self, CanMatch, Verdicts};
use crate::vocabulary::NAMESPACE;
use crate::window::{self, WINDOWS};
use crate::{exception, lint, stack};

/// The policy decision point: one immutable bundle of APIs and policies.
#[derive(Debug)]
pub struct Pdp {
    names: CoreNames,
    apis: Apis,
    rules: Vec<Arc<Known>>,
    exceptions: Vec<Excepted>,
    shadow: Option<Box<Shadow>>,
    index: Index,
    windows: Arc<Windows>,
    policies: Digest,
    bundle: Digest,
    notices: Vec<Diagnostic>,
    verdicts: Verdicts,
}

/// An exception, with its place.
#[derive(Debug)]
struct Excepted {
    exception: Exception,
    id: String,
    line: u32,
}

impl Excepted {
    fn of(lifting: &Lifting<'_>) -> Self {
        Self {
            id: lifting.exception.id(),
            exception: lifting.exception.clone(),
            line: lifting.chunk.line,
        }
    }
}

/// Something of a registry that a rule names, and that no bundle knows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Named {
    /// A purpose.
    Purpose(String),
    /// A group of agents.
    Group(String),
}

/// Which calls a rule is about and which of them it can match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    /// An action in the rule's scope.
    pub action: ActionName,
    /// Whether some call of it could match the rule's condition. A forbid guarded by `context has body` cannot match an
    /// action without a body: it is narrower than its scope says.
    pub can_match: bool,
}

impl Pdp {
    /// Whether one of these rules asks what vouches for the call's arguments.
    #[must_use]
    pub fn asks_what_vouches(&self, rules: &[String]) -> bool {
        let named = |known: &Arc<Known>| rules.contains(&known.id);
        self.rules
            .iter()
            .any(|known| known.reads_vouched && named(known))
    }

    /// Compiles a bundle. Nothing of it is in force unless all of it is right: syntax, ids, annotations, scopes, Cedar's
    /// strict validation at level 2 for every API a policy is about, and our own lints. Validator warnings are errors.
    ///
    /// `now` decides which policies have expired.
    ///
    /// # Errors
    ///
    /// Every finding, by file and line.
    pub fn compile(
        apis: &[ApiActions],
        policies: &[PolicySource],
        now: Timestamp,
    ) -> Result<Self, Vec<Diagnostic>> {
        Self::recompile(None, apis, policies, now)
    }

    /// [`Self::compile`] that takes over what `previous` has already compiled and validated: schemas of unchanged APIs,
    /// verdicts of unchanged policies against them. The result is the same.
    ///
    /// # Errors
    ///
    /// As [`Self::compile`].
    pub fn recompile(
        previous: Option<&Self>,
        apis: &[ApiActions],
        policies: &[PolicySource],
        now: Timestamp,
    ) -> Result<Self, Vec<Diagnostic>> {
        stack::to_load(|| Self::compile_whole(previous, apis, policies, now))
    }

    fn compile_whole(
        previous: Option<&Self>,
        apis: &[ApiActions],
        policies: &[PolicySource],
        now: Timestamp,
    ) -> Result<Self, Vec<Diagnostic>> {
        let Split { in_force, draft } = shadow::split(policies);
        let mut whole = Self::compile_rules(previous, apis, (&in_force, None), now)?;
        // What is wrong with a draft stops no rule in force: whoever writes one down hears of it, and it is not tried.
        let (time, pdp) = match draft {
            Ok(None) => return Ok(whole),
            Ok(Some(draft)) if draft.time.until <= now => {
                whole.notices.push(shadow::over(&draft.time));
                (Some(draft.time), Err(Vec::new()))
            }
            Ok(Some(draft)) => {
                let faults = shadow::left_out(&draft, &whole);
                // Most rules are those in force, and all APIs: neither is compiled twice.
                let pdp = if faults.is_empty() {
                    Self::compile_rules(Some(&whole), apis, (&in_force, Some(&draft)), now)
                } else {
                    Err(faults)
                };
                (Some(draft.time), pdp)
            }
            Err(fault) => (None, Err(vec![*fault])),
        };
        whole.shadow = Some(Box::new(Shadow { time, pdp }));
        Ok(whole)
    }

    /// The rules in force, or what a draft makes of them.
    fn compile_rules(
        previous: Option<&Self>,
        apis: &[ApiActions],
        (in_force, draft): (&[&PolicySource], Option<&Draft<'_>>),
        now: Timestamp,
    ) -> Result<Self, Vec<Diagnostic>> {
        let drafted = draft.map_or(&[][..], |draft| draft.sources.as_slice());
        let policies: Vec<&PolicySource> = drafted.iter().chain(in_force).copied().collect();
        let names =
            CoreNames::new().ok_or_else(|| vec![internal("Cedar refuses our own names")])?;
        let windows = window::read(&policies)?;
        let models = models(apis, &names, &windows.windows, previous)?;
        // A fault of one rule is no reason not to look at the others: a person mends them all at once.
        let Read {
            rules,
            liftings,
            mut notices,
            mut faults,
        } = load(&policies, draft, now);
        faults.extend(window::unfounded(&windows, &models));
        let (rules, scopes) = scopes(rules, &models, &mut faults);
        let scoped: Vec<(&Rule<'_>, &Scope)> = rules.iter().zip(&scopes).collect();
        if faults.is_empty() && draft.is_none() {
            faults.extend(exception::unfounded(&liftings, &scoped, &models));
        }
        let each = scoped.iter();
        let lints = each.flat_map(|(rule, scope)| lint::check(rule, scope, &models));
        let lints: Vec<Diagnostic> = lints
            .chain(window::circumvented(&windows, &scoped))
            .collect();
        let verdicts = validate::check(&scoped, &models, previous.map(|pdp| &pdp.verdicts));
        let verdicts = match verdicts {
            Ok(verdicts) if faults.is_empty() && lints.is_empty() => verdicts,
            verdicts => {
                faults.extend(first_causes(lints, verdicts.err().unwrap_or_default()));
                return Err(faults);
            }
        };
        notices.extend(lint::notices(&scoped, &models));
        let known: Vec<Arc<Known>> = scoped
            .iter()
            .map(|(rule, scope)| known(rule, scope))
            .collect();
        let index = index::build(&scoped, &known, &models, &liftings)?;
        let policies = digest(&policies, draft);
        Ok(Self {
            bundle: bundle_digest(policies, &models),
            names,
            apis: models,
            rules: known,
            exceptions: liftings.written().map(Excepted::of).collect(),
            shadow: None,
            index,
            windows: Arc::new(windows.windows),
            policies,
            notices,
            verdicts,
        })
    }

    /// The digest of the policies: names and texts in the order of the names.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.policies
    }

    /// The digest of policies and API schemas together: two bundles with the same one decide alike.
    #[must_use]
    pub const fn bundle(&self) -> Digest {
        self.bundle
    }

    /// The contract of an API that this bundle was compiled against.
    #[must_use]
    pub fn contract(&self, api: &ApiId) -> Option<Digest> {
        self.apis.get(api).map(|model| model.contract)
    }

    /// What a person should know though the bundle was loaded, such as a permit that has expired.
    #[must_use]
    pub fn notices(&self) -> &[Diagnostic] {
        &self.notices
    }

    /// Which attributes of the input any active policy about the action mentions; nothing for an unknown action.
    ///
    /// A record that is only asked for with `has` is `Some` without members: convert it to an empty record if it is there.
    #[must_use]
    pub fn projection(&self, action: &ActionName) -> &Projection {
        self.index
            .get(action)
            .map_or(&Projection::Nothing, |index| &index.projection)
    }

    /// Whether any active policy about the action looks at what the task has read.
    #[must_use]
    pub fn looks_at_labels(&self, action: &ActionName) -> bool {
        let index = self.index.get(action);
        index.is_some_and(|index| index.facts.wants("labels") || index.facts.wants("held"))
    }

    /// Whether any active policy about the action looks at the places of members that the contract does not have, that are null, or that may say
    /// anything.
    #[must_use]
    pub fn looks_at_places(&self, action: &ActionName) -> bool {
        let index = self.index.get(action);
        let names = ["extra", "nulls", "free"];
        index.is_some_and(|index| names.into_iter().any(|name| index.facts.wants(name)))
    }

    /// What is counted within a time.
    #[must_use]
    pub const fn windows(&self) -> &Arc<Windows> {
        &self.windows
    }

    /// Whether any active policy about the action, or a draft's, looks at what was counted within a time.
    #[must_use]
    pub fn looks_at_windows(&self, action: &ActionName) -> bool {
        let index = self.index.get(action);
        let drafted = self
            .shadow
            .as_ref()
            .and_then(|draft| draft.pdp.as_ref().ok());
        index.is_some_and(|index| index.facts.wants("windows"))
            || drafted.is_some_and(|draft| draft.looks_at_windows(action))
    }

    /// The windows that active policies about the action look at.
    pub fn watched(&self, action: &ActionName) -> impl Iterator<Item = &Window> {
        let index = self.index.get(action);
        let watched = move |window: &&Window| {
            index.is_some_and(|index| index.facts.watches(window.name.as_str()))
        };
        self.windows.iter().filter(watched)
    }

    /// Whether any active policy about the action looks at what people approved before in the task.
    #[must_use]
    pub fn looks_at_approved(&self, action: &ActionName) -> bool {
        let index = self.index.get(action);
        index.is_some_and(|index| index.facts.wants("approved"))
    }

    pub(crate) fn draft(&self) -> Option<&Shadow> {
        self.shadow.as_deref()
    }

    /// The ids of all rules, in the order of the files.
    pub fn rules(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|rule| rule.id.as_str())
    }

    /// What a rule's `@doc` says, or why there is an exception.
    #[must_use]
    pub fn doc(&self, rule: &str) -> Option<&str> {
        if let Some(excepted) = self.excepted(rule) {
            return Some(&excepted.exception.reason);
        }
        let rule = self.rules.iter().find(|known| known.id == rule)?;
        rule.doc.as_deref()
    }

    /// Who answers for a rule, as its `@owner` says, or for an exception.
    #[must_use]
    pub fn owner(&self, rule: &str) -> Option<&str> {
        if let Some(excepted) = self.excepted(rule) {
            return Some(excepted.exception.owner.as_str());
        }
        let rule = self.rules.iter().find(|known| known.id == rule)?;
        rule.owner.as_deref()
    }

    /// The exceptions of the bundle, those that are over among them.
    pub fn exceptions(&self) -> impl Iterator<Item = &Exception> {
        self.exceptions.iter().map(|excepted| &excepted.exception)
    }

    fn excepted(&self, id: &str) -> Option<&Excepted> {
        self.exceptions.iter().find(|excepted| excepted.id == id)
    }

    /// What the rules about an action compare attributes with, and the groups of agents they name: where its decisions may
    /// turn.
    #[must_use]
    pub fn turning_points(&self, action: &ActionName) -> (BTreeSet<&Comparison>, BTreeSet<&str>) {
        let sets = self
            .action(action)
            .into_iter()
            .flat_map(|index| &index.sets);
        let rules: Vec<&Known> = sets
            .flat_map(|set| &set.rules)
            .map(|rule| &**rule)
            .collect();
        let groups = rules.iter().flat_map(|rule| &rule.named);
        let groups = groups.filter_map(|named| match named {
            Named::Group(group) => Some(group.as_str()),
            Named::Purpose(_) => None,
        });
        let comparisons = rules.iter().flat_map(|rule| &rule.comparisons);
        (comparisons.collect(), groups.collect())
    }

    /// The purposes and groups of agents that rules name, each with the rule. Whether there are such is the registry's to
    /// say; a rule about one that there is not never matches.
    pub fn named(&self) -> impl Iterator<Item = (&str, &Named)> {
        let rules = self.rules.iter();
        rules.flat_map(|rule| rule.named.iter().map(|named| (rule.id.as_str(), named)))
    }

    /// The file and the line of a rule or an exception.
    #[must_use]
    pub fn place(&self, rule: &str) -> Option<(&str, u32)> {
        if let Some(excepted) = self.excepted(rule) {
            return Some((EXCEPTIONS, excepted.line));
        }
        let rule = self.rules.iter().find(|known| known.id == rule)?;
        Some((&rule.file, rule.line))
    }

    /// The roles that rules ask for an approval, each with the first rule that does.
    #[must_use]
    pub fn approval_roles(&self) -> BTreeMap<&str, &str> {
        let mut roles = BTreeMap::new();
        for rule in &self.rules {
            if let Turn::Approval { role, .. } = &rule.turn {
                roles.entry(role.as_str()).or_insert(rule.id.as_str());
            }
        }
        roles
    }

    /// For review: the actions in a rule's scope, and which of them it can match. Each is validated on its own, so over a
    /// large contract it takes a while. Empty for an unknown rule.
    #[must_use]
    pub fn coverage(&self, rule: &str) -> Vec<Coverage> {
        let Some(rule) = self.rules.iter().find(|known| known.id == rule) else {
            return Vec::new();
        };
        self.apis
            .values()
            .flat_map(|model| {
                rule.scope
                    .operations(model)
                    .map(move |operation| (model, operation))
            })
            .map(|(model, operation)| {
                let id = &operation.action.operation;
                Coverage {
                    action: operation.action.clone(),
                    can_match: validate::can_match(&rule.policy, model, id) == CanMatch::Perhaps,
                }
            })
            .collect()
    }

    /// All rules.
    pub(crate) fn known(&self) -> impl Iterator<Item = &Known> {
        self.rules.iter().map(|rule| &**rule)
    }

    pub(crate) const fn names(&self) -> &CoreNames {
        &self.names
    }

    pub(crate) fn operation(&self, action: &ActionName) -> Option<(&ApiModel, &Operation)> {
        let model = self.apis.get(&action.api)?;
        Some((model, model.operations.get(&action.operation)?))
    }

    pub(crate) fn action(&self, action: &ActionName) -> Option<&ActionIndex> {
        self.index.get(action).map(|index| &**index)
    }
}

/// Our lints' findings, and the validator's about rules in which we found nothing: where both find something, ours names
/// the cause and Cedar's the consequence.
fn first_causes(lints: Vec<Diagnostic>, validator: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let named: BTreeSet<Option<String>> =
        lints.iter().map(|finding| finding.policy.clone()).collect();
    let others = validator
        .into_iter()
        .filter(|finding| !named.contains(&finding.policy));
    lints.into_iter().chain(others).collect()
}

fn internal(message: &str) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        lint: Lint::Contract,
        file: "writ".to_owned(),
        line: 0,
        column: 0,
        policy: None,
        message: message.to_owned(),
        help: None,
    }
}

fn models(
    apis: &[ApiActions],
    names: &CoreNames,
    windows: &Windows,
    previous: Option<&Pdp>,
) -> Result<Apis, Vec<Diagnostic>> {
    let windows = Arc::new(window::attributes(windows));
    let mut models = Apis::new();
    let mut faults = Vec::new();
    for api in apis {
        let before = previous.and_then(|pdp| pdp.apis.get(&api.api));
        match ApiModel::compile(api, names, &windows, before) {
            Ok(model) => {
                if models.insert(api.api.clone(), model).is_some() {
                    faults.push(internal(&format!("API `{}` is there twice", api.api)));
                }
            }
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() {
        Ok(models)
    } else {
        Err(faults)
    }
}

/// What was read of all files.
struct Read<'a> {
    rules: Vec<Rule<'a>>,
    liftings: Liftings<'a>,
    /// About permits and exceptions that have expired.
    notices: Vec<Diagnostic>,
    faults: Vec<Diagnostic>,
}

/// Reads every policy of every file.
fn load<'a>(policies: &[&'a PolicySource], draft: Option<&Draft<'_>>, now: Timestamp) -> Read<'a> {
    let mut rules: Vec<Rule<'_>> = Vec::new();
    let (liftings, mut notices, mut faults) = Liftings::read(policies, now);
    let mut taken: BTreeMap<String, (&str, u32)> = BTreeMap::new();
    for source in policies.iter().filter(|source| source.name != WINDOWS) {
        faults.extend(source.hidden_character());
        let chunks = source.chunks();
        let mut whole = true;
        let ruling = if source.name == EXCEPTIONS {
            &[]
        } else {
            chunks.as_slice()
        };
        for chunk in ruling {
            match Rule::load(*chunk, now, &liftings) {
                Ok(Loaded::Rule(rule)) => {
                    // What a draft has of its own, or does without, is not taken from the rules in force.
                    let in_force = draft.filter(|_| !source.name.starts_with(SHADOW));
                    if in_force.is_some_and(|draft| draft.time.without.contains(&rule.id)) {
                        continue;
                    }
                    let replaced = taken
                        .get(&rule.id)
                        .is_some_and(|(file, _)| file.starts_with(SHADOW));
                    if in_force.is_some() && replaced {
                        if rule.id.starts_with("core.") {
                            faults.push(rule.fault(
                                Lint::Shadow,
                                "id",
                                format!(
                                    "`{}` is of the baseline, whose place no draft takes",
                                    rule.id
                                ),
                                None,
                            ));
                        }
                        continue;
                    }
                    let here = (source.name.as_str(), chunk.line);
                    if let Some((file, line)) = taken.insert(rule.id.clone(), here) {
                        let message = format!("the `@id` is taken by the policy at {file}:{line}");
                        faults.push(rule.fault(
                            Lint::Id,
                            "id",
                            message,
                            Some("ids are unique over all files".to_owned()),
                        ));
                        continue;
                    }
                    rules.push(*rule);
                }
                Ok(Loaded::Dropped(notice)) => notices.push(notice),
                Err(found) => {
                    whole = false;
                    faults.extend(found);
                }
            }
        }
        if whole {
            faults.extend(same_as_cedar(source, chunks.len()));
        }
    }
    Read {
        rules,
        liftings,
        notices,
        faults,
    }
}

/// Cedar must see as many policies in the file as we do: a text that the two cut differently could hide one.
pub(crate) fn same_as_cedar(source: &PolicySource, chunks: usize) -> Option<Diagnostic> {
    let seen = source
        .text
        .parse::<PolicySet>()
        .map(|set| set.num_of_policies().saturating_add(set.num_of_templates()));
    let message = match seen {
        Ok(seen) if seen == chunks => return None,
        Ok(seen) => format!("the file has {seen} policies for Cedar and {chunks} for us"),
        Err(error) => error.to_string(),
    };
    Some(source.at(Lint::Syntax, 0, None, message, None))
}

/// The rules whose scope names what there is, each with it.
fn scopes<'a>(
    rules: Vec<Rule<'a>>,
    apis: &Apis,
    faults: &mut Vec<Diagnostic>,
) -> (Vec<Rule<'a>>, Vec<Scope>) {
    let mut sound = Vec::with_capacity(rules.len());
    for rule in rules {
        match Scope::of(&rule, apis) {
            Ok(scope) => sound.push((rule, scope)),
            Err(found) => faults.extend(found),
        }
    }
    sound.into_iter().unzip()
}

fn known(rule: &Rule<'_>, scope: &Scope) -> Arc<Known> {
    Arc::new(Known {
        id: rule.id.clone(),
        effect: rule.effect,
        doc: rule.doc.clone(),
        owner: rule.written.annotation("owner").map(str::to_owned),
        paths: rule.reads.paths.iter().cloned().collect(),
        comparisons: rule.reads.comparisons.iter().cloned().collect(),
        file: rule.chunk.source.name.clone(),
        line: rule.chunk.line,
        reads_input: rule.reads.input(),
        turn: rule.turn.clone(),
        digest: rule.digest,
        reads_vouched: rule.reads.vouched(),
        scope: scope.clone(),
        policy: rule.evaluated.clone(),
        named: named(rule),
    })
}

/// The purposes and groups that a rule compares with.
fn named(rule: &Rule<'_>) -> Vec<Named> {
    let purposes = rule.reads.literals.iter().filter_map(|compared| {
        let attrs: Vec<&str> = compared.attrs.iter().map(String::as_str).collect();
        let purpose = compared.root == Root::Principal
            && matches!(attrs.as_slice(), ["purpose"] | ["agent", "purposes"]);
        purpose.then(|| Named::Purpose(compared.text.clone()))
    });
    let groups = rule.reads.entities.iter().filter_map(|entity| {
        let group = entity.ty.to_string() == format!("{NAMESPACE}::AgentGroup");
        group.then(|| Named::Group(entity.eid.to_string()))
    });
    purposes.chain(groups).collect()
}

fn digest(policies: &[&PolicySource], draft: Option<&Draft<'_>>) -> Digest {
    let mut ordered = policies.to_vec();
    ordered.sort_by_key(|source| (&source.name, &source.text));
    let mut text = String::from("writ policies v1\n");
    for source in ordered {
        // Lengths first, so that no two sets run together to the same text.
        text.push_str(&format!("{} {}\n", source.name.len(), source.text.len()));
        text.push_str(&source.name);
        text.push_str(&source.text);
    }
    for id in draft.into_iter().flat_map(|draft| &draft.time.without) {
        text.push_str("without ");
        text.push_str(id);
        text.push('\n');
    }
    Digest::of(text.as_bytes())
}

fn bundle_digest(policies: Digest, apis: &Apis) -> Digest {
    let mut text = format!("writ bundle v1\n{policies}\n");
    for (api, digest) in validate::schema_digests(apis) {
        text.push_str(&format!("{api} {digest}\n"));
    }
    Digest::of(text.as_bytes())
}
