//! The settings of who vouches for others and with whose accounts operators sign in: at the start, and read again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use writ_control::{Reread, Rereading, Roots, SignIn, SignInSettings};
use writ_types::{Digest, SpiffeId};

use crate::config::Config;
use crate::failure::Failure;
use crate::sign_in;
use crate::trust::{Refresher, Vouchers};

/// The issuer whose accounts operators sign in with, as it is configured.
#[derive(Debug)]
pub(crate) struct Outside(SignInSettings);

impl Outside {
    /// Signing in there, with a key of this process.
    pub(crate) fn start(self, config: &Config) -> Result<SignIn, Failure> {
        sign_in::start(self.0, config.timeouts.key_fetch)
    }
}

/// Reads and checks the files that the settings name.
pub(crate) fn read(config: &Config) -> Result<(Vouchers, Option<Outside>), Failure> {
    let vouchers = Vouchers::of(&config.trust)?;
    let outside = config.sign_in.as_ref().map(sign_in::settings).transpose()?;
    Ok((vouchers, outside.map(Outside)))
}

/// All that people approve, by name, each with the digest of what is said of it.
pub(crate) fn names(vouchers: &Vouchers, outside: Option<&Outside>) -> BTreeMap<String, Digest> {
    let mut configured = vouchers.settings();
    configured.extend(outside.map(|Outside(outside)| (outside.root(), sign_in::digest(outside))));
    configured
}

/// The agents of each registered client.
pub(crate) fn clients(config: &Config) -> BTreeMap<String, BTreeSet<SpiffeId>> {
    let clients = config.trust.clients.iter();
    clients
        .map(|client| (client.id.to_string(), client.agents.clone()))
        .collect()
}

/// Reads the settings again, as `config` was read.
pub(crate) fn rereading(config: &Config, refresher: &Arc<Refresher>) -> Rereading {
    let (before, refresher) = (config.clone(), Arc::clone(refresher));
    Box::new(move || reread(&before, &refresher).map_err(|fault| told(&fault)))
}

fn reread(before: &Config, refresher: &Arc<Refresher>) -> Result<Reread, Failure> {
    let config = before.again()?;
    let (vouchers, outside) = read(&config)?;
    let refresher = Arc::clone(refresher);
    Ok(Reread {
        configured: names(&vouchers, outside.as_ref()),
        clients: clients(&config),
        sign_in: outside.map(|outside| outside.start(before)).transpose()?,
        after_a_restart: before.after_a_restart(&config),
        put: Box::new(move |roots: &Roots| drop(refresher.put_in_force(vouchers, roots))),
    })
}

/// A fault with what caused it, in one line.
fn told(fault: &Failure) -> String {
    fault.to_string().replace("\n  ", ": ")
}
