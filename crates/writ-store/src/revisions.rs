//! Revisions: each names a complete set of what operators registered, and one row says which is in force.
//!
//! A change stores what is new under its digest, writes a manifest that names everything, and moves the one row by
//! compare-and-set. A reader that has read the row reads the rest at leisure: it cannot change under it.

use std::collections::BTreeMap;

use sqlx::SqliteConnection;
use writ_types::{
    Agent, AgentId, Api, ApiId, Digest, Purpose, PurposeName, RevisionId, Tenant, Timestamp, Value,
};

use crate::database::PAGE;
use crate::fields::{self, Fields, instant_column, instant_of, parsed};
use crate::{Contract, Store, StoreError, agents, apis, contracts, policies, purposes};

/// What operators registered, whole: the content of one revision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registry {
    /// The APIs by id.
    pub apis: BTreeMap<ApiId, Api>,
    /// The contract of each API that has one.
    pub contracts: BTreeMap<ApiId, Contract>,
    /// What the servers of APIs publish where it differs from their contracts and nobody has approved it: while it stands
    /// here, the operations it changes are quarantined.
    pub live: BTreeMap<ApiId, Contract>,
    /// What an owner approved beside the contract of an API, for a server that publishes now this, now that. It quarantines nothing, and
    /// the contract alone stays in force.
    pub beside: BTreeMap<ApiId, Vec<Contract>>,
    /// The agents by id.
    pub agents: BTreeMap<AgentId, Agent>,
    /// The purposes by name.
    pub purposes: BTreeMap<PurposeName, Purpose>,
    /// The policy texts by name.
    pub policies: BTreeMap<String, String>,
}

/// A revision, without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// Its id.
    pub id: RevisionId,
    /// The one it was made from; none for the first.
    pub base: Option<RevisionId>,
    /// When it was proposed.
    pub created: Timestamp,
}

/// What is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActiveRevision {
    /// The revision.
    pub id: RevisionId,
    /// Since when.
    pub activated: Timestamp,
}

const PUT: &str =
    "INSERT INTO revisions (tenant, revision, base, manifest, created) VALUES (?1, ?2, ?3, ?4, ?5)";
const MANIFEST: &str = "SELECT manifest FROM revisions WHERE tenant = ?1 AND revision = ?2";
const EXISTS: &str = "SELECT count(*) FROM revisions WHERE tenant = ?1 AND revision = ?2";
const PAGE_AFTER: &str = "SELECT revision, base, created FROM revisions
    WHERE tenant = ?1 AND revision > ?2 ORDER BY revision LIMIT ?3";
const ACTIVE: &str = "SELECT revision, activated FROM active_revision WHERE tenant = ?1";
const ACTIVATE: &str = "UPDATE active_revision SET revision = ?3, activated = ?4
    WHERE tenant = ?1 AND revision = ?2";
const ACTIVATE_FIRST: &str =
    "INSERT INTO active_revision (tenant, revision, activated) VALUES (?1, ?2, ?3)
    ON CONFLICT (tenant) DO NOTHING";

impl Store {
    /// What is in force; none in a store that was never filled.
    ///
    /// # Errors
    ///
    /// The database fails, or the row is damaged.
    pub async fn active_revision(
        &self,
        tenant: &Tenant,
    ) -> Result<Option<ActiveRevision>, StoreError> {
        let mut connection = self.readers().acquire().await?;
        active(&mut connection, tenant).await
    }

    /// Stores a revision with everything it holds, without putting it in force.
    ///
    /// # Errors
    ///
    /// [`StoreError::UnknownRevision`] for a base that is not there, [`StoreError::Exists`] for an id that is,
    /// [`StoreError::Damaged`] for a registry whose parts disagree with their names.
    pub async fn propose(
        &self,
        tenant: &Tenant,
        base: Option<RevisionId>,
        id: RevisionId,
        registry: &Registry,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        registry.check()?;
        let mut change = self.change().await?;
        if let Some(base) = base {
            known(&mut change, tenant, base).await?;
        }
        let manifest = registry.put(&mut change, tenant).await?;
        sqlx::query(PUT)
            .bind(tenant.as_str())
            .bind(id.to_string())
            .bind(base.map(|base| base.to_string()))
            .bind(manifest.to_string())
            .bind(instant_column(now)?)
            .execute(&mut *change)
            .await
            .map_err(StoreError::inserting("revision"))?;
        Ok(change.commit().await?)
    }

