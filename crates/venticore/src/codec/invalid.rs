//! A word that is not what it should be: a score, a number, a partition, a venti;
//! or a text.

/// Why a word or a text is not what it should be. What was found is shown quoted, with control
/// characters escaped.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Invalid {
    /// A score: the number of characters found where 40 hex digits were expected.
    #[error("a score has 40 hex digits, found {0} characters")]
    ScoreLength(usize),
    /// A score: the first character that is not a hex digit, and where it stands (from
    /// 0, after the label).
    #[error("a score has 40 hex digits, found {found:?} as character {}", at + 1)]
    ScoreDigit {
        /// The character.
        found: char,
        /// Where it stands.
        at: usize,
    },
    /// A number: the word, which is not all digits.
    #[error("expected a decimal, 0x hexadecimal or 0 octal number without suffix, found {0:?}")]
    Number(String),
    /// A size: the word.
    #[error(
        "expected a whole number of bytes, or one that ends in k, m, g or t, such as 1536m, \
         found {0:?}"
    )]
    Scaled(String),
    /// A number: the word, which has a leading 0 and other digits than octal ones.
    #[error("expected octal digits after the leading 0, found {0:?}")]
    Octal(String),
    /// A number: the word, whose value is 2^64 or more.
    #[error("expected a number below 2^64, found {0:?}")]
    TooLarge(String),
    /// A time: the word.
    #[error("expected a time such as 2026-11-22T03:56:12Z, found {0:?}")]
    Time(String),
    /// A partition: no text.
    #[error("expected a partition, found an empty word")]
    NoPartition,
    /// A partition: a NUL byte, which no path has.
    #[error("expected a partition, found a text with a NUL byte")]
    PartitionNul,
    /// A partition: what follows the last colon is neither a range nor a name.
    #[error("expected a range LO-HI or a partition's name after the last colon, found {0:?}")]
    Suffix(String),
    /// A line of verdicts: not of its form.
    #[error("expected vac:SCORE TARGET VERDICT BLOCKS BYTES TIME TOOL")]
    Verdict,
    /// The text of a configuration: longer than the room there is.
    #[error("expected at most {room} bytes of text, found {found}")]
    TextLong {
        /// The room, in bytes.
        room: usize,
        /// The bytes of the text.
        found: usize,
    },
    /// The text of a configuration: a zero byte, at which servers would end it, and where
    /// it stands.
    #[error("expected text, found a zero byte at {0}")]
    TextNul(usize),
    /// A venti: the whole text has another form.
    #[error("expected tcp!host!port, found {0:?}")]
    DialForm(String),
    /// A venti: a URL, as an index page has.
    #[error(
        "expected the address of a venti, such as HOST or tcp!HOST!{port}, found the URL {url:?}"
    )]
    DialUrl {
        /// The port of a venti.
        port: u16,
        /// The text.
        url: String,
    },
    /// A venti: several addresses with commas or blanks between them.
    #[error("expected one address, found {0:?}: give several as separate words")]
    DialList(String),
    /// A venti: the network is neither `tcp` nor `net`.
    #[error("expected network tcp or net, found {0:?}")]
    DialNet(String),
    /// A venti: the host is empty, `*`, or holds what no host name holds.
    #[error("expected a host name or address, found {0:?}")]
    DialHost(String),
    /// A venti: the port is neither a number from 1 to 65535 nor a known service.
    #[error("expected a port from 1 to 65535 or one of venti, 9fs, fossil, found {0:?}")]
    DialPort(String),
    /// A venti: a bare v6 address that may as well be an address and a port.
    #[error(
        "{0:?} may be an address or an address and a port, write tcp!address!port or [address]:port"
    )]
    DialAmbiguous(String),
    /// A venti: the text says `$venti` and the variable is not set.
    #[error("the variable $venti is not set")]
    VentiUnset,
    /// A venti: another variable than `$venti`.
    #[error("expected a host or the variable $venti, found {0:?}")]
    DialVariable(String),
    /// A network: neither an address nor one with a number of bits after a slash.
    #[error("expected an address or a network such as 10.0.0.0/8 or fd00::/8, found {0:?}")]
    Network(String),
    /// A network: its address has bits set that do not count; how it is written.
    #[error("expected {0}: a network has no bits beyond its prefix")]
    NetworkBits(String),
    /// A replica: not `dir:` and an absolute path that is one word.
    #[error(
        "expected dir:PATH, the path absolute and without \"..\", blanks and shell characters, found {0:?}"
    )]
    Replica(String),
    /// A replica in a bucket: not `s3:` and a URL without a user and a query.
    #[error(
        "expected s3:URL/BUCKET/PREFIX, such as s3:https://s3.example.org/venti/home, found {0:?}"
    )]
    Bucket(String),
}
