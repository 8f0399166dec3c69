//! What a WebDAV server lists, read and checked here and then written anew for OpenDAL.
//!
//! OpenDAL 0.59.5 cuts the path of the store off each `href` without a look at it, and panics where
//! that is shorter or not a text there. So it gets only documents that are written here: paths
//! below the folder that was asked for, of names that an object can have.
//! docs/design/0032-no-listing-is-believed.md has the reasons.

use crate::net::decode;
use crate::store::name::legal_component;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use quick_xml::escape::escape;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// The characters that are escaped in a path as it is written here.
const IN_HREF: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// How deep elements may be in each other: five are enough for the document itself.
const DEEPEST: usize = 32;

/// How much a request for properties wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LookDepth {
    /// About the file or folder itself.
    Itself,
    /// About a folder and all that is in it.
    Contents,
}

/// Why an answer is not believed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoMultistatus {
    #[error("the answer is no listing of WebDAV")]
    Unreadable,
    #[error("the elements of the answer are nested more than {DEEPEST} deep")]
    TooDeep,
    #[error(
        "the server lists {0:.300?}, which is not in the folder that was asked for; a proxy that \
         shows the server at another path has to translate the paths in its answers too"
    )]
    Elsewhere(String),
    #[error("the server's answer says nothing about {0:.300?}, which was asked for")]
    Absent(String),
    #[error("the server does not say how long {0:.300?} is")]
    NoLength(String),
}

#[derive(Deserialize)]
struct Multistatus {
    #[serde(default)]
    response: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    href: String,
    #[serde(default)]
    propstat: Vec<PropertyStatus>,
}

#[derive(Deserialize)]
struct PropertyStatus {
    #[serde(default)]
    status: String,
    #[serde(default)]
    prop: Properties,
}

#[derive(Default, Deserialize)]
struct Properties {
    getcontentlength: Option<String>,
    #[serde(default)]
    resourcetype: ResourceType,
}

#[derive(Default, Deserialize)]
struct ResourceType {
    collection: Option<IgnoredAny>,
}

/// A file or folder, as the server describes it.
enum Described {
    File(u64),
    Folder,
}

/// Returns the document anew, with nothing in it but what was asked for: the file or folder at
/// `asked` (a decoded path) and, for [`LookDepth::Contents`], what is in it and can be of a store.
pub(super) fn rewritten(
    document: &[u8],
    asked: &str,
    depth: LookDepth,
) -> Result<String, NoMultistatus> {
    let text = str::from_utf8(document).map_err(|_| NoMultistatus::Unreadable)?;
    check_outline(text)?;
    let listed: Multistatus =
        quick_xml::de::from_str(text).map_err(|_| NoMultistatus::Unreadable)?;
    let own = asked.trim_end_matches('/');
    let mut itself = None;
    let mut written = String::from("<multistatus xmlns=\"DAV:\">");
    for listed in listed.response {
        let elsewhere = || NoMultistatus::Elsewhere(listed.href.clone());
        let path = decode(path_of(&listed.href)).ok_or_else(elsewhere)?;
        let below = path.strip_prefix(own.as_bytes()).ok_or_else(elsewhere)?;
        let name = match below {
            [] | b"/" => "",
            // A name that is not UTF-8 is none of ours.
            [b'/', name @ ..] => match str::from_utf8(name) {
                Ok(name) => name.strip_suffix('/').unwrap_or(name),
                Err(_) => continue,
            },
            _ => return Err(elsewhere()),
        };
        if name.contains('/') {
            return Err(elsewhere());
        }
        let is_wanted = name.is_empty() || depth == LookDepth::Contents && legal_component(name);
        if !is_wanted {
            continue;
        }
        let described = listed
            .described()
            .ok_or_else(|| NoMultistatus::NoLength(listed.href.clone()))?;
        if name.is_empty() {
            itself = Some(());
            write(&mut written, own, described);
        } else {
            write(&mut written, &format!("{own}/{name}"), described);
        }
    }
    itself.ok_or_else(|| NoMultistatus::Absent(asked.to_owned()))?;
    written.push_str("</multistatus>");
    Ok(written)
}