    /// Puts `next` in force if `expected` still is; none for a store that was never filled.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if another is in force, [`StoreError::UnknownRevision`] if `next` is not there.
    pub async fn activate(
        &self,
        tenant: &Tenant,
        expected: Option<RevisionId>,
        next: RevisionId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        known(&mut change, tenant, next).await?;
        let moved = match expected {
            Some(expected) => sqlx::query(ACTIVATE)
                .bind(tenant.as_str())
                .bind(expected.to_string()),
            None => sqlx::query(ACTIVATE_FIRST).bind(tenant.as_str()),
        };
        let moved = moved.bind(next.to_string()).bind(instant_column(now)?);
        if moved.execute(&mut *change).await?.rows_affected() == 1 {
            return Ok(change.commit().await?);
        }
        let found = active(&mut change, tenant).await?;
        change.rollback().await?;
        Err(StoreError::Conflict {
            found: found.map(|found| found.id),
        })
    }

    /// The whole content of a revision, every part checked against the digest it is named by.
    ///
    /// # Errors
    ///
    /// [`StoreError::UnknownRevision`], or [`StoreError::Damaged`]: a revision is read whole or not at all.
    pub async fn load(&self, tenant: &Tenant, id: RevisionId) -> Result<Registry, StoreError> {
        let mut connection = self.readers().acquire().await?;
        let row: Option<(String,)> = sqlx::query_as(MANIFEST)
            .bind(tenant.as_str())
            .bind(id.to_string())
            .fetch_optional(&mut *connection)
            .await?;
        let (manifest,) = row.ok_or(StoreError::UnknownRevision(id))?;
        let manifest = fields::value("revision", &manifest)?;
        Registry::get(&mut connection, tenant, &manifest).await
    }

    /// At most 1,000 revisions in the order of their ids, which is that of their making, those after `after`.
    ///
    /// # Errors
    ///
    /// The database fails, or a row is damaged.
    pub async fn revisions(
        &self,
        tenant: &Tenant,
        after: Option<RevisionId>,
    ) -> Result<Vec<Revision>, StoreError> {
        let rows: Vec<(String, Option<String>, i64)> = sqlx::query_as(PAGE_AFTER)
            .bind(tenant.as_str())
            .bind(after.map(|after| after.to_string()).unwrap_or_default())
            .bind(PAGE)
            .fetch_all(self.readers())
            .await?;
        let revision = |(id, base, created): (String, Option<String>, i64)| {
            let base = base.as_deref().map(|base| parsed("revision", base));
            Ok(Revision {
                id: parsed("revision", &id)?,
                base: base.transpose()?,
                created: instant_of("revision", created)?,
            })
        };
        rows.into_iter().map(revision).collect()
    }
}

pub(crate) async fn active(
    connection: &mut SqliteConnection,
    tenant: &Tenant,
) -> Result<Option<ActiveRevision>, StoreError> {
    let row: Option<(String, i64)> = sqlx::query_as(ACTIVE)
        .bind(tenant.as_str())
        .fetch_optional(connection)
        .await?;
    let active = row.map(|(id, activated)| {
        Ok(ActiveRevision {
            id: parsed("active revision", &id)?,
            activated: instant_of("active revision", activated)?,
        })
    });
    active.transpose()
}

async fn known(
    connection: &mut SqliteConnection,
    tenant: &Tenant,
    id: RevisionId,
) -> Result<(), StoreError> {
    let (count,): (i64,) = sqlx::query_as(EXISTS)
        .bind(tenant.as_str())
        .bind(id.to_string())
        .fetch_one(connection)
        .await?;
    if count == 1 {
        Ok(())
    } else {
        Err(StoreError::UnknownRevision(id))
    }
}

