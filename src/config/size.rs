//! Numbers of bytes as people write and read them.

use std::fmt;
use std::str::FromStr;

/// A number of bytes: `33554432`, `32MiB`, `32M` (the same), `1.5G`, `4kB` (4000).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// A text that is not a number of bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write a number of bytes, such as 33554432, 32MiB or 1.5G")]
pub struct SizeError;

/// The letters of units, and their powers of 1024.
const UNITS: [(char, u32); 5] = [('k', 1), ('m', 2), ('g', 3), ('t', 4), ('p', 5)];

impl FromStr for ByteSize {
    type Err = SizeError;

    /// Parses a number with an optional unit. `K`, `M`, `G`, `T`, `P` alone or with `iB` are powers
    /// of 1024, with `B` powers of 1000. A fraction has at most nine digits.
    fn from_str(text: &str) -> Result<Self, SizeError> {
        let split = text
            .find(|character: char| !character.is_ascii_digit() && character != '.')
            .unwrap_or(text.len());
        let (number, unit) = text.split_at_checked(split).ok_or(SizeError)?;
        let factor = factor_of(&unit.trim_start().to_ascii_lowercase()).ok_or(SizeError)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        if whole.is_empty() || fraction.is_empty() || fraction.len() > 9 {
            return Err(SizeError);
        }
        let parse = |digits: &str| digits.parse::<u128>().map_err(|_| SizeError);
        let scale = 10_u128.pow(u32::try_from(fraction.len()).map_err(|_| SizeError)?);
        let whole = parse(whole)?.checked_mul(factor).ok_or(SizeError)?;
        let bytes = whole
            .checked_add(parse(fraction)? * factor / scale)
            .ok_or(SizeError)?;
        u64::try_from(bytes).map(Self).map_err(|_| SizeError)
    }
}

fn factor_of(unit: &str) -> Option<u128> {
    let mut letters = unit.chars();
    let Some(first) = letters.next() else {
        return Some(1);
    };
    if unit == "b" {
        return Some(1);
    }
    let (_, power) = UNITS.into_iter().find(|(letter, _)| *letter == first)?;
    match letters.as_str() {
        "" | "ib" => Some(1024_u128.pow(power)),
        "b" => Some(1000_u128.pow(power)),
        _ => None,
    }
}

/// Displays a number of bytes with about three digits and a unit of 1024.
#[derive(Clone, Copy, Debug)]
struct BytesInWords(u64);

/// Shows a number of bytes for people: `999 B`, `1.2 MiB`, `32 MiB`.
pub fn show_bytes(bytes: u64) -> impl fmt::Display {
    BytesInWords(bytes)
}

impl fmt::Display for BytesInWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [
            (1_u64 << 50, "PiB"),
            (1 << 40, "TiB"),
            (1 << 30, "GiB"),
            (1 << 20, "MiB"),
            (1 << 10, "KiB"),
        ];
        let Some((unit, name)) = units.into_iter().find(|(unit, _)| self.0 >= *unit) else {
            return f.pad(&format!("{} B", self.0));
        };
        let tenths = u128::from(self.0) * 10 / u128::from(unit);
        let text = match tenths {
            0..100 => format!("{}.{} {name}", tenths / 10, tenths % 10),
            _ => format!("{} {name}", tenths / 10),
        };
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::{ByteSize, show_bytes};

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("33554432", 33_554_432),
            ("32MiB", 33_554_432),
            ("32M", 33_554_432),
            ("32 mib", 33_554_432),
            ("4kB", 4000),
            ("1.5G", 1_610_612_736),
            ("0.1B", 0),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in [
            "",
            "M",
            "-1",
            "1.M",
            ".5M",
            "1x",
            "1MiBs",
            "1.1.1",
            "16EiB",
            "18446744073709551616",
            "99999999P",
            "\u{661}",
        ] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_shown_short() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (10 << 20, "10 MiB"),
            (u64::MAX, "16383 PiB"),
        ] {
            assert_eq!(show_bytes(bytes).to_string(), text);
        }
    }
}
