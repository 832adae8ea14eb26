//! Who vouches for others, and with which keys at this moment: issuers of users and workloads, registered clients, trust
//! domains.
//!
//! Keys that come from elsewhere are replaced while calls go on; each replacement is whole. What was not renewed within its
//! limit is refused by whoever verifies with it, not here: the limit travels with the keys.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use writ_token::{Issuer, IssuerUrl, RegisteredClient, TrustBundle, TrustBundles, Vouches};
use writ_types::{SpiffeId, TrustDomain};

use crate::key_origin::KeyOrigin;

/// A registered client: an orchestrator, or the application of the user who asks.
#[derive(Debug, Clone)]
pub struct Client {
    /// Its id and keys.
    pub registered: RegisteredClient,
    /// The agents whose tasks it may open, and vouch for.
    pub agents: BTreeSet<SpiffeId>,
    /// Whether it may ask about every token (RFC 7662): a resource server that verifies them for itself.
    pub introspects: bool,
    /// Nobody is this client: whoever proves to be is reported, and refused as if the proof were wrong.
    pub honey: bool,
}

/// Everybody who vouches for others.
#[derive(Debug, Default)]
pub struct Trust {
    issuers: ArcSwap<Vec<Issuer>>,
    clients: ArcSwap<BTreeMap<String, Arc<Client>>>,
    bundles: ArcSwap<TrustBundles>,
    /// Where the keys of each of them come from, by name.
    origins: ArcSwap<BTreeMap<String, KeyOrigin>>,
    /// Told of each bundle that is put in force.
    changes: watch::Sender<()>,
}

impl Trust {
    /// Nobody but the built-in trust domain.
    #[must_use]
    pub fn of(own: TrustBundle) -> Self {
        Self {
            bundles: ArcSwap::from_pointee(TrustBundles::of([own])),
            ..Self::default()
        }
    }

    /// Adds an issuer, or replaces the one of this URL.
    pub fn put_issuer(&self, issuer: &Issuer) {
        self.issuers.rcu(|issuers| {
            let mut others = without(issuers, &issuer.url);
            others.push(issuer.clone());
            others
        });
    }

    /// Removes an issuer: from now on it vouches for nobody.
    pub fn remove_issuer(&self, url: &IssuerUrl) {
        self.issuers.rcu(|issuers| without(issuers, url));
    }

    /// Removes a client.
    pub fn remove_client(&self, id: &str) {
        self.clients.rcu(|clients| {
            let mut clients = BTreeMap::clone(clients);
            clients.remove(id);
            clients
        });
    }

    /// Removes the bundle of a trust domain.
    pub fn remove_bundle(&self, domain: &TrustDomain) {
        self.bundles.rcu(|bundles| bundles.without(domain));
        self.changes.send_replace(());
    }

    /// Adds a client, or replaces the one of this id.
    pub fn put_client(&self, client: &Arc<Client>) {
        self.clients.rcu(|clients| {
            let mut clients = BTreeMap::clone(clients);
            let id = client.registered.id.as_str().to_owned();
            clients.insert(id, Arc::clone(client));
            clients
        });
    }

    /// Adds the bundle of a trust domain, or replaces it by one that is not older. Two domains are never merged.
    pub fn put_bundle(&self, bundle: &TrustBundle) {
        self.bundles.rcu(|bundles| bundles.with(bundle.clone()));
        self.changes.send_replace(());
    }

    /// Notes where somebody's keys come from and how they stand.
    pub fn put_origin(&self, name: &str, origin: &KeyOrigin) {
        self.origins.rcu(|origins| {
            let mut origins = BTreeMap::clone(origins);
            origins.insert(name.to_owned(), origin.clone());
            origins
        });
    }

    /// Forgets where somebody's keys came from.
    pub fn remove_origin(&self, name: &str) {
        self.origins.rcu(|origins| {
            let mut origins = BTreeMap::clone(origins);
            origins.remove(name);
            origins
        });
    }

    /// Where the keys of each who vouches come from, by name.
    #[must_use]
    pub fn origins(&self) -> Arc<BTreeMap<String, KeyOrigin>> {
        self.origins.load_full()
    }

    /// Tells of each bundle that is put in force.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// The bundles of all trust domains.
    #[must_use]
    pub fn bundles(&self) -> Arc<TrustBundles> {
        self.bundles.load_full()
    }

    /// Whether somebody vouches for such identities still: the certificate of a connection was verified when it began.
    pub(crate) fn believes(&self, spiffe: &SpiffeId) -> bool {
        self.bundles.load().get(spiffe.trust_domain()).is_some()
    }

    /// The issuers that vouch for such.
    pub(crate) fn issuers(&self, vouches: Vouches) -> Vec<Issuer> {
        let issuers = self.issuers.load();
        let such = issuers.iter().filter(|issuer| issuer.vouches == vouches);
        such.cloned().collect()
    }

    /// The client of this id.
    pub(crate) fn client(&self, id: &str) -> Option<Arc<Client>> {
        self.clients.load().get(id).cloned()
    }
}

fn without(issuers: &[Issuer], url: &IssuerUrl) -> Vec<Issuer> {
    let others = issuers.iter().filter(|known| known.url != *url);
    others.cloned().collect()
}
