//! The report as a page for a person: one file, without script, and without anything that
//! would be fetched.

mod bars;
mod html;
mod line;

use std::time::SystemTime;

use super::age::{self, Age};
use super::answer::{RestoreAnswer, Sentence};
use super::report::{LagReport, SourcePart, VentiCopy};
use super::roots::{FileSystem, HeldRoot, Holding};
use super::targetlag::TargetLag;
use crate::text::html::bar::Bar;
use html::{bytes, count, escaped, name, page, since, time};

/// The most roots of a file system on its time line.
const ON_LINE: usize = 60;

/// The most roots of a file system in its table.
const IN_TABLE: usize = 12;

/// The most file systems and partitions that are drawn; the others are counted.
const DRAWN: usize = 24;

/// The page.
pub(super) fn text(report: &LagReport) -> String {
    page(&title(report), &body(report))
}

fn title(report: &LagReport) -> String {
    let answer = report.answer();
    let word = answer.map_or("no", |answer| answer.word.text());
    let target = answer.and_then(|answer| answer.target.as_ref());
    let from = target.map_or_else(String::new, |target| match target.dial() {
        Some(dial) => format!(", from {}", dial.host()),
        None => format!(", from {target}"),
    });
    format!("Restore today: {word}{from}")
}

fn body(report: &LagReport) -> String {
    let sections = [
        head(report),
        targets(report),
        partitions(report),
        roots(report),
        foot(report),
    ];
    sections.concat()
}

fn head(report: &LagReport) -> String {
    let mut html = "<header>\n".to_owned();
    let mut answers = report.answers.iter();
    if let Some(first) = answers.next() {
        html += &format!("<h1>Restore today: {}</h1>\n", short(first, report.now));
        html += &format!("<p class=\"lead\">{}</p>\n", long(first, report.now));
    }
    let others: Vec<String> = answers
        .map(|answer| {
            let (short, long) = (short(answer, report.now), long(answer, report.now));
            format!("<li>{short}. {long}</li>\n")
        })
        .collect();
    if !others.is_empty() {
        html += &format!(
            "<p>The other file systems on record:</p>\n<ul>\n{}</ul>\n",
            others.concat()
        );
    }
    if report.has_gap() {
        let absent: Vec<String> = report
            .absent
            .iter()
            .take(DRAWN)
            .map(|part| name(part))
            .collect();
        let what = match absent.is_empty() {
            true => "its index page, or a partition on it".to_owned(),
            false => absent.join(", "),
        };
        html += &format!(
            "<p class=\"note\">Not all of the source is seen: {what}. What follows is what the \
             state files know.</p>\n"
        );
    }
    html + "</header>\n"
}

/// The answer in a line: the word, from where, how old.
fn short(answer: &RestoreAnswer, now: SystemTime) -> String {
    let word = answer.word.text();
    let mut html = format!("<span class=\"{word}\">{word}</span>");
    if let Some(target) = &answer.target {
        html += &format!(", from {}", name(&target.to_string()));
        html += &match answer.as_of.map(|time| age::of(time, now)) {
            Some(Some(age)) => format!(", {} old", Age(age)),
            Some(None) | None => ", of unknown age".to_owned(),
        };
    }
    html
}

/// What would be restored, and why that is believed.
fn long(answer: &RestoreAnswer, now: SystemTime) -> String {
    let sentence = Sentence { answer, now, time };
    let mut html = String::new();
    if answer.target.is_some() {
        let what = match (&answer.partition, answer.has_roots) {
            (Some(partition), _) => format!("The file system of {}", name(partition)),
            (None, true) => "A root that was given to rootcheck".to_owned(),
            (None, false) => "All that the source had on disk".to_owned(),
        };
        html += &match answer.as_of {
            Some(as_of) => format!("{what} as it was {}: ", time(as_of)),
            None => format!("{what}: "),
        };
    }
    // Nothing foreign is in these but addresses, which have no marks in them.
    html += &sentence.reason();
    html.push('.');
    if let Some(proof) = sentence.proof() {
        html += &format!(" Besides, {proof}.");
    }
    html
}

fn targets(report: &LagReport) -> String {
    let mut html = "<section>\n<h2>Targets</h2>\n".to_owned();
    if report.standings.is_empty() {
        return html + "<p>No target has a place on record.</p>\n</section>\n";
    }
    html += "<table role=\"table\">\n<thead role=\"rowgroup\"><tr role=\"row\">";
    for heading in [
        "Target",
        "Behind",
        "Last success",
        "Damage",
        "Last read back",
    ] {
        html += &format!("<th role=\"columnheader\" scope=\"col\">{heading}</th>");
    }
    html += "</tr></thead>\n<tbody role=\"rowgroup\">\n";
    for standing in &report.standings {
        html += &target(standing, report);
    }
    html + "</tbody>\n</table>\n</section>\n"
}

