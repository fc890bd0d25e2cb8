//! Where targets start, told as stories: the wrcmd and the lines before, what
//! the source holds, and what comes of it.

use super::*;
use crate::codec::arena::Name;
use crate::codec::score::Score;
use crate::codec::wrcmds::{Open, Progress};
use crate::source::Oddity;
use crate::status::Status;
use crate::tool::status_of;
use proptest::prelude::*;
use std::time::{Duration, UNIX_EPOCH};

/// Every clump of these arenas has this many bytes.
const CLUMP: u64 = 100;

/// An arena with its clumps.
#[derive(Clone, Debug)]
struct Shelf {
    arena: ArenaView,
    clumps: Vec<Score>,
}

/// The source, the state files, and what was asked for.
#[derive(Clone, Debug)]
struct World {
    partitions: Vec<(String, Vec<Shelf>)>,
    wrcmd: Option<WrCmd>,
    wrcmds: Wrcmds,
    targets: Vec<TargetName>,
    trust: bool,
}

fn dial(text: &str) -> TargetName {
    text.parse().unwrap()
}

/// The `index`th arena of a partition, with `clumps` clumps of a generation.
fn shelf(index: u64, clumps: u64, sealed: bool, generation: u32) -> Shelf {
    let name = format!("arena {index}");
    let score = |clump| Score::of(format!("{generation} {index} {clump}").as_bytes());
    Shelf {
        arena: ArenaView {
            name: Name::from_field(name.as_bytes()),
            head: 1000 + 100_000 * index,
            magic: 7,
            clumps,
            used: CLUMP * clumps,
            sealed,
            uncounted: false,
        },
        clumps: (0..clumps).map(score).collect(),
    }
}

impl World {
    /// Three arenas, the first two of them full, and an empty one.
    fn new() -> Self {
        let shelves = [(5, true), (4, true), (3, false), (0, false)];
        let shelves = (0..).zip(shelves).map(|(i, (n, s))| shelf(i, n, s, 0));
        World {
            partitions: vec![("p".to_owned(), shelves.collect())],
            wrcmd: None,
            wrcmds: Wrcmds::new(),
            targets: vec![dial("h")],
            trust: false,
        }
    }

    fn wrcmd(mut self, text: &str) -> Self {
        self.wrcmd = Some(WrCmd::parse(text).unwrap());
        self
    }

    /// A line, as a run writes it that sees what the source holds now.
    fn line(mut self, target: &str, arena: usize, clumps: u64) -> Self {
        let at = Cursor::new(arena, CLUMP * clumps);
        let last = self.last("p", 1000 + 100_000 * arena as u64, at.offset);
        let time = UNIX_EPOCH + Duration::from_secs(9);
        let read = self.read().remove(0);
        let mut place = read.place(&dial(target), at, last, time).unwrap();
        place.open = read.end_before(at).map(|end| {
            let head = read.arenas[end.arena].head;
            let offset = end.offset;
            let last = self.last("p", head, offset);
            Open { head, offset, last }
        });
        self.wrcmds.set(&place).unwrap();
        self
    }

    /// A line as an operator writes it.
    fn bare_line(mut self, text: &str) -> Self {
        let mut file = self.wrcmds.to_file();
        file.extend_from_slice(text.as_bytes());
        self.wrcmds = Wrcmds::parse(&file).unwrap();
        self
    }

    fn targets(mut self, targets: &[&str]) -> Self {
        self.targets = targets.iter().map(|t| dial(t)).collect();
        self
    }

    fn trusting(mut self) -> Self {
        self.trust = true;
        self
    }

    fn shelf(&mut self, arena: usize) -> &mut Shelf {
        &mut self.partitions[0].1[arena]
    }

    /// An arena holds other clumps now.
    fn refilled(mut self, arena: usize, clumps: u64) -> Self {
        let sealed = self.shelf(arena).arena.sealed;
        *self.shelf(arena) = shelf(arena as u64, clumps, sealed, 1);
        self
    }

    /// The arenas, as read from the source.
    fn read(&self) -> Vec<PartitionView> {
        let read = |(name, shelves): &(String, Vec<Shelf>)| PartitionView {
            name: name.clone(),
            arenas: shelves.iter().map(|shelf| shelf.arena.clone()).collect(),
        };
        self.partitions.iter().map(read).collect()
    }

    fn find(&self, partition: &str, head: u64) -> &Shelf {
        let (_, shelves) = self.partitions.iter().find(|p| p.0 == partition).unwrap();
        shelves.iter().find(|s| s.arena.head == head).unwrap()
    }

    fn last(&self, partition: &str, head: u64, offset: u64) -> Option<Score> {
        let clump = (offset / CLUMP).checked_sub(1)?;
        let whole = offset.is_multiple_of(CLUMP);
        let clumps = &self.find(partition, head).clumps;
        clumps
            .get(usize::try_from(clump).ok()?)
            .copied()
            .filter(|_| whole)
    }

