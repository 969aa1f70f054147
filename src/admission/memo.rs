//! Answers that can be given again.
//!
//! The pods of one scale set are the same, byte for byte, but for a few strings that ARC and the
//! API server draw anew for each: names, uids, times. No rule reads those, so a review that equals
//! an earlier one in every other byte has the same answer, and is given it without being parsed.
//! All significant bytes are compared, none is hashed; the result is exactly what
//! `answer` would have found.
//!
//! A memo belongs to the rules that its answers were found by, and goes with them.

use std::{fmt, ops::Range, sync::Arc};

use arc_swap::ArcSwap;
use memchr::memmem;

use super::{record::Answer, review::Request};
use crate::{pod::Json, profile::template::RUNNER, selection};

/// Reviews that are kept: a fleet's scale sets, each with a few generations of pods. The oldest
/// goes first.
const ENTRIES: usize = 64;

/// Larger reviews are rare and not kept, so that the memo stays below 4 MiB with its answers.
const REVIEW_LENGTH: usize = 32 * 1024;

/// The volume that the ServiceAccount plugin adds, followed by five random characters
/// (`plugin/pkg/admission/serviceaccount`). Profiles cannot have a volume of this prefix.
const TOKEN_VOLUME: &str = "kube-api-access-";

/// The variable in which ARC hands a runner its registration, from a Secret named like the pod.
const JIT_CONFIG: &str = "ACTIONS_RUNNER_INPUT_JITCONFIG";

/// What answers are remembered.
#[derive(Default)]
pub(super) struct Memo {
    entries: ArcSwap<Vec<Arc<Entry>>>,
}

struct Entry {
    review: Box<[u8]>,
    /// In order, none overlaps another.
    holes: Vec<Hole>,
    uid: Range<usize>,
    name: Range<usize>,
    owner: Option<OwnerAt>,
    answer: Answer,
    /// Where the uid stands in the answer.
    uid_in_answer: Range<usize>,
}

/// Where the owner of the pod is named.
struct OwnerAt {
    name: Range<usize>,
    uid: Range<usize>,
}

/// A string that may differ.
struct Hole {
    at: Range<usize>,
    /// The hole whose text this one must repeat, if any: a mount must go on naming its volume.
    same_as: Option<Range<usize>>,
}

impl Memo {
    /// The answer to `review`, if it is known.
    pub(super) fn get(&self, review: &[u8]) -> Option<Answer> {
        let entries = self.entries.load();
        entries.iter().rev().find(|entry| entry.matches(review))?.answer(review)
    }

    /// Remembers the answer to a review whose request has been read from `review` itself.
    /// `patch` is the answer's, before it was encoded.
    pub(super) fn put(
        &self,
        review: &[u8],
        request: &Request<'_>,
        answer: &Answer,
        patch: Option<&[u8]>,
    ) {
        if review.len() > REVIEW_LENGTH {
            return;
        }
        let Some(entry) = Entry::new(review, request, answer, patch.unwrap_or_default()) else {
            return;
        };
        let entry = Arc::new(entry);
        self.entries.rcu(|entries| {
            let mut entries = Vec::clone(entries);
            if entries.len() >= ENTRIES {
                entries.remove(0);
            }
            entries.push(Arc::clone(&entry));
            entries
        });
    }
}

impl fmt::Debug for Memo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Memo({} answers)", self.entries.load().len())
    }
}

// === impl Entry ===