impl Registry {
    /// Whether everything stands under its own name, and every contract has its API.
    fn check(&self) -> Result<(), StoreError> {
        let wrong = |what| StoreError::damaged(what, "it stands under another name than its own");
        if self.apis.iter().any(|(id, api)| *id != api.id) {
            return Err(wrong("API"));
        }
        if self.agents.iter().any(|(id, agent)| *id != agent.id) {
            return Err(wrong("agent"));
        }
        if self
            .purposes
            .iter()
            .any(|(name, purpose)| *name != purpose.name)
        {
            return Err(wrong("purpose"));
        }
        if self
            .contracts
            .keys()
            .chain(self.live.keys())
            .chain(self.beside.keys())
            .any(|api| !self.apis.contains_key(api))
        {
            return Err(StoreError::damaged("contract", "its API is not registered"));
        }
        Ok(())
    }

    /// The digest of everything it holds: the same parts have the same digest in every store.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of_parts(&[
            b"writ registry v1\n",
            self.manifest().canonical().as_bytes(),
        ])
    }

    /// Everything it holds as one value, for whoever compares it elsewhere. There is no secret in it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] for a document that is no text.
    pub fn to_value(&self) -> Result<Value, StoreError> {
        let contract = |(id, contract): (&ApiId, &Contract)| {
            let document = std::str::from_utf8(&contract.document)
                .map_err(|fault| StoreError::damaged("contract", &fault))?;
            let contract = Value::object([
                ("document", Value::from(document)),
                ("reviews", Value::from(contract.reviews.as_str())),
            ]);
            Ok::<_, StoreError>((id.to_string(), contract))
        };
        let contracts: Vec<(String, Value)> = self
            .contracts
            .iter()
            .map(contract)
            .collect::<Result<_, _>>()?;
        let policies = self.policies.iter();
        let policies = policies.map(|(name, text)| (name.as_str(), Value::from(text.as_str())));
        Ok(Value::object([
            (
                "apis",
                Value::Array(self.apis.values().map(apis::to_value).collect()),
            ),
            ("contracts", Value::object(contracts)),
            (
                "agents",
                Value::Array(self.agents.values().map(agents::to_value).collect()),
            ),
            (
                "purposes",
                Value::Array(self.purposes.values().map(purposes::to_value).collect()),
            ),
            ("policies", Value::object(policies)),
        ]))
    }

    /// Reads what [`Self::to_value`] made.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] for anything else.
    pub fn from_value(value: &Value) -> Result<Self, StoreError> {
        const WHAT: &str = "registry";
        let known = ["apis", "contracts", "agents", "purposes", "policies"];
        let fields = Fields::of(WHAT, value, &known)?;
        let wrong = || StoreError::damaged(WHAT, "a part is of the wrong type");
        let array = |name| fields.member(name)?.as_array().ok_or_else(wrong);
        let object = |name| fields.member(name)?.as_object().ok_or_else(wrong);
        let mut registry = Self::default();
        for api in array("apis")? {
            let api = apis::from_value(api)?;
            registry.apis.insert(api.id.clone(), api);
        }
        for (id, contract) in object("contracts")? {
            let contract = Fields::of("contract", contract, &["document", "reviews"])?;
            let contract = Contract {
                document: contract.text("document")?.as_bytes().to_vec(),
                reviews: contract.text("reviews")?.to_owned(),
            };
            registry.contracts.insert(parsed(WHAT, id)?, contract);
        }
        for agent in array("agents")? {
            let agent = agents::from_value(agent)?;
            registry.agents.insert(agent.id, agent);
        }
        for purpose in array("purposes")? {
            let purpose = purposes::from_value(purpose)?;
            registry.purposes.insert(purpose.name.clone(), purpose);
        }
        for (name, text) in object("policies")? {
            let text = text.as_str().ok_or_else(wrong)?;
            registry.policies.insert(name.clone(), text.to_owned());
        }
        registry.check()?;
        Ok(registry)
    }

    /// The manifest: every part by the digest it is stored under.
    fn manifest(&self) -> Value {
        fn part<'a, K: ToString + 'a>(named: impl Iterator<Item = (K, Digest)> + 'a) -> Value {
            Value::object(
                named.map(|(name, digest)| (name.to_string(), Value::from(digest.to_string()))),
            )
        }
        let of = |text: String| Digest::of(text.as_bytes());
        let live = || {
            part(
                self.live
                    .iter()
                    .map(|(id, contract)| (id, contract.digest())),
            )
        };
        // A registry without drift has the manifest it had before there was any.
        let live = (!self.live.is_empty()).then(|| ("live", live()));
        let beside = || {
            Value::object(self.beside.iter().map(|(id, contracts)| {
                let digests = contracts
                    .iter()
                    .map(|contract| Value::from(contract.digest().to_string()));
                (id.to_string(), Value::Array(digests.collect()))
            }))
        };
        let beside = (!self.beside.is_empty()).then(|| ("beside", beside()));
        let members =
            [
                (
                    "apis",
                    part(
                        self.apis
                            .iter()
                            .map(|(id, api)| (id, of(apis::to_value(api).to_string()))),
                    ),
                ),
                (
                    "contracts",
                    part(
                        self.contracts
                            .iter()
                            .map(|(id, contract)| (id, contract.digest())),
                    ),
                ),
                (
                    "agents",
                    part(
                        self.agents
                            .iter()
                            .map(|(id, agent)| (id, of(agents::to_value(agent).to_string()))),
                    ),
                ),
                (
                    "purposes",
                    part(self.purposes.iter().map(|(name, purpose)| {
                        (name, of(purposes::to_value(purpose).to_string()))
                    })),
                ),
                (
                    "policies",
                    part(
                        self.policies
                            .iter()
                            .map(|(name, text)| (name, Digest::of(text.as_bytes()))),
                    ),
                ),
            ];
        Value::object(members.into_iter().chain(live).chain(beside))
    }

    /// Stores every part under its digest, and returns the manifest that names them.
    async fn put(
        &self,
        connection: &mut SqliteConnection,
        tenant: &Tenant,
    ) -> Result<Value, StoreError> {
        let mut writer = Writer { connection, tenant };
        for api in self.apis.values() {
            writer
                .put(apis::PUT, &apis::to_value(api).to_string())
                .await?;
        }
        let beside = self.beside.values().flatten();
        for contract in self
            .contracts
            .values()
            .chain(self.live.values())
            .chain(beside)
        {
            contracts::put(writer.connection, tenant, contract).await?;
        }
        for agent in self.agents.values() {
            writer
                .put(agents::PUT, &agents::to_value(agent).to_string())
                .await?;
        }
        for purpose in self.purposes.values() {
            writer
                .put(purposes::PUT, &purposes::to_value(purpose).to_string())
                .await?;
        }
        for text in self.policies.values() {
            writer.put(policies::PUT, text).await?;
        }
        Ok(self.manifest())
    }

    async fn get(
        connection: &mut SqliteConnection,
        tenant: &Tenant,
        manifest: &Value,
    ) -> Result<Self, StoreError> {
        let known = [
            "apis",
            "contracts",
            "live",
            "beside",
            "agents",
            "purposes",
            "policies",
        ];
        let manifest = Fields::of("revision", manifest, &known)?;
        let mut reader = Reader { connection, tenant };
        let mut registry = Self::default();
        for (id, digest) in named(&manifest, "apis")? {
            let api = reader.definition("API", apis::BY_DIGEST, &digest).await?;
            registry.apis.insert(id, apis::from_value(&api)?);
        }
        for (api, digest) in named(&manifest, "contracts")? {
            let contract = contracts::by_digest(reader.connection, tenant, &digest).await?;
            registry.contracts.insert(api, contract);
        }
        if manifest.optional("live").is_some() {
            for (api, digest) in named(&manifest, "live")? {
                let contract = contracts::by_digest(reader.connection, tenant, &digest).await?;
                registry.live.insert(api, contract);
            }
        }
        for (api, digests) in beside(&manifest)? {
            let mut contracts = Vec::new();
            for digest in digests {
                contracts.push(contracts::by_digest(reader.connection, tenant, &digest).await?);
            }
            registry.beside.insert(api, contracts);
        }
        for (id, digest) in named(&manifest, "agents")? {
            let agent = reader
                .definition("agent", agents::BY_DIGEST, &digest)
                .await?;
            registry.agents.insert(id, agents::from_value(&agent)?);
        }
        for (name, digest) in named(&manifest, "purposes")? {
            let purpose = reader
                .definition("purpose", purposes::BY_DIGEST, &digest)
                .await?;
            registry
                .purposes
                .insert(name, purposes::from_value(&purpose)?);
        }
        for (name, digest) in named(&manifest, "policies")? {
            let text = reader.text("policy", policies::BY_DIGEST, &digest).await?;
            registry.policies.insert(name, text);
        }
        registry.check()?;
        Ok(registry)
    }
}

