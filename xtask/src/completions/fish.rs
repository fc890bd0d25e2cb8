//! Completions for fish.

use std::fmt::Write;

use venti_tests::help::Help;

use super::{Kind, letters};

/// The script of a command.
pub(super) fn script(help: &Help) -> String {
    let name = &help.name;
    let flags = letters(help, false);
    let takers = match letters(help, true) {
        none if none.is_empty() => "-".to_owned(),
        some => some,
    };
    let options = help.options.iter();
    let long_takers: Vec<String> = options
        .filter(|option| option.argument.is_some())
        .filter_map(|option| Some(format!("--{}", option.long.as_ref()?)))
        .collect();
    let mut script = format!(
        r#"# fish completion of {name}, made from what `{name} --help` says.

# Prints how many operands precede the cursor, and 1000 more behind a lone "--".
function __{name}_operands
    set -l operands 0
    set -l due 0
    set -l words (commandline -opc)
    for word in $words[2..-1]
        if test $due = 1
            set due 0
        else if test $operands -gt 0; or not string match -q -- '-?*' $word
            set operands (math $operands + 1)
        else if test "$word" = --
            set operands (math $operands + 1000)
        else if contains -- $word {longs}
            set due 1
        else if string match -qr -- '^-[{flags}]*[{takers}]$' $word
            set due 1
        end
    end
    echo $operands
end

# True where the next operand is this one, counted from 0.
function __{name}_at
    test (math (__{name}_operands) % 1000) $argv
end

complete -c {name} -f
"#,
        longs = long_takers.join(" "),
    );
    options_of(help, &mut script);
    operands_of(help, &mut script);
    script
}

/// A line for each option.
fn options_of(help: &Help, script: &mut String) {
    let name = &help.name;
    for option in &help.options {
        let mut line = format!("complete -c {name} -n 'test (__{name}_operands) = 0'");
        let short = option.short.map(|letter| format!(" -s {letter}"));
        let long = option.long.as_ref().map(|name| format!(" -l {name}"));
        line.extend(short.into_iter().chain(long));
        if let Some(argument) = &option.argument {
            line += " -x";
            line += &action(Kind::of(argument));
        }
        let _ = writeln!(script, "{line} -d {}", quoted(&option.does));
    }
}

/// A line for each operand.
fn operands_of(help: &Help, script: &mut String) {
    let name = &help.name;
    for (number, operand) in help.operands().iter().enumerate() {
        let compare = if operand.repeated { "-ge" } else { "-eq" };
        let action = match Kind::of(&operand.name) {
            Kind::Nothing => continue,
            Kind::File => " -F".to_owned(),
            kind => action(kind),
        };
        let _ = writeln!(
            script,
            "complete -c {name} -n '__{name}_at {compare} {number}'{action}"
        );
    }
}

/// What completes the argument of an option.
fn action(kind: Kind) -> String {
    match kind {
        Kind::File => " -a '(__fish_complete_path)'".to_owned(),
        Kind::Directory => " -a '(__fish_complete_directories)'".to_owned(),
        Kind::Host => " -a '(__fish_print_hostnames)'".to_owned(),
        Kind::Words(words) => format!(" -a '{}'", words.join(" ")),
        Kind::Nothing => String::new(),
    }
}

/// A text in single quotes.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
