//! The grammar of RFC 9535 §2, by recursive descent.

use writ_types::{JsonLimits, Value};

use super::filter::iregexp;
use super::{
    Comparable, Comparison, DEEPEST, Extent, FilterQuery, LONGEST, Logical, Pattern, Query,
    QueryFault, Segment, Selector,
};

type Parsed<T> = Result<T, QueryFault>;

pub(super) fn query(text: &str) -> Parsed<Query> {
    let mut reader = Reader {
        chars: text.chars().collect(),
        at: 0,
        depth: 0,
    };
    if text.len() > LONGEST {
        return Err(reader.fault("longer than 4 KiB"));
    }
    reader.expect('$', "a query begins with `$`")?;
    let segments = reader.segments()?;
    if reader.at < reader.chars.len() {
        return Err(reader.fault("something follows the query"));
    }
    Ok(Query { segments })
}

struct Reader {
    chars: Vec<char>,
    at: usize,
    depth: usize,
}

impl Reader {
    fn fault(&self, message: &'static str) -> QueryFault {
        QueryFault {
            at: self.at,
            message,
        }
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let char = self.peek()?;
        self.at = self.at.saturating_add(1);
        Some(char)
    }

    fn take(&mut self, wanted: &str) -> bool {
        let end = self.at.saturating_add(wanted.chars().count());
        let here = self.chars.get(self.at..end);
        let found = here.is_some_and(|here| here.iter().copied().eq(wanted.chars()));
        if found {
            self.at = end;
        }
        found
    }

