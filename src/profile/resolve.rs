//! From files and objects to a [`ProfileSet`]: each is read, laid over what it extends, checked
//! and compiled once. Every problem is reported.
//!
//! Files stand by themselves: they are good or bad as a whole, and no object changes what they
//! mean. Objects may extend profiles of files and of one another. An object with problems is left
//! out, and so are those that extend it; nothing else is affected. The result does not depend on
//! the order of objects, so that all replicas come to the same.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    Problem, ProfileSet,
    compile::{Base, Compiled, compile},
    document::{Document, Origin},
    report::Part,
};

/// The built-in profiles' text.
pub const BUILTIN_TEXT: &str = include_str!("builtin.yaml");
/// Most profiles that a message lists.
const MOST_LISTED: usize = 20;

/// A file's text, under the name that its problems are shown with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct File {
    /// The name.
    pub name: String,
    /// The text: YAML, one or more documents.
    pub text: String,
}

/// How the names of suites for `arc-rocm test` end, which stand beside profiles and are none.
pub const SUITE_ENDING: &str = ".test.yaml";
/// How the names of files end that are read from a directory.
const ENDINGS: [&str; 3] = [".yaml", ".yml", ".json"];

impl File {
    /// Whether a directory's file of this name has profiles. Names that begin with a dot do not, such as
    /// `..data` in a mounted ConfigMap.
    pub fn is_name(name: &str) -> bool {
        !name.starts_with('.')
            && !name.ends_with(SUITE_ENDING)
            && ENDINGS.iter().any(|ending| name.ends_with(ending))
    }
}

/// An object as the API server has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.generation`.
    pub generation: i64,
    /// The spec.
    pub spec: Value,
}

/// What came of files and objects.
#[derive(Debug)]
pub struct Resolved {
    /// The profiles in force.
    pub profiles: ProfileSet,
    /// The problems of each object that is left out, by its name.
    pub refused: BTreeMap<String, Vec<Problem>>,
}

/// What a change of one object would do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    /// What is wrong with the object itself.
    pub own: Vec<Problem>,
    /// Objects that are good now and would be left out with the change, by name.
    pub others: BTreeMap<String, Vec<Problem>>,
    /// Whether there is an object of this name that is in force now.
    pub was_accepted: bool,
}

/// Compiles files and objects together.
///
/// # Errors
///
/// The problems of the files, which have none of the objects' part.
pub fn resolve(files: &[File], objects: &[Object]) -> Result<Resolved, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut documents = Document::builtin(BUILTIN_TEXT);
    for file in files {
        documents.extend(Document::of_file(file, &mut problems));
    }
    documents.extend(objects.iter().map(Document::of_object));
    let names = names(&mut documents);
    let mut profiles = Vec::new();
    let mut refused: BTreeMap<String, Vec<Problem>> = BTreeMap::new();
    for (document, compiled) in documents.iter().zip(compile_all(&documents, &names)) {
        match (&document.origin, compiled.profile) {
            (_, Some(profile)) => profiles.push(profile),
            (Origin::Object { name }, None) => {
                refused.entry(name.clone()).or_default().extend(compiled.problems);
            }
            (_, None) => problems.extend(compiled.problems),
        }
    }
    if !problems.is_empty() {
        problems.sort_by(|a, b| (&a.file, a.at, &a.path).cmp(&(&b.file, b.at, &b.path)));
        return Err(problems);
    }
    let set = ProfileSet::new(profiles);
    // With profiles of the user's own, the built-in ones are there to be extended or named.
    let is_alone = files.is_empty() && objects.is_empty();
    Ok(Resolved { profiles: if is_alone { set } else { set.builtin_by_name() }, refused })
}

/// What it would do to store `spec` as the object `name` beside `objects`, or to delete the object
/// with `None`.
///
/// # Errors
///
/// As [`resolve`].
pub fn resolve_change(
    files: &[File],
    objects: &[Object],
    name: &str,
    spec: Option<&Value>,
) -> Result<Change, Vec<Problem>> {
    let before = resolve(files, objects)?.refused;
    let was_accepted =
        objects.iter().any(|object| object.name == name) && !before.contains_key(name);
    let mut objects: Vec<Object> =
        objects.iter().filter(|object| object.name != name).cloned().collect();
    objects.extend(spec.map(|spec| Object {
        name: name.to_owned(),
        uid: String::new(),
        generation: 0,
        spec: spec.clone(),
    }));
    let mut after = resolve(files, &objects)?.refused;
    let own = after.remove(name).unwrap_or_default();
    after.retain(|name, _| !before.contains_key(name));
    Ok(Change { own, others: after, was_accepted })
}

impl ProfileSet {
    /// The built-in profiles alone.
    pub fn builtin() -> Self {
        Self::compile(&[]).unwrap_or_else(|_| Self::new(Vec::new()))
    }

