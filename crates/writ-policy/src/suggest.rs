//! Did you mean.

/// The name nearest to `wrong`, if one is near enough to be a slip of the finger.
fn nearest<'a>(wrong: &str, known: &[&'a str]) -> Option<&'a str> {
    let most = (wrong.chars().count() / 3).max(1);
    known
        .iter()
        .map(|name| (distance(wrong, name), *name))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, name)| name)
}

/// `did you mean` and the name, or the list of what there is.
pub(crate) fn help(wrong: &str, known: &[&str]) -> Option<String> {
    if let Some(name) = nearest(wrong, known) {
        return Some(format!("did you mean `{name}`?"));
    }
    match known.len() {
        0 => None,
        1..=12 => Some(format!("there is: {}", known.join(", "))),
        more => Some(format!("there are {more}; none is near this name")),
    }
}

/// Edits that turn one text into the other; two letters swapped count as one (optimal string alignment).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    let mut previous: Option<char> = None;
    for (row, char) in left.chars().enumerate() {
        let mut next = vec![row.saturating_add(1)];
        for (column, other) in right.iter().enumerate() {
            let at =
                |cells: &[usize], place: usize| cells.get(place).copied().unwrap_or(usize::MAX);
            let change = at(&last, column).saturating_add(usize::from(char != *other));
            let insert = at(&next, column).saturating_add(1);
            let delete = at(&last, column.saturating_add(1)).saturating_add(1);
            let swapped = column.checked_sub(1).and_then(|before| {
                let crossed = right.get(before) == Some(&char) && previous == Some(*other);
                crossed.then(|| at(&before_last, before).saturating_add(1))
            });
            next.push(
                change
                    .min(insert)
                    .min(delete)
                    .min(swapped.unwrap_or(usize::MAX)),
            );
        }
        before_last = std::mem::replace(&mut last, next);
        previous = Some(char);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_strangers_are_not() {
        assert_eq!(nearest("bdoy", &["body", "path"]), Some("body"));
        assert_eq!(
            nearest("listZone", &["listZones", "patchZone"]),
            Some("listZones")
        );
        assert_eq!(nearest("amount", &["currency", "payee"]), None);
        assert_eq!(distance("ab", "ba"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(help("x", &["one"]).unwrap(), "there is: one");
    }
}
