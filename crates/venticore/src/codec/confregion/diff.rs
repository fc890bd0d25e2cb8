//! What differs between two texts, as a unified diff.

use similar::{Algorithm, DiffOp, DiffTag, capture_diff_slices, group_diff_ops};

/// Equal lines shown around a change.
const CONTEXT: usize = 3;

/// The changes from one text to another, as `diff -u` prints them; empty where
/// there are none. The texts may hold any bytes.
pub(crate) fn unified(old: (&str, &[u8]), new: (&str, &[u8])) -> Vec<u8> {
    let (old_lines, new_lines) = (lines(old.1), lines(new.1));
    let changes = capture_diff_slices(Algorithm::Myers, &old_lines, &new_lines);
    let mut diff = Vec::new();
    for hunk in group_diff_ops(changes, CONTEXT) {
        if diff.is_empty() {
            diff.extend_from_slice(format!("--- {}\n+++ {}\n", old.0, new.0).as_bytes());
        }
        diff.extend_from_slice(place(&hunk).as_bytes());
        for change in hunk {
            let old = old_lines.get(change.old_range()).unwrap_or_default();
            let new = new_lines.get(change.new_range()).unwrap_or_default();
            if change.tag() == DiffTag::Equal {
                put(&mut diff, b' ', old);
            } else {
                put(&mut diff, b'-', old);
                put(&mut diff, b'+', new);
            }
        }
    }
    diff
}

fn lines(text: &[u8]) -> Vec<&[u8]> {
    text.split_inclusive(|&byte| byte == b'\n').collect()
}

/// The line that says where a hunk is.
fn place(hunk: &[DiffOp]) -> String {
    let (Some(first), Some(last)) = (hunk.first(), hunk.last()) else {
        return String::new();
    };
    // Lines count from 1; an empty stretch is named by the line before it.
    let side = |start: usize, end: usize| {
        let first = if start < end { start + 1 } else { start };
        format!("{first},{}", end - start)
    };
    let old = side(first.old_range().start, last.old_range().end);
    let new = side(first.new_range().start, last.new_range().end);
    format!("@@ -{old} +{new} @@\n")
}

fn put(diff: &mut Vec<u8>, mark: u8, lines: &[&[u8]]) {
    for line in lines {
        diff.push(mark);
        diff.extend_from_slice(line);
        if !line.ends_with(b"\n") {
            diff.extend_from_slice(b"\n\\ No newline at end of file\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn diff(old: &str, new: &str) -> String {
        let diff = unified(("old", old.as_bytes()), ("new", new.as_bytes()));
        String::from_utf8(diff).unwrap()
    }

    #[test]
    fn equal_texts_have_none() {
        assert_eq!(diff("a\nb\n", "a\nb\n"), "");
        assert_eq!(diff("", ""), "");
    }

    /// Word for word what GNU diff 3.8 prints below its two header lines, but
    /// without the count where it is 1.
    #[test]
    fn hunks_are_those_of_diff() {
        let old = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12";
        let new = "1\ntwo\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n";
        let expected = "--- old\n+++ new\n\
            @@ -1,5 +1,5 @@\n 1\n-2\n+two\n 3\n 4\n 5\n\
            @@ -9,4 +9,4 @@\n 9\n 10\n 11\n-12\n\\ No newline at end of file\n+12\n";
        assert_eq!(diff(old, new), expected);
        let added = "--- old\n+++ new\n@@ -0,0 +1,1 @@\n+a\n";
        assert_eq!(diff("", "a\n"), added);
        let removed = "--- old\n+++ new\n@@ -1,1 +0,0 @@\n-a\n";
        assert_eq!(diff("a\n", ""), removed);
    }

    /// Applies a diff: an independent reading of the format.
    fn apply(old: &str, diff: &str) -> String {
        let mut old = old.split_inclusive('\n');
        let mut done = 0;
        let mut new = String::new();
        for line in diff.split_inclusive('\n').skip(2) {
            let (mark, rest) = line.split_at(1);
            match mark {
                "@" => {
                    let place = rest.split_once('-').unwrap().1;
                    let (first, count) = place.split_once(' ').unwrap().0.split_once(',').unwrap();
                    let (first, count): (usize, usize) =
                        (first.parse().unwrap(), count.parse().unwrap());
                    let before = if count == 0 { first } else { first - 1 };
                    new.extend(old.by_ref().take(before - done));
                    done = before + count;
                }
                " " => new.push_str(old.next().unwrap()),
                "-" => drop(old.next().unwrap()),
                "+" => new.push_str(rest),
                _ => panic!("{line:?}"),
            }
        }
        new.extend(old);
        new
    }

    proptest! {
        #[test]
        fn a_diff_applied_gives_the_new_text(
            old in "([ab]{0,1}\n){0,30}", new in "([ab]{0,1}\n){0,30}"
        ) {
            prop_assume!(old != new);
            prop_assert_eq!(apply(&old, &diff(&old, &new)), new);
        }
    }
}
