//! What is counted within a time: `policies/windows.toml`.

use std::collections::BTreeSet;

use serde::Deserialize;
use toml::Spanned;
use writ_policy::{DeclaredWindow, PolicySource, WINDOWS, windows_text};
use writ_types::{Summed, Unit, Window, WindowScope, Windows};

use super::raw::Span;
use super::{Reader, line_of};

/// Where windows are declared.
pub(super) const WINDOWS_FILE: &str = "policies/windows.toml";

/// `policies/windows.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWindows {
    #[serde(default)]
    window: Vec<Spanned<RawWindow>>,
}

/// One window.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWindow {
    name: Spanned<String>,
    by: Spanned<String>,
    within: Span,
    #[serde(default)]
    actions: Vec<Spanned<String>>,
    #[serde(default)]
    groups: Vec<String>,
    sum: Option<Spanned<String>>,
    unit: Option<Spanned<String>>,
}

impl Reader<'_> {
    /// What `policies/windows.toml` declares.
    pub(super) fn windows(&mut self) -> Option<PolicySource> {
        self.files.get(WINDOWS_FILE)?;
        let (text, raw) = self.toml::<RawWindows>(WINDOWS_FILE)?;
        let mut windows = Windows::default();
        let mut declared = Vec::new();
        for window in &raw.window {
            let line = line_of(&text, window.span().start);
            let Some(window) = self.window(&text, window.get_ref()) else {
                continue;
            };
            match windows.add(window.clone()) {
                Ok(()) => declared.push(DeclaredWindow { line, window }),
                Err(fault) => self.fault(WINDOWS_FILE, Some(line), fault.to_string()),
            }
        }
        Some(PolicySource {
            name: WINDOWS.to_owned(),
            text: windows_text(&declared),
        })
    }

    fn window(&mut self, text: &str, raw: &RawWindow) -> Option<Window> {
        let file = WINDOWS_FILE;
        let name = self.parse(file, text, &raw.name);
        let wanted = raw.by.get_ref().as_str();
        let by = WindowScope::ALL
            .into_iter()
            .find(|by| by.as_str() == wanted);
        if by.is_none() {
            let line = line_of(text, raw.by.span().start);
            let message = "`by` is `task`, `agent` or `requester`".to_owned();
            self.fault(file, Some(line), message);
        }
        let actions: BTreeSet<_> = self.parse_all(file, text, &raw.actions);
        let sum = match (&raw.sum, &raw.unit) {
            (None, None) => Some(None),
            (None, Some(unit)) => {
                let line = line_of(text, unit.span().start);
                self.fault(file, Some(line), "a `unit` is one of a `sum`".to_owned());
                None
            }
            (Some(quantity), unit) => {
                let unit_text = unit.as_ref().map_or("", |unit| unit.get_ref().as_str());
                let unit = Unit::of(unit_text);
                if unit.is_none() {
                    let line = line_of(text, quantity.span().start);
                    let message = "a unit is at most 16 visible characters, such as `EUR`";
                    self.fault(file, Some(line), message.to_owned());
                }
                let quantity = self.parse(file, text, quantity);
                quantity
                    .zip(unit)
                    .map(|(quantity, unit)| Some(Summed { quantity, unit }))
            }
        };
        // A faulty action has been told, and leaves nothing to count that was meant.
        if actions.len() < raw.actions.len() {
            return None;
        }
        Some(Window {
            name: name?,
            by: by?,
            within: raw.within.0,
            actions,
            groups: raw.groups.iter().cloned().collect(),
            sum: sum?,
        })
    }
}
