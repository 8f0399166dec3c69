//! Reading a run: by key, by rank, and on from there.

use super::block_survey::SurveyedBlock;
use super::cache::{CachedNode, Claim, RunNumber};
use super::error::Flaw;
use super::node::Node;
use super::{BlockCache, BlockPlace, BlockSource, IndexError, RunRoot};
use std::fmt;
use std::sync::Arc;

/// An opened run. Cheap to clone; may be used from many threads at once.
#[derive(Clone, Debug)]
pub(super) struct Run {
    shared: Arc<Shared>,
    reach: Reach,
}

struct Shared {
    number: RunNumber,
    root: Arc<CachedNode>,
    source: Arc<dyn BlockSource>,
    cache: Arc<BlockCache>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("number", &self.number)
            .field("root", &self.root.claim)
            .finish_non_exhaustive()
    }
}

/// Where blocks may be had from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Source,
    CacheOnly,
}

/// An inner node on the way down, and which of its children was taken.
#[derive(Clone, Debug)]
struct Step {
    node: Arc<CachedNode>,
    position: usize,
}

impl Run {
    pub(super) fn open(
        root: RunRoot,
        source: Arc<dyn BlockSource>,
        cache: Arc<BlockCache>,
    ) -> Result<Self, IndexError> {
        let claim = Claim {
            place: BlockPlace::Root,
            height: root.height,
            first_rank: 0,
            entries: root.entries,
        };
        let node = Node::decode(root.node)
            .and_then(|node| checked(node, claim))
            .map_err(|flaw| flaw.within(BlockPlace::Root))?;
        let shared = Shared {
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

    /// The same run, but [`IndexError::NotCached`] in place of a fetch.
    pub(super) fn cached_only(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            reach: Reach::CacheOnly,
        }
    }

    /// How many entries it has.
    pub(super) fn entries(&self) -> u64 {
        self.shared.root.claim.entries
    }

    /// A cursor at the first entry whose key is not less than `key`.
    pub(super) fn seek(&self, key: &[u8]) -> Result<Cursor, IndexError> {
        let (above, leaf) = self.descend_to_key(key)?;
        let (Ok(position) | Err(position)) = leaf.node.search(key);
        let mut cursor = Cursor::new(self, above, leaf, position);
        if cursor.current().is_none() {
            cursor.next_leaf()?;
        }
        Ok(cursor)
    }

    /// A cursor at the last entry whose key is not greater than `key`; at the end when there is
    /// none.
    pub(super) fn seek_back(&self, key: &[u8]) -> Result<Cursor, IndexError> {
        let (above, leaf) = self.descend_to_key(key)?;
        let position = match leaf.node.search(key) {
            Ok(position) => position,
            Err(position) => position.checked_sub(1).unwrap_or(leaf.node.len()),
        };
        Ok(Cursor::new(self, above, leaf, position))
    }

    /// A cursor at the entry with this key, if there is one.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Cursor>, IndexError> {
        let (above, leaf) = self.descend_to_key(key)?;
        Ok(leaf
            .node
            .search(key)
            .ok()
            .map(|position| Cursor::new(self, above, leaf, position)))
    }

    /// A cursor at the entry with this rank, if there is one.
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

    fn descend_to_key(&self, key: &[u8]) -> Result<(Vec<Step>, Arc<CachedNode>), IndexError> {
        self.descend(|node| match node.search(key) {
            Ok(position) => position,
            Err(position) => position.saturating_sub(1),
        })
    }

    fn descend(
        &self,
        choose: impl Fn(&Node) -> usize,
    ) -> Result<(Vec<Step>, Arc<CachedNode>), IndexError> {
        let mut node = Arc::clone(&self.shared.root);
        let mut above = Vec::with_capacity(usize::from(node.node.height()));
        while node.node.height() > 0 {
            let position = choose(&node.node);
            let child = self.child(&node, position, &above)?;
            above.push(Step { node, position });
            node = child;
        }
        Ok((above, node))
    }

    /// Tells of every block below the root.
    pub(super) fn survey(&self, found: &mut dyn FnMut(SurveyedBlock)) {
        self.survey_below(&self.shared.root, &mut Vec::new(), found);
    }

