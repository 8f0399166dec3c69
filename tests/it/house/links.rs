//! What pages and comments point to is there: links, anchors, sections, records.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use super::source::{files, read, root};

const RECORDS: &str = "docs/design";

/// Returns every page of the repository.
fn pages() -> Vec<PathBuf> {
    let found = files("", |name| name.ends_with(".md"));
    assert!(found.len() > 40, "only {} pages", found.len());
    found
}

/// Returns `path` without `.` and `..`.
fn tidied(path: &Path) -> PathBuf {
    let mut tidied = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                tidied.pop();
            }
            Component::CurDir => {}
            other => tidied.push(other),
        }
    }
    tidied
}

/// Returns the lines of a page that are text: not those of blocks of code.
fn text_lines(page: &str) -> Vec<(usize, &str)> {
    let mut is_fenced = false;
    (1..)
        .zip(page.lines())
        .filter(|(_, line)| {
            let is_fence = line.starts_with("```");
            is_fenced ^= is_fence;
            !is_fenced && !is_fence && !line.starts_with("    ")
        })
        .collect()
}

/// Returns the headings of a page, without their marks.
fn headings(page: &str) -> Vec<&str> {
    text_lines(page)
        .into_iter()
        .filter(|(_, line)| line.starts_with('#'))
        .map(|(_, line)| line.trim_start_matches('#').trim())
        .collect()
}

/// Returns the anchors of a page, as GitHub makes them from its headings.
fn anchors(page: &str) -> BTreeSet<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    headings(page)
        .into_iter()
        .map(|heading| {
            let anchor: String = heading
                .to_lowercase()
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect();
            let count = seen.entry(anchor.clone()).or_default();
            *count += 1;
            match *count {
                1 => anchor,
                more => format!("{anchor}-{}", more - 1),
            }
        })
        .collect()
}

/// Returns the targets of the links in a line. What stands in code is no link.
fn targets(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for (at, _) in line.match_indices("](") {
        let is_code = line[..at].matches('`').count() % 2 == 1;
        if let (false, Some(end)) = (is_code, line[at..].find(')')) {
            found.push(&line[at + 2..at + end]);
        }
    }
    found
}

/// Says what is wrong with a link of the page `page`; nothing if it leads somewhere.
fn wrong_with(target: &str, page: &Path) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = target
        .split_once('#')
        .map_or((target, None), |(file, anchor)| (file, Some(anchor)));
    let file = match file {
        "" => page.to_owned(),
        file => tidied(&page.with_file_name("").join(file)),
    };
    if !root().join(&file).exists() {
        return Some(format!("{} is not there", file.display()));
    }
    let anchor = anchor?;
    (!anchors(&read(&file)).contains(anchor))
        .then(|| format!("{} has no heading for #{anchor}", file.display()))
}

#[test]
fn every_link_leads_to_something() {
    let (mut told, mut seen) = (String::new(), 0);
    for page in pages() {
        for (number, line) in text_lines(&read(&page)) {
            for target in targets(line) {
                seen += 1;
                if let Some(wrong) = wrong_with(target, &page) {
                    told += &format!("{}:{number}: {wrong}\n", page.display());
                }
            }
        }
    }
    assert!(seen > 50, "only {seen} links");
    assert!(told.is_empty(), "\n{told}");
}

/// Returns a file as one line, without the marks of comments: a reference may be broken anywhere.
fn in_one_line(text: &str) -> String {
    text.lines()
        .map(|line| {
            let line = line.trim_start();
            ["///", "//!", "//", "#"]
                .iter()
                .find_map(|mark| line.strip_prefix(mark))
                .unwrap_or(line)
                .trim()
        })
        .collect::<Vec<_>>()
        .join(" ")
}

/// Returns every file that may name a section or a record.
fn all_that_refer() -> Vec<PathBuf> {
    let mut found = pages();
    for folder in ["src", "fuzz", "packaging"] {
        found.extend(files(folder, |name| {
            name.ends_with(".rs") || name.ends_with(".py")
        }));
    }
    found
}

/// The page that a file calls `name`, and which of its parts it means.
struct Reference {
    page: PathBuf,
    /// The title of a section, or its number.
    part: String,
}

