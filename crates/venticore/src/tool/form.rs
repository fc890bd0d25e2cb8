//! Which way to call a command a call with a mistake was meant to be.

/// The form of a synopsis that has the options of a call: the first with one that the
/// common form lacks, otherwise the common one, which comes first. `help` says which
/// short option a long one is.
pub(super) fn meant<'a>(
    synopsis: &'a str,
    help: &str,
    words: impl Iterator<Item = String>,
) -> &'a str {
    let mut forms = synopsis.lines();
    let common = forms.next().unwrap_or_default();
    let mut given = given(synopsis, help, words);
    given.retain(|option| !has(common, option));
    let form = forms.find(|form| given.iter().any(|option| has(form, option)));
    form.unwrap_or(common)
}

fn has(form: &str, option: &str) -> bool {
    options(form).any(|(of_form, _)| of_form == option)
}

/// The options of a form, each with whether a value follows it.
fn options(form: &str) -> impl Iterator<Item = (String, bool)> {
    form.split(['[', ']']).flat_map(|piece| {
        let words: Vec<&str> = piece.split_whitespace().collect();
        let is_option = |word: &str| word.starts_with('-');
        let mut found = Vec::new();
        for (number, word) in words.iter().enumerate().filter(|(_, word)| is_option(word)) {
            let value = words.get(number + 1).is_some_and(|next| !is_option(next));
            match word.starts_with("--") {
                true => found.push(((*word).to_owned(), value)),
                false => found.extend(word.chars().skip(1).map(|c| (format!("-{c}"), value))),
            }
        }
        found
    })
}

/// The options of a call, as the synopsis has them.
fn given(synopsis: &str, help: &str, mut words: impl Iterator<Item = String>) -> Vec<String> {
    let takes_value = |option: &str| {
        let mut all = synopsis.lines().flat_map(options);
        all.any(|(known, value)| value && known == option)
    };
    let mut given = Vec::new();
    while let Some(word) = words.next() {
        let mut value_follows = false;
        if word == "--" || word.len() < 2 || !word.starts_with('-') {
            break;
        } else if word.starts_with("--") {
            let (name, value) = word.split_once('=').unwrap_or((&word, ""));
            let option = short(help, name).unwrap_or(name).to_owned();
            value_follows = value.is_empty() && takes_value(&option);
            given.push(option);
        } else {
            for (at, letter) in word.char_indices().skip(1) {
                let option = format!("-{letter}");
                let takes_value = takes_value(&option);
                given.push(option);
                if takes_value {
                    value_follows = at + letter.len_utf8() == word.len();
                    break;
                }
            }
        }
        if value_follows {
            words.next();
        }
    }
    given
}

/// The short option that the help lists before a long one.
fn short<'a>(help: &'a str, long: &str) -> Option<&'a str> {
    help.lines().find_map(|line| {
        let (short, rest) = line.trim_start().split_once(", ")?;
        let is_it = short.starts_with('-') && rest.split(' ').next() == Some(long);
        is_it.then_some(short)
    })
}
