//! Many objects as one large one, which other programs can fetch whole.

use super::container::Container;
use crate::net::{Method, RequestBody};
use crate::store::object_server::{self as server, ObjectRequest, ObjectServer, in_path, in_query};
use crate::store::{Error, ErrorKind, ObjectName, Operation};

/// How many parts a static large object may have where the server does not say so.
const MOST_PARTS: u64 = 1000;

/// Makes a static large object, or a dynamic one where the server has none of the first sort or the
/// parts are too many.
pub(super) fn join(
    container: &Container,
    whole: &ObjectName,
    parts: &str,
    count: u64,
) -> Result<(), Error> {
    let path = container.path_of(whole);
    let ask = |path| ObjectRequest::new(Operation::Put, Some(whole), Method::PUT, path);
    match static_manifest(container, parts, count, whole)? {
        Some(manifest) => {
            let ask = ask(format!("{path}?multipart-manifest=put"));
            server::done(container, &ask.sending(RequestBody::Bytes(&manifest)))
        }
        None => {
            let all = format!(
                "{}/{}",
                in_query(&container.name),
                in_path(&format!("{}{parts}", container.prefix))
            );
            let ask = ask(path).with([("x-object-manifest", all)]);
            server::done(container, &ask.sending(RequestBody::Bytes(&[])))
        }
    }
}

/// Returns a manifest that names each part and its sum; `None` when the server takes none of that
/// length.
fn static_manifest(
    container: &Container,
    parts: &str,
    count: u64,
    whole: &ObjectName,
) -> Result<Option<Vec<u8>>, Error> {
    let most = container
        .info()?
        .slo
        .map(|limits| limits.max_manifest_segments.unwrap_or(MOST_PARTS));
    if most.is_none_or(|most| count > most) {
        return Ok(None);
    }
    let mut entries: Vec<serde_json::Value> = Vec::new();
    container.each(parts, &mut |name, object| {
        entries.push(serde_json::json!({
            "path": format!("/{}/{name}", container.name),
            "etag": object.hash,
            "size_bytes": object.bytes,
        }));
        entries.len() as u64 <= count
    })?;
    if entries.len() as u64 != count {
        // The last objects may come into the listing late.
        return Err(Error::new(ErrorKind::Unavailable, Operation::Put, whole)
            .because(format!("{} of {count} parts are listed", entries.len())));
    }
    serde_json::to_vec(&entries)
        .map(Some)
        .map_err(|error| Error::new(ErrorKind::Failed, Operation::Put, whole).because(error))
}
