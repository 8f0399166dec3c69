//! The files in which a client keeps what it knows of stores: one JSON document for each store.

use super::memory::{KnownPoint, KnownStore};
use crate::format::identity::Cipher;
use crate::model::{Advice, BackupName, KeyEpoch, LevelId, LevelSerial, StoreId};
use crate::platform::durable::{self, Sharing};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

const VERSION: u32 = 1;

/// The most bytes of a document that are read. One backup takes some 200 bytes.
const MAX_BYTES: u64 = 16 << 20;

/// The folder that holds the documents, `known-stores` in the state folder of freezer.
///
/// A document is replaced as a whole, so that a run that is cut off leaves the old one or the new
/// one. Runs that end at the same time wait for each other at a lock file.
#[derive(Clone, Debug)]
pub(super) struct KnownFolder(PathBuf);

/// Why a document cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KnownStoresError {
    /// The file cannot be read or written.
    #[error("could not use {path}, which says what this machine knows of a store")]
    File {
        /// The path of the file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not a document of known stores.
    #[error("{path}, which says what this machine knows of a store, is damaged")]
    Damaged {
        /// The path of the file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A later version of freezer wrote it.
    #[error("a later version of freezer wrote {path} (version {version})")]
    Later {
        /// The path of the file.
        path: PathBuf,
        /// The version that it names.
        version: u32,
    },
}

impl Advice for KnownStoresError {
    fn hint(&self) -> Option<&str> {
        Some(match self {
            Self::File { .. } => "see to it that the folder can be read and written",
            Self::Damaged { .. } => {
                "--forget-store makes a new one; this machine then trusts the store as it is now"
            }
            Self::Later { .. } => "use the later version, or --forget-store",
        })
    }
}

#[derive(Serialize, Deserialize)]
struct StoreDocument {
    version: u32,
    id: String,
    cipher: Cipher,
    /// Left out by versions of freezer that knew only the first.
    #[serde(default = "first_version")]
    store_version: u32,
    #[serde(default)]
    epoch: u8,
    places: Vec<PlaceDocument>,
}

fn first_version() -> u32 {
    1
}

#[derive(Serialize, Deserialize)]
struct PlaceDocument {
    place: String,
    backups: Vec<PointDocument>,
}

#[derive(Serialize, Deserialize)]
struct PointDocument {
    host: String,
    name: String,
    level: String,
    serial: u64,
    /// SHA-256 of the stored manifest, in hexadecimal digits.
    digest: String,
}

impl KnownFolder {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    fn path(&self, id: StoreId) -> PathBuf {
        self.0.join(format!("{id}.json"))
    }

    /// Reads the document of one store.
    pub(super) fn read(&self, id: StoreId) -> Result<Option<KnownStore>, KnownStoresError> {
        let path = self.path(id);
        match read_bounded(&path) {
            Ok(bytes) => decode(&path, &bytes).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(KnownStoresError::File { path, source }),
        }
    }

    /// Lists the ids of the stores that have a document.
    pub(super) fn ids(&self) -> Result<Vec<StoreId>, KnownStoresError> {
        let failed = |source| KnownStoresError::File {
            path: self.0.clone(),
            source,
        };
        let entries = match std::fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut ids = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed)?.file_name();
            let stem = name.to_str().and_then(|name| name.strip_suffix(".json"));
            ids.extend(stem.and_then(|stem| stem.parse::<StoreId>().ok()));
        }
        Ok(ids)
    }

    /// Removes the document of a store.
    pub(super) fn remove(&self, id: StoreId) -> Result<(), KnownStoresError> {
        let path = self.path(id);
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(KnownStoresError::File { path, source })
            }
            _ => Ok(()),
        }
    }

    /// Replaces the document of a store by what `change` makes of it. Returns without writing
    /// where nothing changes.
    pub(super) fn update(
        &self,
        id: StoreId,
        change: impl FnOnce(Option<KnownStore>) -> KnownStore,
    ) -> Result<(), KnownStoresError> {
        let path = self.path(id);
        let failed = |source| KnownStoresError::File {
            path: path.clone(),
            source,
        };
        let _lock = self.lock().map_err(failed)?;
        let old = self.read(id)?;
        let new = change(old.clone());
        if old.as_ref() == Some(&new) {
            return Ok(());
        }
        durable::replace_file(&path, &encode(&new)).map_err(failed)
    }

    /// Waits until no other run changes documents. The lock ends with the file that is returned.
    fn lock(&self) -> io::Result<File> {
        std::fs::create_dir_all(&self.0)?;
        let path = self.0.join("lock");
        let file = match durable::create_file(&path, Sharing::private()) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                File::options().write(true).open(&path)?
            }
            file => file?,
        };
        file.lock()?;
        Ok(file)
    }
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn encode(store: &KnownStore) -> Vec<u8> {
    let point = |(backup, point): (&BackupName, &KnownPoint)| PointDocument {
        host: backup.host().to_owned(),
        name: backup.name().to_owned(),
        level: point.level.to_string(),
        serial: point.serial.0,
        digest: point.digest.clone(),
    };
    let document = StoreDocument {
        version: VERSION,
        id: store.id.to_string(),
        cipher: store.cipher,
        store_version: store.version,
        epoch: store.epoch.0,
        places: store
            .places
            .iter()
            .map(|(place, backups)| PlaceDocument {
                place: place.clone(),
                backups: backups.iter().map(point).collect(),
            })
            .collect(),
    };
    let mut bytes =
        serde_json::to_vec_pretty(&document).expect("plain text fields always become JSON");
    bytes.push(b'\n');
    bytes
}

fn decode(path: &Path, bytes: &[u8]) -> Result<KnownStore, KnownStoresError> {
    let damaged = |reason: String| KnownStoresError::Damaged {
        path: path.to_owned(),
        reason,
    };
    let document: StoreDocument =
        serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
    if document.version > VERSION {
        return Err(KnownStoresError::Later {
            path: path.to_owned(),
            version: document.version,
        });
    }
    let mut places = BTreeMap::new();
    for PlaceDocument { place, backups } in document.places {
        let points = backups.into_iter().map(known_point);
        places.insert(place, points.collect::<Result<_, _>>().map_err(damaged)?);
    }
    Ok(KnownStore {
        id: document
            .id
            .parse()
            .map_err(|_| damaged(document.id.clone()))?,
        cipher: document.cipher,
        version: document.store_version,
        epoch: KeyEpoch(document.epoch),
        places,
    })
}

fn known_point(point: PointDocument) -> Result<(BackupName, KnownPoint), String> {
    let backup = BackupName::new(&point.host, &point.name).map_err(|error| error.to_string())?;
    let level: LevelId = point.level.parse().map_err(|_| point.level.clone())?;
    let known = KnownPoint {
        level,
        serial: LevelSerial(point.serial),
        digest: point.digest,
    };
    Ok((backup, known))
}