/// Checks the outermost element and the depth: the parser itself bounds neither.
fn check_outline(text: &str) -> Result<(), NoMultistatus> {
    use quick_xml::events::Event;
    let mut reader = quick_xml::Reader::from_str(text);
    let (mut depth, mut has_root) = (0, false);
    loop {
        match reader.read_event().map_err(|_| NoMultistatus::Unreadable)? {
            Event::Start(element) => {
                if !has_root && element.local_name().as_ref() != "multistatus" {
                    return Err(NoMultistatus::Unreadable);
                }
                has_root = true;
                depth += 1;
                if depth > DEEPEST {
                    return Err(NoMultistatus::TooDeep);
                }
            }
            Event::End(_) => depth -= 1,
            Event::Eof if has_root && depth == 0 => return Ok(()),
            Event::Eof => return Err(NoMultistatus::Unreadable),
            _ => {}
        }
    }
}

/// Returns the path of an `href`, which is one or a whole URL.
fn path_of(href: &str) -> &str {
    let href = href.trim();
    match href.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => {
            rest.find('/').map_or("/", |at| &rest[at..])
        }
        _ => href,
    }
}

impl Listed {
    /// `None` for a file without a length.
    fn described(&self) -> Option<Described> {
        let is_good = |found: &&PropertyStatus| {
            let code = found.status.split_whitespace().nth(1);
            code.is_some_and(|code| code.starts_with('2'))
        };
        let found: Vec<&Properties> = self
            .propstat
            .iter()
            .filter(is_good)
            .map(|found| &found.prop)
            .collect();
        if found
            .iter()
            .any(|found| found.resourcetype.collection.is_some())
        {
            return Some(Described::Folder);
        }
        let length = found.iter().find_map(|found| {
            let length = found.getcontentlength.as_deref()?;
            length.trim().parse().ok()
        })?;
        Some(Described::File(length))
    }
}

/// Writes an element as OpenDAL reads it. The date is one that it asks for and that nothing uses.
fn write(to: &mut String, path: &str, described: Described) {
    let href = utf8_percent_encode(path, IN_HREF).to_string();
    let (slash, properties) = match described {
        Described::File(length) => (
            "",
            format!("<getcontentlength>{length}</getcontentlength><resourcetype/>"),
        ),
        Described::Folder => ("/", "<resourcetype><collection/></resourcetype>".to_owned()),
    };
    to.push_str("<response><href>");
    to.push_str(&escape(&href));
    to.push_str(slash);
    to.push_str("</href><propstat><prop>");
    to.push_str("<getlastmodified>Thu, 01 Jan 1970 00:00:00 GMT</getlastmodified>");
    to.push_str(&properties);
    to.push_str("</prop><status>HTTP/1.1 200 OK</status></propstat></response>");
}

#[cfg(test)]
mod tests {
    use super::{LookDepth, NoMultistatus, rewritten};

    fn response(href: &str, properties: &str) -> String {
        format!(
            "<D:response><D:href>{href}</D:href><D:propstat><D:prop>{properties}</D:prop>\
             <D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>"
        )
    }

    fn folder(href: &str) -> String {
        response(href, "<D:resourcetype><D:collection/></D:resourcetype>")
    }

    fn file(href: &str) -> String {
        response(
            href,
            "<D:resourcetype/><D:getcontentlength>7</D:getcontentlength>",
        )
    }

    fn of(
        responses: &[String],
        asked: &str,
        depth: LookDepth,
    ) -> Result<Vec<String>, NoMultistatus> {
        let document = format!(
            "<?xml version=\"1.0\"?><D:multistatus xmlns:D=\"DAV:\">{}</D:multistatus>",
            responses.concat()
        );
        let written = rewritten(document.as_bytes(), asked, depth)?;
        let mut hrefs = written.split("<href>");
        hrefs.next();
        Ok(hrefs
            .map(|rest| rest.split('<').next().expect("its end").to_owned())
            .collect())
    }

