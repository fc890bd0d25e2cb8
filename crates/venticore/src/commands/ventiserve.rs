//! The command ventiserve: a store opened, and served until a signal ends it.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use eyre::{Result, WrapErr};
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::low_level::pipe;

use crate::codec::dial::Dial;
use crate::codec::network::Network;
use crate::codec::operand::Operand;
use crate::codec::replica::ReplicaName;
use crate::config::{Config, Service};
use crate::host::supervisor;
use crate::host::terminal::Terminal;
use crate::net::addresses;
use crate::replica::StoreAccess;
use crate::serve::{Doors, Event, Limits, Server, Signals, Sums};
use crate::status::Status;
use crate::store::{CACHE_LARGEST, CACHE_SMALLEST, Keeper, Settings, Store, create, disk};
use crate::text::counted;
use crate::text::html::bytes;

/// The port of the pages, where `-H` does not name one.
const WEB: u16 = 8000;

/// How long a name look-up may take.
const LOOK_UP: Duration = Duration::from_secs(10);

/// Bytes of memory for blocks that were read, without `--cache`.
const CACHE: u64 = 64 << 20;

/// What sockets for HTTP are called in a socket unit.
const WEB_SOCKET: &str = "http";

/// What was asked for on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `-a`: where it listens.
    pub addresses: Vec<String>,
    /// `-H`: where it serves pages.
    pub web: Vec<String>,
    /// `-c`: bytes of stores that it makes.
    pub create: Option<u64>,
    /// `-A`: bytes of the arenas in them.
    pub arena_size: Option<u64>,
    /// `--cache`: bytes of memory for blocks that were read.
    pub cache: Option<u64>,
    /// `--allow`: who is let in.
    pub allow: Vec<Network>,
    /// `-r`: nothing is written.
    pub read_only: bool,
    /// `-v`: say more.
    pub verbose: bool,
    /// The stores.
    pub stores: Vec<OsString>,
}

impl Options {
    /// Whether the options go together.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn check(&self) -> Result<(), String> {
        if self.read_only && self.create.is_some() {
            return Err("-c makes a store, which -r forbids".to_owned());
        }
        if self.arena_size.is_some() && self.create.is_none() {
            return Err("-A is for stores that -c makes".to_owned());
        }
        if let Some(bytes @ 1..) = self.cache
            && !(CACHE_SMALLEST..=CACHE_LARGEST).contains(&bytes)
        {
            return Err(format!(
                "--cache: expected 0, or 1m to 64g, found {bytes} bytes"
            ));
        }
        Ok(())
    }
}

/// Runs the command: returns when a signal has ended it and all is on disk.
///
/// # Errors
/// A store cannot be opened, an address is not one or is taken, or the last sync failed.
pub fn run(mut options: Options, terminal: Terminal) -> Result<Status> {
    let terminal = Arc::new(terminal);
    let service = Service::take().wrap_err("$LISTEN_FDS")?;
    let signals = signals().wrap_err("signals")?;
    let venti = places(&options.addresses, Dial::VENTI)?;
    let web = places(&options.web, WEB)?;
    let allow = std::mem::take(&mut options.allow);
    let listen = || doors(service.sockets, &venti, &web, allow);
    let (store, doors) = match options.create {
        // A server that cannot be reached leaves no store behind.
        Some(_) => {
            let doors = listen()?;
            (open(&options, &terminal)?, doors)
        }
        // Nobody waits on a connection while the index is made.
        None => (open(&options, &terminal)?, listen()?),
    };
    let store = Arc::new(store);
    let server = Server::new(Arc::clone(&store), Limits::default()).wrap_err("threads")?;
    if options.verbose || io::stderr().is_terminal() {
        terminal.say(&format!("serving {}, {}", holds(&store), listens(&doors)));
    }
    let keeper = Keeper::start(Arc::clone(&store)).wrap_err("threads")?;
    let tell = |state| tell(service.notify.as_deref(), state, &terminal);
    tell("READY=1");
    let served = server.run(&doors, &signals, |event| match event {
        Event::Status => terminal.say(&status_line(&store, &server)),
        Event::Ending => tell("STOPPING=1"),
    });
    drop(doors);
    drop(keeper);
    let synced = store.sync();
    served.wrap_err("sockets")?;
    synced.map_err(|refusal| eyre::eyre!("not all is on disk: {refusal}"))?;
    Ok(Status::Done)
}

/// Whether a text can only be meant as a part of a disk, or as a device: no file is made
/// of a word that is mistyped.
fn is_part(operand: &Operand) -> bool {
    let bytes = operand.as_os_str().as_encoded_bytes();
    bytes.contains(&b':') || operand.as_path().starts_with("/dev")
}

/// How replicas are reached. The configuration is of no other use here, and not read.
fn access(operands: &[Operand]) -> Result<StoreAccess> {
    let is_replica = |operand: &Operand| {
        let text = operand.as_os_str().to_str();
        text.is_some_and(ReplicaName::is_meant)
    };
    match operands.iter().any(is_replica) {
        true => Ok(Config::load()?.replicas),
        false => Ok(StoreAccess::default()),
    }
}

/// The stores, those made that are not there.
fn open(options: &Options, terminal: &Arc<Terminal>) -> Result<Store> {
    let operands = options.stores.iter().map(|text| Operand::try_from(&**text));
    let operands: Vec<Operand> = operands.collect::<Result<_, _>>()?;
    if let Some(size) = options.create {
        let arena = options.arena_size.unwrap_or(create::ARENA);
        make(&operands, size, arena)?;
    }
    let access = access(&operands)?;
    let say = |line: &str| terminal.say(line);
    let disks = disk::open_all(&operands, options.read_only, &access, &say)?;
    let said = Arc::clone(terminal);
    let settings = Settings {
        read_only: options.read_only,
        cache: options.cache.unwrap_or(CACHE),
        say: Box::new(move |line| said.say(line)),
    };
    Store::open(disks, settings)
}

