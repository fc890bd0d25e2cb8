//! A stand-in for `fossil -t`: its console is the controlling terminal.

use std::fs::OpenOptions;

use venti_tests::standin::{Script, StandIn};

fn main() {
    let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty");
    let Ok(terminal) = terminal else {
        eprintln!("consTTY: open /dev/tty: No such device or address");
        return;
    };
    let script = std::env::args().nth(1).filter(|word| word != "-t");
    let script = script.map_or_else(Script::default, |word| Script::from_word(&word));
    let input = terminal.try_clone().expect("another descriptor");
    let mut fossil = StandIn::new(terminal, script);
    if fossil.serve(input) {
        std::process::exit(1);
    }
    // Its console is gone. As the real one it goes on, without one.
    loop {
        std::thread::park();
    }
}