    fn expect(&mut self, wanted: char, message: &'static str) -> Parsed<()> {
        if self.peek() == Some(wanted) {
            self.next();
            Ok(())
        } else {
            Err(self.fault(message))
        }
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t' | '\n' | '\r')) {
            self.next();
        }
    }

    fn segments(&mut self) -> Parsed<Vec<Segment>> {
        let mut segments = Vec::new();
        loop {
            let before = self.at;
            self.blanks();
            let descendant = self.take("..");
            let selectors = if self.take("[") {
                self.bracketed()?
            } else if descendant || self.take(".") {
                vec![if self.take("*") {
                    Selector::Wildcard
                } else {
                    Selector::Name(self.shorthand()?)
                }]
            } else {
                // Blanks belong to what follows the query.
                self.at = before;
                return Ok(segments);
            };
            segments.push(Segment {
                descendant,
                selectors,
            });
        }
    }

    /// `member-name-shorthand`
    fn shorthand(&mut self) -> Parsed<String> {
        let first = |char: char| char.is_ascii_alphabetic() || char == '_' || !char.is_ascii();
        let mut name = String::new();
        while let Some(char) = self.peek() {
            if !first(char) && (name.is_empty() || !char.is_ascii_digit()) {
                break;
            }
            name.push(char);
            self.next();
        }
        if name.is_empty() {
            return Err(self.fault("a name is missing, or must stand in `['…']`"));
        }
        Ok(name)
    }

    fn bracketed(&mut self) -> Parsed<Vec<Selector>> {
        let mut selectors = Vec::new();
        loop {
            self.blanks();
            selectors.push(self.selector()?);
            self.blanks();
            if self.take("]") {
                return Ok(selectors);
            }
            self.expect(',', "`]` or `,` is missing")?;
        }
    }

    fn selector(&mut self) -> Parsed<Selector> {
        match self.peek() {
            Some(quote @ ('\'' | '"')) => {
                self.next();
                self.quoted(quote).map(Selector::Name)
            }
            Some('*') => {
                self.next();
                Ok(Selector::Wildcard)
            }
            Some('?') => {
                self.next();
                self.blanks();
                self.or().map(Selector::Filter)
            }
            _ => self.index_or_slice(),
        }
    }

    fn index_or_slice(&mut self) -> Parsed<Selector> {
        let start = self.integer()?;
        let after = self.at;
        self.blanks();
        if !self.take(":") {
            self.at = after;
            let missing = self.fault("a selector is missing");
            return start.map(Selector::Index).ok_or(missing);
        }
        self.blanks();
        let end = self.integer()?;
        self.blanks();
        let step = if self.take(":") {
            self.blanks();
            self.integer()?
        } else {
            None
        };
        Ok(Selector::Slice {
            start,
            end,
            step: step.unwrap_or(1),
        })
    }

    /// An integer within ±(2^53 − 1), if one begins here.
    fn integer(&mut self) -> Parsed<Option<i64>> {
        let start = self.at;
        let negative = self.take("-");
        let mut digits = String::new();
        while let Some(char) = self.peek().filter(char::is_ascii_digit) {
            digits.push(char);
            self.next();
        }
        if digits.is_empty() && !negative {
            return Ok(None);
        }
        let led = digits.len() > 1 && digits.starts_with('0') || negative && digits == "0";
        let value = digits.parse::<i64>().ok().filter(|_| !led);
        let value = value.filter(|value| *value < 1 << 53);
        let signed = |value: i64| {
            if negative {
                value.saturating_neg()
            } else {
                value
            }
        };
        value.map(signed).map(Some).ok_or(QueryFault {
            at: start,
            message: "not an integer of I-JSON",
        })
    }

    fn quoted(&mut self, quote: char) -> Parsed<String> {
        let mut text = String::new();
        loop {
            let unclosed = self.fault("a quote is not closed");
            match self.next().ok_or(unclosed)? {
                char if char == quote => return Ok(text),
                '\\' => text.push(self.escaped(quote)?),
                '\u{0}'..='\u{1f}' => return Err(self.fault("a control character in quotes")),
                other => text.push(other),
            }
        }
    }

    fn escaped(&mut self, quote: char) -> Parsed<char> {
        Ok(match self.next() {
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some(char @ ('/' | '\\')) => char,
            Some(char) if char == quote => char,
            Some('u') => {
                let code = self.code_point()?;
                code.and_then(char::from_u32)
                    .ok_or_else(|| self.fault("not a Unicode character"))?
            }
            _ => return Err(self.fault("an unknown escape")),
        })
    }

    /// One or two `\u` units; none if the second is missing or wrong.
    fn code_point(&mut self) -> Parsed<Option<u32>> {
        let unit = self.hex4()?;
        let Some(high) = unit.checked_sub(0xD800).filter(|high| *high < 0x400) else {
            return Ok(Some(unit));
        };
        if !self.take("\\u") {
            return Ok(None);
        }
        let low = self.hex4()?.checked_sub(0xDC00);
        let low = low.filter(|low| *low < 0x400);
        Ok(low.map(|low| {
            high.saturating_mul(0x400)
                .saturating_add(low)
                .saturating_add(0x1_0000)
        }))
    }

    fn hex4(&mut self) -> Parsed<u32> {
        let mut value = 0u32;
        for _ in 0..4 {
            let missing = self.fault("four hexadecimal digits are missing");
            let digit = self.next().and_then(|char| char.to_digit(16));
            value = value
                .saturating_mul(16)
                .saturating_add(digit.ok_or(missing)?);
        }
        Ok(value)
    }

    fn deeper(&mut self) -> Parsed<()> {
        self.depth = self.depth.saturating_add(1);
        if self.depth > DEEPEST {
            return Err(self.fault("filters are nested too deeply"));
        }
        Ok(())
    }

    fn or(&mut self) -> Parsed<Logical> {
        self.deeper()?;
        let mut parts = vec![self.and()?];
        while self.take_after_blanks("||") {
            self.blanks();
            parts.push(self.and()?);
        }
        self.depth = self.depth.saturating_sub(1);
        Ok(Logical::Or(parts))
    }

    fn and(&mut self) -> Parsed<Logical> {
        let mut parts = vec![self.basic()?];
        while self.take_after_blanks("&&") {
            self.blanks();
            parts.push(self.basic()?);
        }
        Ok(Logical::And(parts))
    }

    fn take_after_blanks(&mut self, wanted: &str) -> bool {
        let before = self.at;
        self.blanks();
        let found = self.take(wanted);
        if !found {
            self.at = before;
        }
        found
    }

    fn basic(&mut self) -> Parsed<Logical> {
        if self.take("!") {
            self.blanks();
            let inner = if self.take("(") {
                self.closed()?
            } else {
                self.test_or_comparison(Operator::Not)?
            };
            return Ok(Logical::Not(Box::new(inner)));
        }
        if self.take("(") {
            return self.closed();
        }
        self.test_or_comparison(Operator::None)
    }

    fn closed(&mut self) -> Parsed<Logical> {
        self.blanks();
        let inner = self.or()?;
        self.blanks();
        self.expect(')', "`)` is missing")?;
        Ok(inner)
    }

    fn test_or_comparison(&mut self, operator: Operator) -> Parsed<Logical> {
        if self.take("match(") {
            return self.matches(Extent::Whole);
        }
        if self.take("search(") {
            return self.matches(Extent::Part);
        }
        let alone = self.fault("a value alone is no test");
        let left = self.operand()?;
        let before = self.at;
        self.blanks();
        let here = self.fault("`!` before a comparison needs parentheses");
        let Some(comparison) = self.comparison() else {
            self.at = before;
            return match left {
                Operand::Query(query) => Ok(Logical::Exists(query)),
                Operand::Value(_) => Err(alone),
            };
        };
        if operator == Operator::Not {
            return Err(here);
        }
        self.blanks();
        let left = self.comparable(left)?;
        let right = self.operand()?;
        let right = self.comparable(right)?;
        Ok(Logical::Compare(left, comparison, right))
    }

    fn matches(&mut self, extent: Extent) -> Parsed<Logical> {
        let text = self.argument()?;
        self.expect(',', "`,` is missing")?;
        let pattern = match self.argument()? {
            Comparable::Literal(Value::String(pattern)) => {
                Pattern::Fixed(iregexp(&pattern, extent))
            }
            other @ (Comparable::Literal(_)
            | Comparable::Singular(_)
            | Comparable::Length(_)
            | Comparable::Count(_)
            | Comparable::Value(_)) => Pattern::Computed(Box::new(other)),
        };
        self.expect(')', "`)` is missing")?;
        Ok(Logical::Matches {
            text,
            pattern,
            extent,
        })
    }

    /// A function's argument that is one value.
    fn argument(&mut self) -> Parsed<Comparable> {
        self.blanks();
        let operand = self.operand()?;
        let value = self.comparable(operand)?;
        self.blanks();
        Ok(value)
    }

    fn comparison(&mut self) -> Option<Comparison> {
        [
            ("==", Comparison::Equal),
            ("!=", Comparison::NotEqual),
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ]
        .into_iter()
        .find_map(|(text, comparison)| self.take(text).then_some(comparison))
    }

    fn comparable(&self, operand: Operand) -> Parsed<Comparable> {
        match operand {
            Operand::Value(value) => Ok(value),
            Operand::Query(query) if query.is_singular() => Ok(Comparable::Singular(query)),
            Operand::Query(_) => Err(self.fault("only a query for one value can be compared")),
        }
    }

    fn operand(&mut self) -> Parsed<Operand> {
        self.deeper()?;
        let operand = match self.peek() {
            Some(start @ ('@' | '$')) => {
                self.next();
                Operand::Query(FilterQuery {
                    absolute: start == '$',
                    segments: self.segments()?,
                })
            }
            Some(quote @ ('\'' | '"')) => {
                self.next();
                Operand::Value(Comparable::Literal(Value::String(self.quoted(quote)?)))
            }
            _ => Operand::Value(self.function_or_literal()?),
        };
        self.depth = self.depth.saturating_sub(1);
        Ok(operand)
    }

    fn function_or_literal(&mut self) -> Parsed<Comparable> {
        if self.take("length(") {
            let argument = self.argument()?;
            self.expect(')', "`)` is missing")?;
            return Ok(Comparable::Length(Box::new(argument)));
        }
        if self.take("count(") {
            return self.nodes().map(Comparable::Count);
        }
        if self.take("value(") {
            return self.nodes().map(Comparable::Value);
        }
        let fault = self.fault("a value, a query or a function is missing");
        let literal = |char: &char| char.is_ascii_alphanumeric() || matches!(char, '-' | '+' | '.');
        let mut text = String::new();
        while let Some(char) = self.peek().filter(literal) {
            text.push(char);
            self.next();
        }
        // RFC 9535 §2.3.5.1: numbers as in JSON, `-0` among them.
        match Value::parse(text.as_bytes(), &JsonLimits::REQUEST) {
            Ok(value @ (Value::Null | Value::Bool(_) | Value::Number(_))) => {
                Ok(Comparable::Literal(value))
            }
            Ok(_) | Err(_) => Err(fault),
        }
    }

    /// A function's argument that is a list of places.
    fn nodes(&mut self) -> Parsed<FilterQuery> {
        self.blanks();
        let fault = self.fault("the function takes a query");
        let Operand::Query(query) = self.operand()? else {
            return Err(fault);
        };
        self.blanks();
        self.expect(')', "`)` is missing")?;
        Ok(query)
    }
}

/// What stands before a test.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operator {
    None,
    Not,
}

enum Operand {
    Query(FilterQuery),
    Value(Comparable),
}

impl FilterQuery {
    fn is_singular(&self) -> bool {
        self.segments.iter().all(|segment| {
            let one = [Selector::Name(String::new()), Selector::Index(0)];
            let alike = |selector: &Selector| {
                one.iter()
                    .any(|one| std::mem::discriminant(one) == std::mem::discriminant(selector))
            };
            !segment.descendant && matches!(segment.selectors.as_slice(), [only] if alike(only))
        })
    }
}
