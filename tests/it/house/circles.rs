//! Files of one module do not name each other in a circle.
//!
//! A name that a `mod.rs` passes on (`pub use`) counts as one of the file that has it, so a facade
//! is in no circle because of what it passes on. Tests do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::source::{code_of, expand, module_of, paths, read, rust_files, without_tests};

/// Modules that still have circles.
const NOT_YET: &[&str] = &[];

type Path = Vec<String>;

/// A source file, by its module.
struct File {
    path: PathBuf,
    /// What it brings into its scope: the name there, and the path from the crate.
    imported: BTreeMap<String, Path>,
    /// The paths that it names, from the crate.
    named: BTreeSet<Path>,
}

type Files = BTreeMap<Path, File>;

/// A `use` of a file: `pub` or not, and the tree behind it.
fn uses(code: &str) -> Vec<(bool, &str)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("use ") {
        let line = code[..at].rsplit('\n').next().unwrap_or_default().trim();
        let is_use = line.is_empty() || line == "pub" || line.starts_with("pub(");
        if let (true, Some(end)) = (is_use, code[at..].find(';')) {
            found.push((!line.is_empty(), &code[at + 4..at + end]));
        }
    }
    found
}

/// Returns `code` without its `use` declarations.
fn without_uses(code: &str) -> String {
    let mut rest = code.to_owned();
    for (_, tree) in uses(code) {
        rest = rest.replacen(&format!("use {tree};"), "", 1);
    }
    rest
}

/// Returns the leaves of a `use` tree: the path as it is written, and the name it has in the file.
fn leaves(tree: &str) -> Vec<(Path, String)> {
    // A new name goes through `expand` as if it were a part of the path.
    expand(&tree.replace(" as ", "::as::"))
        .into_iter()
        .filter_map(|mut path| {
            let new_name = path
                .iter()
                .position(|segment| segment == "as")
                .and_then(|at| path.drain(at..).nth(1));
            if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
                path.pop();
            }
            let name = new_name.or_else(|| path.last().cloned())?;
            Some((path, name))
        })
        .collect()
}

/// Returns `path`, as the module `module` writes it, from the crate. None for other crates.
fn absolute(path: &[String], module: &Path, modules: &BTreeSet<Path>) -> Option<Path> {
    let below = |from: &[String], rest: &[String]| [from, rest].concat();
    match path.first()?.as_str() {
        "crate" => Some(path[1..].to_vec()),
        "self" => Some(below(module, &path[1..])),
        "super" => {
            let up = path.iter().take_while(|part| *part == "super").count();
            let kept = module.len().checked_sub(up)?;
            Some(below(&module[..kept], &path[up..]))
        }
        first => {
            let child = below(module, &[first.to_owned()]);
            modules.contains(&child).then(|| below(module, path))
        }
    }
}

/// Reads the files of `src` and what each names.
fn files() -> Files {
    let mut sources = BTreeMap::new();
    for path in rust_files("src") {
        if path.ends_with("tests.rs") || path.iter().any(|part| part == "tests") {
            continue;
        }
        if let Some(module) = module_of(&path) {
            let code = without_tests(&code_of(&read(&path)));
            sources.insert(module, (path, code));
        }
    }
    let modules: BTreeSet<Path> = sources.keys().cloned().collect();
    sources
        .into_iter()
        .map(|(module, (path, code))| {
            let file = file(path, &code, &module, &modules);
            (module, file)
        })
        .collect()
}

fn file(path: PathBuf, code: &str, module: &Path, modules: &BTreeSet<Path>) -> File {
    let (mut imported, mut named) = (BTreeMap::new(), BTreeSet::new());
    for (is_public, tree) in uses(code) {
        for (written, name) in leaves(tree) {
            let Some(target) = absolute(&written, module, modules) else {
                continue;
            };
            // A module that is brought into scope is named where something of it is.
            if !is_public && !modules.contains(&target) {
                named.insert(target.clone());
            }
            imported.insert(name, target);
        }
    }
    let rest = without_uses(code);
    for root in ["crate", "self", "super"] {
        for found in paths(&rest, root) {
            let written = [vec![root.to_owned()], found.segments].concat();
            // A module alone is who may see an item: `pub(in crate::a)`.
            let target = absolute(&written, module, modules);
            named.extend(target.filter(|target| !modules.contains(target)));
        }
    }
    let children = modules
        .iter()
        .filter(|child| child.len() == module.len() + 1 && child.starts_with(module))
        .filter_map(|child| child.last().cloned());
    for root in imported.keys().cloned().chain(children) {
        for found in paths(&rest, &root) {
            let from = match imported.get(&root) {
                Some(target) => target.clone(),
                None => [module.clone(), vec![root.clone()]].concat(),
            };
            named.insert([from, found.segments].concat());
        }
    }
    File {
        path,
        imported,
        named,
    }
}

