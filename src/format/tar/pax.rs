//! The extended header of a member (type `x`): `length key=value` records, written where ustar is
//! too small.

use super::{fill_block, push_decimal, ustar};
use crate::model::Time;

/// Name of every `x` header, the one that Python's tarfile uses. The same bytes each time compress
/// to nothing.
const NAME: &[u8] = b"././@PaxHeader";

/// Declares that the texts of this header are bytes. Without it they count as UTF-8: readers may
/// convert them to their locale, and libarchive normalizes them to form C, which makes one name of
/// two.
const BINARY: &[u8] = b"21 hdrcharset=BINARY\n";

/// The records of one member, in the order in which they were added. Used again for each member.
#[derive(Debug, Default)]
pub(super) struct PaxRecords {
    bytes: Vec<u8>,
    value: Vec<u8>,
    binary: bool,
}

impl PaxRecords {
    /// Removes the records of the previous member.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.binary = false;
    }

    /// Adds a record whose value may be any bytes. The key is given in parts.
    pub(super) fn push(&mut self, key: &[&[u8]], value: &[u8]) {
        let body = key.iter().map(|part| part.len()).sum::<usize>() + value.len() + b" =\n".len();
        push_decimal(&mut self.bytes, (body + length_digits(body)) as u64);
        self.bytes.push(b' ');
        key.iter()
            .for_each(|part| self.bytes.extend_from_slice(part));
        self.bytes.push(b'=');
        self.bytes.extend_from_slice(value);
        self.bytes.push(b'\n');
    }

    /// Adds a record with a text, which may be any bytes.
    pub(super) fn push_text(&mut self, key: &[u8], text: &[u8]) {
        self.binary |= !text.is_ascii();
        self.push(&[key], text);
    }

    /// Adds a record with a decimal number.
    pub(super) fn push_number(&mut self, key: &[u8], number: u64) {
        self.push_written(key, |value| push_decimal(value, number));
    }

    /// Adds a record with a time, with all nine digits of a second: the length of records, and with
    /// it the header, is then nearly always the same. Times before 1970 are negative as a whole:
    /// half a second before 1970 is `-0.500000000`.
    pub(super) fn push_time(&mut self, key: &[u8], time: Time) {
        self.push_written(key, |value| {
            let (mut seconds, mut nanoseconds) = (time.seconds(), time.nanoseconds());
            if seconds < 0 {
                value.push(b'-');
                if nanoseconds > 0 {
                    seconds += 1;
                    nanoseconds = 1_000_000_000 - nanoseconds;
                }
            }
            push_decimal(value, seconds.unsigned_abs());
            if nanoseconds > 0 {
                value.push(b'.');
                let mut unit = 100_000_000;
                while unit > 0 {
                    value.push(super::digit(u64::from(nanoseconds / unit)));
                    unit /= 10;
                }
            }
        });
    }

    /// Adds a record whose value `write` makes.
    pub(super) fn push_written(&mut self, key: &[u8], write: impl FnOnce(&mut Vec<u8>)) {
        let mut value = std::mem::take(&mut self.value);
        value.clear();
        write(&mut value);
        self.push(&[key], &value);
        self.value = value;
    }

    /// Appends the `x` header and its records in whole blocks, or nothing if there are no records.
    pub(super) fn finish(&self, out: &mut Vec<u8>) {
        if self.bytes.is_empty() {
            return;
        }
        let charset = if self.binary { BINARY } else { b"" };
        let mut header = ustar::HeaderBlock::new(b'x');
        header.text(ustar::NAME, NAME);
        header.number(ustar::SIZE, (charset.len() + self.bytes.len()) as u64);
        header.finish(out);
        let start = out.len();
        out.extend_from_slice(charset);
        out.extend_from_slice(&self.bytes);
        fill_block(out, start);
    }
}

/// Returns how many digits the length of a record has. The length includes these digits.
fn length_digits(body: usize) -> usize {
    let mut digits = 1;
    let mut limit = 10;
    while body + digits >= limit {
        digits += 1;
        limit *= 10;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::PaxRecords;
    use crate::model::Time;

    fn time(seconds: i64, nanoseconds: u32) -> String {
        let mut records = PaxRecords::default();
        records.push_time(b"mtime", Time::new(seconds, nanoseconds));
        String::from_utf8(records.bytes).expect("text")
    }

    #[test]
    fn a_record_counts_its_own_length() {
        for length in [
            0, 1, 2, 3, 80, 89, 90, 91, 92, 93, 94, 980, 985, 986, 987, 988, 990, 9980, 9985, 9986,
            9990,
        ] {
            let mut records = PaxRecords::default();
            records.push(&[b"a", b"b"], &vec![b'v'; length]);
            let end = records
                .bytes
                .iter()
                .position(|byte| *byte == b' ')
                .expect("a space");
            let claimed: usize = std::str::from_utf8(&records.bytes[..end])
                .expect("text")
                .parse()
                .expect("a number");
            assert_eq!(claimed, records.bytes.len(), "value of {length}");
        }
    }

    #[test]
    fn a_time_is_a_decimal_number_also_before_1970() {
        assert_eq!(time(1_700_000_000, 5), "30 mtime=1700000000.000000005\n");
        assert_eq!(time(-1, 500_000_000), "22 mtime=-0.500000000\n");
        assert_eq!(time(-1, 0), "12 mtime=-1\n");
        assert_eq!(time(-2, 1), "22 mtime=-1.999999999\n");
        assert_eq!(time(1 << 33, 0), "20 mtime=8589934592\n");
        assert_eq!(time(i64::MIN, 0), "30 mtime=-9223372036854775808\n");
        assert_eq!(
            time(i64::MIN, 1),
            "40 mtime=-9223372036854775807.999999999\n"
        );
    }
}
