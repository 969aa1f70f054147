//! The order of the rooms (top-level folders and files of `src`): imports go one way.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod imports;

use std::{fs, path::Path};

use imports::{Import, Imports};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A line for each pair of rooms that import each other.
fn pairs(imports: &Imports) -> Vec<String> {
    let mut pairs = Vec::new();
    for (room, targets) in imports {
        for (other, Import { file, line }) in targets.range(room.clone()..) {
            if let Some(back) = imports[other].get(room) {
                let Import { file: back_file, line: back_line } = back;
                pairs.push(format!(
                    "{room} imports {other} ({file}:{line}), \
                     and {other} imports {room} ({back_file}:{back_line})"
                ));
            }
        }
    }
    pairs
}

/// The rooms in the order of the list in lib.rs: lines that begin with ``//! - [`name`]``.
fn listed() -> Vec<String> {
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let names = lib.lines().filter_map(|line| line.strip_prefix("//! - [`")?.split_once("`]"));
    names.map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn no_two_rooms_import_each_other() {
    let pairs = pairs(&imports::read(root()));
    assert!(pairs.is_empty(), "{}", pairs.join("\n"));
}

#[test]
fn rooms_import_only_rooms_listed_below_them() {
    let imports = imports::read(root());
    let order = listed();
    let mut sorted = order.clone();
    sorted.sort();
    let rooms: Vec<_> = imports.keys().cloned().collect();
    assert_eq!(sorted, rooms, "the list in src/lib.rs names every room once");
    let place = |name: &String| order.iter().position(|listed| listed == name).unwrap();
    let mut upward = Vec::new();
    for (room, targets) in &imports {
        for (target, Import { file, line }) in targets {
            if place(target) < place(room) {
                upward.push(format!("{file}:{line}: {room} imports {target}, listed above it"));
            }
        }
    }
    assert!(upward.is_empty(), "{}", upward.join("\n"));
}

#[test]
fn imports_are_found_in_groups_paths_and_supers() {
    let code = "use crate::{\n    a::{b, c::D},\n    e,\n};\nfn f() { crate::g::h(); my_crate::i(); }\n\
                pub(in crate::j) struct K;\nuse super::super::l::M;\nuse super::n;\n";
    let mut found = imports::roots(code, 2);
    found.sort_by_key(|(_, line)| *line);
    let found: Vec<_> = found.iter().map(|(name, line)| (name.as_str(), *line)).collect();
    assert_eq!(found, [("a", 2), ("e", 3), ("g", 5), ("j", 6), ("l", 7)]);
}

#[test]
fn comments_strings_and_tests_import_nothing() {
    let text = "//! [`crate::a`]\n/* crate::b /* nested */ crate::c */\n\
                const D: &str = \"crate::d \\\" crate::e\";\nconst F: &str = r#\"\"crate::f\"#;\n\
                const Q: char = '\"';\nfn g<'a>(_: &'a str) { crate::h(); }\n\
                #[cfg(test)]\nuse crate::{i, j};\n#[cfg(test)]\nmod tests {\n    use crate::k;\n}\n\
                #[cfg(test)]\npub(crate) mod testing;\nuse crate::l;\n";
    let (code, modules) = imports::without_tests(&imports::code_of(text));
    assert_eq!(imports::roots(&code, 1), [("h".to_owned(), 6), ("l".to_owned(), 15)]);
    assert_eq!(modules, ["testing"]);
}

#[test]
fn pair_of_rooms_is_reported_with_both_lines() {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join("src").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("lib.rs", "pub mod a;\npub mod b;\n");
    write("a/mod.rs", "mod inner;\n");
    write("a/inner.rs", "// first\nuse crate::b::B;\n");
    write("b.rs", "#[cfg(test)]\nmod tests;\nuse std::fmt;\nfn f() { crate::a::g(); }\n");
    write("b/tests.rs", "use crate::a;\n");
    let expected = "a imports b (src/a/inner.rs:2), and b imports a (src/b.rs:4)";
    assert_eq!(pairs(&imports::read(folder.path())), [expected]);
    write("b.rs", "#[cfg(test)]\nmod tests;\n");
    assert!(pairs(&imports::read(folder.path())).is_empty());
}
