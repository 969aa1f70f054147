//! What the pages show of a command is what it prints.

use std::{fs, path::Path, process::Command};

use crate::page;

/// The commands of docs/cli.md that are run, in a folder with the README's profiles.
const RUN: [&str; 4] = [
    "arc-rocm profiles check bad.yaml",
    "arc-rocm profiles check profiles/",
    "arc-rocm profiles list --profiles profiles",
    "arc-rocm explain --scale-set linux.rocm.gpu.gfx942.4 --profiles profiles",
];

/// The README's profiles, as a file.
fn fleet() -> String {
    let readme = page("README.md");
    let block = readme.split("```").find(|block| block.contains("kind: RunnerProfile\n"));
    block.unwrap().strip_prefix("yaml\n").unwrap().to_owned()
}

/// What a command prints, both of its outputs in this order: what it says is wrong, then the rest.
fn printed(folder: &Path, command: &str) -> String {
    let mut words = command.split(' ').skip(1).peekable();
    assert!(words.peek().is_some(), "{command}");
    let mut program = Command::new(env!("CARGO_BIN_EXE_arc-rocm"));
    let output = program.args(words).current_dir(folder).output().unwrap();
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

/// What a page shows of a command: up to the next command or the end of the block.
fn shown<'p>(page: &'p str, command: &str) -> &'p str {
    let (_, after) = page.split_once(&format!("$ {command}\n")).unwrap();
    let end = [after.find("```"), after.find("$ arc-rocm")].into_iter().flatten().min();
    &after[..end.unwrap()]
}

#[test]
fn the_commands_of_the_reference_print_what_it_shows() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = fleet();
    let (first, last) = fleet.rsplit_once("extends: base").unwrap();
    let bad = format!("{first}extends: rcom{last}").replace("{cpu:", "{cpus:");
    fs::create_dir(folder.path().join("profiles")).unwrap();
    fs::write(folder.path().join("profiles/fleet.yaml"), fleet).unwrap();
    fs::write(folder.path().join("bad.yaml"), bad).unwrap();
    let page = page("docs/cli.md");
    for command in RUN {
        assert_eq!(printed(folder.path(), command), shown(&page, command), "$ {command}");
    }
}

#[test]
fn the_readmes_misspelt_field_is_reported_where_it_says() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("fleet.yaml"), fleet().replace("{cpu:", "{cpus:")).unwrap();
    let printed = printed(folder.path(), "arc-rocm profiles check fleet.yaml");
    let problem = printed.lines().next().unwrap();
    assert!(page("README.md").contains(&format!("```text\n{problem}\n```")), "{printed}");
}
