//! A decoder of a member's header, written only from POSIX (pax, "pax Interchange Format"), the GNU
//! tar manual ("Storing Sparse Files", PAX format 1.0) and star(5). It is strict: it refuses forms
//! that Freezer does not write.

use std::collections::BTreeMap;

/// A decoded header.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    pub kind: u8,
    pub name: Vec<u8>,
    pub link: Vec<u8>,
    pub mode: u64,
    pub uid: u64,
    pub gid: u64,
    pub user: Vec<u8>,
    pub group: Vec<u8>,
    /// Seconds, and nanoseconds after them.
    pub mtime: (i128, i128),
    pub device: (u64, u64),
    /// Length of the file in bytes, holes included.
    pub size: u64,
    /// Length of the data that follows, in bytes.
    pub data_bytes: u64,
    /// Offset and length of each run; `None` if the member is not sparse.
    pub map: Option<Vec<(u64, u64)>>,
    /// The records of attributes and ACLs, by their whole keys.
    pub attributes: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Length of the decoded bytes.
    pub header_bytes: usize,
    /// Whether the header declares the texts in records as bytes.
    pub is_binary: bool,
    /// The keys of the records, in their order.
    pub keys: Vec<String>,
}

/// Decodes the header at the start of `bytes`.
pub fn decode(bytes: &[u8]) -> Decoded {
    let mut records = Vec::new();
    let mut block = &bytes[..512];
    let mut at = 512;
    if block[156] == b'x' {
        check(block);
        let length = usize::try_from(number(&block[124..136])).expect("fits");
        records = parse_records(&bytes[at..at + length]);
        at += length.next_multiple_of(512);
        assert!(
            bytes[512 + length..at].iter().all(|byte| *byte == 0),
            "records are filled up with zeros"
        );
        block = &bytes[at..at + 512];
        at += 512;
    }
    check(block);
    let (name, prefix) = (text(&block[..100]), text(&block[345..500]));
    let mut decoded = Decoded {
        kind: block[156],
        name: if prefix.is_empty() {
            name
        } else {
            [&prefix[..], b"/", &name].concat()
        },
        link: text(&block[157..257]),
        mode: number(&block[100..108]),
        uid: number(&block[108..116]),
        gid: number(&block[116..124]),
        user: text(&block[265..297]),
        group: text(&block[297..329]),
        mtime: (number(&block[136..148]).into(), 0),
        device: (number(&block[329..337]), number(&block[337..345])),
        size: number(&block[124..136]),
        ..Decoded::default()
    };
    let mut stored = decoded.size;
    let mut sparse = (false, false, None);
    for (key, value) in records {
        match key.as_slice() {
            b"hdrcharset" => decoded.is_binary = value == b"BINARY",
            b"path" => decoded.name = value,
            b"linkpath" => decoded.link = value,
            b"size" => stored = decimal(&value),
            b"uid" => decoded.uid = decimal(&value),
            b"gid" => decoded.gid = decimal(&value),
            b"uname" => decoded.user = value,
            b"gname" => decoded.group = value,
            b"mtime" => decoded.mtime = time(&value),
            b"GNU.sparse.major" => sparse.0 = value == b"1",
            b"GNU.sparse.minor" => sparse.1 = value == b"0",
            b"GNU.sparse.name" => decoded.name = value,
            b"GNU.sparse.realsize" => sparse.2 = Some(decimal(&value)),
            other => {
                assert!(
                    other.starts_with(b"SCHILY."),
                    "unknown record {}",
                    other.escape_ascii()
                );
                assert_eq!(
                    decoded.attributes.insert(key.clone(), value),
                    None,
                    "a record stands once"
                );
            }
        }
        decoded.keys.push(key.escape_ascii().to_string());
    }
    decoded.size = stored;
    decoded.data_bytes = stored;
    if let (true, true, Some(size)) = sparse {
        let (map, length) = parse_map(&bytes[at..]);
        at += length;
        decoded.size = size;
        decoded.data_bytes = stored - length as u64;
        decoded.map = Some(map);
    }
    decoded.header_bytes = at;
    decoded
}

fn check(block: &[u8]) {
    assert_eq!(&block[257..265], b"ustar\x0000", "magic and version");
    let sum: u64 = block
        .iter()
        .enumerate()
        .map(|(at, byte)| {
            if (148..156).contains(&at) {
                32
            } else {
                u64::from(*byte)
            }
        })
        .sum();
    assert_eq!(&block[154..156], b"\0 ");
    assert_eq!(number(&block[148..155]), sum, "checksum");
    assert!(
        block[500..].iter().all(|byte| *byte == 0),
        "the end of a header is empty"
    );
}

fn text(field: &[u8]) -> Vec<u8> {
    field
        .split(|byte| *byte == 0)
        .next()
        .expect("a part")
        .to_vec()
}

fn number(field: &[u8]) -> u64 {
    if field[0] & 0x80 == 0 {
        let digits = std::str::from_utf8(field)
            .expect("digits")
            .strip_suffix('\0')
            .expect("a number ends with NUL");
        return u64::from_str_radix(digits, 8).expect("octal digits");
    }
    assert_eq!(field[0], 0x80, "a positive base-256 number");
    field[1..].iter().fold(0u64, |number, byte| {
        number.checked_mul(256).expect("64 bits") + u64::from(*byte)
    })
}

fn decimal(value: &[u8]) -> u64 {
    let text = std::str::from_utf8(value).expect("digits");
    let number = text.parse().expect("a number");
    assert_eq!(format!("{number}"), text, "no sign, no leading zeros");
    number
}

fn time(value: &[u8]) -> (i128, i128) {
    const BILLION: i128 = 1_000_000_000;
    let text = std::str::from_utf8(value).expect("a number");
    let (negative, text) = text
        .strip_prefix('-')
        .map_or((false, text), |text| (true, text));
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "000000000"));
    assert_eq!(fraction.len(), 9);
    let all = seconds.parse::<i128>().expect("digits") * BILLION
        + fraction.parse::<i128>().expect("digits");
    let all = if negative { -all } else { all };
    (all.div_euclid(BILLION), all.rem_euclid(BILLION))
}

fn parse_records(mut bytes: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let space = bytes
            .iter()
            .position(|byte| *byte == b' ')
            .expect("a space ends the length");
        let length = usize::try_from(decimal(&bytes[..space])).expect("fits");
        let (record, rest) = bytes.split_at(length);
        let (last, body) = record[space + 1..].split_last().expect("not empty");
        assert_eq!(*last, b'\n', "a record ends its line");
        let equals = body.iter().position(|byte| *byte == b'=').expect("a key");
        records.push((body[..equals].to_vec(), body[equals + 1..].to_vec()));
        bytes = rest;
    }
    records
}

fn parse_map(bytes: &[u8]) -> (Vec<(u64, u64)>, usize) {
    let mut at = 0;
    let mut line = || {
        let length = bytes[at..]
            .iter()
            .position(|byte| *byte == b'\n')
            .expect("a line");
        let number = decimal(&bytes[at..at + length]);
        at += length + 1;
        number
    };
    let runs = line();
    let map = (0..runs).map(|_| (line(), line())).collect();
    let end = at.next_multiple_of(512);
    assert!(
        bytes[at..end].iter().all(|byte| *byte == 0),
        "a map is filled up with zeros"
    );
    (map, end)
}