fn target(standing: &TargetLag, report: &LagReport) -> String {
    let place = &standing.place;
    let several = report.parts.len() + report.absent.len() > 1;
    let part = match several {
        true => format!("<br><span class=\"soft\">{}</span>", name(&place.partition)),
        false => String::new(),
    };
    let own = |target: &&VentiCopy| target.dial == place.target;
    let read_back = report
        .targets
        .iter()
        .find(own)
        .and_then(|target| target.read_back);
    let cells = [
        ("Behind", behind(standing)),
        ("Last success", when(place.acknowledged, report.now)),
        ("Damage", damage(standing)),
        (
            "Last read back",
            match read_back {
                Some((time, verdict)) => format!("{verdict}, {}", when(Some(time), report.now)),
                None => "never".to_owned(),
            },
        ),
    ];
    let mut html = format!(
        "<tr role=\"row\"><th role=\"rowheader\" scope=\"row\">{}{part}</th>",
        name(&place.target.to_string())
    );
    for (label, cell) in cells {
        html += &format!("<td role=\"cell\" data-label=\"{label}\"><span>{cell}</span></td>");
    }
    html + "</tr>\n"
}

fn behind(standing: &TargetLag) -> String {
    if standing.is_gone {
        return "<span class=\"late\">the source no longer has its place</span>".to_owned();
    }
    match (standing.is_current(), standing.clumps, standing.bytes) {
        (true, ..) => "<span class=\"fine\">0 clumps: current</span>".to_owned(),
        (false, Some(clumps), Some(lacking)) => format!(
            "<span class=\"count\">{}</span>, <span class=\"count\">{}</span>{}",
            count(clumps, "clump", "clumps"),
            bytes(lacking),
            match standing.arenas {
                Some(arenas) if arenas > 1 => format!(", in {arenas} arenas"),
                _ => String::new(),
            }
        ),
        _ => "not known".to_owned(),
    }
}

fn damage(standing: &TargetLag) -> String {
    let said = standing.faults.to_string();
    match said.strip_prefix(", ") {
        Some(said) => format!("<span class=\"fault\">{}</span>", escaped(said)),
        None => "none on record".to_owned(),
    }
}

fn when(of: Option<SystemTime>, now: SystemTime) -> String {
    match of {
        Some(of) => since(of, now),
        None => "<span class=\"late\">never</span>".to_owned(),
    }
}

fn partitions(report: &LagReport) -> String {
    if report.parts.is_empty() {
        return String::new();
    }
    let mut html = "<section>\n<h2>How far each target is</h2>\n\
        <p class=\"soft\">Each bar is a partition of the source, arena after arena. The \
        target has what is filled, and lacks what is outlined; the rest is free.</p>\n"
        .to_owned();
    for (number, part) in report.parts.iter().take(DRAWN).enumerate() {
        html += &partition(part, number, report);
    }
    html += &more(report.parts.len(), "partitions");
    html + "</section>\n"
}

/// What is said of those that are not drawn.
fn more(all: usize, what: &str) -> String {
    match all.saturating_sub(DRAWN) {
        0 => String::new(),
        more => format!("<p>And {more} more {what}.</p>\n"),
    }
}

fn partition(part: &SourcePart, number: usize, report: &LagReport) -> String {
    let sum = |of: fn(&super::report::ArenaBar) -> u64| {
        let all = part.arenas.iter().map(of);
        all.fold(0_u64, u64::saturating_add)
    };
    let size = bytes(sum(|arena| arena.size));
    let used = bytes(sum(|arena| arena.used));
    let arenas = count(part.arenas.len() as u64, "arena", "arenas");
    let bar = |id: String, title: String, describes: String| Bar {
        id,
        title,
        describes,
    };
    let full = format!("{used} of {size} in {arenas}");
    let source = bar(format!("p{number}"), "the source".to_owned(), full.clone());
    let mut html = format!(
        "<figure>\n<figcaption>{}</figcaption>\n\
         <div class=\"row\"><p><span>the source</span><span class=\"soft\">{full}</span></p>\n{}</div>\n",
        name(&part.name),
        bars::of_source(&source, &part.arenas)
    );
    let own = report
        .standings
        .iter()
        .filter(|one| one.place.partition == part.name);
    for (place, standing) in own.enumerate() {
        let target = standing.place.target.to_string();
        let said = behind(standing);
        let title = escaped(&target);
        let describes = words(standing);
        let drawn = match standing.from {
            Some(at) => {
                let bar = bar(format!("p{number}x{place}"), title, describes);
                bars::of_target(&bar, &part.arenas, at)
            }
            None => String::new(),
        };
        html += &format!(
            "<div class=\"row\"><p>{}<span>{said}</span></p>\n{drawn}</div>\n",
            name(&target)
        );
    }
    html + "</figure>\n"
}

/// How far a target is, without marks.
fn words(standing: &TargetLag) -> String {
    match (standing.is_current(), standing.clumps, standing.arenas) {
        (true, ..) => "has everything".to_owned(),
        (false, Some(clumps), Some(arenas)) => format!(
            "lacks {} in {}",
            count(clumps, "clump", "clumps"),
            count(arenas, "arena", "arenas")
        ),
        _ => "how far it is behind is not known".to_owned(),
    }
}

