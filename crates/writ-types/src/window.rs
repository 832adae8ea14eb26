//! How often something was done, and what it came to, within a time: what policies can ask beyond one task.
//!
//! A window counts calls, and may sum up an amount that the API's owner named in the overlay (`quantity`). It is the same
//! for everybody who looks: declared once for an installation, with a name that rules use.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::{ActionName, Decimal, Effects, NameError, Value};

/// The groups of actions that a window can count, as policies know them.
const GROUPS: [&str; 5] = ["read", "write", "delete", "irreversible", "external_send"];

/// The name of a window, and of a quantity: a member of a record in policies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowName(Box<str>);

impl WindowName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WindowName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for WindowName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let mut bytes = text.bytes();
        let starts = bytes.next().is_some_and(|byte| byte.is_ascii_lowercase());
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if starts && bytes.all(plain) && text.len() <= 32 && !text.contains("__") {
            Ok(Self(text.into()))
        } else {
            Err(NameError::Window(text.chars().take(64).collect()))
        }
    }
}

/// Whose calls a window counts together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WindowScope {
    /// Those of the whole task tree.
    Task,
    /// Those of the agent, over all its tasks, and of whom it hands tasks on to.
    Agent,
    /// Those for the user; where nobody is acted for, those of the agent.
    Requester,
}

impl WindowScope {
    /// Every scope.
    pub const ALL: [Self; 3] = [Self::Task, Self::Agent, Self::Requester];

    /// The word in projects.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Agent => "agent",
            Self::Requester => "requester",
        }
    }
}

/// What a window sums up: a quantity, in one unit of it. Without a unit it is that of calls that name none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Summed {
    /// The quantity, as overlays name it.
    pub quantity: WindowName,
    /// The unit.
    pub unit: Unit,
}

/// A unit of a quantity, such as a currency: upper case, empty where there is none. Amounts in two spellings of one unit are
/// the same amounts.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unit(Box<str>);

impl Unit {
    /// Longest unit in bytes.
    const LONGEST: usize = 16;

