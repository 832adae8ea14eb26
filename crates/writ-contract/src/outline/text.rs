//! Words of names and sentences.

/// The words of a name, lower case: `createUserKey`, `create-user_key` and `/create/user/key` are the same three.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut lower_before = false;
    for char in text.chars() {
        if !char.is_alphanumeric() {
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            lower_before = false;
            continue;
        }
        if char.is_uppercase() && lower_before && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        lower_before = char.is_lowercase() || char.is_numeric();
        word.extend(char.to_lowercase());
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// The first word of a sentence, lower case.
pub(crate) fn first_word(text: &str) -> String {
    words(text).into_iter().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_style_have_the_same_words() {
        for (name, expect) in [
            ("createUserKey", "create user key"),
            ("create-user_key", "create user key"),
            ("/create/user.key", "create user key"),
            ("URL", "url"),
            ("callbackURL", "callback url"),
            ("", ""),
        ] {
            assert_eq!(words(name).join(" "), expect, "{name}");
        }
        assert_eq!(first_word("Deletes a zone"), "deletes");
    }
}
