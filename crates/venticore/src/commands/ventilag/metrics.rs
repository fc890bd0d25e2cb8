//! The report as metrics, for the textfile collector of node_exporter.

use std::fmt::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use super::report::{ArenaBar, LagReport, SourcePart, VentiCopy};
use super::roots::{FileSystem, Holding};
use super::targetlag::TargetLag;

/// The text: base units, and HELP and TYPE before the samples of each.
pub(super) fn text(report: &LagReport) -> String {
    let mut metrics = Metrics(String::new());
    of_the_run(&mut metrics, report);
    of_targets(&mut metrics, report);
    of_places(&mut metrics, report);
    of_roots(&mut metrics, report);
    metrics.0
}

/// The value of a label: backslash, quote and newline escaped.
struct LabelValue<'a>(&'a str);

impl fmt::Display for LabelValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

struct Metrics(String);

/// The labels of a sample.
type Labels<'a> = &'a [(&'static str, &'a str)];

impl Metrics {
    fn begin(&mut self, name: &str, help: &str) {
        self.0 += &format!("# HELP ventiprog_{name} {help}\n# TYPE ventiprog_{name} gauge\n");
    }

    fn sample(&mut self, name: &str, labels: Labels<'_>, value: u64) {
        let labels = labels.iter();
        let labels: Vec<String> = labels
            .map(|(key, value)| format!("{key}=\"{}\"", LabelValue(value)))
            .collect();
        let labels = match labels.is_empty() {
            true => String::new(),
            false => format!("{{{}}}", labels.join(",")),
        };
        self.0 += &format!("ventiprog_{name}{labels} {value}\n");
    }