    /// The unit a text names: visible ASCII without quotes; none if it is none.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'?');
        let fits = text.len() <= Self::LONGEST && text.bytes().all(plain);
        fits.then(|| Self(text.to_ascii_uppercase().into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An exact amount, in ten-thousandths: what a decimal of Cedar can hold, and never below zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(i64);

impl Amount {
    /// The most that can be held.
    pub const MOST: Self = Self(i64::MAX);

    /// The amount that a number or a text says exactly; none if it says none, less than nothing, or more digits than can be
    /// held.
    #[must_use]
    pub fn of(value: &Value) -> Option<Self> {
        let exact = match value {
            Value::Number(number) => number.to_decimal()?,
            Value::String(text) if text.len() <= 64 => text.parse::<Decimal>().ok()?,
            Value::String(_)
            | Value::Null
            | Value::Bool(_)
            | Value::Array(_)
            | Value::Object(_) => return None,
        };
        Self::of_ten_thousandths(exact.scaled_i128(4)?)
    }

    /// So many ten-thousandths, if they can be held.
    #[must_use]
    pub fn of_ten_thousandths(count: i128) -> Option<Self> {
        let count = i64::try_from(count).ok()?;
        (count >= 0).then_some(Self(count))
    }

    /// In ten-thousandths.
    #[must_use]
    pub const fn ten_thousandths(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Amount {
    /// With four digits after the point, as Cedar writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:04}", self.0 / 10_000, self.0 % 10_000)
    }
}

/// What a call says of one quantity.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity {
    /// The quantity, as overlays name it.
    pub name: WindowName,
    /// In which unit.
    pub unit: Unit,
    /// How much; none if that is not known exactly.
    pub amount: Option<Amount>,
}

/// The quantities of a call, one for each unit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quantities(BTreeMap<(WindowName, Unit), Option<Amount>>);

impl Quantities {
    /// Most units of one call. What is said in more is not known.
    const MOST: usize = 16;
    /// Most that are kept, with what is not known of each quantity.
    const MOST_RECORDED: usize = 64;

    /// Adds what a place of the call says. What cannot be added exactly is not known.
    pub fn add(&mut self, said: Quantity) {
        let key = (said.name, said.unit);
        let room = self.0.len() < Self::MOST;
        match self.0.get_mut(&key) {
            Some(sum) => {
                let both = sum.zip(said.amount);
                *sum = both.and_then(|(one, other)| {
                    let sum = i128::from(one.0).saturating_add(i128::from(other.0));
                    Amount::of_ten_thousandths(sum)
                });
            }
            None if room => {
                self.0.insert(key, said.amount);
            }
            None => {
                let (name, _) = key;
                for ((_, _), sum) in self.0.iter_mut().filter(|((own, _), _)| *own == name) {
                    *sum = None;
                }
                // Whatever the call says of it otherwise, this part is not known.
                if self.0.len() < Self::MOST_RECORDED {
                    self.0.insert((name, Unit::default()), None);
                }
            }
        }
    }

    /// Whether it says nothing of any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each quantity.
    pub fn iter(&self) -> impl Iterator<Item = Quantity> {
        self.0.iter().map(|((name, unit), amount)| Quantity {
            name: name.clone(),
            unit: unit.clone(),
            amount: *amount,
        })
    }

    /// What the call adds to a sum, if all that it says of the quantity is of that unit and known.
    #[must_use]
    pub fn wholly(&self, summed: &Summed) -> Option<Amount> {
        let mut of_it = self
            .0
            .iter()
            .filter(|((name, _), _)| *name == summed.quantity);
        match (of_it.next(), of_it.next()) {
            (Some(((_, unit), amount)), None) if *unit == summed.unit => *amount,
            _ => None,
        }
    }

    /// What the call says in that unit, whatever it says beside it; nothing if that is not known.
    #[must_use]
    pub fn in_unit(&self, summed: &Summed) -> Amount {
        let key = (summed.quantity.clone(), summed.unit.clone());
        self.0.get(&key).copied().flatten().unwrap_or_default()
    }
}

impl fmt::Display for Quantities {
    /// `payment:EUR:12.5000,payment:USD:?`, as records have it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, quantity) in self.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(f, "{comma}{}:{}:", quantity.name, Escaped(&quantity.unit))?;
            match quantity.amount {
                Some(amount) => write!(f, "{amount}")?,
                None => f.write_str("?")?,
            }
        }
        Ok(())
    }
}

/// A unit without the signs that stand between parts.
struct Escaped<'a>(&'a Unit);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in self.0.as_str().chars() {
            match char {
                ':' => f.write_str("%3A")?,
                ',' => f.write_str("%2C")?,
                '%' => f.write_str("%25")?,
                other => write!(f, "{other}")?,
            }
        }
        Ok(())
    }
}

/// A text is no list of quantities as records have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a list of quantities")]
pub struct QuantitiesError;

impl FromStr for Quantities {
    type Err = QuantitiesError;

    fn from_str(text: &str) -> Result<Self, QuantitiesError> {
        let part = |text: &str| {
            let (name, rest) = text.split_once(':')?;
            let (unit, amount) = rest.split_once(':')?;
            let unit = unit
                .replace("%3A", ":")
                .replace("%2C", ",")
                .replace("%25", "%");
            let amount = match amount {
                "?" => None,
                exact => Some(Amount::of(&Value::from(exact))?),
            };
            Some(((name.parse().ok()?, Unit::of(&unit)?), amount))
        };
        let parts: Option<BTreeMap<_, _>> = text.split(',').map(part).collect();
        let read = parts.filter(|parts| parts.len() <= Self::MOST_RECORDED);
        let read = Self(read.ok_or(QuantitiesError)?);
        // The one spelling that is written is read.
        (read.to_string() == text)
            .then_some(read)
            .ok_or(QuantitiesError)
    }
}

