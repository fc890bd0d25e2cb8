//! The shell at the far end: quoting, and asking it how a command ended.

use venticore::config::Shell;
use venticore::host::random;

/// Begins the line that tells how a far command ended: with a token of this call
/// alone, so that nothing else that is printed there can be taken for it.
pub(super) fn status_mark() -> String {
    format!("far-status-{:016x}:", random::number())
}

/// A command line of these words. A first word such as `venti=ADDRESS` sets a
/// variable for the command after it.
pub(super) fn line(shell: Shell, words: &[&str]) -> String {
    let set = |word: &str| {
        let (name, value) = word.split_once('=')?;
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase());
        is_name.then(|| format!("{name}={}", quoted(shell, value)))
    };
    let mut words = words.iter();
    let first = words
        .next()
        .map(|&word| set(word).unwrap_or_else(|| quoted(shell, word)));
    let rest = words.map(|word| quoted(shell, word));
    first.into_iter().chain(rest).collect::<Vec<_>>().join(" ")
}

/// A word as the shell's own quoting has it: nothing in it means anything.
fn quoted(shell: Shell, word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./:!,@%+-".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    match shell {
        Shell::Sh => format!("'{}'", word.replace('\'', r"'\''")),
        Shell::Rc => format!("'{}'", word.replace('\'', "''")),
    }
}

/// What follows a command line so that its status is printed. Each is an
/// error in the other shell, found before anything is run.
pub(super) fn tell_status(shell: Shell, mark: &str) -> String {
    match shell {
        Shell::Sh => format!(r#"; case $? in *) echo "{mark} $?";; esac"#),
        Shell::Rc => format!(r#"; s=$status; if(~ 1 1) echo {mark} $"s"#),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::process::Command;

    use super::*;

    #[test]
    fn plain_words_stay_as_they_are() {
        for word in ["vac:0123", "tcp!10.0.0.1!17034", "/dev/sdC0/fossil", "-"] {
            assert_eq!(quoted(Shell::Sh, word), word);
            assert_eq!(quoted(Shell::Rc, word), word);
        }
        assert_eq!(quoted(Shell::Sh, "it's"), r"'it'\''s'");
        assert_eq!(quoted(Shell::Rc, "it's"), "'it''s'");
        assert_eq!(quoted(Shell::Rc, ""), "''");
    }

    #[test]
    fn a_variable_is_set_for_the_command_after_it() {
        let words = ["venti=a'b c", "cat", "x=y"];
        assert_eq!(line(Shell::Rc, &words), "venti='a''b c' cat 'x=y'");
        let script = format!("{} ", line(Shell::Sh, &[words[0], "env"]));
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        let seen = String::from_utf8(output.stdout).unwrap();
        assert!(seen.lines().any(|line| line == words[0]), "{seen}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_shell_sees_each_word_as_it_was(words in prop::collection::vec("[^\0]{0,12}", 1..4)) {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let line = line(Shell::Sh, &words);
            let output = Command::new("sh")
                .args(["-c", &format!("printf '%s\\0' {line}")])
                .output()
                .unwrap();
            let seen = String::from_utf8(output.stdout).unwrap();
            let seen: Vec<&str> = seen.split_terminator('\0').collect();
            prop_assert_eq!(seen, words);
        }
    }
}
