//! Which matchers can match a pod at all, by the text that its names would have to begin or end
//! with: what a pod costs does not grow with the profiles of other teams.

use std::collections::HashMap;

use super::{Matcher, Pattern, RunnerPod, pattern::Affix};

/// The places of matchers, by what their patterns begin or end with.
///
/// A place is found by its scale sets if each of their patterns has such a text, else by its
/// namespaces, and else it is a candidate for every pod.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    scale_sets: Affixes,
    namespaces: Affixes,
    /// Those that are candidates for every pod.
    any: Vec<usize>,
}

impl Index {
    /// Indexes matchers by their places; `None` is a candidate for no pod.
    pub(crate) fn new<'m>(matchers: impl IntoIterator<Item = Option<&'m Matcher>>) -> Self {
        let mut index = Self::default();
        for (place, matcher) in matchers.into_iter().enumerate() {
            let Some(matcher) = matcher else { continue };
            if let Some(affixes) = affixes(matcher.scale_sets()) {
                index.scale_sets.insert(&affixes, place);
            } else if let Some(affixes) = affixes(matcher.namespaces()) {
                index.namespaces.insert(&affixes, place);
            } else {
                index.any.push(place);
            }
        }
        index
    }

    /// The places whose matchers can match `pod`, ascending, each once: all that do, and few that
    /// do not.
    pub(crate) fn candidates(&self, pod: &RunnerPod<'_>) -> Vec<usize> {
        let mut places = self.any.clone();
        for name in pod.scale_sets() {
            self.scale_sets.find(name, &mut places);
        }
        self.namespaces.find(pod.namespace, &mut places);
        places.sort_unstable();
        places.dedup();
        places
    }
}

/// What each of the patterns begins or ends with; `None` if there is no pattern, or one of them
/// begins and ends with anything.
fn affixes(patterns: &[Pattern]) -> Option<Vec<Affix<'_>>> {
    if patterns.is_empty() { None } else { patterns.iter().map(Pattern::affix).collect() }
}

#[derive(Clone, Debug, Default)]
struct Affixes {
    prefixes: Texts,
    suffixes: Texts,
}

impl Affixes {
    fn insert(&mut self, affixes: &[Affix<'_>], place: usize) {
        for affix in affixes {
            match affix {
                Affix::Prefix(text) => self.prefixes.insert(text, place),
                Affix::Suffix(text) => self.suffixes.insert(text, place),
            }
        }
    }

    fn find(&self, name: &str, places: &mut Vec<usize>) {
        self.prefixes.find(|length| name.get(..length), places);
        self.suffixes.find(|length| name.get(name.len().checked_sub(length)?..), places);
    }
}

/// Places by a text, and which lengths there are: a look for each of them finds all, and names are
/// short.
#[derive(Clone, Debug, Default)]
struct Texts {
    places: HashMap<Box<str>, Vec<usize>>,
    /// In bytes, each once.
    lengths: Vec<usize>,
}

impl Texts {
    fn insert(&mut self, text: &str, place: usize) {
        if !self.lengths.contains(&text.len()) {
            self.lengths.push(text.len());
        }
        self.places.entry(text.into()).or_default().push(place);
    }

    fn find<'n>(&self, part: impl Fn(usize) -> Option<&'n str>, places: &mut Vec<usize>) {
        let parts = self.lengths.iter().filter_map(|length| part(*length));
        places.extend(parts.filter_map(|part| self.places.get(part)).flatten());
    }
}

#[cfg(test)]
mod tests;