/// A window: which calls of whom it counts, how long, and what of them it sums up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Its name in policies.
    pub name: WindowName,
    /// Whose calls are counted together.
    pub by: WindowScope,
    /// How long a call counts.
    pub within: Duration,
    /// The actions that count.
    pub actions: BTreeSet<ActionName>,
    /// The groups of actions that count, whatever their API.
    pub groups: BTreeSet<String>,
    /// What is summed up, if anything.
    pub sum: Option<Summed>,
}

/// Why a window is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// It counts nothing.
    #[error("a window counts `actions`, `groups` of actions, or both")]
    Nothing,
    /// It counts more than can be looked through.
    #[error("a window names at most {most} actions: count a group of them", most = Window::MOST_ACTIONS)]
    Actions,
    /// A group is none.
    #[error(
        "`{0}` is no group of actions: `read`, `write`, `delete`, `irreversible` or `external_send`"
    )]
    Group(String),
    /// It is shorter than can be told apart.
    #[error("a window is at least a minute long")]
    Short,
    /// It is longer than anything is remembered.
    #[error("a window is at most 31 days long")]
    Long,
    /// There are more than are kept.
    #[error("there are at most {most} windows", most = Windows::MOST)]
    Many,
    /// Two have one name.
    #[error("another window is called `{0}`")]
    Twice(WindowName),
}

impl Window {
    /// The shortest: a minute is what is told apart.
    pub const SHORTEST: Duration = Duration::from_secs(60);
    /// The longest.
    pub const LONGEST: Duration = Duration::from_secs(31 * 24 * 3600);
    /// Most actions that one names.
    pub const MOST_ACTIONS: usize = 64;

    /// Whether it counts calls of an action.
    #[must_use]
    pub fn covers(&self, action: &ActionName, effects: Effects) -> bool {
        self.actions.contains(action) || effects.groups().any(|group| self.groups.contains(group))
    }

    /// Whether it is one.
    ///
    /// # Errors
    ///
    /// [`WindowError`].
    pub fn check(&self) -> Result<(), WindowError> {
        if self.actions.is_empty() && self.groups.is_empty() {
            return Err(WindowError::Nothing);
        }
        if self.actions.len() > Self::MOST_ACTIONS {
            return Err(WindowError::Actions);
        }
        let unknown = self
            .groups
            .iter()
            .find(|group| !GROUPS.contains(&group.as_str()));
        if let Some(group) = unknown {
            return Err(WindowError::Group(group.chars().take(32).collect()));
        }
        if self.within < Self::SHORTEST {
            return Err(WindowError::Short);
        }
        if self.within > Self::LONGEST {
            return Err(WindowError::Long);
        }
        Ok(())
    }
}

/// The windows of an installation, in the order of their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Windows(BTreeMap<WindowName, Window>);

impl Windows {
    /// Most of one installation.
    pub const MOST: usize = 32;

    /// Adds one.
    ///
    /// # Errors
    ///
    /// [`WindowError`].
    pub fn add(&mut self, window: Window) -> Result<(), WindowError> {
        window.check()?;
        if self.0.contains_key(&window.name) {
            return Err(WindowError::Twice(window.name));
        }
        if self.0.len() >= Self::MOST {
            return Err(WindowError::Many);
        }
        self.0.insert(window.name.clone(), window);
        Ok(())
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Window> {
        self.0.values()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of them counts calls of an action.
    #[must_use]
    pub fn watch(&self, action: &ActionName, effects: Effects) -> bool {
        self.iter().any(|window| window.covers(action, effects))
    }

    /// What the windows hold with a call, where nothing was counted before it.
    #[must_use]
    pub fn with_first(
        &self,
        action: &ActionName,
        effects: Effects,
        quantities: &Quantities,
    ) -> BTreeMap<WindowName, Windowed> {
        let own = |window: &Window| {
            let held = if window.covers(action, effects) {
                Windowed::of_call(window, quantities)
            } else {
                Windowed::nothing(window)
            };
            (window.name.clone(), held)
        };
        self.iter().map(own).collect()
    }

    /// What the windows hold with a call that comes after `before`. A window that `before` does not show held nothing.
    #[must_use]
    pub fn with_next(
        &self,
        before: &BTreeMap<WindowName, Windowed>,
        action: &ActionName,
        effects: Effects,
        quantities: &Quantities,
    ) -> BTreeMap<WindowName, Windowed> {
        let mut held = self.with_first(action, effects, quantities);
        for (name, own) in &mut held {
            if let Some(before) = before.get(name) {
                *own = before.plus(own);
            }
        }
        held
    }
}

/// What is summed up in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sum {
    /// Exactly so much.
    Exact(Amount),
    /// More than can be held, or not known.
    Unrepresentable,
}

/// What a window holds, the call that asks included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Windowed {
    /// How many calls.
    pub calls: u64,
    /// How much, where the window sums something up.
    pub sum: Option<Sum>,
    /// Of how many calls the amount is not wholly in the sum: another unit, none that can be read, or none at all.
    pub others: u64,
}

