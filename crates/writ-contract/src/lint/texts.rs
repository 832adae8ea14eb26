//! Texts that are more than texts: script, and orders to a model.

use std::sync::LazyLock;

use regex::{Regex, RegexSet};
use writ_types::{Pointer, Value};

use super::rules::Rule;
use super::{Found, shown};
use crate::outline::{Node, Outline, items, members};

/// Deepest value looked at; the reader allows no deeper documents.
const DEEPEST: usize = 256;

/// What runs where it is rendered.
static SCRIPT: LazyLock<Option<RegexSet>> = LazyLock::new(|| {
    RegexSet::new([
        r"(?i)<\s*script\b",
        r"(?i)\bjavascript\s*:",
        r"(?i)\beval\s*\(",
        r"(?i)<[^>]{0,200}\son(?:error|load|click|mouseover|focus)\s*=",
        r"(?i)<\s*iframe\b",
    ])
    .ok()
});

/// What speaks to a model rather than to a reader.
static INSTRUCTION: LazyLock<Option<RegexSet>> = LazyLock::new(|| {
    RegexSet::new([
        r"(?i)\b(?:ignore|disregard|forget|override)\s+(?:all\s+|any\s+|the\s+|your\s+)*(?:previous|prior|above|earlier|other|system)\s+(?:instruction|prompt|rule|message|direction|guideline)",
        r"(?i)\b(?:do\s+not|don't|never|without)\s+(?:tell|telling|inform|informing|notify|notifying|mention\w*\s+(?:this|it)\s+to|reveal\w*\s+(?:this|it)\s+to|ask|asking)\s+(?:this\s+to\s+)?the\s+user\b",
        // `<important><p>` is a box of text in some vendors' documents.
        r"(?i)<\s*(?:important|system|instructions?|assistant)\s*>\s*[^<\s]",
        r"(?i)\b(?:the|an|any|if\s+you\s+are\s+an?)\s+(?:ai|llm|language\s+model|assistant|ai\s+agent)\s+(?:must|should|shall|has\s+to|needs?\s+to)\b",
        r"(?i)\bsystem\s+prompt\b",
        r"(?i)\b(?:before|after|when)\s+(?:using|calling|invoking)\s+(?:this|any\s+other|another)\s+(?:tool|function)\b[^.]{0,80}\b(?:must|always|first\s+(?:call|read|send))\b",
        r"(?i)\byou\s+must\s+(?:always\s+)?(?:call|invoke|use)\s+this\s+(?:tool|function|operation)\s+(?:first|before)\b",
    ])
    .ok()
});

/// Characters that people do not see and models read: tags, zero-width characters, direction overrides.
static HIDDEN: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new("[\u{E0000}-\u{E007F}\u{200B}\u{2060}\u{202A}-\u{202E}\u{2066}-\u{2069}]{2}|[\u{E0020}-\u{E007F}\u{202E}]").ok()
});

pub(super) fn check(outline: &Outline<'_>, found: &mut Found) {
    let root = outline.root();
    let mut operations: Vec<(&Pointer, usize)> = outline
        .operations
        .iter()
        .enumerate()
        .map(|(place, operation)| (&operation.node.pointer, place))
        .collect();
    operations.sort();
    let mut texts = Texts {
        found,
        operations: &operations,
    };
    texts.below(&root, 0);
}

struct Texts<'t> {
    found: &'t mut Found,
    operations: &'t [(&'t Pointer, usize)],
}

impl Texts<'_> {
    fn below(&mut self, node: &Node<'_>, depth: usize) {
        let deeper = depth.saturating_add(1);
        if depth > DEEPEST {
            return;
        }
        match node.value {
            // Examples and defaults are data, and so is what an enum lists.
            Value::Object(object) => {
                let texts = ["description", "summary", "title"];
                for name in texts {
                    if let Some(Value::String(text)) = object.get(name) {
                        self.text(node, name, text);
                    }
                }
                let has_below = |value: &Value| matches!(value, Value::Object(_) | Value::Array(_));
                if object.values().any(has_below) {
                    for (_, member) in members(Some(node))
                        .filter(|(_, member)| has_below(member.value))
                        .filter(|(name, _)| {
                            !matches!(*name, "example" | "examples" | "default" | "enum")
                        })
                    {
                        self.below(&member, deeper);
                    }
                }
            }
            Value::Array(_) => {
                for item in items(node) {
                    self.below(&item, deeper);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn text(&mut self, node: &Node<'_>, name: &str, text: &str) {
        let matches = |set: &Option<RegexSet>| set.as_ref().is_none_or(|set| set.is_match(text));
        if matches(&SCRIPT) {
            self.report(Rule::DescriptionScript, node, name, text);
        }
        let hidden = HIDDEN.as_ref().is_none_or(|hidden| hidden.is_match(text));
        if matches(&INSTRUCTION) || hidden {
            self.report(Rule::DescriptionInstruction, node, name, text);
        }
    }

    fn report(&mut self, rule: Rule, node: &Node<'_>, name: &str, text: &str) {
        let pointer = node.pointer.child(name);
        let message = format!("`{}`", shown(text.trim()));
        let within = self
            .operations
            .iter()
            .find(|(operation, _)| pointer.as_str().starts_with(&format!("{operation}/")));
        match within {
            Some((_, place)) => self.found.of_operation(rule, *place, pointer, message),
            None => self.found.of_document(rule, pointer, message),
        }
    }
}
