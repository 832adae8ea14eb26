//! What the help desk keeps, and how each thing looks in an answer.

use std::fmt;
use std::str::FromStr;

use writ_types::{Timestamp, Value};

/// Declares a closed set of words: the enum, its word on the wire, and the reader.
macro_rules! words {
    ($(#[$outer:meta])* $name:ident, $fault:literal, { $($(#[$inner:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$inner])* $variant,)+
        }

        impl $name {
            /// The word on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl FromStr for $name {
            type Err = &'static str;

            fn from_str(text: &str) -> Result<Self, &'static str> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($fault),
                }
            }
        }
    };
}

words!(
    /// The state of a ticket.
    Status, "must be one of `open`, `pending`, `closed`", {
        /// Waits for the support team.
        Open = "open",
        /// Waits for the customer.
        Pending = "pending",
        /// Done with.
        Closed = "closed",
    }
);

words!(
    /// How soon a ticket wants an answer.
    Priority, "must be one of `low`, `normal`, `high`, `urgent`", {
        /// Some day.
        Low = "low",
        /// This week.
        Normal = "normal",
        /// Today.
        High = "high",
        /// Now.
        Urgent = "urgent",
    }
);

words!(
    /// Why a ticket was closed.
    Resolution, "must be one of `solved`, `duplicate`, `no_answer`, `spam`", {
        /// The customer has what they wanted.
        Solved = "solved",
        /// Another ticket is about the same.
        Duplicate = "duplicate",
        /// The customer did not answer.
        NoAnswer = "no_answer",
        /// It was no question.
        Spam = "spam",
    }
);

words!(
    /// Who wrote a comment.
    Author, "must be one of `customer`, `agent`", {
        /// A stranger, by e-mail.
        Customer = "customer",
        /// The support team.
        Agent = "agent",
    }
);

/// A text is not an amount of euros and cents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AmountError;

/// Euros and cents, exactly.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(u64);

impl Amount {
    /// From cents.
    #[must_use]
    pub const fn from_cents(cents: u64) -> Self {
        Self(cents)
    }

    /// In cents.
    #[must_use]
    pub const fn cents(self) -> u64 {
        self.0
    }
}

impl FromStr for Amount {
    type Err = AmountError;

    /// Reads `0.00` to `999999.99`; two places, no leading zero, no sign.
    fn from_str(text: &str) -> Result<Self, AmountError> {
        let (euros, cents) = text.split_once('.').ok_or(AmountError)?;
        let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let no_leading_zero = euros == "0" || !euros.starts_with('0');
        let lengths = (1..=6).contains(&euros.len()) && cents.len() == 2;
        if !(plain(euros) && plain(cents) && no_leading_zero && lengths) {
            return Err(AmountError);
        }
        format!("{euros}{cents}")
            .parse()
            .map(Self)
            .map_err(|_not_digits| AmountError)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

impl fmt::Debug for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A question of a customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// `T-` and digits.
    pub id: String,
    /// As the customer wrote it.
    pub subject: String,
    /// As the customer wrote it.
    pub description: String,
    /// Where it stands.
    pub status: Status,
    /// How soon it wants an answer.
    pub priority: Priority,
    /// Whose it is.
    pub customer_id: String,
    /// The login of the colleague who has it.
    pub assignee: Option<String>,
    /// The number of the order it is about.
    pub order: String,
    /// What the customer paid for the order.
    pub paid: Amount,
    /// Why it was closed.
    pub resolution: Option<Resolution>,
    /// When it came.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

impl Ticket {
    pub(crate) fn to_value(&self) -> Value {
        let members = [
            ("id", Value::from(self.id.as_str())),
            ("subject", Value::from(self.subject.as_str())),
            ("description", Value::from(self.description.as_str())),
            ("status", Value::from(self.status.as_str())),
            ("priority", Value::from(self.priority.as_str())),
            ("customer_id", Value::from(self.customer_id.as_str())),
            (
                "assignee",
                self.assignee.as_deref().map_or(Value::Null, Value::from),
            ),
            ("order", Value::from(self.order.as_str())),
            ("paid", Value::from(self.paid.to_string())),
            ("created_at", Value::from(self.created_at.to_string())),
            ("updated_at", Value::from(self.updated_at.to_string())),
        ];
        let resolution = self
            .resolution
            .map(|resolution| ("resolution", Value::from(resolution.as_str())));
        Value::object(members.into_iter().chain(resolution))
    }
}

/// A word on a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// Counts up over all tickets.
    pub id: u64,
    /// The ticket.
    pub ticket_id: String,
    /// Who wrote it.
    pub author: Author,
    /// The text.
    pub body: String,
    /// When it was written.
    pub created_at: Timestamp,
}

impl Comment {
    pub(crate) fn to_value(&self) -> Value {
        Value::object([
            ("id", Value::from_u64(self.id)),
            ("ticket_id", Value::from(self.ticket_id.as_str())),
            ("author", Value::from(self.author.as_str())),
            ("body", Value::from(self.body.as_str())),
            ("created_at", Value::from(self.created_at.to_string())),
        ])
    }
}

/// A person who bought something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Customer {
    /// `C-` and digits.
    pub id: String,
    /// First and last name.
    pub name: String,
    /// Where mail reaches them.
    pub email: String,
    /// Where they can be called.
    pub phone: String,
    /// Where parcels go.
    pub address: String,
}

