//! What is odd about arenas, said, and what it makes of the run.

use super::{Arena, ArenaPartition, Oddity, ReadAt};
use crate::host::terminal::Terminal;
use crate::status::Status;

/// The arenas of a partition, in the order of its table. Those that cannot be
/// read are named and left out.
pub fn all_arenas(
    partition: &dyn ReadAt,
    table: &ArenaPartition,
    terminal: &Terminal,
) -> (Vec<Arena>, Status) {
    let mut status = say_all("arenas", &table.notes, terminal);
    let mut arenas = Vec::new();
    for entry in &table.entries {
        match table.arena(partition, entry) {
            Ok(arena) => {
                status = status.worst(say_notes(&arena, terminal));
                arenas.push(arena);
            }
            Err(error) => {
                terminal.say(&format!("arena {}: {error}; left out", entry.name));
                status = status.worst(Status::Partly);
            }
        }
    }
    (arenas, status)
}

/// Says what is wrong with the place in which arenas lie.
pub fn say_wrong(notes: &[String], terminal: &Terminal) -> Status {
    notes.iter().for_each(|note| terminal.say(note));
    match notes.is_empty() {
        true => Status::Done,
        false => Status::Partly,
    }
}

/// Says what is odd about an arena: damage makes the run a partial one.
pub fn say_notes(arena: &Arena, terminal: &Terminal) -> Status {
    say_all(&format!("arena {}", arena.name), &arena.notes, terminal)
}

/// Says what is odd about an arena, or about the table of a partition. What only
/// a sync of the server could make damage is not said.
pub fn say_all(subject: &str, notes: &[Oddity], terminal: &Terminal) -> Status {
    let mut status = Status::Done;
    for note in notes {
        match note {
            Oddity::Uncounted(_) => continue,
            Oddity::Damaged(_) => status = Status::Partly,
            Oddity::Disagree(_) => {}
        }
        terminal.say(&format!("{subject}: {note}"));
    }
    status
}