/// Returns the module of the file that has what `path` names.
fn home(path: &Path, files: &Files) -> Option<Path> {
    let mut path = path.clone();
    // Names can be passed on from facade to facade; none of ours does so ten times.
    for _ in 0..10 {
        let module = (1..=path.len())
            .rev()
            .map(|length| path[..length].to_vec())
            .find(|module| files.contains_key(module))?;
        let next = path
            .get(module.len())
            .and_then(|name| files[&module].imported.get(name))
            .map(|target| [target.clone(), path[module.len() + 1..].to_vec()].concat());
        match next {
            Some(target) => path = target,
            None => return Some(module),
        }
    }
    None
}

type Edges = BTreeMap<Path, BTreeSet<Path>>;

/// Returns which files of the module `top` name which others of it.
fn edges(top: &str, files: &Files) -> Edges {
    files
        .iter()
        .filter(|(module, _)| module[0] == top)
        .map(|(module, file)| {
            let to = file
                .named
                .iter()
                .filter_map(|path| home(path, files))
                .filter(|home| home[0] == top && home != module)
                .collect();
            (module.clone(), to)
        })
        .collect()
}

/// Returns what can be reached from `from`, by way of one edge at least.
fn reachable(from: &Path, edges: &Edges) -> BTreeSet<Path> {
    let (mut found, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(module) = next.pop() {
        for to in edges.get(module).into_iter().flatten() {
            if found.insert(to.clone()) {
                next.push(to);
            }
        }
    }
    found
}

/// Returns the circles: groups of files each of which leads to every other.
fn circles(edges: &Edges) -> BTreeSet<BTreeSet<Path>> {
    let reach: BTreeMap<&Path, BTreeSet<Path>> = edges
        .keys()
        .map(|module| (module, reachable(module, edges)))
        .collect();
    reach
        .iter()
        .filter(|(module, reached)| reached.contains(**module))
        .map(|(module, reached)| {
            let is_back = |other: &&Path| reach[other].contains(*module);
            reached.iter().filter(is_back).cloned().collect()
        })
        .collect()
}

/// Describes a circle: each file of it, and those of it that the file names.
fn describe(circle: &BTreeSet<Path>, edges: &Edges, files: &Files) -> String {
    let mut text = format!("a circle of {} files:\n", circle.len());
    for module in circle {
        let to: Vec<String> = edges[module]
            .intersection(circle)
            .map(|to| to.join("::"))
            .collect();
        let path = files[module].path.display();
        text += &format!("  {path} names {}\n", to.join(", "));
    }
    text
}

#[test]
fn files_of_one_module_do_not_name_each_other_in_a_circle() {
    let files = files();
    let tops: BTreeSet<&String> = files.keys().map(|module| &module[0]).collect();
    assert!(tops.len() > 10, "only {tops:?}");
    let mut found = String::new();
    for top in tops
        .into_iter()
        .filter(|top| !NOT_YET.contains(&top.as_str()))
    {
        let edges = edges(top, &files);
        for circle in circles(&edges) {
            found += &describe(&circle, &edges, &files);
        }
    }
    assert!(found.is_empty(), "\n{found}");
}

#[test]
fn circles_are_found_through_facades_and_not_because_of_them() {
    let modules: BTreeSet<Path> = ["a", "a::one", "a::two", "a::two::deep", "a::three"]
        .map(|module| module.split("::").map(str::to_owned).collect())
        .into();
    let code = |module: &str| match module {
        "a" => "mod one;\nmod two;\npub use one::One;\npub(crate) use two::{Two as Second, deep};",
        "a::one" => "use super::{\n    Second, three,\n};\nfn f() { three::g() }",
        "a::two" => "pub mod deep;\npub(in crate::a) fn h() {}\nuse std::fs;\npub use deep::Two;",
        "a::two::deep" => "fn f() -> crate::a::One { fs::x() }",
        _ => "use crate::b::One;\npub fn g() {}",
    };
    let files: Files = modules
        .iter()
        .map(|module| {
            let name = module.join("::");
            let file = file(PathBuf::from(&name), code(&name), module, &modules);
            (module.clone(), file)
        })
        .collect();
    let edges = edges("a", &files);
    let shown: Vec<String> = edges
        .iter()
        .flat_map(|(from, to)| {
            to.iter()
                .map(|to| [from.join("::"), to.join("::")].join(" → "))
        })
        .collect();
    assert_eq!(
        shown,
        [
            "a::one → a::three",
            "a::one → a::two::deep",
            "a::two::deep → a::one"
        ]
    );
    let circles: Vec<BTreeSet<String>> = circles(&edges)
        .iter()
        .map(|circle| circle.iter().map(|module| module.join("::")).collect())
        .collect();
    assert_eq!(
        circles,
        [BTreeSet::from([
            "a::one".to_owned(),
            "a::two::deep".to_owned()
        ])]
    );
}
