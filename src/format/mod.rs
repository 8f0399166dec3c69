//! What the stored bytes mean: encoder and decoder of each format side by side. No files, no network.
//!
//! `frame` is the unit everything is stored in; `segment` packs frames into objects; `tar` writes the members of the
//! stream; `manifest` is the document that makes a level exist; `keys` opens an encrypted store.
//! `docs/format.md` is the specification; its example bytes are tests.

pub mod frame;
pub mod tar;