/// Returns the numbers at the start of `text`: `4`, `10 and 13`, `7, 8 and 9`.
fn numbers(text: &str) -> Vec<String> {
    text.split([' ', ','])
        .filter(|word| !word.is_empty())
        .map(|word| word.trim_end_matches([')', '.', ';', ':']))
        .take_while(|word| *word == "and" || word.chars().all(|c| c.is_ascii_digit()))
        .filter(|word| *word != "and")
        .map(str::to_owned)
        .collect()
}

/// Returns the parts that stand behind the name of a page: `, "Title"` and `, section 4`.
fn parts(behind: &str) -> Vec<String> {
    let behind = behind.trim_start_matches(['`', ')', ']']);
    let Some(behind) = behind.strip_prefix(", ") else {
        return Vec::new();
    };
    if let Some(title) = behind.strip_prefix('"') {
        return title.split('"').take(1).map(str::to_owned).collect();
    }
    let number = behind
        .strip_prefix("sections ")
        .or_else(|| behind.strip_prefix("section "));
    number.map(numbers).unwrap_or_default()
}

/// Returns the page that `name` means in the file `from`.
fn page_called(name: &str, from: &Path) -> Option<PathBuf> {
    [
        from.with_file_name("").join(name),
        PathBuf::from(name),
        Path::new("docs").join(name),
        Path::new("docs/format").join(name),
    ]
    .iter()
    .map(|path| tidied(path))
    .find(|path| root().join(path).is_file())
}

/// Returns what the text `text` of the file `from` refers to in pages that it names.
fn references(text: &str, from: &Path) -> Vec<Reference> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices(".md") {
        let start = text[..at]
            .rfind(|c: char| !(c.is_alphanumeric() || "/._-".contains(c)))
            .map_or(0, |before| before + 1);
        let name = &text[start..at + 3];
        for part in parts(&text[at + 3..]) {
            let page = page_called(name, from).unwrap_or_else(|| name.into());
            found.push(Reference { page, part });
        }
    }
    found
}

/// Returns the sections of the format that a file of the format names by numbers alone. Those of
/// other people's documents are left out.
fn sections_of_the_format(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("section") {
        let before = &text[..at];
        let mut before = before.split(' ').rev().filter(|word| !word.is_empty());
        let is_of_another = before
            .by_ref()
            .take(2)
            .any(|word| matches!(word.trim_start_matches('('), "RFC" | "SP"));
        if let (false, Some((_, number))) = (is_of_another, text[at..].split_once(' ')) {
            found.extend(numbers(number));
        }
    }
    found
}

/// Whether a page has the section `part`: `5` or `Manifest`, where the heading is `5. Manifest`.
fn has_section(page: &str, part: &str) -> bool {
    headings(page).into_iter().any(|heading| {
        let (number, title) = heading.split_once(". ").unwrap_or(("", heading));
        let title = title.split(": ").next().unwrap_or(title);
        part == number || part == title || part == heading
    })
}

#[test]
fn every_section_that_is_named_is_there() {
    let (mut told, mut seen) = (String::new(), 0);
    for path in all_that_refer() {
        let text = in_one_line(&read(&path));
        let mut references = references(&text, &path);
        if path.starts_with("docs/format.md") || path.starts_with("packaging/rescue") {
            let numbers = sections_of_the_format(&text).into_iter();
            references.extend(numbers.map(|part| Reference {
                page: "docs/format.md".into(),
                part,
            }));
        }
        for Reference { page, part } in references {
            seen += 1;
            if !root().join(&page).is_file() || !has_section(&read(&page), &part) {
                let page = page.display();
                told += &format!("{}: {page} has no section {part:?}\n", path.display());
            }
        }
    }
    assert!(seen > 30, "only {seen} references");
    assert!(told.is_empty(), "\n{told}");
}

/// Returns the records by their numbers.
fn records() -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    for path in files(RECORDS, |name| name != "README.md") {
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let number = name.split('-').next().unwrap_or_default().to_owned();
        assert!(
            number.len() == 4 && number.bytes().all(|byte| byte.is_ascii_digit()),
            "{name} has no number"
        );
        let title = read(&path).lines().next().unwrap_or_default().to_owned();
        assert!(
            title.starts_with(&format!("# {number} ")),
            "{name} is called {title:?}"
        );
        let twice = found.insert(number, path);
        assert_eq!(twice, None, "{name} has the number of another record");
    }
    found
}