    /// Compiles the profiles of `files`. With none, the built-in ones match pods; with some, they
    /// are there to be extended or named.
    ///
    /// # Errors
    ///
    /// As [`resolve`].
    pub fn compile(files: &[File]) -> Result<Self, Vec<Problem>> {
        Ok(resolve(files, &[])?.profiles)
    }
}

/// The documents by the names of their profiles; of several with one name the first has it.
fn names(documents: &mut [Document]) -> BTreeMap<String, usize> {
    let mut names = BTreeMap::new();
    let mut origins: BTreeMap<String, Origin> = BTreeMap::new();
    for (index, document) in documents.iter_mut().enumerate() {
        let Some(name) = document.name.clone() else { continue };
        let message = match origins.get(&name) {
            None => {
                names.insert(name.clone(), index);
                origins.insert(name, document.origin.clone());
                continue;
            }
            Some(Origin::BuiltIn) => {
                format!("{name} is a built-in profile; give yours another name")
            }
            Some(other) if document.is_object() => {
                format!("{other} has a profile of this name, and files come first")
            }
            Some(other) => format!("{other} has a profile of this name too"),
        };
        document.add(&[Part::from("metadata"), Part::from("name")], message);
        document.name = None;
    }
    names
}

/// Compiles each document after the one that it extends.
fn compile_all<'d>(
    documents: &'d [Document],
    names: &BTreeMap<String, usize>,
) -> Vec<Compiled<'d>> {
    let mut done: BTreeMap<usize, Compiled<'d>> = BTreeMap::new();
    for first in 0..documents.len() {
        // From this document along `extends` to one that is compiled, or that extends nothing.
        let mut waiting = vec![first];
        let mut seen = BTreeSet::from([first]);
        let mut next = Some(first);
        while let Some(document) = next.and_then(|index| documents.get(index)) {
            next = base(document, documents, names);
            match next {
                Some(index) if done.contains_key(&index) => break,
                Some(index) if !seen.insert(index) => {
                    circle(&waiting, index, documents, &mut done);
                    break;
                }
                _ => waiting.extend(next),
            }
        }
        for index in waiting.into_iter().rev() {
            let Some(document) = documents.get(index).filter(|_| !done.contains_key(&index)) else {
                continue;
            };
            let found = base(document, documents, names).and_then(|base| done.get(&base));
            let base = match (document.extends(), found) {
                (None, _) => Base::None,
                (Some(_), Some(base)) => Base::Known(base),
                (Some(name), None) => Base::Unknown(unknown(name, document, documents, names)),
            };
            let compiled = compile(document, &base);
            done.insert(index, compiled);
        }
    }
    done.into_values().collect()
}

/// The document that `document` extends. A file extends no object.
fn base(
    document: &Document,
    documents: &[Document],
    names: &BTreeMap<String, usize>,
) -> Option<usize> {
    let index = *names.get(document.extends()?)?;
    documents.get(index).filter(|base| document.is_object() || !base.is_object()).map(|_| index)
}

/// Compiles the documents that extend one another in a circle: the last of `waiting` extends
/// `start`.
fn circle<'d>(
    waiting: &[usize],
    start: usize,
    documents: &'d [Document],
    done: &mut BTreeMap<usize, Compiled<'d>>,
) {
    let members: Vec<usize> = waiting.iter().copied().skip_while(|one| *one != start).collect();
    for (place, member) in members.iter().enumerate() {
        let others = members.iter().cycle().skip(place + 1).take(members.len() - 1);
        let others: Vec<&str> =
            others.filter_map(|other| documents.get(*other)?.name.as_deref()).collect();
        let message = if others.is_empty() {
            "a profile cannot extend itself".to_owned()
        } else {
            format!("{} extends this profile in turn", others.join(", which extends "))
        };
        if let Some(document) = documents.get(*member) {
            done.insert(*member, compile(document, &Base::Unknown(message)));
        }
    }
}

/// What to say about a profile that is not there.
fn unknown(
    name: &str,
    document: &Document,
    documents: &[Document],
    names: &BTreeMap<String, usize>,
) -> String {
    let is_usable = |index: &usize| {
        documents.get(*index).is_some_and(|base| document.is_object() || !base.is_object())
    };
    let known: Vec<&str> =
        names.iter().filter(|(_, index)| is_usable(index)).map(|(name, _)| name.as_str()).collect();
    let more = if known.len() > MOST_LISTED { ", ..." } else { "" };
    let known = known.into_iter().take(MOST_LISTED).collect::<Vec<_>>().join(", ");
    format!("there is no profile {name:?}; there are: {known}{more}")
}

#[cfg(test)]
mod tests;