    fn starts(&self) -> Result<Vec<Start>> {
        let host = self.wrcmd.as_ref().and_then(|w| w.host()).map(dial);
        let known = Known {
            partitions: &self.read(),
            wrcmd: self.wrcmd.as_ref(),
            host: host.as_ref(),
            wrcmds: &self.wrcmds,
            targets: &self.targets,
            trust: self.trust,
        };
        starts(&known, self)
    }

    /// The one start, as `ARENA+CLUMPS` or `ARENA+CLUMPS probed to ...`, and its remarks.
    fn start(&self) -> (String, String) {
        let starts = self.starts().unwrap();
        assert_eq!(starts.len(), 1);
        (told(&starts[0]), starts[0].remarks.join("\n"))
    }

    fn refusal(&self) -> String {
        let error = self.starts().unwrap_err();
        assert_eq!(status_of(&error), Status::Failed);
        error.to_string()
    }
}

impl Clumps for World {
    fn score_before(&self, partition: &str, head: u64, offset: u64) -> Result<Option<Score>> {
        assert_ne!(offset, 0, "asked about the start of an arena");
        Ok(self.last(partition, head, offset))
    }

    fn clumps_from(&self, partition: &str, head: u64, offset: u64) -> Result<Option<u64>> {
        let arena = &self.find(partition, head).arena;
        Ok(Some(arena.clumps - offset / CLUMP))
    }
}

fn told(start: &Start) -> String {
    let point = |at: Cursor| format!("{}+{}", at.arena, at.offset / CLUMP);
    match start.probe_to {
        None => point(start.at),
        Some(to) => format!("{} probed to {}", point(start.at), point(to)),
    }
}

/// The wrcmd at a clump of an arena.
fn command(arena: u64, clumps: u64) -> String {
    let head = 1000 + 100_000 * arena;
    format!("wrarena -h tcp!h!17034 -o {head} p {:#x}", CLUMP * clumps)
}

#[test]
fn a_wrcmd_without_a_line_is_a_hint() {
    let world = World::new().wrcmd(&command(2, 2));
    assert_eq!(world.start(), ("0+0 probed to 2+2".into(), String::new()));
    // --trust believes it.
    assert_eq!(world.trusting().start().0, "2+2");
}

#[test]
fn a_wrcmd_at_the_very_start_says_nothing_of_what_is_there() {
    let world = World::new().wrcmd(&command(0, 0));
    assert_eq!(world.start().0, "0+0 probed to 4+0");
}

#[test]
fn a_target_without_a_line_is_seeded() {
    let world = World::new().wrcmd(&command(2, 2)).targets(&["d"]);
    assert_eq!(world.start(), ("0+0 probed to 4+0".into(), String::new()));
    assert_eq!(world.trusting().start().0, "2+2");
    // Without a wrcmd there is nothing to trust.
    assert_eq!(World::new().trusting().start().0, "0+0 probed to 4+0");
}

#[test]
fn a_line_is_exact_for_its_target() {
    let world = World::new().line("h", 2, 2);
    assert_eq!(world.start(), ("2+2".into(), String::new()));
    // The wrcmd is that of another host.
    let other = world.wrcmd("wrarena -h x -o 1000 p 0x64");
    assert_eq!(other.start(), ("2+2".into(), String::new()));
    // A line at the start of an arena has no clump to look at.
    assert_eq!(World::new().line("h", 2, 0).start().0, "2+0");
}

#[test]
fn each_target_has_its_own_place() {
    let world = World::new().wrcmd(&command(2, 2)).line("h", 2, 2);
    let world = world.line("c", 0, 3).targets(&["h", "c", "d"]);
    let starts = world.starts().unwrap();
    let all: Vec<String> = starts.iter().map(told).collect();
    assert_eq!(all, ["2+2", "0+3", "0+0 probed to 4+0"]);
    let who: Vec<TargetName> = starts.into_iter().map(|start| start.target).collect();
    assert_eq!(who, world.targets);
}

#[test]
fn a_wrcmd_at_the_place_of_the_line_is_nothing_to_speak_of() {
    let world = World::new().line("h", 2, 2).wrcmd(&command(2, 2));
    assert_eq!(world.start(), ("2+2".into(), String::new()));
}

#[test]
fn a_wrcmd_ahead_of_the_line_is_said_and_probed() {
    let ahead = "ahead of what tcp!h!17034 has acknowledged (0x64 in arena arena 2 at 201000)";
    let world = World::new().line("h", 2, 1).wrcmd(&command(2, 3));
    let (start, said) = world.start();
    assert_eq!(start, "2+1 probed to 2+3");
    assert!(
        said.starts_with("p: wrcmd (0x12c in arena arena 2 at 201000)"),
        "{said}"
    );
    assert!(said.contains(ahead), "{said}");
    // The same in a later arena: what would be skipped is probed.
    let world = World::new().line("h", 0, 3).wrcmd(&command(2, 3));
    let (start, said) = world.start();
    assert_eq!(start, "0+3 probed to 2+3");
    assert!(said.contains("ahead of"), "{said}");
    // A line is better than trust.
    assert_eq!(world.trusting().start().0, "0+3 probed to 2+3");
}

