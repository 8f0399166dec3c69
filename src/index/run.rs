//! Reads a run: finds an entry by key or by rank, and reads on from there.

use super::cache::{BlockClaim, CachedNode, RunNumber};
use super::error::Flaw;
use super::node::{Node, NodeChild};
use super::{BlockCache, BlockPlace, BlockSource, IndexError, RunRoot};
use std::fmt;
use std::sync::Arc;

/// An opened run. Cheap to clone, and may be used from many threads at once.
#[derive(Clone, Debug)]
pub(super) struct RunReader {
    shared: Arc<SharedRun>,
    reach: Reach,
}

struct SharedRun {
    number: RunNumber,
    root: Arc<CachedNode>,
    source: Arc<dyn BlockSource>,
    cache: Arc<BlockCache>,
}

impl fmt::Debug for SharedRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunReader")
            .field("number", &self.number)
            .field("root", &self.root.claim)
            .finish_non_exhaustive()
    }
}

/// Where a reader may take blocks from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Source,
    CacheOnly,
}

/// An inner node on the path from the root, and the position of the child on that path.
#[derive(Clone, Debug)]
pub(super) struct StepDown {
    pub(super) node: Arc<CachedNode>,
    pub(super) position: usize,
}

impl RunReader {
    pub(super) fn open(
        root: RunRoot,
        source: Arc<dyn BlockSource>,
        cache: Arc<BlockCache>,
    ) -> Result<Self, IndexError> {
        let claim = BlockClaim {
            place: BlockPlace::Root,
            height: root.height,
            first_rank: 0,
            entries: root.entries,
        };
        let node = Node::decode(root.node)
            .and_then(|node| checked(node, claim))
            .map_err(|flaw| flaw.within(BlockPlace::Root))?;
        let shared = SharedRun {
            number: cache.register_run(),
            root: Arc::new(node),
            source,
            cache,
        };
        Ok(Self {
            shared: Arc::new(shared),
            reach: Reach::Source,
        })
    }

