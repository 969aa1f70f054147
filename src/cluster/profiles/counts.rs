//! How many pods each profile was put into, and how much of it the API server knows already.

use std::collections::BTreeMap;

/// This replica's counts by the objects' uids: what was told, or what there was when an object was
/// seen first, which is another's of the same name.
#[derive(Debug, Default)]
pub(super) struct Counts(BTreeMap<String, u64>);

impl Counts {
    /// What is to be added to the object's count, of which `now` is this replica's own.
    pub(super) fn untold(&mut self, uid: &str, now: u64) -> u64 {
        let told = self.0.entry(uid.to_owned()).or_insert(now);
        now.saturating_sub(*told)
    }

    /// `added` of it was added.
    pub(super) fn told(&mut self, uid: &str, added: u64) {
        if let Some(told) = self.0.get_mut(uid) {
            *told = told.saturating_add(added);
        }
    }

    /// Forgets objects that are gone.
    pub(super) fn keep(&mut self, is_there: impl Fn(&str) -> bool) {
        self.0.retain(|uid, _| is_there(uid));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_not_told_is_added() {
        let mut counts = Counts::default();
        assert_eq!(counts.untold("a", 0), 0);
        assert_eq!(counts.untold("a", 3), 3);
        // The write failed, and more came meanwhile.
        assert_eq!(counts.untold("a", 5), 5);
        counts.told("a", 5);
        assert_eq!(counts.untold("a", 5), 0);
        assert_eq!(counts.untold("a", 6), 1);
    }

    #[test]
    fn an_object_made_anew_does_not_get_the_count_of_its_namesake() {
        let mut counts = Counts::default();
        assert_eq!((counts.untold("old", 0), counts.untold("old", 7)), (0, 7));
        counts.told("old", 7);
        counts.keep(|uid| uid == "new");
        assert_eq!((counts.untold("new", 7), counts.untold("new", 8)), (0, 1));
        assert_eq!(counts.0.len(), 1);
    }
}
