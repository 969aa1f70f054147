//! Reads which rooms (top-level folders and files of `src`) a source file imports.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Where one room names another.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Import {
    /// The file, from the repository's root.
    pub(crate) file: String,
    /// The line, from 1.
    pub(crate) line: usize,
}

/// For each room the rooms that it imports, with the first line that does.
pub(crate) type Imports = BTreeMap<String, BTreeMap<String, Import>>;

/// Reads all of `src` in `repository`.
pub(crate) fn read(repository: &Path) -> Imports {
    let src = repository.join("src");
    let rooms = rooms(&src);
    let mut imports: Imports = rooms.iter().map(|room| (room.clone(), BTreeMap::new())).collect();
    let mut tests = Vec::new();
    let mut modules = Vec::new();
    for file in rust_files(&src) {
        let path = file.strip_prefix(&src).unwrap();
        let module = module_of(path);
        let (code, test_modules) = without_tests(&code_of(&fs::read_to_string(&file).unwrap()));
        tests.extend(test_modules.into_iter().map(|name| [module.clone(), vec![name]].concat()));
        modules.push((format!("src/{}", path.display()), module, code));
    }
    modules.sort();
    for (file, module, code) in modules {
        let is_test = tests.iter().any(|test| module.starts_with(test));
        let Some(room) = module.first().filter(|_| !is_test) else { continue };
        for (target, line) in roots(&code, module.len()) {
            if target != *room && rooms.contains(&target) {
                let import = Import { file: file.clone(), line };
                imports.get_mut(room).unwrap().entry(target).or_insert(import);
            }
        }
    }
    imports
}

/// The names of the top-level modules.
fn rooms(src: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(src).unwrap().map(|entry| entry.unwrap().path());
    let names = entries.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned());
    names.filter(|name| name != "lib" && name != "main").collect()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The module that a file of `src` is: `["tls", "reload"]` for `tls/reload.rs`.
fn module_of(path: &Path) -> Vec<String> {
    let path = path.with_extension("");
    let names = path.iter().map(|name| name.to_str().unwrap().to_owned());
    names.filter(|name| !matches!(name.as_str(), "mod" | "lib" | "main")).collect()
}

/// The text with comments, strings and characters as blanks; every line keeps its number.
pub(crate) fn code_of(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let at = |index: usize| chars.get(index).copied().unwrap_or('\0');
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut code = String::with_capacity(text.len());
    let mut index = 0;
    while index < chars.len() {
        let end = match (at(index), at(index + 1)) {
            ('/', '/') => (index..chars.len()).find(|&end| at(end) == '\n').unwrap_or(chars.len()),
            ('/', '*') => {
                let mut depth = 0;
                let mut end = index;
                loop {
                    match (at(end), at(end + 1)) {
                        ('/', '*') => (depth, end) = (depth + 1, end + 2),
                        ('*', '/') => (depth, end) = (depth - 1, end + 2),
                        _ => end += 1,
                    }
                    if depth == 0 || end >= chars.len() {
                        break end;
                    }
                }
            }
            ('r', '"' | '#') if index == 0 || !is_word(at(index - 1)) || at(index - 1) == 'b' => {
                let hashes = (index + 1..chars.len()).take_while(|&hash| at(hash) == '#').count();
                if at(index + 1 + hashes) == '"' {
                    let closes = |end: usize| {
                        at(end) == '"' && (1..=hashes).all(|hash| at(end + hash) == '#')
                    };
                    let begin = index + 2 + hashes;
                    (begin..chars.len()).find(|&end| closes(end)).unwrap_or(begin) + 1 + hashes
                } else {
                    index
                }
            }
            ('"', _) => {
                let mut end = index + 1;
                while end < chars.len() && at(end) != '"' {
                    end += if at(end) == '\\' { 2 } else { 1 };
                }
                end + 1
            }
            ('\'', '\\') => {
                (index + 3..chars.len()).find(|&end| at(end) == '\'').unwrap_or(index) + 1
            }
            ('\'', _) if at(index + 2) == '\'' => index + 3,
            _ => index,
        };
        if end == index {
            code.push(at(index));
            index += 1;
        } else {
            let blanked = chars.iter().take(end).skip(index);
            code.extend(blanked.map(|&c| if c == '\n' { '\n' } else { ' ' }));
            index = end;
        }
    }
    code
}

/// The code with every item under `#[cfg(test)]` as blanks, and the names of the modules among
/// these items whose text is in a file of its own.
pub(crate) fn without_tests(code: &str) -> (String, Vec<String>) {
    const ATTRIBUTE: &str = "#[cfg(test)]";
    let mut kept = String::with_capacity(code.len());
    let mut modules = Vec::new();
    let mut rest = code;
    while let Some(begin) = rest.find(ATTRIBUTE) {
        let (before, item) = rest.split_at(begin);
        let length = item_length(item);
        let (item, after) = item.split_at(length);
        let words: Vec<&str> = item.trim_end_matches(';').split_whitespace().collect();
        if let (Some(name), true) = (words.last(), item.ends_with(';') && words.contains(&"mod")) {
            modules.push((*name).to_owned());
        }
        kept.push_str(before);
        kept.extend(item.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = after;
    }
    kept.push_str(rest);
    (kept, modules)
}

/// The bytes of the item at the beginning: to its `;`, or to the end of its braces. A `use` has
/// braces and a `;`.
fn item_length(item: &str) -> usize {
    let is_use = item.split_whitespace().any(|word| word == "use")
        && item.find("use ").unwrap_or(usize::MAX) < item.find('{').unwrap_or(usize::MAX);
    let mut depth = 0;
    for (index, c) in item.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                if depth == 0 && !is_use {
                    return index + 1;
                }
            }
            ';' if depth == 0 => return index + 1,
            _ => {}
        }
    }
    item.len()
}

/// The first names after `crate::`, or after as many `super::` as lead out of a file `depth`
/// modules deep, with their lines. `crate::{a::b, c}` gives `a` and `c`.
pub(crate) fn roots(code: &str, depth: usize) -> Vec<(String, usize)> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    let supers = format!("{}::", vec!["super"; depth].join("::"));
    for prefix in ["crate::", &supers] {
        let mut from = 0;
        while let Some(place) = code.get(from..).and_then(|rest| rest.find(prefix)) {
            let begin = from + place;
            from = begin + prefix.len();
            let before = code[..begin].trim_end().chars().next_back();
            if code[..begin].ends_with(is_word) || before == Some(':') {
                continue;
            }
            let mut nesting = 0;
            let mut expects_name = true;
            let mut index = from;
            while let Some(c) = code[index..].chars().next() {
                match c {
                    '{' => nesting += 1,
                    '}' => nesting -= 1,
                    ',' if nesting == 1 => expects_name = true,
                    c if c.is_whitespace() => {}
                    c if expects_name && nesting <= 1 && is_word(c) => {
                        let name: String =
                            code[index..].chars().take_while(|&c| is_word(c)).collect();
                        let line = code[..index].matches('\n').count() + 1;
                        index += name.len();
                        found.push((name, line));
                        expects_name = false;
                        if nesting == 0 {
                            break;
                        }
                        continue;
                    }
                    _ => expects_name = false,
                }
                if nesting == 0 && (c == '}' || !expects_name) {
                    break;
                }
                index += c.len_utf8();
            }
        }
    }
    found
}