    /// Returns the same run, which fails with [`IndexError::NotCached`] instead of fetching a
    /// block.
    pub(super) fn cached_only(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            reach: Reach::CacheOnly,
        }
    }

    /// Returns the root.
    pub(super) fn root(&self) -> &Arc<CachedNode> {
        &self.shared.root
    }

    /// Returns how many entries the run has.
    pub(super) fn entries(&self) -> u64 {
        self.shared.root.claim.entries
    }

    /// Returns a cursor at the first entry whose key is not less than `key`.
    pub(super) fn seek(&self, key: &[u8]) -> Result<Cursor, IndexError> {
        let (above, leaf) = self.descend_to_key(key)?;
        let (Ok(position) | Err(position)) = leaf.node.search(key);
        let mut cursor = Cursor::new(self, above, leaf, position);
        if cursor.current().is_none() {
            cursor.next_leaf()?;
        }
        Ok(cursor)
    }

    /// Returns a cursor at the last entry whose key is not greater than `key`, or at the end if
    /// there is none.
    pub(super) fn seek_back(&self, key: &[u8]) -> Result<Cursor, IndexError> {
        let (above, leaf) = self.descend_to_key(key)?;
        let position = match leaf.node.search(key) {
            Ok(position) => position,
            Err(position) => position.checked_sub(1).unwrap_or(leaf.node.len()),
        };
        Ok(Cursor::new(self, above, leaf, position))
    }

    /// Returns a cursor at the entry with this key, if there is one.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Cursor>, IndexError> {
        let (above, leaf) = self.descend_to_key(key)?;
        Ok(leaf
            .node
            .search(key)
            .ok()
            .map(|position| Cursor::new(self, above, leaf, position)))
    }

    /// Returns a cursor at the entry with this rank, if there is one.
    pub(super) fn at(&self, rank: u64) -> Result<Option<Cursor>, IndexError> {
        if rank >= self.entries() {
            return Ok(None);
        }
        let (above, leaf) = self.descend(|node| {
            node.children()
                .partition_point(|child| child.first_rank <= rank)
                .saturating_sub(1)
        })?;
        let position = rank
            .checked_sub(leaf.claim.first_rank)
            .and_then(|position| usize::try_from(position).ok());
        Ok(position.map(|position| Cursor::new(self, above, leaf, position)))
    }

    fn descend_to_key(&self, key: &[u8]) -> Result<(Vec<StepDown>, Arc<CachedNode>), IndexError> {
        self.descend(|node| match node.search(key) {
            Ok(position) => position,
            Err(position) => position.saturating_sub(1),
        })
    }

    fn descend(
        &self,
        choose: impl Fn(&Node) -> usize,
    ) -> Result<(Vec<StepDown>, Arc<CachedNode>), IndexError> {
        let mut node = Arc::clone(&self.shared.root);
        let mut above = Vec::with_capacity(usize::from(node.node.height()));
        while node.node.height() > 0 {
            let position = choose(&node.node);
            let child = self.child(&node, position, &above)?;
            above.push(StepDown { node, position });
            node = child;
        }
        Ok((above, node))
    }

    /// Returns the child of `parent` at `position`. `above` is the path to `parent`.
    pub(super) fn child(
        &self,
        parent: &CachedNode,
        position: usize,
        above: &[StepDown],
    ) -> Result<Arc<CachedNode>, IndexError> {
        let Some((child, claim)) = claim_of(parent, position) else {
            return Err(Flaw::from("it has fewer children than entries").within(parent.claim.place));
        };
        let (cache, run, number) = (
            &self.shared.cache,
            self.shared.number,
            child.address.number.0,
        );
        let found = match self.reach {
            Reach::CacheOnly => cache
                .get(run, number)
                .ok_or(IndexError::NotCached(child.address))?,
            Reach::Source => cache.get_or_load(run, number, || {
                let bytes = self.shared.source.load(&child.address)?;
                let node = Node::decode(bytes).and_then(|node| {
                    check_keys(&node, parent, position, above)?;
                    checked(node, claim)
                });
                node.map_err(|flaw| flaw.within(claim.place))
            })?,
        };
        if found.claim == claim {
            Ok(found)
        } else {
            Err(Flaw::from("two blocks disagree about it").within(claim.place))
        }
    }
}

/// Returns what `parent` says of its child at `position`.
pub(super) fn claim_of(parent: &CachedNode, position: usize) -> Option<(NodeChild, BlockClaim)> {
    let children = parent.node.children();
    let child = *children.get(position)?;
    let end = children
        .get(position + 1)
        .map_or(parent.claim.first_rank + parent.claim.entries, |next| {
            next.first_rank
        });
    let claim = BlockClaim {
        place: BlockPlace::At(child.address),
        height: parent.claim.height - 1,
        first_rank: child.first_rank,
        entries: end - child.first_rank,
    };
    Some((child, claim))
}

/// Checks height and ranks of a node against what its parent says. Ranks of children ascend within
/// those of their parent, and heights fall by one, so every path down a tree ends.
fn checked(node: Node, claim: BlockClaim) -> Result<CachedNode, Flaw> {
    if node.height() != claim.height {
        return Err(format!(
            "its height is {}, but should be {}",
            node.height(),
            claim.height
        )
        .into());
    }
    let end = claim
        .first_rank
        .checked_add(claim.entries)
        .ok_or("it has more entries than can be counted")?;
    if let (Some(first), Some(last)) = (node.children().first(), node.children().last()) {
        if first.first_rank != claim.first_rank || last.first_rank >= end {
            return Err(
                "the ranks of its children are outside those that its parent gives it".into(),
            );
        }
    } else if node.len() as u64 != claim.entries {
        return Err(format!(
            "it has {} entries, but should have {}",
            node.len(),
            claim.entries
        )
        .into());
    }
    Ok(CachedNode { node, claim })
}

