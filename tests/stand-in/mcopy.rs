//! A stand-in for `mcopy -o -i IMAGE - ::NAME`, with a fault as its first word:
//! `none`, or what it does wrong.

use std::io::Read;
use std::{env, fs, io, process, thread};

use venti_tests::fat::Fat;

fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    let [fault, image, name] = &words[..] else {
        eprintln!("expected a fault, an image and a name");
        process::exit(1);
    };
    let mut contents = Vec::new();
    io::stdin().read_to_end(&mut contents).expect("contents");
    let mut bytes = fs::read(image).expect("an image");
    let name = name.trim_start_matches("::");
    match fault.as_str() {
        "fails" => {
            eprintln!("Cannot initialize '::'");
            process::exit(1);
        }
        "hangs" => loop {
            thread::park();
        },
        "cuts" => contents.truncate(contents.len() / 2),
        "elsewhere" => bytes = Fat::new(&bytes).with("PLAN9   INI", b"bootfile=none\n"),
        "kernel" => {
            let at = Fat::new(&bytes).start_of("9PCF");
            bytes[at + 600] ^= 1;
        }
        "boot" => bytes[3] ^= 1,
        "lost" => bytes = Fat::new(&bytes).with("LOST", &[1; 600]),
        "grows" => bytes.push(0),
        "floods" => (0..100_000).for_each(|_| println!("{:100}", 0)),
        _ => {}
    }
    let mut bytes = Fat::new(&bytes).with(name, &contents);
    if fault == "lost" {
        // Its name goes, and its clusters stay.
        let name = bytes.windows(11).position(|name| name == b"LOST       ");
        bytes[name.expect("an entry")] = 0xe5;
    }
    fs::write(image, bytes).expect("written");
}