#[test]
fn a_wrcmd_set_back_by_hand_is_obeyed_and_said() {
    let world = World::new().line("h", 2, 3).wrcmd(&command(2, 1));
    let (start, said) = world.start();
    assert_eq!(start, "2+1 probed to 2+3");
    assert!(
        said.contains("was set back behind what tcp!h!17034"),
        "{said}"
    );
    let world = World::new().line("h", 2, 3).wrcmd(&command(0, 4));
    let (start, said) = world.start();
    assert_eq!(start, "0+4 probed to 2+3");
    assert!(said.contains("was set back"), "{said}");
    // Other targets are where they were.
    assert_eq!(world.line("c", 2, 2).targets(&["c"]).start().0, "2+2");
}

#[test]
fn a_wrcmd_that_stands_where_it_was_left_is_no_edit() {
    let mut world = World::new().line("h", 2, 3).wrcmd(&command(0, 4));
    world.wrcmds.see(&WrCmd::parse(command(0, 4)).unwrap());
    assert_eq!(world.start(), ("2+3".into(), String::new()));
    // Ahead of a line that was set back: no edit either, and a hint.
    let ahead = world.clone().line("h", 0, 1);
    assert_eq!(ahead.start(), ("0+1 probed to 0+4".into(), String::new()));
    // One edited since is obeyed.
    let edited = world.wrcmd(&command(1, 3));
    let (start, said) = edited.start();
    assert_eq!(start, "1+3 probed to 2+3");
    assert!(said.contains("was set back"), "{said}");
}

#[test]
fn a_wrcmd_of_ours_that_names_nothing_any_more_is_passed_over() {
    // It agrees with the line of some target: the source changed, not the wrcmd.
    let world = World::new().line("h", 2, 1).line("c", 2, 3);
    let world = world.wrcmd(&command(2, 3)).refilled(2, 2);
    let (start, said) = world.start();
    assert_eq!(start, "2+0 probed to 3+0");
    assert!(said.contains("does not hold at 0x64"), "{said}");
    // No line is in doubt, and the wrcmd is where it was left: that is said.
    let mut world = World::new().line("h", 1, 2).wrcmd(&command(2, 3));
    world.wrcmds.see(&WrCmd::parse(command(2, 3)).unwrap());
    let world = world.refilled(2, 2).targets(&["h", "d"]);
    let starts = world.starts().unwrap();
    assert_eq!(told(&starts[0]), "1+2");
    assert_eq!(
        starts[0].remarks,
        [
            "p: arena arena 2 at 201000 does not hold at 0x12c what it held when the wrcmd was written: the places in wrcmds count"
        ]
    );
    assert_eq!(
        (told(&starts[1]), starts[1].remarks.len()),
        ("0+0 probed to 4+0".into(), 0)
    );
    // Nobody knows that place: it is somebody's error.
    assert!(world.wrcmd(&command(2, 4)).refusal().contains("found none"));
}

#[test]
fn the_end_of_a_full_arena_and_the_start_of_the_next_are_one_place() {
    for (line, wrcmd) in [((0, 5), (1, 0)), ((1, 0), (0, 5))] {
        let world = World::new().line("h", line.0, line.1);
        let world = world.wrcmd(&command(wrcmd.0, wrcmd.1));
        assert_eq!(world.start(), ("1+0".into(), String::new()));
    }
    // An empty arena between the two is nothing either.
    let mut world = World::new();
    world.shelf(1).clumps.clear();
    (world.shelf(1).arena.used, world.shelf(1).arena.clumps) = (0, 0);
    let world = world.line("h", 0, 5).wrcmd(&command(2, 0));
    assert_eq!(world.start(), ("2+0".into(), String::new()));
    // One whose clumps nobody counts is.
    let mut world = world;
    world.shelf(1).arena.uncounted = true;
    let (start, said) = world.line("h", 0, 5).start();
    assert_eq!(start, "1+0 probed to 2+0");
    assert!(said.contains("ahead of"), "{said}");
}

#[test]
fn a_wrcmd_in_another_partition_is_a_new_source() {
    let mut world = World::new().line("h", 2, 2);
    let shelves = vec![shelf(0, 3, true, 2), shelf(1, 2, false, 2)];
    world.partitions.push(("q".to_owned(), shelves));
    let world = world.wrcmd("wrarena -h h -o 101000 q 0x64");
    let starts = world.starts().unwrap();
    let all: Vec<String> = starts.iter().map(told).collect();
    assert_eq!(all, ["2+2", "0+0 probed to 1+1"]);
    assert_eq!((starts[0].partition, starts[1].partition), (0, 1));
    // One that names none of the partitions says nothing.
    let world = World::new().wrcmd("wrarena -h h -o 5 /elsewhere 7");
    assert_eq!(world.start().0, "0+0 probed to 4+0");
}