/// Checks the keys of a child against those of its parent: they begin with the key that the parent
/// has for it, and end before the parent's next key.
fn check_keys(
    child: &Node,
    parent: &CachedNode,
    position: usize,
    above: &[StepDown],
) -> Result<(), Flaw> {
    let mut key = Vec::new();
    parent.node.key_into(position, &mut key);
    if child.len() == 0 || child.first_key() != key {
        return Err("its first key differs from the one in its parent".into());
    }
    let steps_up = above
        .iter()
        .rev()
        .map(|step| (&step.node.node, step.position));
    let next = std::iter::once((&parent.node, position))
        .chain(steps_up)
        .find(|(node, position)| position + 1 < node.len());
    if let Some((node, position)) = next {
        let mut last = Vec::new();
        child.key_into(child.len() - 1, &mut last);
        node.key_into(position + 1, &mut key);
        if last >= key {
            return Err("its keys overlap those of the next block".into());
        }
    }
    Ok(())
}

/// A cursor in a run: at an entry, or past the last. It must not be used after an error.
#[derive(Clone, Debug)]
pub(super) struct Cursor {
    run: RunReader,
    above: Vec<StepDown>,
    leaf: Arc<CachedNode>,
    position: usize,
    key: Vec<u8>,
}

/// An entry of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item<'a> {
    pub(super) rank: u64,
    pub(super) key: &'a [u8],
    pub(super) value: &'a [u8],
}

impl Cursor {
    fn new(run: &RunReader, above: Vec<StepDown>, leaf: Arc<CachedNode>, position: usize) -> Self {
        let mut key = Vec::with_capacity(64);
        leaf.node.key_into(position, &mut key);
        Self {
            run: run.clone(),
            above,
            leaf,
            position,
            key,
        }
    }

    /// Returns the current entry; `None` past the last.
    pub(super) fn current(&self) -> Option<Item<'_>> {
        (self.position < self.leaf.node.len()).then(|| Item {
            rank: self.leaf.claim.first_rank + self.position as u64,
            key: &self.key,
            value: self.leaf.node.value(self.position),
        })
    }

    /// Moves to the first entry of the run whose key is not less than `key`.
    pub(super) fn seek(&mut self, key: &[u8]) -> Result<(), IndexError> {
        *self = self.run.clone().seek(key)?;
        Ok(())
    }

    /// Moves to the next entry.
    pub(super) fn advance(&mut self) -> Result<(), IndexError> {
        self.position += 1;
        if self.position < self.leaf.node.len() {
            self.leaf.node.advance_key(self.position, &mut self.key);
            Ok(())
        } else {
            self.next_leaf()
        }
    }

    fn next_leaf(&mut self) -> Result<(), IndexError> {
        while let Some(StepDown { node, position }) = self.above.pop() {
            if position + 1 >= node.node.len() {
                continue;
            }
            let mut step = StepDown {
                node,
                position: position + 1,
            };
            loop {
                let child = self.run.child(&step.node, step.position, &self.above)?;
                self.above.push(step);
                if child.node.height() == 0 {
                    self.leaf = child;
                    self.position = 0;
                    self.leaf.node.key_into(0, &mut self.key);
                    return Ok(());
                }
                step = StepDown {
                    node: child,
                    position: 0,
                };
            }
        }
        self.position = self.leaf.node.len();
        Ok(())
    }

    /// Returns the block that holds the current entry.
    pub(super) fn place(&self) -> BlockPlace {
        self.leaf.claim.place
    }

    /// Makes an error about the current entry.
    pub(super) fn malformed(&self, flaw: Flaw) -> IndexError {
        let rank = self.leaf.claim.first_rank + self.position as u64;
        flaw.of_entry(rank).within(self.leaf.claim.place)
    }
}
