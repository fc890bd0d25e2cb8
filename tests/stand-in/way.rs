//! A stand-in for `ssh -W`: it carries a connection to a port of the loopback on its
//! standard input and output, or fails as its first word says.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::{env, process, thread};

/// What it ends with where ssh itself fails.
const FAILED: i32 = 255;

fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["to", port] => carry(port, u64::MAX),
        // Its number goes to a file.
        ["noted", file, port] => {
            fs::write(file, process::id().to_string()).expect("our own file");
            carry(port, u64::MAX);
        }
        // The first time it ends after some bytes.
        ["once", file, bytes, port] => {
            let most = match File::create_new(file) {
                Ok(_) => bytes.parse().expect("a number"),
                Err(_) => u64::MAX,
            };
            carry(port, most);
        }
        ["says", text, status] => {
            eprintln!("{text}");
            process::exit(status.parse().expect("a status"));
        }
        ["hangs"] => loop {
            thread::park();
        },
        _ => panic!("{words:?}: no such words"),
    }
}

/// Carries bytes both ways until the server has closed; after so many to it, it fails.
fn carry(port: &str, most: u64) {
    let connected = TcpStream::connect(("127.0.0.1", port.parse().expect("a port")));
    let server = connected.unwrap_or_else(|error| {
        eprintln!("connect to port {port}: {error}");
        process::exit(FAILED)
    });
    let mut to_server = server.try_clone().expect("a second descriptor");
    thread::spawn(move || {
        let passed = copy(&mut io::stdin(), &mut to_server, most);
        if passed.is_ok_and(|passed| passed >= most) {
            eprintln!("Connection to the other machine closed by a test.");
            process::exit(FAILED);
        }
        let _ = to_server.shutdown(Shutdown::Write);
    });
    // Without a buffer of lines.
    let output = io::stdout().as_fd().try_clone_to_owned();
    let mut output = File::from(output.expect("a second descriptor"));
    let _ = copy(&mut &server, &mut output, u64::MAX);
}

/// Passes bytes on as they come; says how many.
fn copy(from: &mut impl Read, to: &mut impl Write, most: u64) -> io::Result<u64> {
    let (mut buffer, mut passed) = ([0; 16 * 1024], 0);
    while passed < most {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        to.write_all(buffer.get(..count).unwrap_or_default())?;
        passed += count as u64;
    }
    Ok(passed)
}