#[test]
fn a_place_before_which_another_clump_stands_is_not_believed() {
    // The source lost its tail, and filled it again.
    let world = World::new().line("h", 2, 2).refilled(2, 3);
    let (start, said) = world.start();
    assert_eq!(start, "2+0 probed to 3+0");
    assert_eq!(
        said,
        "p: arena arena 2 at 201000 does not hold at 0xc8 what it held: \
         tcp!h!17034 is probed from the start of the arena on"
    );
    // It lost its tail, and ends before the place.
    let world = World::new().line("h", 2, 3).refilled(2, 2);
    assert_eq!(world.start().0, "2+0 probed to 3+0");
    // The place is inside a clump now.
    let mut world = World::new().line("h", 2, 2);
    let place = world.wrcmds.get(&dial("h"), "p").unwrap();
    world
        .wrcmds
        .set(&Progress {
            offset: 150,
            ..place
        })
        .unwrap();
    assert_eq!(world.start().0, "2+0 probed to 3+0");
    // --trust is no help against that, and a wrcmd there is still a place.
    let world = World::new().line("h", 2, 2).refilled(2, 3);
    assert_eq!(world.clone().trusting().start().0, "2+0 probed to 3+0");
    let world = world.wrcmd(&command(2, 3));
    assert_eq!(world.start().0, "2+0 probed to 3+0");
    assert_eq!(world.wrcmd(&command(1, 1)).start().0, "1+1 probed to 3+0");
}

#[test]
fn an_arena_of_another_name_or_magic_is_another_arena() {
    let mut world = World::new().line("h", 2, 2);
    world.shelf(2).arena.magic = 8;
    let (start, said) = world.start();
    assert_eq!(start, "2+0 probed to 3+0");
    assert!(
        said.contains("was arena 2 with clump magic 0x00000007, and is arena 2 with 0x00000008"),
        "{said}"
    );
    // Where that arena has nothing, there is nothing to probe.
    let mut world = World::new();
    *world.shelf(1) = shelf(1, 0, true, 0);
    let mut world = world.line("h", 1, 0);
    world.shelf(1).arena.magic = 8;
    assert_eq!(world.start().0, "2+0");
    let mut world = World::new().line("h", 2, 0);
    world.shelf(2).arena.name = Name::from_field(b"new");
    assert_eq!(world.start().0, "2+0 probed to 3+0");
}

#[test]
fn arenas_before_the_place_that_changed_are_probed_too() {
    // Formatted and filled again: even what stands before the place may be the same.
    let world = World::new().line("h", 2, 2);
    let mut grown = world.clone().refilled(1, 3);
    let (start, said) = grown.start();
    assert_eq!(start, "0+0 probed to 2+2");
    assert!(
        said.contains("the arenas before arena 2 are not as tcp!h!17034"),
        "{said}"
    );
    grown.shelf(2).arena.magic = 8;
    let (start, said) = grown.start();
    assert_eq!(start, "0+0 probed to 3+0");
    assert!(
        said.contains("from the start of the partition on"),
        "{said}"
    );
    // An arena that cannot be read any more, or again, is such a change.
    let mut fewer = world.clone();
    fewer.partitions[0].1.remove(0);
    assert_eq!(fewer.start().0, "0+0 probed to 1+2");
    // What comes after the place may change.
    let mut later = world.clone().refilled(3, 2);
    later.shelf(2).arena.sealed = true;
    assert_eq!(later.start().0, "2+2");
    // A line that does not say what was before proves nothing about it.
    let mut world = world;
    let place = world.wrcmds.get(&dial("h"), "p").unwrap();
    world
        .wrcmds
        .set(&Progress {
            before: None,
            ..place
        })
        .unwrap();
    assert_eq!(world.start().0, "0+0 probed to 2+2");
}

#[test]
fn arenas_that_were_filled_while_a_run_lasted_are_no_change_of_the_source() {
    // Read while the third arena was in use, and acknowledged in the fourth.
    let world = World::new().line("h", 3, 0);
    let mut place = world.wrcmds.get(&dial("h"), "p").unwrap();
    let open = place.open.clone().unwrap();
    assert_eq!((open.head, open.offset), (201_000, 3 * CLUMP));
    let mut filled = world.clone();
    let more = shelf(2, 6, true, 0);
    *filled.shelf(2) = more;
    *filled.shelf(3) = shelf(3, 2, false, 0);
    place.offset = 2 * CLUMP;
    place.last = filled.last("p", 301_000, place.offset);
    filled.wrcmds.set(&place).unwrap();
    assert_eq!(filled.start(), ("2+3 probed to 3+2".into(), String::new()));
    // What is sealed by then and holds no more than it did is nothing at all.
    let mut sealed = filled.clone();
    *sealed.shelf(2) = shelf(2, 3, true, 0);
    assert_eq!(sealed.start(), ("3+2".into(), String::new()));
    // Filled again with other clumps, it is a change; so is any other.
    let refilled = filled.clone().refilled(2, 6);
    assert_eq!(refilled.start().0, "0+0 probed to 3+2");
    let mut earlier = filled.clone().refilled(0, 5);
    earlier.shelf(0).arena.clumps = 4;
    assert_eq!(earlier.start().0, "0+0 probed to 3+2");
    // A line of before, which does not say where the log ended.
    filled
        .wrcmds
        .set(&Progress {
            open: None,
            ..place
        })
        .unwrap();
    assert_eq!(filled.start().0, "0+0 probed to 3+2");
}

