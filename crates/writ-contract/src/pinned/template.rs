//! URI templates of resources: RFC 6570 §3.2.2, simple expansion of one variable each, and nothing more.

/// A template that says which URIs it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    /// The texts around the variables: one more than there are variables.
    literals: Vec<String>,
}

impl Template {
    /// Reads a template; none for one with an operator, a modifier, several variables in one expression, or two expressions
    /// that touch: what such a one means cannot be told from a URI alone.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut literals = Vec::new();
        let mut rest = text;
        while let Some((literal, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}')?;
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            let touches = literal.is_empty();
            if touches || literal.contains('}') || name.is_empty() || !name.bytes().all(plain) {
                return None;
            }
            literals.push(literal.to_owned());
            rest = after;
        }
        if rest.contains('}') {
            return None;
        }
        literals.push(rest.to_owned());
        Some(Self { literals })
    }

    /// Whether it means a URI: each variable stands for one text of unreserved and percent-encoded characters.
    ///
    /// Such a text is no dot segment, and what is encoded in it is no dot, slash, backslash, percent sign or control
    /// character: whoever decodes it once more finds no other path.
    pub(crate) fn means(&self, uri: &str) -> bool {
        let Some((first, literals)) = self.literals.split_first() else {
            return false;
        };
        let Some(mut rest) = uri.strip_prefix(first.as_str()) else {
            return false;
        };
        for literal in literals {
            let longest = value(rest);
            // An empty literal is the end of the template: what is left must be the value.
            let end = if literal.is_empty() {
                Some(longest)
            } else {
                rest.find(literal.as_str()).filter(|end| *end <= longest)
            };
            let Some((given, after)) = end.and_then(|end| rest.split_at_checked(end)) else {
                return false;
            };
            if given.is_empty() || matches!(given, "." | "..") {
                return false;
            }
            let Some(after) = after.strip_prefix(literal.as_str()) else {
                return false;
            };
            rest = after;
        }
        rest.is_empty()
    }
}

/// How many bytes at the beginning of a text could be the value of a variable.
fn value(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut length = 0_usize;
    while let Some(byte) = bytes.get(length) {
        let unreserved = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        let step = if unreserved {
            1
        } else if *byte == b'%' && is_harmless(text, length) {
            3
        } else {
            break;
        };
        length = length.saturating_add(step);
    }
    length
}

/// Whether the percent-encoded byte at a place hides nothing that a path is made of.
fn is_harmless(text: &str, place: usize) -> bool {
    let digits = text.get(place.saturating_add(1)..place.saturating_add(3));
    let hex = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let byte = hex.and_then(|digits| u8::from_str_radix(digits, 16).ok());
    byte.is_some_and(|byte| !byte.is_ascii_control() && !matches!(byte, b'.' | b'/' | b'\\' | b'%'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_means_the_uris_of_its_simple_expansions() {
        for (template, uri, expect) in [
            ("test://a/{id}/data", "test://a/123/data", true),
            ("test://a/{id}/data", "test://a/%C3%A4b/data", true),
            ("test://a/{id}/data", "test://a/1/2/data", false),
            ("test://a/{id}/data", "test://a/../data", false),
            ("test://a/{id}/data", "test://a/./data", false),
            ("test://a/{id}/data", "test://a/%2e%2e/data", false),
            ("test://a/{id}/data", "test://a/x%2Fy/data", false),
            ("test://a/{id}/data", "test://a/x%5cy/data", false),
            ("test://a/{id}/data", "test://a/x%252Fy/data", false),
            ("test://a/{id}/data", "test://a/x%00/data", false),
            ("test://a/{id}/data", "test://a/x%4/data", false),
            ("test://a/{id}/data", "test://a//data", false),
            ("test://a/{id}/data", "test://a/1/data/", false),
            ("test://a/{id}/data", "test://b/1/data", false),
            ("test://a/{id}", "test://a/x?y", false),
            ("test://a/{id}", "test://a/x", true),
            ("test://a/{id}", "test://a/", false),
            ("test://{a}/x-{b}.txt", "test://1/x-2.txt", true),
            ("test://{a}/x-{b}.txt", "test://1/x-.txt", false),
            ("test://{a}/x-{b}.txt", "test://1/y-2.txt", false),
            ("test://plain", "test://plain", true),
            ("test://plain", "test://plain/x", false),
        ] {
            let read = Template::parse(template).unwrap();
            assert_eq!(read.means(uri), expect, "{template} {uri}");
        }
    }

    #[test]
    fn what_cannot_be_told_from_a_uri_is_no_template() {
        for template in [
            "test://a/{+path}",
            "test://a{?q}",
            "test://a/{a,b}",
            "test://a/{a}{b}",
            "test://a/{a*}",
            "test://a/{a:3}",
            "test://a/{}",
            "test://a/{a",
            "test://a/a}",
            "{a}://x",
        ] {
            assert_eq!(Template::parse(template), None, "{template}");
        }
    }
}