#[test]
fn every_record_is_in_its_index_and_no_number_is_used_twice() {
    let index = read(&Path::new(RECORDS).join("README.md"));
    let rows: Vec<&str> = index
        .lines()
        .filter(|line| line.starts_with("| ["))
        .collect();
    let wanted: Vec<String> = records()
        .iter()
        .map(|(number, path)| {
            let name = path.file_name().expect("a name").to_string_lossy();
            format!("| [{number}]({name}) |")
        })
        .collect();
    for row in &wanted {
        assert!(
            rows.iter().any(|is| is.starts_with(row)),
            "{RECORDS}/README.md lacks {row}"
        );
    }
    assert_eq!(rows.len(), wanted.len(), "a row for each record: {rows:#?}");
    assert!(rows.is_sorted(), "in the order of their numbers: {rows:#?}");
}

/// Returns the numbers of records that a file names: `docs/design/0014`, `record 0009`.
fn records_named(text: &str) -> BTreeSet<String> {
    ["docs/design/", "design/", "record ", "records "]
        .iter()
        .flat_map(|before| {
            text.match_indices(before)
                .map(|(at, found)| &text[at + found.len()..])
        })
        .map(|rest| {
            rest.chars()
                .take_while(char::is_ascii_digit)
                .collect::<String>()
        })
        .filter(|number| number.len() == 4)
        .collect()
}

#[test]
fn every_record_that_is_named_is_there() {
    let records = records();
    let (mut told, mut seen) = (String::new(), 0);
    for path in all_that_refer() {
        for number in records_named(&in_one_line(&read(&path))) {
            seen += 1;
            if !records.contains_key(&number) {
                told += &format!("{}: there is no record {number}\n", path.display());
            }
        }
    }
    assert!(seen > 5, "only {seen} are named");
    assert!(told.is_empty(), "\n{told}");
}

/// Whether a record is called so: its title, or its file, begins with `title`.
fn is_called(record: &Path, title: &str) -> bool {
    let heading = read(record).lines().next().unwrap_or_default().to_owned();
    let file = title.to_lowercase().replace(' ', "-");
    heading[6..].trim_start().starts_with(title)
        || record.to_string_lossy().ends_with(&format!("{file}.md"))
}

#[test]
fn every_record_that_is_named_by_its_title_is_there() {
    let records = records();
    let mut told = String::new();
    for path in all_that_refer() {
        let text = in_one_line(&read(&path));
        for rest in text.split("docs/design, \"").skip(1) {
            let title = rest.split('"').next().unwrap_or_default();
            if !records.values().any(|record| is_called(record, title)) {
                told += &format!("{}: no record is called {title:?}\n", path.display());
            }
        }
    }
    assert!(told.is_empty(), "\n{told}");
}

#[test]
fn references_are_found_however_they_are_written() {
    let page = "# Top\n\n## 2. Keys: `keys`\n\n```\n# none\n```\n\n### What's in `it`?\n\
                ## Twice\n## Twice\n";
    let anchors: Vec<String> = anchors(page).into_iter().collect();
    assert_eq!(
        anchors,
        ["2-keys-keys", "top", "twice", "twice-1", "whats-in-it"]
    );
    for part in ["Keys", "2", "Twice", "What's in `it`?"] {
        assert!(has_section(page, part), "{part}");
    }
    for part in ["none", "3", "keys"] {
        assert!(!has_section(page, part), "{part}");
    }
    assert_eq!(
        targets("a [b](c.md#d) and `[e](f)` [g](h)"),
        ["c.md#d", "h"]
    );

    let text = "(`format.md`, section 11) [cli.md](cli.md), \"Stores\"; docs/format.md, \"Frame\". \
                semantics.md, sections 2 and 4";
    let found: Vec<String> = references(text, Path::new("docs/format/index.md"))
        .into_iter()
        .map(|found| format!("{} {}", found.page.display(), found.part))
        .collect();
    let want = [
        "docs/format.md 11",
        "docs/cli.md Stores",
        "docs/format.md Frame",
        "docs/semantics.md 2",
        "docs/semantics.md 4",
    ];
    assert_eq!(found, want);
    let text = "RFC 4648 section 4; (sections 10 and 13) of section 3.";
    assert_eq!(sections_of_the_format(text), ["10", "13", "3"]);
    let named: Vec<String> = records_named("docs/design/0014, record 0009-x.md; recording 1")
        .into_iter()
        .collect();
    assert_eq!(named, ["0009", "0014"]);
}
