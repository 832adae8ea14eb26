//! What holds for a time: freezes, exceptions and drafts that are tried, written down in files of their own.

use std::collections::BTreeSet;

use toml::Spanned;
use writ_policy::{EXCEPTIONS, Exception, FREEZES, Freeze, PolicySource, SHADOW_TIME, ShadowTime};
use writ_types::{ApiId, SpiffeId, Timestamp};

use super::raw::{RawException, RawExceptions, RawFreezes, RawShadow};
use super::{Project, Reader, instant, line_of};

/// Where exceptions are written down.
pub(super) const EXCEPTIONS_FILE: &str = "policies/exceptions.toml";
/// Where it is written down when a draft is tried.
pub(super) const SHADOW_FILE: &str = "policies/shadow.toml";

impl Reader<'_> {
    /// The rules of `policies/freezes.toml`.
    pub(super) fn freezes(&mut self, project: &Project) -> Option<PolicySource> {
        let file = "policies/freezes.toml";
        self.files.get(file)?;
        let (text, raw) = self.toml::<RawFreezes>(file)?;
        let mut rules = String::new();
        for freeze in &raw.freeze {
            let line = line_of(&text, freeze.span().start);
            let freeze = freeze.get_ref();
            let from = self.instant(file, &text, &freeze.from);
            let until = self.instant(file, &text, &freeze.until);
            let apis: BTreeSet<ApiId> = self.parse_all(file, &text, &freeze.apis);
            for api in apis.iter().filter(|api| !project.apis.contains_key(*api)) {
                self.fault(file, Some(line), format!("there is no API `{api}`"));
            }
            let (Some(from), Some(until)) = (from, until) else {
                continue;
            };
            let freeze = Freeze {
                name: freeze.name.clone(),
                reason: freeze.reason.clone(),
                from,
                until,
                apis,
            };
            match freeze.rules() {
                Ok(text) => rules.push_str(&text),
                Err(fault) => self.fault(file, Some(line), fault.to_string()),
            }
        }
        Some(PolicySource {
            name: FREEZES.to_owned(),
            text: rules,
        })
    }

    /// What `policies/exceptions.toml` makes of rules.
    pub(super) fn exceptions(&mut self, project: &Project) -> Option<PolicySource> {
        let file = EXCEPTIONS_FILE;
        self.files.get(file)?;
        let (text, raw) = self.toml::<RawExceptions>(file)?;
        let mut rules = String::new();
        let mut names = BTreeSet::new();
        for exception in &raw.exception {
            let line = line_of(&text, exception.span().start);
            let Some(exception) = self.exception(&text, exception.get_ref(), project) else {
                continue;
            };
            if !names.insert(exception.name.clone()) {
                let message = format!("another exception is called `{}`", exception.name);
                self.fault(file, Some(line), message);
                continue;
            }
            match exception.text() {
                Ok(text) => rules.push_str(&text),
                Err(fault) => self.fault(file, Some(line), fault.to_string()),
            }
        }
        Some(PolicySource {
            name: EXCEPTIONS.to_owned(),
            text: rules,
        })
    }

    fn exception(
        &mut self,
        text: &str,
        raw: &RawException,
        project: &Project,
    ) -> Option<Exception> {
        let file = EXCEPTIONS_FILE;
        let agent = self.agent_called(text, &raw.agent);
        let purpose = match &raw.purpose {
            Some(raw) => Some(self.parse(file, text, raw)?),
            None => None,
        };
        if let (Some(purpose), Some(raw)) = (&purpose, &raw.purpose)
            && !project.purposes.contains_key(purpose)
        {
            let line = line_of(text, raw.span().start);
            self.fault(file, Some(line), format!("there is no purpose `{purpose}`"));
        }
        let owner = self.parse(file, text, &raw.owner);
        let from = self.instant(file, text, &raw.from);
        let until = self.instant(file, text, &raw.until);
        let actions = self.parse_all(file, text, &raw.actions);
        Some(Exception {
            name: raw.name.clone(),
            rule: raw.rule.clone(),
            agent: agent?,
            purpose,
            actions,
            owner: owner?,
            reason: raw.reason.clone(),
            ticket: raw.ticket.clone(),
            from: from?,
            until: until?,
        })
    }

    /// When the draft in `policies/shadow/` is tried.
    pub(super) fn shadow(&mut self) -> Option<PolicySource> {
        let file = SHADOW_FILE;
        self.files.get(file)?;
        let (text, raw) = self.toml::<RawShadow>(file)?;
        let from = self.instant(file, &text, &raw.from);
        let until = self.instant(file, &text, &raw.until);
        let time = ShadowTime {
            from: from?,
            until: until?,
            without: raw.without.into_iter().collect(),
        };
        match time.text() {
            Ok(text) => Some(PolicySource {
                name: SHADOW_TIME.to_owned(),
                text,
            }),
            Err(fault) => {
                self.fault(file, Some(1), fault.to_string());
                None
            }
        }
    }

    /// The workload identity of the agent whose file has this name.
    fn agent_called(&mut self, text: &str, raw: &Spanned<String>) -> Option<SpiffeId> {
        let wanted = format!("agents/{}.toml", raw.get_ref());
        let found = self.agent_files.iter().find(|(_, file)| **file == wanted);
        let found = found.map(|(spiffe, _)| spiffe.clone());
        if found.is_none() {
            let line = line_of(text, raw.span().start);
            let message = format!(
                "there is no agent `{}`: {wanted} is not there",
                raw.get_ref()
            );
            self.fault(EXCEPTIONS_FILE, Some(line), message);
        }
        found
    }

    fn instant(&mut self, file: &str, text: &str, raw: &Spanned<String>) -> Option<Timestamp> {
        let read = instant(raw.get_ref());
        if read.is_none() {
            let line = line_of(text, raw.span().start);
            let message = "an instant is written `2026-12-24T18:00:00Z`, in UTC".to_owned();
            self.fault(file, Some(line), message);
        }
        read
    }
}
