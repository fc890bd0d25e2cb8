//! The known word that a mistyped one was meant to be.

/// No known word is longer.
const LONGEST: usize = 40;

/// Of the known words, the one that differs least from this one: in at most two
/// letters, and in less than half of them.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.chars().take(LONGEST).collect();
    let most = 2.min(word.len().saturating_sub(1) / 2);
    let known = known.into_iter().map(|of| (distance(&word, of), of));
    let nearest = known.min_by_key(|(distance, _)| *distance);
    nearest
        .filter(|(distance, _)| *distance <= most)
        .map(|(_, of)| of)
}

/// How many letters have to be put in, taken out or replaced.
fn distance(one: &[char], other: &str) -> usize {
    let mut row: Vec<usize> = (0..=one.len()).collect();
    for (number, letter) in other.chars().take(LONGEST).enumerate() {
        let mut new = vec![number + 1];
        for (at, own) in one.iter().enumerate() {
            let value = |row: &[usize], at| row.get(at).copied().unwrap_or(usize::MAX - 1);
            let replaced = value(&row, at) + usize::from(*own != letter);
            let added = value(&row, at + 1).min(value(&new, at)) + 1;
            new.push(replaced.min(added));
        }
        row = new;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_near_and_another_word_is_not() {
        let known = ["targets", "source", "9fat", "dir"];
        for (word, meant) in [
            ("target", Some("targets")),
            ("tragets", Some("targets")),
            ("sorce", Some("source")),
            ("9fatt", Some("9fat")),
            ("di", None),
            ("limit", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
        assert_eq!(nearest("targets", []), None);
    }
}