/// The names and digests of one part of a manifest.
fn named<T: std::str::FromStr<Err: std::fmt::Display> + Ord>(
    manifest: &Fields<'_>,
    part: &str,
) -> Result<BTreeMap<T, Digest>, StoreError> {
    let members = manifest.member(part)?.as_object();
    let members = members
        .ok_or_else(|| StoreError::damaged("revision", &format!("`{part}` is no object")))?;
    let entry = |(name, digest): (&String, &Value)| {
        let digest = digest.as_str().unwrap_or_default();
        Ok((parsed("revision", name)?, parsed("revision", digest)?))
    };
    members.iter().map(entry).collect()
}

/// What is approved beside contracts; a registry without any has no such part.
fn beside(manifest: &Fields<'_>) -> Result<Vec<(ApiId, Vec<Digest>)>, StoreError> {
    let wrong = || StoreError::damaged("revision", &"`beside` is no object of arrays");
    let Some(part) = manifest.optional("beside") else {
        return Ok(Vec::new());
    };
    let entry = |(name, digests): (&String, &Value)| {
        let digest = |digest: &Value| parsed("revision", digest.as_str().ok_or_else(wrong)?);
        let digests = digests.as_array().ok_or_else(wrong)?;
        let digests: Result<Vec<Digest>, StoreError> = digests.iter().map(digest).collect();
        Ok((parsed("revision", name)?, digests?))
    };
    let members = part.as_object().ok_or_else(wrong)?;
    members.iter().map(entry).collect()
}

