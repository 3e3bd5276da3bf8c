//! What somebody may have meant by a word that nobody knows.

/// A longer word is no misspelling of ours, and comparing it would take long.
const LONGEST: usize = 64;

/// A hint for a word that is none of the known ones: the nearest, where one is near, else all of them.
#[must_use]
pub fn hint(word: &str, known: &[&str]) -> String {
    match nearest(word, known) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => {
            let known: Vec<String> = known.iter().map(|known| format!("`{known}`")).collect();
            format!("known here: {}", known.join(", "))
        }
    }
}

/// The nearest of the known words, where one is near: a third of its letters may differ, so that `tragets` is near,
/// and `acl` is nothing like `retry`.
#[must_use]
pub fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let distance = |candidate: &str| match word.len() {
        ..=LONGEST => strsim::damerau_levenshtein(&word.to_lowercase(), candidate),
        _ => usize::MAX,
    };
    let (distance, nearest) = known.iter().map(|candidate| (distance(candidate), *candidate)).min()?;
    (distance <= nearest.len().div_ceil(3)).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_named_where_one_is_near() {
        let known = ["targets", "retry", "server"];
        assert_eq!(hint("tragets", &known), "did you mean `targets`?");
        assert_eq!(hint("Retries", &known), "known here: `targets`, `retry`, `server`");
        assert_eq!(hint("Retrys", &known), "did you mean `retry`?");
        assert_eq!(hint("acl", &known), "known here: `targets`, `retry`, `server`");
        assert_eq!(hint(&"x".repeat(1 << 20), &["a"]), "known here: `a`");
    }
}
