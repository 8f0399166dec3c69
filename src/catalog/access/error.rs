//! Why a store could not be opened or a manifest not be read.

use crate::catalog::known::Surprise;
use crate::format::DocumentError;
use crate::format::keys::KeyError;
use crate::format::manifest::ManifestError;
use crate::model::{Advice, Exit, LevelId, hints};
use crate::store::{self, ObjectName};

/// A store could not be opened, its keys not be changed, or a manifest not be read.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The place holds no store.
    #[error("there is no freezer store at {0}")]
    NoStore(String),
    /// The place holds backups, but the document that says how to read them is gone.
    #[error("{0} holds backups, but its freezer.json is missing")]
    IdentityLost(String),
    /// The store is encrypted and has no key left that a passphrase could open.
    #[error("the store {0} is encrypted, but its keys are missing")]
    KeysLost(String),
    /// The store is encrypted, and the caller gave no passphrase.
    #[error("the store {0} is encrypted, and no passphrase was given")]
    PassphraseNeeded(String),
    /// The passphrase opens no key of the store.
    #[error("wrong passphrase for the store {0}")]
    WrongPassphrase(String),
    /// The caller gave a passphrase for a store that encrypts nothing.
    #[error("a passphrase was given, but the store {0} is not encrypted")]
    NotEncrypted(String),
    /// The identity of the store was changed, or is damaged.
    #[error("freezer.json of the store {0} is not the one that its key vouches for")]
    IdentityForged(String),
    /// The identity says an earlier version than the key.
    #[error("freezer.json of the store {0} is of an earlier version than the store's keys")]
    Downgraded(String),
    /// The store has keys and says that it is not encrypted.
    #[error("the store {0} says that it is not encrypted, and has keys")]
    KeysInTheClear(String),
    /// The store is of an earlier version: it can be read and not be changed.
    #[error("the store {0} is of an earlier version of the format: it can only be read")]
    NeedsUpgrade(String),
    /// The store has features that this program does not know: it can be read and not be changed.
    #[error(
        "the store {store} has features that this freezer does not know ({features}): it can only \
         be read"
    )]
    ReadOnly {
        /// The location.
        store: String,
        /// The names of the features.
        features: String,
    },
    /// The master key was rotated, and the passphrase opens an earlier one.
    #[error("the key of the store {0} was rotated, and the passphrase is that of an earlier one")]
    OldKey(String),
    /// A document has a field that only a later program knows, and would have to be rewritten.
    #[error("{object} has a field that this freezer does not know ({field}): it stays as it is")]
    ForLater {
        /// The document.
        object: ObjectName,
        /// The field.
        field: String,
    },
    /// The place holds a store already.
    #[error("there is a freezer store at {0} already")]
    Exists(String),
    /// The place holds a store of its own, not a copy.
    #[error("{there} is a different store, not a copy of {here}")]
    OtherStore {
        /// Location of the store that was to be copied.
        here: String,
        /// Location of the store that was found.
        there: String,
    },
    /// The store has no key of this id.
    #[error("there is no key {0}")]
    NoKey(String),
    /// The last key may not be removed.
    #[error("{0} is the last key: without it nothing in the store could be read")]
    LastKey(String),
    /// There are more keys than are tried, or they cost too much: somebody may have put them there.
    #[error("the store {0} has more keys, or costlier ones, than freezer tries")]
    TooManyKeys(String),
    /// A document is damaged or newer than this program.
    #[error("could not use {object}")]
    Document {
        /// The document.
        object: ObjectName,
        /// What is wrong with it.
        source: DocumentError,
    },
    /// A key could not be made or used.
    #[error("could not use the passphrase")]
    Key(#[source] KeyError),
    /// A manifest is damaged, or is not the one that its name claims.
    #[error("could not read the manifest of level {level}")]
    Manifest {
        /// The level of the manifest.
        level: LevelId,
        /// What is wrong with the manifest.
        source: ManifestError,
    },
    /// The store is not what this client remembers.
    #[error(transparent)]
    Surprise(#[from] Surprise),
    /// The store failed.
    #[error("could not use the store")]
    Store(#[source] store::Error),
}

impl Advice for AccessError {
    fn exit(&self) -> Option<Exit> {
        match self {
            Self::NoStore(_) => Some(Exit::NoStore),
            Self::WrongPassphrase(_) | Self::PassphraseNeeded(_) => Some(Exit::Passphrase),
            Self::IdentityLost(_)
            | Self::KeysLost(_)
            | Self::NotEncrypted(_)
            | Self::IdentityForged(_)
            | Self::Downgraded(_)
            | Self::KeysInTheClear(_)
            | Self::NeedsUpgrade(_)
            | Self::ReadOnly { .. }
            | Self::OldKey(_)
            | Self::ForLater { .. }
            | Self::Exists(_)
            | Self::OtherStore { .. }
            | Self::NoKey(_)
            | Self::LastKey(_)
            | Self::TooManyKeys(_)
            | Self::Document { .. }
            | Self::Key(_)
            | Self::Manifest { .. }
            | Self::Surprise(_)
            | Self::Store(_) => None,
        }
    }

    fn hint(&self) -> Option<&str> {
        match self {
            Self::Surprise(surprise) => surprise.hint(),
            Self::NoStore(_) => {
                Some("freezer backup PATH makes one there; --store PATH names another")
            }
            Self::IdentityLost(_) => Some(
                "put freezer.json back from a copy of the store: without it nothing in the store \
                 can be read",
            ),
            Self::PassphraseNeeded(_) => Some(hints::PASS_FILE),
            Self::KeysLost(_) => Some(
                "put the folder keys back from a copy of the store: without one of its keys \
                 nothing in the store can be read",
            ),
            Self::WrongPassphrase(_) => Some(
                "any passphrase that freezer key add has added opens the store; upper and lower \
                 case differ",
            ),
            Self::NotEncrypted(_) => Some(
                "leave --encrypt-pass-file out, or name the store you meant; if this one was \
                 encrypted before, somebody has put another in its place",
            ),
            Self::IdentityForged(_) | Self::Downgraded(_) => Some(
                "put freezer.json and freezer-copy.json back from a copy of the store; if you did \
                 not change them, find out who can write there",
            ),
            Self::KeysInTheClear(_) => Some(
                "if the store was encrypted, somebody has changed freezer.json: put it back from \
                 a copy of the store; else remove the folder keys",
            ),
            Self::NeedsUpgrade(_) => Some(
                "freezer upgrade-store makes it version 2, which takes a moment; earlier versions \
                 of freezer cannot read it then",
            ),
            Self::ReadOnly { .. } | Self::ForLater { .. } => {
                Some("install a newer freezer; this one leaves the store as it is")
            }
            Self::OldKey(_) => Some(
                "use a passphrase that was added since freezer key rotate; freezer key list shows \
                 the keys",
            ),
            Self::Exists(_) => Some("choose another place with --store PATH"),
            Self::OtherStore { .. } => {
                Some("name an empty place, or one that was made as a copy of this store")
            }
            Self::NoKey(_) => Some("freezer key list shows the keys"),
            Self::TooManyKeys(_) => Some(
                "if you did not add them, remove documents from the store's folder keys that \
                 freezer did not make; the oldest is that of the store",
            ),
            Self::LastKey(_) => Some("freezer key change replaces its passphrase by a new one"),
            Self::Document { .. } | Self::Manifest { .. } => Some(hints::DAMAGED),
            Self::Key(_) | Self::Store(_) => None,
        }
    }
}

impl AccessError {
    /// Returns whether the store refused or did not answer. Such an error says nothing about what
    /// the store holds; any other means that what it holds is damaged or missing.
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::Store(error) if !error.kind().is_damage())
    }

    /// Returns whether the store says that there is no such object.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Store(error) if error.kind() == store::ErrorKind::Missing)
    }
}
