//! Path templates.

/// Most segments of a template.
const MOST_SEGMENTS: usize = 64;

/// A path template; its parameters are numbered from left to right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) segments: Vec<Segment>,
    pub(crate) names: Vec<String>,
}

/// One segment of a template.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Segment {
    /// Only this text.
    Literal(String),
    /// Text around one or two parameters: `{Sid}.json`, `{base}...{head}`.
    Partial(Partial),
    /// One parameter.
    Parameter,
}

/// `prefix{a}suffix` or `prefix{a}middle{b}suffix`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Partial {
    pub(crate) prefix: String,
    pub(crate) middle: Option<String>,
    pub(crate) suffix: String,
}

/// How a text fits a partial segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fit {
    No,
    /// The parameters' texts.
    Values(Vec<String>),
    /// It can be split in more than one way.
    Crowded,
}

/// Why a template cannot be routed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TemplateFault {
    #[error("the path does not begin with `/`")]
    Start,
    #[error("the path has a brace too many or too few")]
    Braces,
    #[error("the path names a parameter twice")]
    Twice,
    #[error("a segment of the path has two parameters side by side, or more than two")]
    Crowded,
    #[error("the path has too many segments")]
    Long,
    #[error("the path has a bad percent-encoding or a dot segment")]
    Encoding,
}

impl Template {
    /// Reads a path key, without what follows `#` or `?`.
    pub(crate) fn parse(path: &str) -> Result<Self, TemplateFault> {
        let rest = path.strip_prefix('/').ok_or(TemplateFault::Start)?;
        let mut names = Vec::new();
        let segments = split_outside_braces(rest)
            .into_iter()
            .map(|text| segment(text, &mut names))
            .collect::<Result<Vec<_>, _>>()?;
        if segments.len() > MOST_SEGMENTS {
            return Err(TemplateFault::Long);
        }
        let mut sorted: Vec<&String> = names.iter().collect();
        sorted.sort();
        if sorted.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err(TemplateFault::Twice);
        }
        Ok(Self { segments, names })
    }
}

/// A parameter's name may hold a slash in some documents; it does not separate.
fn split_outside_braces(text: &str) -> Vec<&str> {
    let mut inside = false;
    text.split(|char| {
        match char {
            '{' => inside = true,
            '}' => inside = false,
            _ => {}
        }
        char == '/' && !inside
    })
    .collect()
}