    #[test]
    fn what_is_in_the_folder_is_passed_on_and_names_that_no_object_has_are_left_out() {
        let listed = [
            folder("/x/"),
            file("/x/a%2Bb"),
            folder("http://server:81/x/c/"),
            folder("/x/d"),
            file("/x/no%20object"),
            file("/x/%ff"),
            folder("/x/%2e%2e/"),
            file("/x/a%00b"),
        ];
        let hrefs = ["/x/", "/x/a%2Bb", "/x/c/", "/x/d/"].map(str::to_owned);
        assert_eq!(of(&listed, "/x/", LookDepth::Contents), Ok(hrefs.to_vec()));
        assert_eq!(of(&listed, "/x", LookDepth::Contents), Ok(hrefs.to_vec()));
        assert_eq!(
            of(&listed[..1], "/x", LookDepth::Itself),
            Ok(vec!["/x/".to_owned()])
        );
        let root = [folder("/"), file("/a")];
        assert_eq!(
            of(&root, "/", LookDepth::Contents),
            Ok(vec!["/".to_owned(), "/a".to_owned()])
        );
    }

    #[test]
    fn what_is_not_in_the_folder_is_refused_by_name() {
        for href in [
            "/etc/passwd",
            "/",
            "",
            "x",
            "/xy",
            "/x/a/b",
            "/x/../../y/",
            "http://evil/y",
            "http://evil",
            "%",
            "/é",
        ] {
            let told = of(&[folder("/x/"), file(href)], "/x/", LookDepth::Contents);
            assert_eq!(
                told,
                Err(NoMultistatus::Elsewhere(href.to_owned())),
                "{href}"
            );
        }
        assert_eq!(
            of(&[file("/x/a")], "/x/", LookDepth::Contents),
            Err(NoMultistatus::Absent("/x/".to_owned()))
        );
        assert_eq!(
            of(&[file("/x/b")], "/x/a", LookDepth::Itself),
            Err(NoMultistatus::Elsewhere("/x/b".to_owned()))
        );
    }

    #[test]
    fn a_file_has_a_length_from_a_part_of_the_answer_that_is_good() {
        let missing = "<D:response><D:href>/x/a</D:href><D:propstat><D:prop><D:getcontentlength/>\
            </D:prop><D:status>HTTP/1.1 404 Not PropertyStatus</D:status></D:propstat>";
        let good = "<D:propstat><D:prop><D:getcontentlength>7</D:getcontentlength></D:prop>\
            <D:status>HTTP/1.1 200 OK</D:status></D:propstat>";
        let of = |text: String| of(&[text], "/x/a", LookDepth::Itself);
        assert_eq!(
            of(format!("{missing}{good}</D:response>")),
            Ok(vec!["/x/a".to_owned()])
        );
        let no_length = Err(NoMultistatus::NoLength("/x/a".to_owned()));
        assert_eq!(of(format!("{missing}</D:response>")), no_length);
        for length in ["-1", "", "1e3", "18446744073709551616"] {
            let properties = format!("<D:getcontentlength>{length}</D:getcontentlength>");
            assert_eq!(of(response("/x/a", &properties)), no_length, "{length}");
        }
    }

    #[test]
    fn a_document_that_is_no_listing_is_refused() {
        let refused = |text: &str| rewritten(text.as_bytes(), "/x/", LookDepth::Contents);
        for text in [
            "",
            "<html><body>Please log in</body></html>",
            "<D:multistatus>",
            "<D:multistatus></D:multistatu>",
            "not XML",
        ] {
            assert_eq!(refused(text), Err(NoMultistatus::Unreadable), "{text}");
        }
        let deep = format!("<multistatus>{}", "<a>".repeat(1_000_000));
        assert_eq!(refused(&deep), Err(NoMultistatus::TooDeep));
        assert_eq!(
            rewritten(b"\xff", "/x/", LookDepth::Contents),
            Err(NoMultistatus::Unreadable)
        );
    }
}
