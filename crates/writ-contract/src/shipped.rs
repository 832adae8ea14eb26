//! Overlays that ship with Writ: what the operations do that agents use of well-known APIs.

use std::collections::BTreeSet;

use writ_types::Value;

use crate::overlay;

/// A reviewed overlay of a well-known API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shipped {
    /// Whose API it is.
    pub name: &'static str,
    /// The overlay.
    pub text: &'static str,
}

/// All of them.
pub const SHIPPED: [Shipped; 6] = [
    Shipped {
        name: "GitHub",
        text: include_str!("../overlays/github.overlay.yaml"),
    },
    Shipped {
        name: "Kubernetes",
        text: include_str!("../overlays/kubernetes.overlay.yaml"),
    },
    Shipped {
        name: "OpenAI",
        text: include_str!("../overlays/openai.overlay.yaml"),
    },
    Shipped {
        name: "PowerDNS",
        text: include_str!("../overlays/powerdns.overlay.yaml"),
    },
    Shipped {
        name: "Slack",
        text: include_str!("../overlays/slack.overlay.yaml"),
    },
    Shipped {
        name: "Stripe",
        text: include_str!("../overlays/stripe.overlay.yaml"),
    },
];

impl Shipped {
    /// The overlay for a document of this title, if one ships. Whoever imports it sees every word of it before it holds.
    #[must_use]
    pub fn of_title(title: &str) -> Option<&'static Self> {
        SHIPPED.iter().find(|shipped| {
            let mut lines = shipped.text.lines();
            let titles = lines.find_map(|line| line.trim().strip_prefix("x-for:"));
            let mut titles = titles
                .unwrap_or_default()
                .trim()
                .trim_matches('"')
                .split(';');
            titles.any(|known| title.starts_with(known.trim()))
        })
    }

    /// The text of its actions that select something in the document, and the operations (path and method) that they
    /// review. The document is changed as they say.
    pub(crate) fn fitted(&self, document: &mut Value) -> (String, BTreeSet<(String, String)>) {
        let (head, actions) = self
            .text
            .split_once("\nactions:\n")
            .unwrap_or((self.text, ""));
        let mut fitted = String::new();
        let mut reviewed = BTreeSet::new();
        for (comment, action) in blocks(actions) {
            let one = format!("{head}\nactions:\n{action}");
            let operations = overlay::operations_of(&one, document);
            if overlay::overlay(&one, document).is_err() {
                continue;
            }
            fitted.push_str(&comment);
            fitted.push_str(&action);
            if action.contains("effect:") {
                reviewed.extend(operations);
            }
        }
        (fitted, reviewed)
    }
}

/// The actions as blocks of text, each with the comment before it.
fn blocks(actions: &str) -> Vec<(String, String)> {
    let mut blocks: Vec<(String, String)> = Vec::new();
    let mut comment = String::new();
    for line in actions.lines() {
        let into = if line.trim_start().starts_with('#') {
            &mut comment
        } else {
            if line.starts_with("  - ") {
                blocks.push((std::mem::take(&mut comment), String::new()));
            }
            match blocks.last_mut() {
                Some((_, block)) => block,
                None => continue,
            }
        };
        into.push_str(line);
        into.push('\n');
    }
    blocks
}
