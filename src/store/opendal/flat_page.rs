//! A page of a listing of Azure or Google, checked before OpenDAL reads it: like paths of WebDAV
//! (see `multistatus`), names are cut without a look at them there.

use serde::Deserialize;

/// The longest token for the next page, in bytes.
const MAX_TOKEN: usize = 8 << 10;

/// Why a page is not believed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoPage {
    #[error("the answer is no page of a listing")]
    Unreadable,
    #[error("the server lists {0:.300?}, which was not asked for")]
    Elsewhere(String),
    #[error("the server sends a token of {0} bytes for the next page")]
    LongToken(usize),
    #[error("the server sends an empty token for the next page")]
    EmptyToken,
}

/// A page of Azure, in XML.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AzurePage {
    blobs: AzureBlobs,
    next_marker: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AzureBlobs {
    #[serde(default)]
    blob: Vec<AzureBlob>,
    #[serde(default)]
    blob_prefix: Vec<AzureBlob>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AzureBlob {
    name: String,
}

/// A page of Google, in JSON.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GooglePage {
    #[serde(default)]
    items: Vec<GoogleItem>,
    #[serde(default)]
    prefixes: Vec<String>,
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
struct GoogleItem {
    name: String,
}

/// Checks that all names of a page begin with `prefix`, and that its token is one.
pub(super) fn check(document: &[u8], prefix: &str) -> Result<(), NoPage> {
    let text = str::from_utf8(document).map_err(|_| NoPage::Unreadable)?;
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let (names, token) = if text.starts_with('{') {
        let page: GooglePage = serde_json::from_str(text).map_err(|_| NoPage::Unreadable)?;
        let names = page.items.into_iter().map(|item| item.name);
        if page.next_page_token.as_deref() == Some("") {
            return Err(NoPage::EmptyToken);
        }
        (names.chain(page.prefixes).collect(), page.next_page_token)
    } else {
        let page: AzurePage = quick_xml::de::from_str(text).map_err(|_| NoPage::Unreadable)?;
        let AzureBlobs { blob, blob_prefix } = page.blobs;
        let names: Vec<String> = blob
            .into_iter()
            .chain(blob_prefix)
            .map(|blob| blob.name)
            .collect();
        (names, page.next_marker)
    };
    let token = token.map_or(0, |token| token.len());
    if token > MAX_TOKEN {
        return Err(NoPage::LongToken(token));
    }
    match names.into_iter().find(|name| !name.starts_with(prefix)) {
        Some(name) => Err(NoPage::Elsewhere(name)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_TOKEN, NoPage, check};

    fn azure(names: &[&str], token: &str) -> String {
        let blobs: String = names
            .iter()
            .map(|name| format!("<Blob><Name>{name}</Name></Blob>"))
            .collect();
        format!(
            "\u{feff}<?xml version=\"1.0\"?><EnumerationResults><Blobs>{blobs}</Blobs>\
             <NextMarker>{token}</NextMarker></EnumerationResults>"
        )
    }

    fn google(names: &[&str], token: Option<&str>) -> String {
        let items: Vec<_> = names
            .iter()
            .map(|name| serde_json::json!({ "name": name, "size": "7" }))
            .collect();
        serde_json::json!({ "kind": "x", "items": items, "nextPageToken": token }).to_string()
    }

    #[test]
    fn names_that_were_not_asked_for_never_reach_opendal() {
        for page in [azure(&["p/a", "p/"], ""), google(&["p/a", "p/"], None)] {
            assert_eq!(check(page.as_bytes(), "p/"), Ok(()), "{page}");
        }
        for name in ["", "p", "q/a", "/etc/passwd", "é"] {
            let elsewhere = Err(NoPage::Elsewhere(name.to_owned()));
            assert_eq!(check(azure(&["p/a", name], "").as_bytes(), "p/"), elsewhere);
            assert_eq!(
                check(google(&["p/a", name], None).as_bytes(), "p/"),
                elsewhere
            );
        }
    }

    #[test]
    fn a_token_is_bounded_and_never_empty_and_a_web_page_is_no_page() {
        let long = "x".repeat(MAX_TOKEN + 1);
        let too_long = Err(NoPage::LongToken(MAX_TOKEN + 1));
        assert_eq!(check(azure(&[], &long).as_bytes(), ""), too_long);
        assert_eq!(check(google(&[], Some(&long)).as_bytes(), ""), too_long);
        assert_eq!(
            check(google(&[], Some("")).as_bytes(), ""),
            Err(NoPage::EmptyToken)
        );
        for text in ["", "<html></html>", "{\"items\": 1}", "x"] {
            assert_eq!(
                check(text.as_bytes(), ""),
                Err(NoPage::Unreadable),
                "{text}"
            );
        }
    }
}
