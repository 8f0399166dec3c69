//! What a read is to hand over, and what of it is left when the read breaks off.

use super::{Error, Kind, ObjectName, Verb};

/// What one [`Store::read`](super::Store::read) hands over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted<'ask> {
    /// The whole object, as one piece.
    Whole {
        /// The most bytes it may have: a longer one is refused.
        limit: u64,
    },
    /// Parts of the object that stand one behind the other, each as one piece. Where they have no
    /// byte in all, the read only tells whether the object is there and reaches as far as `offset`.
    Pieces {
        /// Where the first one begins, in bytes from the begin of the object.
        offset: u64,
        /// How many bytes each of them has.
        lengths: &'ask [usize],
    },
}

/// Returns how many bytes pieces from `offset` on have together.
///
/// # Errors
///
/// [`Kind::Short`] when no object could reach as far as their end.
pub(super) fn length_of(name: &ObjectName, offset: u64, lengths: &[usize]) -> Result<usize, Error> {
    together(lengths)
        .filter(|length| offset.checked_add(*length as u64).is_some())
        .ok_or_else(|| Error::new(Kind::Short, Verb::Get, name))
}

/// Returns how long pieces are together; `None` where no object could be so long.
pub(super) fn together(lengths: &[usize]) -> Option<usize> {
    lengths
        .iter()
        .try_fold(0_usize, |sum, length| sum.checked_add(*length))
}

/// Cuts bytes into pieces of these lengths, and hands each over until `take` returns `false`.
pub(super) fn cut(bytes: Vec<u8>, lengths: &[usize], take: &mut dyn FnMut(Vec<u8>) -> bool) {
    if lengths == [bytes.len()] {
        take(bytes);
        return;
    }
    let mut rest = bytes.as_slice();
    for length in lengths {
        let Some((piece, behind)) = rest.split_at_checked(*length) else {
            return;
        };
        rest = behind;
        if !take(piece.to_vec()) {
            return;
        }
    }
}

/// What a read has still to hand over. One that broke off goes on with it, so that no piece is
/// handed over twice.
pub(super) struct Unread<'ask> {
    wanted: Wanted<'ask>,
    is_over: bool,
}

impl<'ask> Unread<'ask> {
    /// Nothing was handed over yet.
    pub(super) fn new(wanted: Wanted<'ask>) -> Self {
        Self {
            wanted,
            is_over: false,
        }
    }

    /// Returns what is to be asked for next.
    pub(super) fn wanted(&self) -> Wanted<'ask> {
        self.wanted
    }

    /// Returns whether all was handed over, or `take` wants no more: what comes of the read after
    /// that does not matter.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Hands the next piece over; returns what `take` said.
    pub(super) fn hand_over(
        &mut self,
        piece: Vec<u8>,
        take: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> bool {
        let is_last = match &mut self.wanted {
            Wanted::Whole { .. } => true,
            Wanted::Pieces { offset, lengths } => {
                *offset = offset.saturating_add(piece.len() as u64);
                *lengths = lengths.get(1..).unwrap_or_default();
                lengths.is_empty()
            }
        };
        let goes_on = take(piece);
        self.is_over = is_last || !goes_on;
        goes_on
    }
}

#[cfg(test)]
mod tests {
    use super::{Unread, Wanted, cut};

    #[test]
    fn bytes_are_cut_where_the_pieces_end_and_no_further_than_they_are_wanted() {
        let pieces = |lengths: &[usize], most: usize| {
            let mut all = Vec::new();
            cut(b"abcdef".to_vec(), lengths, &mut |piece| {
                all.push(String::from_utf8(piece).expect("text"));
                all.len() < most
            });
            all
        };
        assert_eq!(pieces(&[6], 9), ["abcdef"]);
        assert_eq!(pieces(&[1, 0, 2, 3], 9), ["a", "", "bc", "def"]);
        assert_eq!(pieces(&[1, 2, 3], 2), ["a", "bc"]);
        assert_eq!(pieces(&[4, 4], 9), ["abcd"], "never a shorter piece");
    }

    #[test]
    fn a_read_that_broke_off_goes_on_behind_the_last_piece() {
        let lengths = [2, 3, 4];
        let mut unread = Unread::new(Wanted::Pieces {
            offset: 10,
            lengths: &lengths,
        });
        assert!(unread.hand_over(vec![0; 2], &mut |_| true) && !unread.is_over());
        let rest = Wanted::Pieces {
            offset: 12,
            lengths: &[3, 4],
        };
        assert_eq!(unread.wanted(), rest);
        assert!(!unread.hand_over(vec![0; 3], &mut |_| false));
        assert!(unread.is_over(), "nobody wants the last one");
        let mut whole = Unread::new(Wanted::Whole { limit: 9 });
        assert!(whole.hand_over(vec![], &mut |_| true) && whole.is_over());
    }
}