struct Writer<'a> {
    connection: &'a mut SqliteConnection,
    tenant: &'a Tenant,
}

impl Writer<'_> {
    async fn put(&mut self, statement: &'static str, text: &str) -> Result<(), StoreError> {
        let digest = Digest::of(text.as_bytes()).to_string();
        sqlx::query(statement)
            .bind(self.tenant.as_str())
            .bind(digest.as_str())
            .bind(text)
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }
}

struct Reader<'a> {
    connection: &'a mut SqliteConnection,
    tenant: &'a Tenant,
}

impl Reader<'_> {
    async fn definition(
        &mut self,
        what: &'static str,
        statement: &'static str,
        digest: &Digest,
    ) -> Result<Value, StoreError> {
        fields::value(what, &self.text(what, statement, digest).await?)
    }

    async fn text(
        &mut self,
        what: &'static str,
        statement: &'static str,
        digest: &Digest,
    ) -> Result<String, StoreError> {
        let row: Option<(String,)> = sqlx::query_as(statement)
            .bind(self.tenant.as_str())
            .bind(digest.to_string())
            .fetch_optional(&mut *self.connection)
            .await?;
        let (text,) = row.ok_or_else(|| StoreError::damaged(what, "it is missing"))?;
        if Digest::of(text.as_bytes()) == *digest {
            Ok(text)
        } else {
            Err(StoreError::damaged(what, "its digest is another"))
        }
    }
}
