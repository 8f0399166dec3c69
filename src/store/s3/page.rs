//! A page of a listing as S3 answers it. Knows nothing else of the crate, so that it can be fuzzed
//! alone.

use quick_xml::events::Event;
use serde::Deserialize;

/// One page of a listing, as the server answers it.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ListingPage {
    #[serde(rename = "Contents", default)]
    pub(super) objects: Vec<ListedObject>,
    #[serde(rename = "IsTruncated", default)]
    pub(super) truncated: bool,
    #[serde(rename = "NextContinuationToken")]
    pub(super) next: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ListedObject {
    #[serde(rename = "Key")]
    pub(super) key: String,
    #[serde(rename = "Size")]
    pub(super) size: u64,
}

impl ListingPage {
    /// Reads a page. A document of another sort, such as a web page, is no empty page.
    pub(super) fn parse(text: &str) -> Result<Self, quick_xml::DeError> {
        if root(text).is_none_or(|root| root != "ListBucketResult") {
            return Err(quick_xml::DeError::Custom(
                "the document is no listing of a bucket".to_owned(),
            ));
        }
        quick_xml::de::from_str(text)
    }
}

/// Returns the name of the outermost element.
fn root(text: &str) -> Option<String> {
    let mut reader = quick_xml::Reader::from_str(text);
    loop {
        match reader.read_event().ok()? {
            Event::Start(element) | Event::Empty(element) => {
                return Some(element.local_name().as_ref().to_owned());
            }
            Event::Eof => return None,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ListingPage;

    #[test]
    fn a_page_of_a_listing_is_read_and_anything_else_refused() {
        let page = ListingPage::parse(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
             <ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name>\
             <IsTruncated>true</IsTruncated><Contents><Key>a&amp;b/%41</Key><Size>7</Size><ETag>\"x\"</ETag></Contents>\
             <Contents><Key>c</Key><LastModified>2026</LastModified><Size>0</Size></Contents>\
             <NextContinuationToken>t=</NextContinuationToken></ListBucketResult>",
        )
        .expect("a page");
        let objects: Vec<_> = page
            .objects
            .iter()
            .map(|object| (object.key.as_str(), object.size))
            .collect();
        assert_eq!(
            (objects, page.truncated, page.next.as_deref()),
            (vec![("a&b/%41", 7), ("c", 0)], true, Some("t="))
        );
        assert!(
            ListingPage::parse(
                "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
            )
            .expect("empty")
            .objects
            .is_empty()
        );
        for bad in [
            "",
            "<a>",
            "<ListBucketResult><Contents><Key>x</Key><Size>-1</Size></Contents></ListBucketResult>",
            "<ListBucketResult><Contents><Size>1</Size></Contents></ListBucketResult>",
            "<!DOCTYPE html><html><body>Please log in</body></html>",
            "<Error><Code>NoSuchBucket</Code></Error>",
        ] {
            assert!(ListingPage::parse(bad).is_err(), "{bad}");
        }
    }
}
