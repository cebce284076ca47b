//! The page on conformance names tests; each of them is there.

use std::{fs, path::Path};

/// Where the stories of this crate are, and what they may be named by.
fn source(crates: &Path, module: &str) -> String {
    let path = module.replace("::", "/");
    let place = crates.join("a2a-transport/src/tests").join(format!("{path}.rs"));
    fs::read_to_string(&place).unwrap_or_else(|cause| panic!("{}: {cause}", place.display()))
}

#[test]
fn every_test_that_the_conformance_page_names_is_there() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = fs::read_to_string(crates.parent().unwrap().join("docs/protocols/a2a-conformance.md")).unwrap();
    let mut seen = 0;
    for row in page.lines().filter(|line| line.starts_with('|')) {
        let mut file = String::new();
        for quoted in row.rsplit(" | ").next().unwrap().split('`').skip(1).step_by(2) {
            if quoted.starts_with("crates/") {
                file = fs::read_to_string(crates.parent().unwrap().join(quoted)).unwrap();
                continue;
            }
            let (module, test) = match quoted.rsplit_once("::") {
                Some((_, "")) => continue,
                Some((module, test)) => (source(crates, module), test),
                None => (file.clone(), quoted),
            };
            assert!(module.contains(&format!("fn {test}(")), "{row}\nnames {quoted}, which is not there");
            seen += 1;
        }
    }
    assert!(seen > 60, "{seen} tests are named");
}