#[test]
fn a_place_in_no_arena_starts_over() {
    let mut world = World::new().line("h", 2, 2);
    for shelf in &mut world.partitions[0].1 {
        shelf.arena.head += 1;
    }
    let (start, said) = world.start();
    assert_eq!(start, "0+0 probed to 4+0");
    assert!(
        said.contains("is in an arena at 201000, but no arena is there"),
        "{said}"
    );
    world.partitions[0].1.clear();
    assert_eq!(world.start().0, "0+0");
}

#[test]
fn a_line_without_its_comment_is_a_hint() {
    let line = "wrarena -h h -o 201000 p 0xc8\n";
    let world = World::new().bare_line(line);
    let (start, said) = world.start();
    assert_eq!(start, "0+0 probed to 2+2");
    assert!(said.contains("no `# place` comment"), "{said}");
    assert_eq!(world.trusting().start().0, "2+2");
    // Inside a clump it is not even that.
    let world = World::new().bare_line(&line.replace("0xc8", "0xc9"));
    assert_eq!(world.start().0, "0+0 probed to 3+0");
    // Nor is a comment in which everything is unknown better than none.
    let mark = "# place magic=unknown last=none time=unknown\n";
    let world = World::new().bare_line(&format!("{mark}{line}"));
    assert_eq!(world.start().0, "0+0 probed to 2+2");
}

#[test]
fn a_comment_that_lacks_what_to_check_is_not_believed() {
    let world = World::new().line("h", 2, 2);
    let place = world.wrcmds.get(&dial("h"), "p").unwrap();
    let lacking = [
        Progress {
            last: None,
            ..place.clone()
        },
        Progress {
            magic: None,
            ..place.clone()
        },
        Progress {
            arena: None,
            ..place
        },
    ];
    for place in lacking {
        let mut world = world.clone();
        world.wrcmds.set(&place).unwrap();
        let (start, said) = world.start();
        assert_eq!(start, "2+0 probed to 3+0");
        assert!(
            said.contains("the place at 0xc8 in arena arena 2 at 201000 cannot be checked"),
            "{said}"
        );
    }
}

#[test]
fn a_wrcmd_at_no_real_place_is_an_error_that_says_what_is_there() {
    let world = World::new().line("h", 2, 2);
    let past = world.clone().wrcmd(&command(2, 4)).refusal();
    assert!(past.starts_with("p: arena arena 2 at 201000: "), "{past}");
    assert!(
        past.contains("offset 0x190") && past.contains("3 clumps and ends at 0x12c"),
        "{past}"
    );
    let inside = world
        .clone()
        .wrcmd("wrarena -h h -o 201000 p 0x65")
        .refusal();
    assert!(inside.contains("offset 0x65, found none"), "{inside}");
    let nowhere = world.clone().wrcmd("wrarena -h h -o 201001 p 0").refusal();
    let around = "-o 201001, found none: arena 2 is at 201000, arena 3 is at 301000";
    assert!(nowhere.contains(around), "{nowhere}");
    // Whoever the targets are.
    assert!(
        world
            .wrcmd(&command(2, 4))
            .targets(&["c"])
            .starts()
            .is_err()
    );
    let mut empty = World::new().wrcmd(&command(0, 0));
    empty.partitions[0].1.clear();
    assert!(empty.refusal().contains("it has no arenas"));
}

#[test]
fn a_source_that_cannot_be_read_is_an_error() {
    let world = World::new().line("h", 2, 2);
    let known = Known {
        partitions: &world.read(),
        wrcmd: None,
        host: None,
        wrcmds: &world.wrcmds,
        targets: &world.targets,
        trust: false,
    };
    let broken = |_: &str, _: u64, _: u64| Err(eyre::eyre!("i/o error"));
    assert_eq!(
        starts(&known, &broken).unwrap_err().to_string(),
        "i/o error"
    );
}

