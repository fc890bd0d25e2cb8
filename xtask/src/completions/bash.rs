//! Completions for bash. The script needs none of bash-completion's functions.

use std::fmt::Write;

use venti_tests::help::{Choice, Help};

use super::{Kind, letters};

/// The script of a command.
pub(super) fn script(help: &Help) -> String {
    let name = &help.name;
    let flags = letters(help, false);
    let takers = letters(help, true);
    let long_takers = long(help, |option| option.argument.is_some());
    let mut script = format!(
        r#"# bash completion of {name}, made from what `{name} --help` says.

_{name}() {{
    local -a words
    local word cur due= operands=0 ended=
    COMPREPLY=()
    # The words up to the cursor; readline's own split also at = and :.
    read -ra words <<<"${{COMP_LINE:0:COMP_POINT}}"
    [[ ${{COMP_LINE:0:COMP_POINT}} == *[[:blank:]] ]] && words+=("")
    cur=${{words[-1]}}
    unset 'words[-1]'
    for word in "${{words[@]:1}}"; do
        if [[ $due ]]; then
            due=
        elif [[ $ended || $word != -?* ]]; then
            operands=$((operands + 1)) ended=1
        elif [[ $word == -- ]]; then
            ended=1
        elif [[ $word == --* ]]; then
            [[ " {longs} " == *" $word "* ]] && due=$word
        elif [[ $word =~ ^-[{flags}]*([{takers}])$ ]]; then
            due=-${{BASH_REMATCH[1]}}
        fi
    done
    if [[ ! $due && ! $ended && $cur == --*=* ]]; then
        due=${{cur%%=*}} cur=${{cur#*=}}
    elif [[ ! $due && ! $ended && $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W '{all}' -- "$cur")
        return
    fi
    case ${{due:-$operands}} in
"#,
        longs = long_takers.join(" "),
        // A class of characters must have one.
        takers = if takers.is_empty() { "-" } else { &takers },
        all = spellings(help).join(" "),
    );
    for option in help.options.iter().filter(|o| o.argument.is_some()) {
        let kind = Kind::of(option.argument.as_deref().unwrap_or_default());
        let pattern = option.spellings().join(" | ");
        let _ = writeln!(script, "    {pattern}) {} ;;", action(kind));
    }
    for (number, operand) in help.operands().iter().enumerate() {
        let pattern = match operand.repeated {
            true => "[0-9]*".to_owned(),
            false => number.to_string(),
        };
        let kind = action(Kind::of(&operand.name));
        let _ = writeln!(script, "    {pattern}) {kind} ;;");
    }
    let _ = write!(script, "    esac\n}}\n\ncomplete -F _{name} {name}\n");
    script
}

/// What fills in the completions.
fn action(kind: Kind) -> String {
    let generate = |how: &str| format!("mapfile -t COMPREPLY < <(compgen {how} -- \"$cur\")");
    match kind {
        Kind::File => format!("compopt -o filenames; {}", generate("-f")),
        Kind::Directory => format!("compopt -o filenames; {}", generate("-d")),
        Kind::Host => generate("-A hostname"),
        Kind::Words(words) => generate(&format!("-W '{}'", words.join(" "))),
        Kind::Nothing => ":".to_owned(),
    }
}

/// The long names of the options that fit.
fn long(help: &Help, fits: impl Fn(&Choice) -> bool) -> Vec<String> {
    let fitting = help.options.iter().filter(|option| fits(option));
    fitting
        .filter_map(|option| Some(format!("--{}", option.long.as_ref()?)))
        .collect()
}

/// Every spelling of every option, in the order of the help.
fn spellings(help: &Help) -> Vec<String> {
    help.options.iter().flat_map(Choice::spellings).collect()
}