    /// One metric with a sample for each of these that has a value. Without a sample it is
    /// left out.
    fn each<'a, T: 'a>(
        &mut self,
        name: &str,
        help: &str,
        of: impl Iterator<Item = T>,
        sample: impl Fn(&T) -> Option<u64>,
        labels: impl Fn(&T) -> Vec<(&'static str, String)>,
    ) {
        let mut has_begun = false;
        for one in of {
            let Some(value) = sample(&one) else {
                continue;
            };
            if !has_begun {
                self.begin(name, help);
                has_begun = true;
            }
            let labels = labels(&one);
            let labels: Vec<(&'static str, &str)> = labels
                .iter()
                .map(|(key, value)| (*key, value.as_str()))
                .collect();
            self.sample(name, &labels, value);
        }
    }
}

/// Seconds since 1970; 0 for a time before.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

fn of_the_run(metrics: &mut Metrics, report: &LagReport) {
    metrics.begin(
        "lag_report_timestamp_seconds",
        "When ventilag looked, as seconds since 1970.",
    );
    metrics.sample("lag_report_timestamp_seconds", &[], seconds(report.now));
    let here = report.parts.iter().map(|part| (part.name.as_str(), 1));
    let absent = report.absent.iter().map(|name| (name.as_str(), 0));
    metrics.each(
        "source_seen",
        "Whether an arena partition of the source could be read (1) or not (0).",
        here.chain(absent),
        |(_, seen)| Some(*seen),
        |(name, _)| vec![("partition", (*name).to_owned())],
    );
    let sum = |part: &SourcePart, of: fn(&ArenaBar) -> u64| part.arenas.iter().map(of).sum();
    let label = |part: &&SourcePart| vec![("partition", part.name.clone())];
    metrics.each(
        "source_size_bytes",
        "Bytes that the arenas of a partition have room for, directories of clumps included.",
        report.parts.iter(),
        |part| Some(sum(part, |arena| arena.size)),
        label,
    );
    metrics.each(
        "source_used_bytes",
        "Bytes of the logs of the arenas of a partition.",
        report.parts.iter(),
        |part| Some(sum(part, |arena| arena.used)),
        label,
    );
    metrics.each(
        "source_open_arenas",
        "Arenas of a partition to which clumps can still be added.",
        report.parts.iter(),
        |part| Some(sum(part, |arena| u64::from(!arena.sealed))),
        label,
    );
    metrics.begin(
        "source_complete",
        "Whether all known parts of the source could be read (1), or a partition or the index page could not (0).",
    );
    metrics.sample("source_complete", &[], u64::from(!report.has_gap()));
}

fn of_targets(metrics: &mut Metrics, report: &LagReport) {
    let targets = || report.targets.iter().filter(|target| target.is_target);
    let label = |target: &&VentiCopy| vec![("target", target.dial.to_string())];
    metrics.each(
        "last_success_timestamp_seconds",
        "When a target last acknowledged what was sent, or was found to have everything, in the partition where that is longest ago. 0 means never, or a time in the future.",
        targets(),
        |target| Some(target.acknowledged.map_or(0, seconds)),
        label,
    );
    metrics.each(
        "last_read_back_timestamp_seconds",
        "When rootcheck last read the blocks of a root back from a venti, whatever it found.",
        report.targets.iter(),
        |target| target.read_back.map(|(time, _)| seconds(time)),
        label,
    );
}

fn of_places(metrics: &mut Metrics, report: &LagReport) {
    let now = report.now;
    let labels = |standing: &&TargetLag| {
        let place = &standing.place;
        vec![
            ("target", place.target.to_string()),
            ("partition", place.partition.clone()),
        ]
    };
    let known = |value: fn(&TargetLag) -> Option<u64>| move |of: &&TargetLag| value(of);
    metrics.each(
        "lag_known",
        "Whether it is known how far a target is behind (1), or the partition or a record to compare with is missing (0).",
        report.standings.iter(),
        |standing| Some(u64::from(standing.bytes.is_some())),
        labels,
    );
    metrics.each(
        "lag_clumps",
        "Clumps of the source that a target lacks or may lack.",
        report.standings.iter(),
        known(|standing| standing.clumps),
        labels,
    );
    metrics.each(
        "lag_bytes",
        "Bytes of the log of the source that a target lacks or may lack.",
        report.standings.iter(),
        known(|standing| standing.bytes),
        labels,
    );
    metrics.each(
        "lag_arenas",
        "Arenas of the source in which a target lacks something.",
        report.standings.iter(),
        known(|standing| standing.arenas),
        labels,
    );
    metrics.each(
        "lag_seconds",
        "Age of the oldest clump that a target lacks, 0 where it lacks none.",
        report.standings.iter(),
        |standing| standing.lag_seconds(now),
        labels,
    );
    damage(metrics, report);
}

fn damage(metrics: &mut Metrics, report: &LagReport) {
    let of_each = |standing| {
        let standing: &TargetLag = standing;
        let faults = standing.faults;
        let unreadable = faults.unreadable + u64::from(faults.more);
        [
            (standing, "unreadable", unreadable),
            (standing, "not_there", faults.damaged),
            (standing, "only_there", faults.damaged_there),
        ]
    };
    metrics.each(
        "damaged_clumps",
        "Damage on record: clumps that a target cannot give back (unreadable), that are damaged in the source and missing on the target (not_there), and damaged in the source and whole on the target (only_there).",
        report.standings.iter().flat_map(of_each),
        |(_, _, count)| Some(*count),
        |(standing, what, _)| {
            vec![
                ("target", standing.place.target.to_string()),
                ("partition", standing.place.partition.clone()),
                ("what", (*what).to_owned()),
            ]
        },
    );
}

fn of_roots(metrics: &mut Metrics, report: &LagReport) {
    let named = || {
        report
            .file_systems
            .iter()
            .filter(|of| of.partition.is_some())
    };
    let of = |file_system: &FileSystem| file_system.partition.clone().unwrap_or_default();
    metrics.each(
        "newest_root_timestamp_seconds",
        "When the newest root of a file system was recorded.",
        named(),
        |file_system| file_system.newest().map(seconds),
        |file_system| vec![("file_system", of(file_system))],
    );
    let answers = report
        .answers
        .iter()
        .filter(|answer| answer.partition.is_some());
    metrics.each(
        "restorable_root_timestamp_seconds",
        "When the newest root that a venti is believed to have was recorded; the label holds says why it is believed.",
        answers,
        |answer| answer.as_of.map(seconds),
        |answer| {
            let target = answer.target.as_ref().map(ToString::to_string);
            vec![
                ("file_system", answer.partition.clone().unwrap_or_default()),
                ("target", target.unwrap_or_default()),
                ("holds", answer.holding.map_or("", Holding::word).to_owned()),
            ]
        },
    );
    of_newest(metrics, report);
}

/// The newest root of each file system, on each venti.
fn of_newest(metrics: &mut Metrics, report: &LagReport) {
    let of = |file_system: &FileSystem| file_system.partition.clone().unwrap_or_default();
    let on_each = || {
        let all = report.file_systems.iter();
        let named = all.filter(|of| of.partition.is_some());
        named.flat_map(|file_system| {
            let root = file_system.roots.first();
            let on = root.map_or(&[][..], |root| &root.on);
            let on = report.targets.iter().zip(on);
            on.map(move |(target, holding)| (file_system, target, *holding))
        })
    };
    metrics.each(
        "newest_root_holds",
        "What is known of the newest root of a file system on a venti, in the label holds; the value is 1.",
        on_each(),
        |_| Some(1),
        |(file_system, target, holding)| {
            vec![
                ("file_system", of(file_system)),
                ("target", target.dial.to_string()),
                ("holds", holding.word().to_owned()),
            ]
        },
    );
    metrics.each(
        "newest_root_verified_timestamp_seconds",
        "When rootcheck last looked at the newest root of a file system on a venti.",
        on_each(),
        |(_, _, holding)| holding.time().map(seconds),
        |(file_system, target, _)| {
            vec![
                ("file_system", of(file_system)),
                ("target", target.dial.to_string()),
            ]
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_escaped() {
        assert_eq!(
            LabelValue("a\"b\\c\nd<e>").to_string(),
            "a\\\"b\\\\c\\nd<e>"
        );
    }
}
