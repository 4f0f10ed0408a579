//! What a source file may hold.

use crate::root;
use crate::source::{code_only, without_tests};
use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a file, tests included.
const MOST_LINES: usize = 450;

/// What ends a program by a mistake of ours; mistakes of the user are errors.
const PANICS: [&str; 9] = [
    ".unwrap()",
    ".unwrap_err()",
    ".expect(",
    ".expect_err(",
    "panic!(",
    "unreachable!(",
    "todo!(",
    "unimplemented!(",
    "dbg!(",
];

/// What writes to a stream that belongs to the binary.
const PRINTS: [&str; 4] = ["println!(", "eprintln!(", "print!(", "eprint!("];

/// Where a file stands decides which rules it is under.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// `crates/conjoin/src`, examples, benches and build scripts: may print.
    Program,
    Library,
    /// May panic too.
    Test,
}

fn place(path: &Path) -> Place {
    let has = |part: &str| path.components().any(|c| c.as_os_str() == part);
    let is = |name: &str| path.file_name().is_some_and(|file| file == name);
    if has("tests") || is("tests.rs") {
        Place::Test
    } else if path.starts_with("crates/conjoin/src")
        || has("examples")
        || has("benches")
        || has("bench")
        || is("build.rs")
    {
        Place::Program
    } else {
        Place::Library
    }
}

/// What is wrong with a file, with line numbers; `path` is relative to the root.
fn violations(path: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let lines = text.lines().count();
    if lines > MOST_LINES {
        found.push(format!(
            "{}: {lines} lines, at most {MOST_LINES}",
            path.display()
        ));
    }
    if !text.starts_with("//!") {
        found.push(format!(
            "{}:1: no `//!` that says what the file is for",
            path.display()
        ));
    }
    let place = place(path);
    if place == Place::Test {
        return found;
    }
    let code = without_tests(&code_only(text));
    for (line, code) in (1..).zip(code.lines()) {
        for pattern in PANICS.into_iter().filter(|&pattern| holds(code, pattern)) {
            // The one conversion that Burn's types cannot vouch for; every operation asks before it.
            if path.ends_with("conjoin-kernels/src/flex.rs") && pattern == "panic!(" {
                continue;
            }
            found.push(format!(
                "{}:{line}: `{pattern}` outside tests",
                path.display()
            ));
        }
        for pattern in PRINTS.into_iter().filter(|&pattern| holds(code, pattern)) {
            if place == Place::Library {
                found.push(format!(
                    "{}:{line}: `{pattern}` outside the binary",
                    path.display()
                ));
            }
        }
    }
    found
}

/// Whether the pattern occurs as a name of its own: `print!(` is not in `eprint!(`.
fn holds(code: &str, pattern: &str) -> bool {
    code.match_indices(pattern).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        pattern.starts_with('.') || !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

/// All Rust files below the folders that hold our sources, by path from the root.
fn files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = ["crates", "plugins", "examples", "bench"]
        .map(PathBuf::from)
        .into_iter()
        .filter(|folder| root().join(folder).is_dir())
        .collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name();
            let path = folder.join(&name);
            if entry.file_type().unwrap().is_dir() {
                // Build outputs and Python environments.
                if name != "target" && name != "venv" && !name.to_string_lossy().starts_with('.') {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

#[test]
fn every_file_is_tidy() {
    let files = files();
    assert!(
        files.iter().any(|file| file.ends_with("house/tidy.rs")),
        "{files:?}"
    );
    let found: Vec<String> = files
        .iter()
        .flat_map(|file| violations(file, &fs::read_to_string(root().join(file)).unwrap()))
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_crate_is_under_the_workspace_lints() {
    for folder in fs::read_dir(root().join("crates")).unwrap() {
        let manifest = folder.unwrap().path().join("Cargo.toml");
        let text = fs::read_to_string(&manifest).unwrap();
        assert!(
            text.contains("[lints]\nworkspace = true\n"),
            "{}",
            manifest.display()
        );
    }
}

#[test]
fn untidy_files_are_found() {
    let library = Path::new("crates/conjoin-x/src/lib.rs");
    let first = |path: &Path, text: &str| violations(path, text).into_iter().next();
    let head = "//! X.\n";
    assert_eq!(
        first(library, &format!("{head}fn f() {{ g().unwrap(); }}")).unwrap(),
        "crates/conjoin-x/src/lib.rs:2: `.unwrap()` outside tests"
    );
    assert_eq!(
        first(library, &format!("{head}fn f() {{ println!(); }}")).unwrap(),
        "crates/conjoin-x/src/lib.rs:2: `println!(` outside the binary"
    );
    assert!(first(library, "fn f() {}").unwrap().contains("no `//!`"));
    assert!(
        first(library, &format!("{head}{}", "\n".repeat(450)))
            .unwrap()
            .contains("451 lines")
    );

    let fine = "//! X, without `.unwrap()`.\nfn f() { g().unwrap_or(\"panic!()\") }\n\
                #[cfg(test)]\nmod tests { fn t() { g().unwrap(); println!(); } }\n";
    assert_eq!(first(library, fine), None);
    let program = Path::new("crates/conjoin/src/main.rs");
    assert_eq!(
        first(program, &format!("{head}fn f() {{ println!(); }}")),
        None
    );
    let test = Path::new("crates/conjoin-x/tests/t.rs");
    assert_eq!(
        first(test, &format!("{head}fn f() {{ g().unwrap(); }}")),
        None
    );
}