impl Customer {
    pub(crate) fn to_value(&self) -> Value {
        Value::object([
            ("id", Value::from(self.id.as_str())),
            ("name", Value::from(self.name.as_str())),
            ("email", Value::from(self.email.as_str())),
            ("phone", Value::from(self.phone.as_str())),
            ("address", Value::from(self.address.as_str())),
        ])
    }
}

/// Money that went back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    /// `R-` and digits.
    pub id: String,
    /// The ticket it was paid for; it may have been deleted since.
    pub ticket_id: String,
    /// How much.
    pub amount: Amount,
    /// Where it went.
    pub iban: String,
    /// Why.
    pub reason: String,
    /// When it was ordered.
    pub created_at: Timestamp,
}

impl Refund {
    pub(crate) fn to_value(&self) -> Value {
        Value::object([
            ("id", Value::from(self.id.as_str())),
            ("ticket_id", Value::from(self.ticket_id.as_str())),
            ("amount", Value::from(self.amount.to_string())),
            ("currency", Value::from("EUR")),
            ("iban", Value::from(self.iban.as_str())),
            ("reason", Value::from(self.reason.as_str())),
            ("created_at", Value::from(self.created_at.to_string())),
        ])
    }
}

/// All customers, sent to somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// `X-` and digits.
    pub id: String,
    /// The e-mail address it goes to.
    pub destination: String,
    /// `csv` or `json`.
    pub format: String,
    /// How many customers it holds.
    pub customers: u64,
    /// When it was queued.
    pub created_at: Timestamp,
}

impl Export {
    pub(crate) fn to_value(&self) -> Value {
        Value::object([
            ("id", Value::from(self.id.as_str())),
            ("destination", Value::from(self.destination.as_str())),
            ("format", Value::from(self.format.as_str())),
            ("customers", Value::from_u64(self.customers)),
            ("created_at", Value::from(self.created_at.to_string())),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_exact_or_refused() {
        for good in ["0.00", "0.05", "49.90", "999999.99"] {
            assert_eq!(good.parse::<Amount>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "1",
            "1.0",
            "1.000",
            "01.00",
            ".50",
            "-1.00",
            "+1.00",
            "1e2",
            "1000000.00",
            "1,00",
            "1.-1",
            "١.00",
        ] {
            assert_eq!(bad.parse::<Amount>(), Err(AmountError), "{bad}");
        }
    }
}