#[test]
fn the_next_place_is_in_the_next_arena_that_has_clumps() {
    let mut world = World::new();
    let next = |world: &World, arena, clumps| {
        let at = world.read()[0].next_place(Cursor::new(arena, CLUMP * clumps));
        (at.arena, at.offset / CLUMP)
    };
    assert_eq!(next(&world, 0, 5), (1, 0));
    assert_eq!(next(&world, 0, 4), (0, 4));
    // The active arena is left only when it is sealed and another has clumps.
    assert_eq!(next(&world, 2, 3), (2, 3));
    world.shelf(2).arena.sealed = true;
    assert_eq!(next(&world, 2, 3), (2, 3));
    world.shelf(3).arena.used = CLUMP;
    assert_eq!(next(&world, 2, 3), (3, 0));
    world.shelf(2).arena.sealed = false;
    assert_eq!(next(&world, 2, 3), (2, 3));
    assert_eq!(next(&world, 9, 0), (9, 0));
}

/// The wrcmd after a run in which the targets came to these points.
fn finally(world: &World, reached: &[&[(usize, u64)]]) -> String {
    let points = |all: &&[(usize, u64)]| {
        let points = all.iter().map(|&(arena, n)| Cursor::new(arena, CLUMP * n));
        points.collect::<Vec<_>>()
    };
    let reached: Vec<_> = reached.iter().map(points).collect();
    let old = world.wrcmd.as_ref().unwrap();
    final_wrcmd(old, &world.read(), &reached).unwrap().to_text()
}

#[test]
fn the_wrcmd_moves_to_what_all_have_and_on_to_the_next_arena() {
    let text = " /bin/wrarena -vh h -o0x3e8 p 0x0\n";
    let mut world = World::new().wrcmd(text);
    // Nothing moved: nothing changes, not even the spelling.
    assert_eq!(finally(&world, &[&[(0, 0)]]), text);
    assert_eq!(finally(&world, &[]), text);
    assert_eq!(finally(&world, &[&[]]), text);
    assert_eq!(
        finally(&world, &[&[(0, 2), (0, 1)]]),
        text.replace("p 0x0", "p 0x64")
    );
    // A full arena hands over, with -o in decimal.
    assert_eq!(
        finally(&world, &[&[(0, 5), (2, 1)]]),
        text.replace("0x3e8", "101000")
    );
    let end = text.replace("0x3e8", "201000").replace("p 0x0", "p 0x12c");
    assert_eq!(finally(&world, &[&[(2, 3)]]), end);
    // It stays in a used up arena until the next one has clumps.
    world.shelf(2).arena.sealed = true;
    assert_eq!(finally(&world, &[&[(2, 3)]]), end);
    *world.shelf(3) = shelf(3, 1, false, 0);
    let next = text.replace("0x3e8", "301000");
    assert_eq!(finally(&world, &[&[(2, 3)]]), next);
    assert_eq!(
        finally(&world, &[&[(3, 1)]]),
        next.replace("p 0x0", "p 0x64")
    );
}

#[test]
fn a_wrcmd_without_o_is_left_so_where_the_arena_is_at_0() {
    let mut world = World::new().wrcmd("wrarena -h h p 0x0\n");
    world.shelf(0).arena.head = 0;
    assert_eq!(finally(&world, &[&[(0, 1)]]), "wrarena -h h p 0x64\n");
}

#[test]
fn the_wrcmd_goes_on_in_the_next_partition() {
    let mut world = World::new().wrcmd(&command(2, 3));
    let q = vec![
        shelf(0, 2, true, 2),
        shelf(1, 1, false, 2),
        shelf(2, 0, false, 2),
    ];
    world.partitions.push(("q".to_owned(), q));
    let reached: &[&[(usize, u64)]] = &[&[(2, 3)], &[(1, 1)]];
    // Not while the first has an arena left to fill.
    assert_eq!(finally(&world, reached), command(2, 3));
    world.shelf(2).arena.sealed = true;
    assert_eq!(finally(&world, reached), command(2, 3));
    world.partitions[0].1.truncate(3);
    let next = "wrarena -h tcp!h!17034 -o 101000 q 0x64";
    assert_eq!(finally(&world, reached), next);
    // A wrcmd in the second stays there.
    assert_eq!(finally(&world.clone().wrcmd(next), reached), next);
    // While the second has no clumps, it stays in the first.
    world.partitions[1].1 = vec![shelf(0, 0, false, 2)];
    assert_eq!(finally(&world, &[&[(2, 3)], &[(0, 0)]]), command(2, 3));
    world.partitions[1].1.clear();
    assert_eq!(finally(&world, &[&[(2, 3)], &[(0, 0)]]), command(2, 3));
    // A partition that is not among those read is not left.
    let world = world.wrcmd("wrarena -h h -o 7 /elsewhere 0x5");
    assert_eq!(
        finally(&world, &[&[(2, 3)]]),
        "wrarena -h h -o 7 /elsewhere 0x5"
    );
}

