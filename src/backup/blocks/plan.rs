//! What a file will be made of: pieces that earlier levels have, and new ones.

use crate::model::{DataRun, Extent, FileOffset};

/// A file's extents are counted in windows of this many bytes.
const WINDOW_BYTES: u64 = 1 << 20;

/// A window with more pieces than this is stored again as a whole: reading it would mean reading
/// everywhere.
const MOST_PIECES: usize = 128;

/// A piece of a file's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// An earlier level has it.
    Kept(Extent),
    /// It is to be stored.
    New(DataRun),
}

impl Piece {
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

    /// Joins a piece that follows, if both are one.
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
pub(super) struct Plan {
    pieces: Vec<Piece>,
}

impl Plan {
    /// Appends a piece that comes after all there are.
    pub(super) fn push(&mut self, piece: Piece) {
        if piece.length() > 0 && !self.pieces.last_mut().is_some_and(|last| last.join(&piece)) {
            self.pieces.push(piece);
        }
    }

    pub(super) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// How many bytes behind `at` the last piece keeps, as far as it lies there.
    pub(super) fn kept_from(&self, at: u64) -> u64 {
        match self.pieces.last() {
            Some(Piece::Kept(extent)) => extent.end().saturating_sub(at.max(extent.at.0)),
            _ => 0,
        }
    }

    /// The new pieces.
    pub(super) fn new_runs(&self) -> impl Iterator<Item = DataRun> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::New(run) => Some(*run),
            Piece::Kept(_) => None,
        })
    }

    /// Whether to store the new pieces alone is worth it: where nearly all is new, a member of the
    /// whole file is better for all who read.
    pub(super) fn is_worth_it(&self) -> bool {
        let total: u64 = self.pieces.iter().map(Piece::length).sum();
        let new: u64 = self.new_runs().map(|run| run.length).sum();
        new <= total / 4 * 3
    }

    /// Makes new what has become too many pieces.
    pub(super) fn without_crumbs(self) -> Self {
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
                plan.push(if is_crumb { Piece::New(run) } else { *piece });
            }
            rest = later;
        }
        plan
    }
}