impl Windowed {
    /// Nothing was counted.
    #[must_use]
    pub fn nothing(window: &Window) -> Self {
        Self {
            calls: 0,
            sum: window.sum.as_ref().map(|_| Sum::Exact(Amount::default())),
            others: 0,
        }
    }

    /// Nobody knows what was counted: everything.
    #[must_use]
    pub fn anything(window: &Window) -> Self {
        Self {
            calls: u64::MAX,
            sum: window.sum.as_ref().map(|_| Sum::Unrepresentable),
            others: u64::MAX,
        }
    }

    /// One call alone.
    #[must_use]
    pub fn of_call(window: &Window, quantities: &Quantities) -> Self {
        let whole = window.sum.as_ref().map(|summed| quantities.wholly(summed));
        Self {
            calls: 1,
            sum: window
                .sum
                .as_ref()
                .map(|summed| Sum::Exact(quantities.in_unit(summed))),
            others: u64::from(whole == Some(None)),
        }
    }

    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let sum = match (self.sum, other.sum) {
            (Some(Sum::Exact(one)), Some(Sum::Exact(other))) => {
                let sum = i128::from(one.0).saturating_add(i128::from(other.0));
                let sum = Amount::of_ten_thousandths(sum);
                Some(sum.map_or(Sum::Unrepresentable, Sum::Exact))
            }
            (None, None) => None,
            (_, _) => Some(Sum::Unrepresentable),
        };
        Self {
            calls: self.calls.saturating_add(other.calls),
            sum,
            others: self.others.saturating_add(other.others),
        }
    }

    /// The stricter of both, member for member.
    #[must_use]
    pub fn at_least(self, other: &Self) -> Self {
        let sum = match (self.sum, other.sum) {
            (Some(Sum::Exact(one)), Some(Sum::Exact(other))) => Some(Sum::Exact(one.max(other))),
            (None, None) => None,
            (_, _) => Some(Sum::Unrepresentable),
        };
        Self {
            calls: self.calls.max(other.calls),
            sum,
            others: self.others.max(other.others),
        }
    }

    /// As the vault keeps it.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let sum = self.sum.map(|sum| match sum {
            Sum::Exact(amount) => Value::from(amount.to_string()),
            Sum::Unrepresentable => Value::from("?"),
        });
        let members = [
            ("calls", Value::from_u64(self.calls)),
            ("others", Value::from_u64(self.others)),
        ];
        Value::object(members.into_iter().chain(sum.map(|sum| ("sum", sum))))
    }

    /// Reads what [`Self::to_value`] writes.
    #[must_use]
    pub fn from_value(value: &Value) -> Option<Self> {
        let sum = match value.member("sum") {
            None => None,
            Some(text) if text.as_str() == Some("?") => Some(Sum::Unrepresentable),
            Some(text) => Some(Sum::Exact(Amount::of(text)?)),
        };
        Some(Self {
            calls: value.member("calls")?.as_u64()?,
            sum,
            others: value.member("others")?.as_u64()?,
        })
    }
}

#[cfg(test)]
mod tests;