fn roots(report: &LagReport) -> String {
    let mut html = "<section>\n<h2>Roots</h2>\n".to_owned();
    if report.file_systems.is_empty() {
        return html + "<p>No root is on record.</p>\n</section>\n";
    }
    for (number, file_system) in report.file_systems.iter().take(DRAWN).enumerate() {
        html += &file_system_of(file_system, number, report);
    }
    html += &more(report.file_systems.len(), "file systems");
    html + "</section>\n"
}

fn file_system_of(file_system: &FileSystem, number: usize, report: &LagReport) -> String {
    let mut html = match &file_system.partition {
        Some(partition) => format!("<h3>{}</h3>\n", name(partition)),
        None => "<h3>Roots that were given to rootcheck</h3>\n".to_owned(),
    };
    let shown = file_system
        .roots
        .get(..ON_LINE)
        .unwrap_or(&file_system.roots);
    if shown.iter().any(|root| root.recorded.is_some()) {
        html += &time_line(shown, number, report);
    }
    html + &table(file_system, report)
}

fn time_line(shown: &[HeldRoot], number: usize, report: &LagReport) -> String {
    let scale = line::Scale::of(shown, report.now);
    let all = count(shown.len() as u64, "root", "roots");
    let mut html =
        format!("<figure>\n<figcaption>{all}, by when they were recorded</figcaption>\n");
    for (place, target) in report.targets.iter().enumerate() {
        let dial = target.dial.to_string();
        let with = |word: &str| {
            let on = shown.iter().filter_map(|root| root.on.get(place));
            on.filter(|holding| holding.word() == word).count()
        };
        let good = |holding: &&Holding| holding.is_good();
        let on = shown.iter().filter_map(|root| root.on.get(place));
        let describes = format!(
            "{} of {} are believed to be there, {} of them read back whole",
            on.filter(good).count(),
            shown.len(),
            with("whole")
        );
        html += &format!(
            "<div class=\"row\"><p>{}<span class=\"soft\">{describes}</span></p>\n\
             <div class=\"line\">{}</div></div>\n",
            name(&dial),
            line::svg(
                &format!("r{number}x{place}"),
                &escaped(&dial),
                &describes,
                shown,
                place,
                &scale
            )
        );
    }
    html += &format!(
        "<p class=\"axis\"><span>{}</span><span>now</span></p>\n{}</figure>\n",
        time(scale.start()),
        line::legend(shown)
    );
    html
}

fn table(file_system: &FileSystem, report: &LagReport) -> String {
    let mut html =
        "<table class=\"roots\" role=\"table\">\n<thead role=\"rowgroup\"><tr role=\"row\">\
        <th role=\"columnheader\" scope=\"col\">Recorded</th>"
            .to_owned();
    let dials: Vec<String> = report
        .targets
        .iter()
        .map(|target| target.dial.to_string())
        .collect();
    for dial in &dials {
        html += &format!(
            "<th role=\"columnheader\" scope=\"col\">{}</th>",
            name(dial)
        );
    }
    html += "</tr></thead>\n<tbody role=\"rowgroup\">\n";
    for root in file_system.roots.iter().take(IN_TABLE) {
        let recorded = match root.recorded {
            Some(of) => since(of, report.now),
            None => "not known".to_owned(),
        };
        html += &format!("<tr role=\"row\"><th role=\"rowheader\" scope=\"row\">{recorded}</th>");
        for (dial, holding) in dials.iter().zip(&root.on) {
            html += &format!(
                "<td role=\"cell\" data-label=\"{}\"><span>{}</span></td>",
                escaped(dial),
                held(*holding)
            );
        }
        html += "</tr>\n";
    }
    html += "</tbody>\n</table>\n";
    match file_system.roots.len().saturating_sub(IN_TABLE) {
        0 => html,
        more => html + &format!("<p class=\"soft\">And {more} older.</p>\n"),
    }
}

fn held(holding: Holding) -> String {
    let at = |of: SystemTime| time(of);
    match holding {
        Holding::Whole(of) => format!("<span class=\"fine\">read back whole</span> {}", at(of)),
        Holding::Present(of) => format!("reported as present {}", at(of)),
        Holding::Acknowledged => "acknowledged".to_owned(),
        Holding::Doubtful => "acknowledged, with losses".to_owned(),
        Holding::Unknown => "not known".to_owned(),
        Holding::Behind => "not there yet".to_owned(),
        Holding::Missing(of) => format!("<span class=\"fault\">blocks missing</span> {}", at(of)),
        Holding::Damaged(of) => format!("<span class=\"fault\">blocks damaged</span> {}", at(of)),
    }
}

fn foot(report: &LagReport) -> String {
    format!(
        "<footer>\n<p>As ventilag saw it {}. This page does not change by itself.</p>\n</footer>\n",
        time(report.now)
    )
}
