//! The pieces that a file will be made of: those that earlier levels have, and new ones.

use crate::model::{DataRun, Extent, FileOffset};

/// Length in bytes of the windows in which a file's pieces are counted.
const WINDOW_BYTES: u64 = 1 << 20;

/// Most pieces of a window. One with more is stored again, but for long pieces: to read it would
/// take too many requests.
const MOST_PIECES: usize = 128;

/// A piece of a file's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::backup) enum PlannedPiece {
    /// An earlier level has it.
    Kept(Extent),
    /// This level stores it.
    New(DataRun),
}

impl PlannedPiece {
    fn at(&self) -> u64 {
        match self {
            Self::Kept(extent) => extent.at.0,
            Self::New(run) => run.at.0,
        }
    }

    fn length(&self) -> u64 {
        match self {
            Self::Kept(extent) => extent.length,
            Self::New(run) => run.length,
        }
    }

    fn end(&self) -> u64 {
        self.at() + self.length()
    }

    /// Joins a piece that follows without a gap. Returns whether it did.
    fn join(&mut self, next: &Self) -> bool {
        let touches = self.end() == next.at();
        match (self, next) {
            (Self::Kept(one), Self::Kept(other))
                if touches
                    && one.level == other.level
                    && one.stream.0 + one.length == other.stream.0 =>
            {
                one.length += other.length;
                true
            }
            (Self::New(one), Self::New(other)) if touches => {
                one.length += other.length;
                true
            }
            _ => false,
        }
    }
}

/// The data of a file, in order.
#[derive(Clone, Debug, Default)]
pub(in crate::backup) struct BlockPlan {
    pieces: Vec<PlannedPiece>,
}

impl BlockPlan {
    /// Appends a piece that comes after all others.
    pub(in crate::backup) fn push(&mut self, piece: PlannedPiece) {
        if piece.length() > 0 && !self.pieces.last_mut().is_some_and(|last| last.join(&piece)) {
            self.pieces.push(piece);
        }
    }

    pub(in crate::backup) fn pieces(&self) -> &[PlannedPiece] {
        &self.pieces
    }

    /// Returns how many bytes behind `at` the last piece keeps.
    pub(in crate::backup) fn kept_from(&self, at: u64) -> u64 {
        match self.pieces.last() {
            Some(PlannedPiece::Kept(extent)) => extent.end().saturating_sub(at.max(extent.at.0)),
            _ => 0,
        }
    }

    /// Returns the new pieces.
    pub(in crate::backup) fn new_runs(&self) -> impl Iterator<Item = DataRun> {
        self.pieces.iter().filter_map(|piece| match piece {
            PlannedPiece::New(run) => Some(*run),
            PlannedPiece::Kept(_) => None,
        })
    }

    /// Returns whether few enough bytes are new. A file that is mostly new is stored whole, because
    /// that is faster to read.
    pub(in crate::backup) fn is_worth_it(&self) -> bool {
        let total: u64 = self.pieces.iter().map(PlannedPiece::length).sum();
        let new: u64 = self.new_runs().map(|run| run.length).sum();
        new <= total / 4 * 3
    }

    /// Turns short kept pieces into new ones where a window has too many.
    pub(in crate::backup) fn without_crumbs(self) -> Self {
        if self.pieces.len() <= MOST_PIECES {
            return self;
        }
        let mut plan = Self::default();
        let mut rest = &self.pieces[..];
        while let Some(first) = rest.first() {
            let window = first.at() / WINDOW_BYTES;
            let (here, later) =
                rest.split_at(rest.partition_point(|piece| piece.at() / WINDOW_BYTES <= window));
            for piece in here {
                let is_crumb = here.len() > MOST_PIECES && piece.length() < WINDOW_BYTES / 4;
                let run = DataRun {
                    at: FileOffset(piece.at()),
                    length: piece.length(),
                };
                plan.push(if is_crumb {
                    PlannedPiece::New(run)
                } else {
                    *piece
                });
            }
            rest = later;
        }
        plan
    }
}