/// Makes the stores that are not there. Their arenas have other names than those in the
/// stores that are.
fn make(operands: &[Operand], size: u64, arena: u64) -> Result<()> {
    let (there, missing): (Vec<_>, Vec<_>) = operands
        .iter()
        .partition(|operand| operand.as_path().exists() || is_part(operand));
    if missing.is_empty() {
        return Ok(());
    }
    let mut taken = there.into_iter().flat_map(disk::arena_names).collect();
    for operand in missing {
        create::create(operand.as_path(), size, arena, &mut taken)?;
    }
    Ok(())
}

/// Where a byte comes for each signal.
fn signals() -> io::Result<Signals> {
    let (end, ends) = UnixStream::pair()?;
    for number in [SIGTERM, SIGINT] {
        pipe::register(number, ends.try_clone()?)?;
    }
    let (status, asks) = UnixStream::pair()?;
    pipe::register(SIGUSR1, asks)?;
    Ok(Signals { end, status })
}

/// What the options say of where to listen: `*` stands for all addresses of the machine.
fn places(texts: &[String], port: u16) -> Result<Vec<Dial>> {
    let place = |text: &String| {
        let all = match text.split_once('*') {
            Some((before, after)) if after.starts_with(':') => format!("{before}[::]{after}"),
            Some((before, after)) => format!("{before}::{after}"),
            None => text.clone(),
        };
        let dial = Dial::with_default_port(&all, port);
        dial.wrap_err_with(|| format!("address {text:?}"))
    };
    texts.iter().map(place).collect()
}

/// Listens: on the sockets that were handed over, and otherwise where the options say.
fn doors(
    handed: Vec<(String, TcpListener)>,
    venti: &[Dial],
    web: &[Dial],
    allow: Vec<Network>,
) -> Result<Doors> {
    let is_web = |(name, _): &(String, TcpListener)| name == WEB_SOCKET;
    let (handed_web, handed): (Vec<_>, Vec<_>) = handed.into_iter().partition(is_web);
    let sockets = |handed: Vec<(String, TcpListener)>| handed.into_iter().map(|(_, s)| s);
    let mut doors = Doors {
        venti: sockets(handed).collect(),
        web: sockets(handed_web).collect(),
        allow,
    };
    doors.venti.extend(listeners(venti)?);
    doors.web.extend(listeners(web)?);
    if doors.venti.is_empty() {
        doors.venti = loopback()?;
    }
    Ok(doors)
}

fn listeners(places: &[Dial]) -> Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    for place in places {
        let found = addresses::within(place, LOOK_UP).wrap_err_with(|| place.to_string())?;
        for address in found {
            listeners.push(listen(address).wrap_err_with(|| place.to_string())?);
        }
    }
    Ok(listeners)
}

/// The loopback, by both kinds of address where the machine has both.
fn loopback() -> Result<Vec<TcpListener>> {
    let four = SocketAddr::from(([127, 0, 0, 1], Dial::VENTI));
    let six = SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], Dial::VENTI));
    let mut listeners = vec![listen(four).wrap_err_with(|| four.to_string())?];
    match listen(six) {
        Ok(listener) => listeners.push(listener),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            return Err(error).wrap_err_with(|| six.to_string());
        }
        // There is none of that kind.
        Err(_) => {}
    }
    Ok(listeners)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(address) {
        // A machine without IPv6, where all addresses are those of IPv4.
        Err(error)
            if address.ip() == std::net::Ipv6Addr::UNSPECIFIED
                && error.kind() != io::ErrorKind::AddrInUse =>
        {
            TcpListener::bind(SocketAddr::from(([0, 0, 0, 0], address.port())))
        }
        bound => bound,
    }
}

fn tell(socket: Option<&Path>, state: &str, terminal: &Terminal) {
    let told = socket.map_or(Ok(()), |socket| supervisor::tell(socket, state));
    if let Err(error) = told {
        terminal.say(&format!("$NOTIFY_SOCKET: {state} not sent: {error}"));
    }
}

/// What the store holds, for one line.
fn holds(store: &Store) -> String {
    let blocks = Sums::of(&store.arenas()).clumps;
    let blocks = counted(blocks, "block", "blocks");
    let line = format!("{blocks}, {} free", bytes(store.room()));
    match store.read_only() {
        Some(why) => format!("{line}, {why}"),
        None => line,
    }
}

fn listens(doors: &Doors) -> String {
    let place = |door: &TcpListener| {
        let address = door.local_addr().ok()?;
        Some(format!("tcp!{}!{}", address.ip(), address.port()))
    };
    let venti: Vec<String> = doors.venti.iter().filter_map(place).collect();
    let web: Vec<String> = doors.web.iter().filter_map(place).collect();
    let mut line = format!("listening on {}", venti.join(" "));
    if !web.is_empty() {
        line = format!("{line}, http on {}", web.join(" "));
    }
    line
}

/// How it is, on one line.
fn status_line(store: &Store, server: &Server) -> String {
    let (counts, connections) = (store.counts(), server.connections());
    format!(
        "{}; since the start: {} stored, {}, {} stored again, {} read, {} from \
         the cache, {} absent, {} damaged, {}; {}, {} taken, {} refused, {} closed for others",
        holds(store),
        counts.stored,
        counted(counts.duplicates, "duplicate", "duplicates"),
        counts.healed,
        counts.reads,
        store.cache_counts().hits,
        counts.absent,
        counts.damaged,
        counted(counts.syncs, "sync", "syncs"),
        counted(connections.open, "connection", "connections"),
        connections.taken,
        connections.refused,
        connections.closed,
    )
}