#[test]
fn the_first_wrcmd_is_one_the_scripts_can_read() {
    let world = World::new();
    let built = build_wrcmd(&"HostB".parse().unwrap(), &world.read()[0]).unwrap();
    assert_eq!(built.line(), "wrarena -h tcp!hostb!17034 -o 1000 p 0x0");
    let none = PartitionView {
        name: "p".to_owned(),
        arenas: Vec::new(),
    };
    assert_eq!(
        build_wrcmd(&"b".parse().unwrap(), &none)
            .unwrap_err()
            .to_string(),
        "p: expected arenas, found none"
    );
    let blank = PartitionView {
        name: "a b".to_owned(),
        ..world.read().remove(0)
    };
    assert!(build_wrcmd(&"b".parse().unwrap(), &blank).is_err());
}

#[test]
fn every_line_is_listed_with_what_it_lacks() {
    let world = World::new().line("b", 2, 3).line("c", 1, 1).line("d", 0, 5);
    let world = world.bare_line("wrarena -h e -o 201000 p 0x64\nwrarena -h b -o 5 /elsewhere 7\n");
    let all = behind(&world.wrcmds, &world.read(), &world).unwrap();
    let lacks: Vec<_> = all.iter().map(|b| (b.clumps, b.bytes)).collect();
    assert_eq!(lacks[0], (Some(0), Some(0)));
    assert_eq!(lacks[1], (Some(6), Some(600)));
    assert_eq!(lacks[2], (Some(7), Some(700)));
    assert_eq!(lacks[3], (None, None), "nothing confirms the line");
    assert_eq!(lacks[4], (None, None));
    assert_eq!(
        all[1].place.acknowledged,
        Some(UNIX_EPOCH + Duration::from_secs(9))
    );
    assert_eq!(all[4].remarks, ["/elsewhere: was not read"]);
    // A place that is not believed is as far behind as what will be probed.
    let world = world.refilled(2, 4);
    let all = behind(&world.wrcmds, &world.read(), &world).unwrap();
    assert_eq!((all[0].clumps, all[0].bytes), (Some(4), Some(400)));
    assert!(all[0].remarks[0].contains("does not hold"));
    // What nothing counts is not counted.
    let mut world = world;
    world.shelf(2).arena.uncounted = true;
    let all = behind(&world.wrcmds, &world.read(), &world).unwrap();
    assert_eq!(all[2].clumps, None);
}

#[test]
fn an_arena_is_taken_over_with_what_the_rules_need() {
    let live = crate::codec::arena::trailer::Counters {
        clumps: 3,
        used: 300,
        ..Default::default()
    };
    let read = crate::source::Arena {
        name: Name::from_field(b"x"),
        head: 9,
        size: 1 << 20,
        block_size: 8192,
        clump_magic: 7,
        live,
        sealed: true,
        settled: false,
        notes: vec![Oddity::Damaged(String::new())],
    };
    let taken = ArenaView::from(&read);
    let counts = (taken.head, taken.magic, taken.clumps, taken.used);
    assert_eq!(counts, (9, 7, 3, 300));
    assert!(taken.sealed && !taken.uncounted);
    let trailerless = crate::source::Arena {
        live: Default::default(),
        ..read
    };
    assert!(ArenaView::from(&trailerless).uncounted);
}

/// A partition: full arenas, an active one, empty ones.
fn any_shelves() -> impl Strategy<Value = Vec<Shelf>> {
    let full = prop::collection::vec(0..4_u64, 0..4);
    (full, 0..4_u64, 0..2_u64).prop_map(|(full, active, empty)| {
        let full = full.into_iter().map(|n| (n, true));
        let rest = [(active, false)]
            .into_iter()
            .chain((0..empty).map(|_| (0, false)));
        let all = (0..).zip(full.chain(rest));
        all.map(|(index, (n, sealed))| shelf(index, n, sealed, 0))
            .collect()
    })
}

/// What happens to the source between two runs.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Refilled { arena: usize, clumps: u64 },
    Renamed { arena: usize },
    Grown { arena: usize },
    Gone { arena: usize },
}

fn any_fate() -> impl Strategy<Value = Fate> {
    let arena = || 0..5_usize;
    prop_oneof![
        (arena(), 0..4_u64).prop_map(|(arena, clumps)| Fate::Refilled { arena, clumps }),
        arena().prop_map(|arena| Fate::Renamed { arena }),
        arena().prop_map(|arena| Fate::Grown { arena }),
        arena().prop_map(|arena| Fate::Gone { arena }),
    ]
}

impl World {
    fn suffer(&mut self, fate: Fate) {
        let shelves = &mut self.partitions[0].1;
        let (Fate::Refilled { arena, .. } | Fate::Renamed { arena }) = fate else {
            let (Fate::Grown { arena } | Fate::Gone { arena }) = fate else {
                return;
            };
            let Some(shelf) = shelves.get_mut(arena) else {
                return;
            };
            if matches!(fate, Fate::Gone { .. }) {
                shelves.remove(arena);
            } else {
                let new = Score::of(format!("grown {arena} {}", shelf.clumps.len()).as_bytes());
                shelf.clumps.push(new);
                shelf.arena.clumps += 1;
                shelf.arena.used += CLUMP;
            }
            return;
        };
        let Some(found) = shelves.get_mut(arena) else {
            return;
        };
        let sealed = found.arena.sealed;
        let magic = found.arena.magic;
        match fate {
            Fate::Refilled { clumps, .. } => {
                let index = (found.arena.head - 1000) / 100_000;
                *found = shelf(index, clumps, sealed, 1);
            }
            _ => found.arena.magic = magic + 1,
        }
    }