fn segment(text: &str, names: &mut Vec<String>) -> Result<Segment, TemplateFault> {
    let mut literals = Vec::new();
    let mut rest = text;
    while let Some((literal, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').ok_or(TemplateFault::Braces)?;
        if name.is_empty() || name.contains('{') || literal.contains('}') {
            return Err(TemplateFault::Braces);
        }
        literals.push(decoded(literal)?);
        names.push(name.to_owned());
        rest = after;
    }
    if rest.contains('}') {
        return Err(TemplateFault::Braces);
    }
    let suffix = decoded(rest)?;
    let mut literals = literals.into_iter();
    let Some(prefix) = literals.next() else {
        if matches!(suffix.as_str(), "." | "..") {
            return Err(TemplateFault::Encoding);
        }
        return Ok(Segment::Literal(suffix));
    };
    let middle = literals.next();
    if literals.next().is_some() || middle.as_ref().is_some_and(String::is_empty) {
        return Err(TemplateFault::Crowded);
    }
    if prefix.is_empty() && suffix.is_empty() && middle.is_none() {
        return Ok(Segment::Parameter);
    }
    Ok(Segment::Partial(Partial {
        prefix,
        middle,
        suffix,
    }))
}

fn decoded(literal: &str) -> Result<String, TemplateFault> {
    crate::parse::percent::decode(literal).ok_or(TemplateFault::Encoding)
}

impl Partial {
    /// How many bytes are fixed.
    pub(crate) fn weight(&self) -> usize {
        let middle = self.middle.as_ref().map_or(0, String::len);
        self.prefix
            .len()
            .saturating_add(middle)
            .saturating_add(self.suffix.len())
    }

    /// The parameters' texts, none of them empty.
    pub(crate) fn fit(&self, text: &str) -> Fit {
        let inner = text
            .strip_prefix(self.prefix.as_str())
            .and_then(|rest| rest.strip_suffix(self.suffix.as_str()))
            .filter(|inner| !inner.is_empty());
        let Some(inner) = inner else { return Fit::No };
        let Some(middle) = &self.middle else {
            return Fit::Values(vec![inner.to_owned()]);
        };
        let mut splits = inner.char_indices().filter_map(|(at, _)| {
            let (left, rest) = inner.split_at_checked(at)?;
            let right = rest.strip_prefix(middle.as_str())?;
            (!left.is_empty() && !right.is_empty()).then(|| vec![left.to_owned(), right.to_owned()])
        });
        match (splits.next(), splits.next()) {
            (None, _) => Fit::No,
            (Some(values), None) => Fit::Values(values),
            (Some(_), Some(_)) => Fit::Crowded,
        }
    }

    /// Whether every text that fits `self` fits `other`.
    fn within(&self, other: &Self) -> bool {
        // A character that no template holds stands for each parameter.
        let middle = self.middle.as_ref().map(|middle| format!("{middle}\0"));
        let skeleton = format!(
            "{}\0{}{}",
            self.prefix,
            middle.unwrap_or_default(),
            self.suffix
        );
        other.fit(&skeleton) != Fit::No
    }

    /// Whether some text may fit both; may say so of patterns that share none.
    fn meets(&self, other: &Self) -> bool {
        let prefixes =
            self.prefix.starts_with(&other.prefix) || other.prefix.starts_with(&self.prefix);
        let suffixes = self.suffix.ends_with(&other.suffix) || other.suffix.ends_with(&self.suffix);
        prefixes && suffixes
    }
}

/// How two segments at the same place relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Apart,
    Same,
    /// They share texts, and one of them is the more specific.
    Ordered,
    /// They share texts, and neither is.
    Crossing,
}

fn relation(left: &Segment, right: &Segment) -> Relation {
    let yes = |meet: bool| {
        if meet {
            Relation::Ordered
        } else {
            Relation::Apart
        }
    };
    match (left, right) {
        (Segment::Literal(left), Segment::Literal(right)) if left == right => Relation::Same,
        (Segment::Literal(_), Segment::Literal(_)) => Relation::Apart,
        (Segment::Parameter, Segment::Parameter) => Relation::Same,
        (Segment::Literal(text), Segment::Parameter)
        | (Segment::Parameter, Segment::Literal(text)) => yes(!text.is_empty()),
        (Segment::Partial(_), Segment::Parameter) | (Segment::Parameter, Segment::Partial(_)) => {
            Relation::Ordered
        }
        (Segment::Literal(text), Segment::Partial(partial))
        | (Segment::Partial(partial), Segment::Literal(text)) => yes(partial.fit(text) != Fit::No),
        (Segment::Partial(left), Segment::Partial(right)) => {
            if left == right {
                Relation::Same
            } else if left.within(right) || right.within(left) {
                Relation::Ordered
            } else if left.meets(right) {
                Relation::Crossing
            } else {
                Relation::Apart
            }
        }
    }
}

/// Whether two templates share paths and neither is the more specific at the leftmost place where they differ.
pub(super) fn crossing(left: &Template, right: &Template) -> bool {
    if left.segments.len() != right.segments.len() {
        return false;
    }
    let mut decided = false;
    let mut crossing = false;
    for (left, right) in left.segments.iter().zip(&right.segments) {
        match relation(left, right) {
            Relation::Apart => return false,
            Relation::Same => {}
            Relation::Ordered => decided |= !crossing,
            Relation::Crossing => crossing |= !decided,
        }
    }
    crossing
}
