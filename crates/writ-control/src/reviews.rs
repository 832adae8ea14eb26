//! What owners reviewed, as the store keeps it.

use writ_contract::{Review, Reviews};
use writ_types::{Effects, JsonLimits, Rate, Value};

/// The stored text does not say what was reviewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stored reviews are damaged")]
pub(crate) struct ReviewsError;

/// The canonical text of reviews.
pub(crate) fn write(reviews: &Reviews) -> String {
    let review = |review: &Review| {
        let labels = review
            .labels
            .iter()
            .map(|label| Value::from(label.as_str()))
            .collect();
        let mut members = vec![
            ("labels", Value::Array(labels)),
            ("stream", Value::from(review.stream)),
            ("strict", Value::from(review.strict)),
        ];
        if let Some(rate) = review.rate {
            members.push(("rate", Value::from(rate.to_string())));
        }
        if let Some(effects) = review.effects {
            members.push(("effect", Value::from(effects.kind.as_str())));
            members.push(("irreversible", Value::from(effects.irreversible)));
            members.push(("external_send", Value::from(effects.external_send)));
        }
        Value::object(members)
    };
    let operations = Value::object(
        reviews
            .operations
            .iter()
            .map(|(id, value)| (id.as_str(), review(value))),
    );
    // Stores of before hold the operations alone.
    if reviews.overlay.is_none() && reviews.rate.is_none() {
        return operations.canonical();
    }
    let overlay = reviews
        .overlay
        .as_deref()
        .map(|overlay| ("overlay", Value::from(overlay)));
    let rate = reviews
        .rate
        .map(|rate| ("rate", Value::from(rate.to_string())));
    let members = [("operations", operations)];
    Value::object(members.into_iter().chain(overlay).chain(rate)).canonical()
}

/// Reads what [`write`] wrote.
pub(crate) fn read(text: &str) -> Result<Reviews, ReviewsError> {
    let value =
        Value::parse(text.as_bytes(), &JsonLimits::DOCUMENT).map_err(|_fault| ReviewsError)?;
    let mut reviews = Reviews::default();
    // An operation called `overlay` or `rate` has an object here, not a text.
    let text = |name: &str| value.member(name).and_then(Value::as_str);
    reviews.overlay = text("overlay").map(str::to_owned);
    reviews.rate = text("rate").map(rate).transpose()?;
    let operations = if reviews.overlay.is_some() || reviews.rate.is_some() {
        value.member("operations").ok_or(ReviewsError)?
    } else {
        &value
    };
    for (id, review) in operations.as_object().ok_or(ReviewsError)? {
        let flag = |name| {
            review
                .member(name)
                .and_then(Value::as_bool)
                .ok_or(ReviewsError)
        };
        let effects = match review.member("effect") {
            None => None,
            Some(kind) => Some(Effects {
                kind: kind
                    .as_str()
                    .ok_or(ReviewsError)?
                    .parse()
                    .map_err(|_unknown| ReviewsError)?,
                irreversible: flag("irreversible")?,
                external_send: flag("external_send")?,
            }),
        };
        let labels = review
            .member("labels")
            .and_then(Value::as_array)
            .ok_or(ReviewsError)?;
        let label = |label: &Value| {
            label
                .as_str()
                .and_then(|text| text.parse().ok())
                .ok_or(ReviewsError)
        };
        let labels = labels.iter().map(label).collect::<Result<_, _>>()?;
        let id = id.parse().map_err(|_malformed| ReviewsError)?;
        reviews.operations.insert(
            id,
            Review {
                effects,
                labels,
                stream: flag("stream")?,
                // Stores of before did not have it.
                strict: review.member("strict").is_some() && flag("strict")?,
                rate: match review.member("rate") {
                    None => None,
                    Some(text) => Some(rate(text.as_str().ok_or(ReviewsError)?)?),
                },
            },
        );
    }
    Ok(reviews)
}

fn rate(text: &str) -> Result<Rate, ReviewsError> {
    text.parse().map_err(|_no_rate| ReviewsError)
}

#[cfg(test)]
mod tests {
    use super::*;
    use writ_types::Effect;

    #[test]
    fn what_is_written_reads_back() {
        let mut reviews = Reviews::default();
        let labels = ["pii".parse().unwrap()].into();
        let effects = Some(Effects {
            kind: Effect::Delete,
            irreversible: true,
            external_send: false,
        });
        reviews.operations.insert(
            "GET:/a/{b}".parse().unwrap(),
            Review {
                effects,
                labels,
                stream: true,
                strict: true,
                rate: "5/m".parse().ok(),
            },
        );
        reviews.operations.insert(
            "x".parse().unwrap(),
            Review {
                effects: None,
                labels: std::collections::BTreeSet::new(),
                stream: false,
                strict: false,
                rate: None,
            },
        );
        let text = write(&reviews);
        assert_eq!(read(&text).unwrap(), reviews);
        assert!(!text.contains("overlay"), "as stores of before have it");
        reviews.overlay = Some("overlay: 1.0.0".to_owned());
        assert_eq!(read(&write(&reviews)).unwrap(), reviews);
        reviews.rate = "10/s burst 40".parse().ok();
        assert_eq!(read(&write(&reviews)).unwrap(), reviews);
        reviews.overlay = None;
        assert_eq!(read(&write(&reviews)).unwrap(), reviews);
        let odd = Review::default();
        reviews.operations = [("overlay".parse().unwrap(), odd)].into();
        for overlay in [None, Some("overlay: 1.0.0".to_owned())] {
            reviews.overlay = overlay;
            assert_eq!(read(&write(&reviews)).unwrap(), reviews);
        }
        assert!(read("{\"x\":{}}").is_err() && read("[]").is_err());
    }
}
