//! The house stands as it was drawn: arrows between rooms, foreign libraries in their rooms, small files.
//!
//! The rules are functions over plain data, and are also run on a house with a forbidden arrow.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use cargo_metadata::{DependencyKind, MetadataCommand};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Which rooms a room may use; the order is from the ground up.
const ARROWS: [(&str, &[&str]); 17] = [
    ("haggle-base", &[]),
    ("haggle-devchain", &[]),
    ("haggle-store", &["haggle-base"]),
    ("haggle-network", &["haggle-base"]),
    ("haggle-a2a", &["haggle-base"]),
    ("haggle-x402", &["haggle-base"]),
    ("haggle-escrow", &["haggle-base"]),
    ("haggle-catalog", &["haggle-base", "haggle-store", "haggle-a2a"]),
    ("haggle-settlement", &["haggle-base", "haggle-store", "haggle-x402"]),
    ("haggle-reputation", &["haggle-base", "haggle-store"]),
    ("haggle-a2a-transport", &["haggle-base", "haggle-store", "haggle-a2a"]),
    ("haggle-trade", &["haggle-base", "haggle-store", "haggle-catalog"]),
    (
        "haggle-gateway",
        &[
            "haggle-base",
            "haggle-a2a",
            "haggle-a2a-transport",
            "haggle-x402",
            "haggle-catalog",
            "haggle-trade",
            "haggle-settlement",
            "haggle-reputation",
        ],
    ),
    ("haggle", ANY),
    ("haggle-testnet", ANY),
    ("haggle-bench", ANY),
    ("xtask", &[]),
];

/// A room that may use every other one.
const ANY: &[&str] = &["*"];

/// Which rooms may name a foreign library.
const LIBRARIES: [(&str, &[&str]); 6] = [
    ("libp2p", &["haggle-network", "haggle-bench"]),
    ("libp2p-stream", &["haggle-network"]),
    ("sled", &["haggle-store"]),
    ("alloy", &["haggle-escrow", "haggle-devchain"]),
    ("axum", &["haggle-gateway", "haggle-a2a-transport", "haggle-devchain"]),
    ("tantivy", &["haggle-catalog", "haggle-bench"]),
];

/// Longest source file, in lines.
const MAX_LINES: usize = 800;

/// What a package depends on, tests aside.
type House = BTreeMap<String, BTreeSet<String>>;

/// Arrows that were not drawn, each as a sentence.
fn forbidden_arrows(house: &House) -> Vec<String> {
    let drawn: BTreeMap<&str, &[&str]> = ARROWS.into_iter().collect();
    let mut found = Vec::new();
    for (room, uses) in house {
        let Some(allowed) = drawn.get(room.as_str()) else {
            found.push(format!("{room} is no room of the house"));
            continue;
        };
        for used in uses.iter().filter(|used| house.contains_key(*used)) {
            if *allowed != ANY && !allowed.contains(&used.as_str()) {
                found.push(format!("{room} may not use {used}"));
            }
        }
    }
    found
}

/// Foreign libraries outside their rooms, each as a sentence.
fn strayed_libraries(house: &House) -> Vec<String> {
    let mut found = Vec::new();
    for (room, uses) in house {
        for (library, rooms) in LIBRARIES {
            if uses.contains(library) && !rooms.contains(&room.as_str()) {
                found.push(format!("{room} may not use {library}"));
            }
        }
    }
    found
}

/// What is wrong with one source file, each as a sentence.
fn faults_of(path: &Path, text: &str) -> Vec<String> {
    let name = path.display();
    let mut found = Vec::new();
    let lines = text.lines().count();
    if lines > MAX_LINES {
        found.push(format!("{name} has {lines} lines, more than {MAX_LINES}"));
    }
    if path.extension().is_some_and(|kind| kind == "rs") {
        let opening = text.lines().find(|line| !line.starts_with("#!"));
        if !opening.is_some_and(|line| line.starts_with("//!")) {
            found.push(format!("{name} does not begin with a `//!` sentence"));
        }
    }
    if path.file_name().is_some_and(|file| file == "mod.rs") {
        found.push(format!("{name}: take {0}.rs beside {0}/", "the module"));
    }
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// The house as cargo sees it; `kinds` says which dependencies count.
fn house(kinds: &[DependencyKind]) -> House {
    let metadata = MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().unwrap();
    let packages = metadata.workspace_packages();
    packages
        .into_iter()
        .map(|package| {
            let uses = package.dependencies.iter().filter(|used| kinds.contains(&used.kind));
            (package.name.to_string(), uses.map(|used| used.name.clone()).collect())
        })
        .collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    let skipped = ["target", "node_modules", "out", "cache", "corpus", ".git"];
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !skipped.contains(&name.as_str()) {
            sources(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "rs" || kind == "sol") {
            found.push(path);
        }
    }
}

#[test]
fn every_arrow_was_drawn() {
    let found = forbidden_arrows(&house(&[DependencyKind::Normal, DependencyKind::Build]));
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn base_and_store_do_not_use_the_testkit_even_in_tests() {
    let house = house(&[DependencyKind::Development]);
    for room in ["haggle-base", "haggle-store"] {
        assert!(!house[room].contains("haggle-testkit"), "{room}");
    }
}

#[test]
fn foreign_libraries_stay_in_their_rooms() {
    let found = strayed_libraries(&house(&[DependencyKind::Normal, DependencyKind::Build]));
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn files_are_small_and_begin_with_what_they_are() {
    let mut files = Vec::new();
    for folder in ["crates", "node", "testnet", "contracts"] {
        sources(&root().join(folder), &mut files);
    }
    assert!(files.len() > 100, "the sources were not found");
    let found: Vec<String> =
        files.iter().flat_map(|path| faults_of(path, &std::fs::read_to_string(path).unwrap())).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_root_shows_the_owners_nine_names() {
    let allowed = ["Cargo.toml", "Cargo.lock", "node", "crates", "contracts", "config", "testnet", "docs", "README.md"];
    for entry in std::fs::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        let known = allowed.contains(&name.as_str()) || name.starts_with('.') || name.starts_with("LICENSE");
        // cargo's own output folder is there while this very test runs
        assert!(known || name == "target", "{name} is not one of the owner's names");
    }
}

#[test]
fn a_house_with_a_forbidden_arrow_is_noticed() {
    let uses = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let house: House = [
        ("haggle-base".to_owned(), uses(&["serde"])),
        ("haggle-catalog".to_owned(), uses(&["haggle-base", "haggle-reputation", "sled"])),
        ("haggle-reputation".to_owned(), uses(&["haggle-base"])),
        ("haggle-cellar".to_owned(), uses(&[])),
    ]
    .into();
    assert_eq!(
        forbidden_arrows(&house),
        ["haggle-catalog may not use haggle-reputation", "haggle-cellar is no room of the house"]
    );
    assert_eq!(strayed_libraries(&house), ["haggle-catalog may not use sled"]);
}

#[test]
fn a_file_that_says_nothing_of_itself_is_noticed() {
    assert_eq!(faults_of(Path::new("a.rs"), "use std::fmt;\n").len(), 1);
    assert_eq!(faults_of(Path::new("a.rs"), "//! What it is.\n"), Vec::<String>::new());
    assert_eq!(faults_of(Path::new("mod.rs"), "//! What it is.\n").len(), 1);
    assert_eq!(faults_of(Path::new("a.sol"), &"x\n".repeat(MAX_LINES + 1)).len(), 1);
}
