//! Completions for zsh.

use std::fmt::Write;

use venti_tests::help::{Choice, Help};

use super::Kind;

/// The script of a command.
pub(super) fn script(help: &Help) -> String {
    let name = &help.name;
    let mut script = format!(
        "#compdef {name}\n\
         # zsh completion of {name}, made from what `{name} --help` says.\n\n\
         # Options end at the first operand.\n\
         _arguments -s -S -A '-*'"
    );
    for option in &help.options {
        let _ = write!(script, " \\\n  {}", of_option(option));
    }
    for (number, operand) in help.operands().iter().enumerate() {
        let place = match (operand.repeated, operand.optional) {
            (true, _) => "*:".to_owned(),
            (false, true) => format!("{}::", number + 1),
            (false, false) => format!("{}:", number + 1),
        };
        let (label, action) = (escaped(&operand.name), action(Kind::of(&operand.name)));
        let _ = write!(script, " \\\n  '{place}{label}:{action}'");
    }
    script.push('\n');
    script
}

/// What `_arguments` is told of an option.
fn of_option(option: &Choice) -> String {
    let does = format!("[{}]", escaped(&option.does));
    let takes = match &option.argument {
        Some(name) => format!(
            ":{}:{}",
            escaped(&name.to_lowercase()),
            action(Kind::of(name))
        ),
        None => String::new(),
    };
    // An argument may be attached: -dDIR, --dir=DIR.
    let mark = |mark: &'static str| option.argument.as_ref().map_or("", |_| mark);
    let short = option.short.map(|c| format!("-{c}{}", mark("+")));
    let long = option.long.as_ref();
    let long = long.map(|name| format!("--{name}{}", mark("=")));
    let alone = option.spellings().join(" ");
    match (short, long) {
        (Some(short), Some(long)) => format!("'({alone})'{{{short},{long}}}'{does}{takes}'"),
        (one, other) => {
            let only = one.or(other).unwrap_or_default();
            format!("'({alone}){only}{does}{takes}'")
        }
    }
}

/// What completes a word.
fn action(kind: Kind) -> String {
    match kind {
        Kind::File => "_files".to_owned(),
        Kind::Directory => "_files -/".to_owned(),
        Kind::Host => "_hosts".to_owned(),
        Kind::Words(words) => format!("({})", words.join(" ")),
        Kind::Nothing => " ".to_owned(),
    }
}

/// A text within `'[...]'` of `_arguments`.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '\'' => escaped += "'\\''",
            '[' | ']' | ':' | '\\' => escaped.extend(['\\', c]),
            _ => escaped.push(c),
        }
    }
    escaped
}

/// A program for zsh that prints what a line is completed to. Completion needs
/// an editor, the editor a terminal: so a second zsh is run on one. There
/// `compadd`, through which all goes, also prints what fits.
#[cfg(test)]
pub(super) fn capture(
    directory: &std::path::Path,
    scripts: &std::path::Path,
    line: &str,
) -> String {
    let (directory, scripts) = (directory.display(), scripts.display());
    format!(
        r#"
zmodload zsh/zpty || exit 1
zpty z zsh -f -i
zpty -w z 'PROMPT=; stty -echo -onlcr; cd {directory}; fpath=({scripts} $fpath); autoload -Uz compinit; compinit -u -d {directory}/dump'
zpty -w z 'compadd () {{ if [[ ${{@[1,(i)(-|--)]}} == *-(O|A|D)\ * ]]; then builtin compadd "$@"; return $?; fi
typeset -a __hits; builtin compadd -A __hits "$@"; for hit in $__hits; do print -r -- "<hit>$hit"; done; builtin compadd "$@" }}'
zpty -w z 'zstyle ":completion:*" list-grouped false; zstyle ":completion:*:*:*:*:descriptions" format ""; bindkey "^I" complete-word; finish () {{ print "<end>"; exit }}; zle -N finish; bindkey "^X" finish; print "<ready>"'
zpty -r z said '*<ready>*<ready>*' 2>/dev/null || true
zpty -w -n z {line:?}$'\t\x18'
said=; while zpty -r z part; do said+=$part; [[ $part == *'<end>'* ]] && break; done
zpty -d z 2>/dev/null
print -r -- $said | tr '\r' '\n' | sed -n 's/.*<hit>//p'
"#
    )
}
