//! `cargo xtask demo`: a backup, a loss and a restore, as a person would type them.
//!
//! Each line after a `$` is run by a shell as it is printed. Everything that is said was
//! checked before; what is not true ends the demo with an error.

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::time::SystemTime;

use eyre::{OptionExt, ensure};
use venti_tests::sample::Sample;
use venti_tests::vac::{Item, Shape, Writer};
use venti_tests::venti::Venti;
use venticore::codec::blocktype::BlockType;
use venticore::codec::dial::Dial;
use venticore::codec::score::Score;
use venticore::net::client::{Client, Dialer};
use venticore::state::{Stamp, StateDir};

mod machine;

use machine::{Machine, Server, quoted};

/// The letters that are archived, one a day.
const LETTERS: [(&str, &str); 2] = [
    (
        "monday",
        "Dear Rob,\nthe venti is up.\nIt keeps everything.\n",
    ),
    (
        "tuesday",
        "Dear Rob,\nthe disk of the venti makes a noise.\nGood that there are two others.\n",
    ),
];

pub(crate) fn run(arguments: &[OsString]) -> eyre::Result<()> {
    ensure!(arguments.is_empty(), "takes no arguments");
    // What is still to be compiled shows before the demo begins.
    let directory = machine::place()?;
    show(&mut std::io::stdout(), &directory)
}

/// Does it in this directory, and tells it to `out`.
fn show(out: &mut dyn Write, directory: &Path) -> eyre::Result<()> {
    let machine = Machine::new(directory)?;
    writeln!(
        out,
        "Three ventis: the source, and two that keep copies of it."
    )?;
    writeln!(out, "  $ cd {}", quoted(directory))?;
    writeln!(out, "  $ export PATH={}:$PATH", quoted(machine::commands()))?;
    let mut source = machine.serve(out, "source")?;
    let mut one = machine.serve(out, "venti1")?;
    let mut two = machine.serve(out, "venti2")?;
    let [s, a, b] = [&source, &one, &two].map(Server::address);
    let backup = format!("ventiprog -d state -s {s} -p source {a} {b}");

    writeln!(
        out,
        "\n1. Monday: files are archived in the source. The first backup:"
    )?;
    let monday = Archive::of_day(1);
    monday.store(&s, directory)?;
    let said = machine.run(out, &backup)?;
    check_sent(&said, monday.blocks.len())?;

    writeln!(
        out,
        "\n2. Tuesday: one letter more. Only what is new is sent:"
    )?;
    let tuesday = Archive::of_day(2);
    tuesday.store(&s, directory)?;
    let said = machine.run(out, &backup)?;
    let is_new = |block: &&(BlockType, Score)| !monday.blocks.contains(block);
    check_sent(&said, tuesday.blocks.iter().filter(is_new).count())?;

    writeln!(
        out,
        "\n3. Is all of it there? Every block is read back from each copy:"
    )?;
    machine.run(out, &format!("rootcheck -d state -h {a} -h {b}"))?;
    machine.run(out, "ventilag -d state -p source")?;

    writeln!(out, "\n4. The source is lost:")?;
    machine.run(out, &format!("kill -9 {}", source.running.id()))?;
    ensure!(!source.running.end()?, "the source was not killed");

    writeln!(out, "\n5. Tuesday's letter comes back from a copy:")?;
    machine.run(out, &format!("rootget -n -h {a} state/rootscor letters"))?;
    let get = format!("rootget -h {a} -o back state/rootscor letters/tuesday");
    machine.run(out, &get)?;
    let letter = machine.run(out, "cat back/tuesday")?;
    ensure!(letter == LETTERS[1].1, "another letter came back");
    writeln!(out, "It is what was archived, byte for byte.")?;

    for server in [&mut one, &mut two] {
        ensure!(
            server.running.end()?,
            "{}: its status was not 0",
            server.store
        );
    }
    suggest(out, directory, &[source, one, two])
}