    fn survey_below(
        &self,
        parent: &Arc<CachedNode>,
        above: &mut Vec<Step>,
        found: &mut dyn FnMut(SurveyedBlock),
    ) {
        let children = parent.node.children();
        for (position, child) in children.iter().enumerate() {
            let end = children
                .get(position + 1)
                .map_or(parent.claim.first_rank + parent.claim.entries, |next| {
                    next.first_rank
                });
            let read = self.child(parent, position, above);
            found(SurveyedBlock {
                address: child.address,
                height: parent.claim.height - 1,
                first: child.first_rank,
                entries: end - child.first_rank,
                fault: read.as_ref().err().cloned(),
            });
            if let Ok(node) = read.as_ref()
                && node.node.height() > 0
            {
                above.push(Step {
                    node: Arc::clone(parent),
                    position,
                });
                self.survey_below(node, above, found);
                above.pop();
            }
        }
    }

    /// The child of `parent` at `position`; `above` led to `parent`.
    fn child(
        &self,
        parent: &CachedNode,
        position: usize,
        above: &[Step],
    ) -> Result<Arc<CachedNode>, IndexError> {
        let children = parent.node.children();
        let Some(child) = children.get(position) else {
            return Err(Flaw::from("it has fewer children than entries").within(parent.claim.place));
        };
        let end = children
            .get(position + 1)
            .map_or(parent.claim.first_rank + parent.claim.entries, |next| {
                next.first_rank
            });
        let claim = Claim {
            place: BlockPlace::At(child.address),
            height: parent.claim.height - 1,
            first_rank: child.first_rank,
            entries: end - child.first_rank,
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
            Err(Flaw::from("two places in the tree lead to it").within(claim.place))
        }
    }
}

/// Holds a node against what its parent says of height and ranks. As children's ranks ascend within
/// their parent's, and heights fall by one, no way down a tree is endless.
fn checked(node: Node, claim: Claim) -> Result<CachedNode, Flaw> {
    if node.height() != claim.height {
        return Err(format!(
            "its height is {}, and should be {}",
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
            return Err("its children's ranks are not those its parent gives it".into());
        }
    } else if node.len() as u64 != claim.entries {
        return Err(format!(
            "it has {} entries, and should have {}",
            node.len(),
            claim.entries
        )
        .into());
    }
    Ok(CachedNode { node, claim })
}

/// Holds a child's keys against those of its parent: it begins with the key it stands under and
/// ends before the next.
fn check_keys(
    child: &Node,
    parent: &CachedNode,
    position: usize,
    above: &[Step],
) -> Result<(), Flaw> {
    let mut key = Vec::new();
    parent.node.key_into(position, &mut key);
    if child.len() == 0 || child.first_key() != key {
        return Err("its first key is not the one its parent gives it".into());
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
            return Err("its keys overlap those of the block after it".into());
        }
    }
    Ok(())
}

/// A place in a run: at an entry, or past the last. After an error it must not be used any more.
#[derive(Clone, Debug)]
pub(super) struct Cursor {
    run: Run,
    above: Vec<Step>,
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
    fn new(run: &Run, above: Vec<Step>, leaf: Arc<CachedNode>, position: usize) -> Self {
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

    /// The entry here; `None` past the last.
    pub(super) fn current(&self) -> Option<Item<'_>> {
        (self.position < self.leaf.node.len()).then(|| Item {
            rank: self.leaf.claim.first_rank + self.position as u64,
            key: &self.key,
            value: self.leaf.node.value(self.position),
        })
    }

    /// Goes to the first entry of the run whose key is not less than `key`.
    pub(super) fn seek(&mut self, key: &[u8]) -> Result<(), IndexError> {
        *self = self.run.clone().seek(key)?;
        Ok(())
    }

    /// Goes to the next entry.
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
        while let Some(Step { node, position }) = self.above.pop() {
            if position + 1 >= node.node.len() {
                continue;
            }
            let mut step = Step {
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
                step = Step {
                    node: child,
                    position: 0,
                };
            }
        }
        self.position = self.leaf.node.len();
        Ok(())
    }

    /// The block that the entry here stands in.
    pub(super) fn place(&self) -> BlockPlace {
        self.leaf.claim.place
    }

    /// An error about the entry here.
    pub(super) fn malformed(&self, flaw: Flaw) -> IndexError {
        let rank = self.leaf.claim.first_rank + self.position as u64;
        flaw.of_entry(rank).within(self.leaf.claim.place)
    }
}