    /// Every clump with the point where it starts.
    fn clumps(&self) -> Vec<(Cursor, Score)> {
        let shelves = self.partitions[0].1.iter().enumerate();
        let all = shelves.flat_map(|(arena, shelf)| {
            let clumps = (0..).zip(&shelf.clumps);
            clumps.map(move |(n, &score)| (Cursor::new(arena, CLUMP * n), score))
        });
        all.collect()
    }
}

/// The real place that is nearest to one wished for.
fn place_in(world: &World, arena: usize, clumps: u64) -> (usize, u64) {
    let shelves = &world.partitions[0].1;
    let arena = arena.min(shelves.len() - 1);
    (arena, clumps.min(shelves[arena].arena.clumps))
}

proptest! {
    /// A target has exactly what it acknowledged. Whatever the files say and
    /// whatever became of the source: without trust, every clump that
    /// the target lacks lies after the start.
    #[test]
    fn no_clump_that_was_not_acknowledged_is_skipped(
        shelves in any_shelves(),
        line in prop::option::of((0..5_usize, 0..4_u64)),
        bare: bool,
        wrcmd in prop::option::of((0..5_usize, 0..4_u64)),
        is_host: bool,
        is_ours: bool,
        fates in prop::collection::vec(any_fate(), 0..3),
    ) {
        let mut world = World::new();
        world.partitions[0].1 = shelves;
        let mut has = std::collections::HashSet::new();
        let mut passed = Vec::new();
        let line = line.map(|(arena, clumps)| place_in(&world, arena, clumps));
        if let Some((arena, clumps)) = line {
            let end = Cursor::new(arena, CLUMP * clumps);
            let before = world.clumps().into_iter().filter(|(at, _)| *at < end);
            passed = world.partitions[0].1.iter().take(arena).cloned().collect();
            // An operator's line may claim what the target does not have.
            has.extend(before.filter(|_| !bare).map(|(_, score)| score));
            world = if bare {
                let text = command(arena as u64, clumps);
                world.bare_line(&format!("{text}\n"))
            } else {
                world.line("h", arena, clumps)
            };
        }
        for &fate in &fates {
            world.suffer(fate);
        }
        // An arena filled again, with as many clumps and bytes, is seen by reading back only.
        let now = world.partitions[0].1.iter();
        prop_assume!(now.zip(&passed).all(|(now, then)| {
            now.arena != then.arena || now.clumps == then.clumps
        }));
        if let Some((arena, clumps)) = wrcmd
            && !world.partitions[0].1.is_empty()
        {
            let (arena, clumps) = place_in(&world, arena, clumps);
            let head = world.read()[0].arenas[arena].head;
            let host = if is_host { "h" } else { "x" };
            let text = format!("wrarena -h {host} -o {head} p {:#x}", CLUMP * clumps);
            world = world.wrcmd(&text);
            if is_ours {
                world.wrcmds.see(&WrCmd::parse(&text).unwrap());
            }
        }
        let starts = world.starts().unwrap();
        let at = starts[0].at;
        for (point, score) in world.clumps() {
            prop_assert!(point >= at || has.contains(&score), "{point:?} before {at:?}: {starts:?}");
        }
        // And what is not probed is what the target cannot have from its line.
        let probe_to = starts[0].probe_to.unwrap_or(at);
        prop_assert!(at <= probe_to && probe_to <= world.read()[0].end());
        if fates.is_empty() {
            for (point, score) in world.clumps() {
                prop_assert!(point < probe_to || !has.contains(&score), "{point:?}: {starts:?}");
            }
        }
    }

    #[test]
    fn a_run_that_reached_the_end_leaves_a_wrcmd_that_starts_there(
        shelves in any_shelves(),
        more in 0..3_u64,
    ) {
        let mut world = World::new();
        world.partitions[0].1 = shelves;
        let read = world.read().remove(0);
        let active = read.arenas.iter().rposition(|a| a.used > 0).unwrap_or(0);
        let at = Cursor::new(active, read.arenas[active].used);
        let first = build_wrcmd(&"h".parse().unwrap(), &read).unwrap();
        let next = final_wrcmd(&first, &world.read(), &[vec![at]]).unwrap();
        let clumps = at.offset / CLUMP;
        let mut world = world.line("h", active, clumps).wrcmd(&next.line());
        prop_assert_eq!(world.start(), (format!("{active}+{clumps}"), String::new()));
        for _ in 0..more {
            world.suffer(Fate::Grown { arena: active });
        }
        prop_assert_eq!(world.start(), (format!("{active}+{clumps}"), String::new()));
    }
}