/// The summary of ventiprog has to say that each of two targets was sent `blocks` blocks.
fn check_sent(said: &str, blocks: usize) -> eyre::Result<()> {
    let expected = format!("2 targets current: {} blocks, ", 2 * blocks);
    ensure!(said.contains(&expected), "expected {expected:?}: {said}");
    Ok(())
}

/// What a reader can do with what the demo leaves.
fn suggest(out: &mut dyn Write, directory: &Path, servers: &[Server; 3]) -> eyre::Result<()> {
    let path = |name: &str| quoted(&directory.join(name));
    let program = |name: &str| quoted(&machine::commands().join(name));
    let [source, one, two] = servers;
    let (state, stores) = (path("state"), servers.each_ref().map(|s| path(s.store)));
    let of_source = format!("-d {state} -s {} -p {}", source.address(), stores[0]);
    let targets = format!("{} {}", one.address(), two.address());
    writeln!(
        out,
        "\nAll servers have ended; their stores are still there. What you can do next:"
    )?;
    writeln!(
        out,
        "\nStart the servers again. Each shows its arenas on a page:"
    )?;
    for (server, store) in servers.iter().zip(&stores) {
        writeln!(
            out,
            "  $ {} {} {store} &",
            program("ventiserve"),
            server.listen
        )?;
        writeln!(out, "    {}", server.page())?;
    }
    let ventiprog = program("ventiprog");
    let lines = [
        (
            "Back up again, and read back all that was backed up before:",
            format!("{ventiprog} {of_source} {targets}"),
        ),
        ("", format!("{ventiprog} --verify {of_source} {targets}")),
        (
            "See what is backed up where:",
            format!("{} -d {state} -p {}", program("ventilag"), stores[0]),
        ),
        (
            "List all files of the last archive:",
            format!(
                "{} -n -h {} {state}/rootscor",
                program("rootget"),
                two.address()
            ),
        ),
        (
            "List all archives that a store holds:",
            format!("{} {}", program("ventiroots"), stores[1]),
        ),
    ];
    for (what, line) in lines {
        if !what.is_empty() {
            writeln!(out, "{what}")?;
        }
        writeln!(out, "  $ {line}")?;
    }
    Ok(())
}

/// An archive: the blocks that vac would write, made in memory.
struct Archive {
    root: Score,
    blocks: Vec<(BlockType, Score)>,
    memory: Venti,
}

impl Archive {
    /// The letters of the first days, and some photos.
    fn of_day(day: usize) -> Self {
        let mut noise = Sample::new(1, 0);
        let photo = |n| Item::file(&format!("{n}.jpg"), &noise.noise(100_000));
        let photos: Vec<Item> = (1..=20).map(photo).collect();
        let letter = |&(name, text): &(&str, &str)| Item::file(name, text.as_bytes());
        let letters = LETTERS[..day].iter().map(letter).collect();
        let files = [
            Item::directory("letters", letters),
            Item::directory("photos", photos),
        ];
        let memory = Venti::start();
        let shape = Shape {
            dsize: 8192,
            psize: 8180,
            ..Shape::default()
        };
        let root = Writer::new(&memory, shape).archive(&files).score;
        Archive {
            root,
            blocks: memory.blocks(),
            memory,
        }
    }

    /// Writes it to a venti, and records its root, which is the key to it.
    fn store(&self, venti: &str, directory: &Path) -> eyre::Result<()> {
        let dial = Dial::parse(venti, None, Dial::VENTI)?;
        let mut client = Client::dial(&dial, &Dialer::default())?;
        for (ty, score) in &self.blocks {
            let block = self.memory.get(*ty, score).ok_or_eyre("a block is gone")?;
            client.write(*ty, score, &block)?;
        }
        client.sync()?;
        let stamp = Stamp {
            time: SystemTime::now(),
            host: "demo",
            tool: "demo",
        };
        let line = format!("vac:{} /usr/glenda {dial}", self.root);
        let state = StateDir::open(&directory.join("state"))?;
        state.append_rootscor(&stamp, &[line], StateDir::ROOTSCOR_WAIT)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
