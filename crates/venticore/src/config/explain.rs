//! What is wrong with the text of a configuration file, and how it is right.

use super::file::File;
use super::value::WRONG;
use crate::nearest::nearest;

/// The tables with keys of their own, as headings name them; `[fossils.NAME]` has
/// the keys of `[fossil]`.
const TABLES: [&str; 7] = [
    "",
    "[limits]",
    "[fossil]",
    "[mount]",
    "[mtools]",
    "[undo]",
    "[remotes.NAME]",
];

/// What a parser's error says, with the line, the key and the way out.
pub(super) fn explain(text: &str, error: &toml::de::Error) -> String {
    let start = error.span().map_or(0, |span| span.start);
    let before = text.get(..start).unwrap_or_default();
    let number = before.matches('\n').count() + 1;
    let message = error.message().replace('\n', " ");
    if let Some(cause) = message.strip_prefix(WRONG) {
        let key = assigned(text, number).map(|key| format!("key `{key}`: "));
        return format!("line {number}: {}{cause}", key.unwrap_or_default());
    }
    let cause = match message.strip_prefix("unknown field `") {
        Some(rest) => unknown(rest, heading(text, number)),
        None => wrong_type(&message, text, number).or_else(|| unquoted(text, number)),
    };
    format!("line {number}: {}", cause.unwrap_or(message))
}

/// The heading above a line.
fn heading(text: &str, number: usize) -> &str {
    let above = text.lines().take(number).map(str::trim);
    let heading = above.filter(|line| line.starts_with('[') && !line.contains('='));
    heading.last().unwrap_or("")
}

/// A key that is not known where it stands.
fn unknown(rest: &str, heading: &str) -> Option<String> {
    let (key, known) = rest.split_once('`')?;
    let stands = below(heading);
    let homes: Vec<&str> = TABLES.into_iter().filter(|table| has(table, key)).collect();
    let homes: Vec<String> = homes.into_iter().map(below).collect();
    if !homes.is_empty() {
        let homes = homes.join(" or ");
        return Some(format!(
            "unknown field `{key}`, it stands {stands} and belongs {homes}"
        ));
    }
    let words = known.split('`').skip(1).step_by(2);
    let meant = nearest(key, words)?;
    Some(format!(
        "unknown field `{key}`, it stands {stands}: did you mean `{meant}`?"
    ))
}

/// Where the keys below a heading are.
fn below(heading: &str) -> String {
    match heading {
        "" => "above the first [table]".to_owned(),
        heading => format!("in {heading}"),
    }
}

/// Whether a table has this key.
fn has(table: &str, key: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !key.bytes().all(is_plain) {
        return false;
    }
    let text = format!("{table}\n{key} = 1\n");
    let missing = format!("unknown field `{key}`");
    toml::from_str::<File>(&text)
        .err()
        .is_none_or(|error| !error.message().contains(&missing))
}

/// A text without quotes, which is what a value that cannot be parsed mostly is.
fn unquoted(text: &str, number: usize) -> Option<String> {
    let (key, value) = text.lines().nth(number - 1)?.split_once('=')?;
    let (key, value) = (key.trim(), value.split('#').next()?.trim());
    let is_bare = !value.is_empty() && !value.contains(['"', '\'', '[', '{']);
    is_bare.then(|| {
        let value = value.escape_debug();
        format!("expected a value, found {value}: put texts in quotes, {key} = \"{value}\"")
    })
}

/// The key that has its value in a line, or was the last before it.
fn assigned(text: &str, number: usize) -> Option<&str> {
    let lines: Vec<&str> = text.lines().take(number).collect();
    let assigned = lines.iter().rev().find_map(|line| line.split_once(" = "));
    let assigned = assigned.or_else(|| lines.iter().rev().find_map(|line| line.split_once('=')));
    assigned.map(|(key, _)| key.trim())
}

/// A value of the wrong type: the key, and an example of it.
fn wrong_type(message: &str, text: &str, number: usize) -> Option<String> {
    let rest = message.strip_prefix("invalid type: ");
    let rest = rest.or_else(|| message.strip_prefix("invalid value: "))?;
    let (found, expected) = rest.rsplit_once(", expected ")?;
    let key = assigned(text, number)?;
    let word = found.strip_prefix("string ").unwrap_or("\"...\"");
    let (kind, example) = match expected {
        "a sequence" => ("a list", format!("{key} = [{word}]")),
        "a string" => ("a string", format!("{key} = \"...\"")),
        "a boolean" => ("true or false", format!("{key} = true")),
        "u32" | "u64" | "usize" => ("a whole number", format!("{key} = 10")),
        "a map" => ("a table", format!("[{key}]")),
        other if other.starts_with("struct ") => ("a table", format!("[{key}]")),
        _ => return None,
    };
    Some(format!(
        "key `{key}`: expected {kind}, such as {example}, found {found}"
    ))
}
