//! The parts of an object that a read hands over, and the rest of them when it breaks off.

use super::{Error, ErrorKind, ObjectName, Operation};

/// The parts of an object that one [`Store::read`](super::Store::read) hands over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection<'ask> {
    /// The whole object, as one piece.
    Whole {
        /// The most bytes it may have: a longer one is refused.
        limit: u64,
    },
    /// Parts of the object that stand one behind the other, each as one piece. Where they have no
    /// byte in all, the read only tells whether the object is there and reaches as far as `offset`.
    Pieces {
        /// The offset of the first one in the object, in bytes.
        offset: u64,
        /// The length of each of them in bytes.
        lengths: &'ask [usize],
    },
}

/// Returns how many bytes pieces from `offset` on have together.
///
/// # Errors
///
/// [`ErrorKind::Short`] when no object could reach as far as their end.
pub(super) fn length_of(name: &ObjectName, offset: u64, lengths: &[usize]) -> Result<usize, Error> {
    together(lengths)
        .filter(|length| offset.checked_add(*length as u64).is_some())
        .ok_or_else(|| Error::new(ErrorKind::Short, Operation::Get, name))
}

/// Returns the sum of the lengths; `None` when no object can be that long.
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

/// The pieces that a read has still to hand over. A read that broke off goes on with them, so that
/// no piece is handed over twice.
pub(super) struct LeftToRead<'ask> {
    wanted: Selection<'ask>,
    is_over: bool,
}

impl<'ask> LeftToRead<'ask> {
    /// Starts with everything left.
    pub(super) fn new(wanted: Selection<'ask>) -> Self {
        Self {
            wanted,
            is_over: false,
        }
    }

    /// Returns the selection for the next read.
    pub(super) fn wanted(&self) -> Selection<'ask> {
        self.wanted
    }

    /// Returns whether everything was handed over, or `take` wanted no more. An error after that
    /// does not matter.
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
            Selection::Whole { .. } => true,
            Selection::Pieces { offset, lengths } => {
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
    use super::{LeftToRead, Selection, cut};

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
        let mut unread = LeftToRead::new(Selection::Pieces {
            offset: 10,
            lengths: &lengths,
        });
        assert!(unread.hand_over(vec![0; 2], &mut |_| true) && !unread.is_over());
        let rest = Selection::Pieces {
            offset: 12,
            lengths: &[3, 4],
        };
        assert_eq!(unread.wanted(), rest);
        assert!(!unread.hand_over(vec![0; 3], &mut |_| false));
        assert!(unread.is_over(), "nobody wants the last one");
        let mut whole = LeftToRead::new(Selection::Whole { limit: 9 });
        assert!(whole.hand_over(vec![], &mut |_| true) && whole.is_over());
    }
}
