//! What is to be said of an operation that its document describes badly: its grade, and what mends it.

use writ_contract::Operation;
use writ_types::Value;

/// What mends an operation whose every call a person is asked about, because its document has the worst grade and nobody
/// reviewed it; none if it is no such operation.
pub(crate) fn fix(operation: &Operation) -> Option<String> {
    let score = operation.score().filter(|_| operation.unready())?;
    let api = &operation.action().api;
    Some(format!(
        "the document of `{}` has grade {} ({} of 100), so an operator is asked before each call: review it in `apis/{api}.overlay.yaml` (`x-writ: {{effect: …}}`), and `writ api lint {api}` says what is wrong with it",
        operation.action(),
        score.grade(),
        score.points(),
    ))
}

/// Grade and score, for a row; `null` where there are none.
pub(crate) fn members(operation: &Operation) -> [(&'static str, Value); 2] {
    let score = operation.score();
    let grade = score.map(|score| Value::from(score.grade().as_str()));
    let points = score.map(|score| Value::from_u64(u64::from(score.points())));
    [
        ("grade", grade.unwrap_or(Value::Null)),
        ("score", points.unwrap_or(Value::Null)),
    ]
}