impl Entry {
    fn new(review: &[u8], request: &Request<'_>, answer: &Answer, patch: &[u8]) -> Option<Self> {
        // The record of a pod that is yet to be named is told by its generateName.
        if request.name.is_empty() {
            return None;
        }
        let uid = range(review, &request.uid)?;
        let name = range(review, &request.name)?;
        let pod = request.object.as_ref()?;
        // Each pod has an owner of its own. An owner without a name or uid, or with escapes in
        // them, is not the API server's writing, and not worth remembering.
        let owner = match selection::owner(pod) {
            None => None,
            Some(owner) => Some(OwnerAt {
                name: range(review, owner.text("name"))?,
                uid: range(review, owner.text("uid"))?,
            }),
        };
        let needle = format!(r#""uid":"{}""#, &*request.uid);
        let start = memmem::find(&answer.body, needle.as_bytes())? + r#""uid":""#.len();
        let uid_in_answer = start..start + uid.len();

        let mut holes = Vec::new();
        // A string that came through into the answer decides about it.
        let said = |text: &str| {
            [&answer.body, patch].iter().any(|part| memmem::find(part, text.as_bytes()).is_some())
        };
        let mut add = |text: &str, same_as: Option<Range<usize>>| {
            if let Some(at) = range(review, text) {
                holes.push(Hole { at, same_as });
            }
        };
        add(&request.uid, None);
        for text in volatile(request, pod) {
            if !said(text) {
                add(text, None);
            }
        }
        let token_names = token_names(pod)?;
        if let [volume, mounts @ ..] = token_names.as_slice()
            && !said(volume)
        {
            add(random_end(volume), None);
            for mount in mounts {
                add(random_end(mount), range(review, random_end(volume)));
            }
        }
        holes.sort_by_key(|hole| hole.at.start);
        holes.dedup_by(|b, a| a.at == b.at);
        let apart = holes.windows(2).all(|pair| match pair {
            [a, b] => a.at.end <= b.at.start,
            _ => true,
        });
        let answer = answer.clone();
        let review = review.into();
        apart.then_some(Self { review, holes, uid, name, owner, answer, uid_in_answer })
    }

    /// Whether `review` is this one but for the strings that may differ.
    fn matches(&self, review: &[u8]) -> bool {
        if review.len() != self.review.len() {
            return false;
        }
        let mut from = 0;
        for Hole { at, same_as } in &self.holes {
            let same = review.get(from..at.start) == self.review.get(from..at.start);
            let text = review.get(at.clone()).unwrap_or_default();
            let repeats =
                same_as.as_ref().is_none_or(|other| review.get(other.clone()) == Some(text));
            if !(same && repeats && text.iter().copied().all(is_plain)) {
                return false;
            }
            from = at.end;
        }
        review.get(from..) == self.review.get(from..)
    }

    /// The answer, with what `review` has in the holes.
    fn answer(&self, review: &[u8]) -> Option<Answer> {
        let text = |at: &Range<usize>| std::str::from_utf8(review.get(at.clone())?).ok();
        let uid = text(&self.uid)?;
        let mut answer = self.answer.clone();
        answer.body.get_mut(self.uid_in_answer.clone())?.copy_from_slice(uid.as_bytes());
        uid.clone_into(&mut answer.record.uid);
        text(&self.name)?.clone_into(&mut answer.record.name);
        if let Some((at, owner)) = self.owner.as_ref().zip(answer.record.owner.as_mut()) {
            text(&at.name)?.clone_into(&mut owner.name);
            text(&at.uid)?.clone_into(&mut owner.uid);
        }
        Some(answer)
    }
}

/// Characters that need no escape in JSON and stand in names, uids and times.
const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b':')
}

/// Strings that are drawn anew for each pod and that no rule reads.
fn volatile<'r>(request: &'r Request<'_>, pod: &'r Json<'_>) -> impl Iterator<Item = &'r str> {
    let metadata = pod.get("metadata");
    let list = |field| metadata.map(|metadata| metadata.list(field)).unwrap_or_default();
    let owners = list("ownerReferences");
    let of_owners = owners.iter().flat_map(|owner| [owner.text("name"), owner.text("uid")]);
    let registration = pod
        .get("spec")
        .map(|spec| spec.list("containers"))
        .unwrap_or_default()
        .iter()
        .filter(|container| container.text("name") == RUNNER)
        .flat_map(|container| container.list("env"))
        .filter(|env| env.text("name") == JIT_CONFIG)
        .filter_map(|env| env.at(&["valueFrom", "secretKeyRef", "name"])?.as_str());
    let ownership = list("managedFields").iter().flat_map(move |fields| {
        let Json::Skipped(text) = *fields else { return Vec::new() };
        let uids = owners.iter().map(|owner| owner.text("uid")).filter(|uid| !uid.is_empty());
        let uids = uids.flat_map(|uid| text.match_indices(uid).map(|(_, uid)| uid));
        uids.chain(time(text)).collect()
    });
    std::iter::once(&*request.name)
        .chain(metadata.map(|metadata| metadata.text("name")))
        .chain(of_owners)
        .chain(registration)
        .chain(ownership)
        .filter(|text| !text.is_empty())
}

/// The time of one entry of managedFields.
fn time(fields: &str) -> Option<&str> {
    let (_, rest) = fields.split_once(r#""time":""#)?;
    rest.split_once('"').map(|(time, _)| time)
}

/// The name of the token volume, and then the same in each mount of it; empty without any. `None`
/// where a mount has no such volume, or there are several: another pod's drawn name could then
/// make it another mount's.
fn token_names<'r>(pod: &'r Json<'_>) -> Option<Vec<&'r str>> {
    let Some(spec) = pod.get("spec") else { return Some(Vec::new()) };
    let of = |item: &'r Json<'_>, list| {
        let names = item.list(list).iter().map(|named| named.text("name"));
        names.filter(|name| name.starts_with(TOKEN_VOLUME))
    };
    let volumes: Vec<_> = of(spec, "volumes").collect();
    let containers = ["initContainers", "containers"].into_iter().flat_map(|list| spec.list(list));
    let mounts: Vec<_> = containers.flat_map(|container| of(container, "volumeMounts")).collect();
    let plain = match volumes.as_slice() {
        [] => mounts.is_empty(),
        [volume] => mounts.iter().all(|mount| mount == volume),
        _ => false,
    };
    plain.then(|| [volumes, mounts].concat())
}

/// What the API server drew of a token volume's name.
fn random_end(name: &str) -> &str {
    name.strip_prefix(TOKEN_VOLUME).unwrap_or_default()
}

/// Where `part` is in `whole`, if it was borrowed from there.
fn range(whole: &[u8], part: &str) -> Option<Range<usize>> {
    let start = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
    let end = start.checked_add(part.len())?;
    (end <= whole.len()).then_some(start..end)
}
