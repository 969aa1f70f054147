//! RunnerProfile objects beside profile files: one set, and a verdict on each object.
//!
//! Files stand by themselves: they are good or bad as a whole, and no object changes what they
//! mean. Objects may extend profiles of files and of one another. A bad object takes nothing with
//! it: its last good spec stays in force, or it is left out.
//!
//! The result depends on what the API server has and on nothing else, not on the order in which
//! objects came: all replicas come to the same.

use std::{collections::BTreeMap, mem};

use schemars::Schema;
use serde_json::{Value, json};

use super::{
    Problem, Profile, ProfileSet,
    compile::{self, Builtin, Document, Documents, File},
    set::BUILTIN,
    spec::{API_VERSION, KIND, OBJECT_PREFIX},
    status::LastGood,
};

/// Rounds of leaving out what is to blame, one link of each chain of `extends` at a time. After so
/// many, all that depends on what is to blame goes with it.
const MAX_ROUNDS: usize = 64;

/// An object as the API server has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.generation`.
    pub generation: i64,
    /// `metadata.creationTimestamp`, in seconds since the epoch.
    pub created: i64,
    /// The newest spec.
    pub spec: Value,
    /// The last good one.
    pub good: Option<LastGood>,
}

/// What came of files and objects.
#[derive(Debug)]
pub struct Judged {
    /// The profiles in force.
    pub profiles: ProfileSet,
    /// A verdict on each object, by its name.
    pub verdicts: BTreeMap<String, Verdict>,
}

/// What came of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The `metadata.generation` that was judged.
    pub generation: i64,
    /// Why the newest spec is not in force; `None` when it is.
    pub refusal: Option<Refusal>,
    /// The generation of the spec that is in force; `None` when the object is left out.
    pub in_force: Option<i64>,
    /// What is the last good spec from now on.
    pub good: Option<LastGood>,
}

/// Why a spec is not in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// In one word.
    pub reason: Reason,
    /// In all words.
    pub problems: Vec<Problem>,
}

/// Why a spec is not in force, in one word.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reason {
    /// It makes no profile.
    Invalid,
    /// A file has a profile of this name, or it is the built-in one's.
    NameTaken,
    /// Another profile of the same priority matches the same pods, and comes first.
    Conflict,
    /// Profiles in force that extend this one would break.
    BreaksOthers,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Invalid, Self::NameTaken, Self::Conflict, Self::BreaksOthers];

    /// The condition's `reason`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "Invalid",
            Self::NameTaken => "NameTaken",
            Self::Conflict => "Conflict",
            Self::BreaksOthers => "BreaksOthers",
        }
    }
}

/// Which spec of an object is tried.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    Newest,
    LastGood,
    Out,
}

/// An object on its way to a verdict.
struct Candidate<'o> {
    object: &'o Object,
    stage: Stage,
    newest: Option<Document>,
    /// The last good spec, where it is another than the newest and still passes the schema.
    last_good: Option<Document>,
    refusal: Option<Refusal>,
    /// Objects in force for whose sake the newest spec is not tried.
    sake: Vec<&'o str>,
}

/// Compiles files and objects.
///
/// # Errors
///
/// The problems of the files, which have none of the objects' part.
pub fn judge(files: &[File], objects: &[Object]) -> Result<Judged, Vec<Problem>> {
    let profiles = ProfileSet::compile(files)?;
    if objects.is_empty() {
        return Ok(Judged { profiles, verdicts: BTreeMap::new() });
    }
    let schema = compile::schema();
    let mut problems = Vec::new();
    let read = compile::read_files(files, Some(&schema), &mut problems);
    let fixed = compile::by_name(&read, &mut problems);
    let mut candidates = BTreeMap::new();
    for object in objects {
        let candidate = Candidate::new(object, &schema, fixed.get(object.name.as_str()).copied());
        candidates.insert(object.name.as_str(), candidate);
    }
    let profiles = settle(&fixed, &mut candidates);
    let verdicts = candidates.into_values().map(Candidate::verdict).collect();
    Ok(Judged { profiles: ProfileSet::new(profiles), verdicts })
}

/// Takes out what is to blame until nothing is.
fn settle<'o>(
    fixed: &Documents<'_>,
    candidates: &mut BTreeMap<&'o str, Candidate<'o>>,
) -> Vec<Profile> {
    for round in 0.. {
        let mut documents = fixed.clone();
        documents.extend(candidates.values().filter_map(Candidate::document));
        let (profiles, problems) = compile::profiles(&documents, Builtin::ByName);
        let mut blamed = by_object(problems);
        let reason = if blamed.is_empty() { Reason::Conflict } else { Reason::Invalid };
        if blamed.is_empty() {
            blamed = losers(&profiles, &documents, candidates);
        }
        if blamed.is_empty() {
            return profiles;
        }
        let chains: BTreeMap<String, Vec<String>> =
            candidates.keys().map(|name| ((*name).to_owned(), bases(name, &documents))).collect();
        let is_hurried = round >= MAX_ROUNDS;
        drop(documents);
        if is_hurried {
            leave_out(&blamed, reason, &chains, candidates);
        } else {
            demote(blamed, reason, &chains, candidates);
        }
    }
    Vec::new()
}

/// The problems by the object that has them.
fn by_object(problems: Vec<Problem>) -> BTreeMap<String, Vec<Problem>> {
    let mut blamed: BTreeMap<String, Vec<Problem>> = BTreeMap::new();
    for problem in problems {
        if let Some(name) = problem.file.strip_prefix(OBJECT_PREFIX) {
            blamed.entry(name.to_owned()).or_default().push(problem);
        }
    }
    blamed
}

/// The names of what the profile builds on, nearest first.
fn bases(name: &str, documents: &Documents<'_>) -> Vec<String> {
    let mut bases: Vec<String> = Vec::new();
    let mut current = name;
    while let Some(base) = documents
        .get(current)
        .and_then(|document| document.spec.get("extends")?.as_str())
        .filter(|base| *base != name && bases.iter().all(|known| known != base))
    {
        bases.push(base.to_owned());
        current = base;
    }
    bases
}

/// The profiles that meet one which comes before them: one of a file, one that was in force
/// already, an older one, the first by name.
fn losers(
    profiles: &[Profile],
    documents: &Documents<'_>,
    candidates: &BTreeMap<&str, Candidate<'_>>,
) -> BTreeMap<String, Vec<Problem>> {
    let rank = |profile: &Profile| {
        let candidate = candidates.get(profile.name.as_str());
        let rank = candidate.filter(|candidate| candidate.stage != Stage::Out);
        rank.map(|candidate| (candidate.is_new(), candidate.object.created))
    };
    let mut ordered: Vec<&Profile> = profiles.iter().collect();
    ordered.sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.name.cmp(&b.name)));
    let mut kept: BTreeMap<i32, Vec<&Profile>> = BTreeMap::new();
    let mut losers = BTreeMap::new();
    for profile in ordered.into_iter().filter(|profile| profile.matcher.is_some()) {
        let kept = kept.entry(profile.priority).or_default();
        let mut ties = kept.iter().map(|other| compile::tie(profile, other, documents));
        match ties.find(|problems| !problems.is_empty()) {
            Some(problems) if candidates.contains_key(profile.name.as_str()) => {
                losers.insert(profile.name.clone(), problems);
            }
            _ => kept.push(profile),
        }
    }
    losers
}

/// One step back for each that is to blame, but for those that build on another which is: they may
/// be good again without their own doing.
fn demote<'o>(
    mut blamed: BTreeMap<String, Vec<Problem>>,
    reason: Reason,
    chains: &BTreeMap<String, Vec<String>>,
    candidates: &mut BTreeMap<&'o str, Candidate<'o>>,
) {
    let names: Vec<String> = blamed.keys().cloned().collect();
    for name in &names {
        let mut bases = chains.get(name).into_iter().flatten();
        // A circle has no first; all in it go.
        let in_circle = |base: &String| chains.get(base).is_some_and(|own| own.contains(name));
        if bases.any(|base| names.contains(base) && !in_circle(base)) {
            blamed.remove(name);
        }
    }
    for (name, problems) in blamed {
        // What was in force and is bad now has become so by a change below it.
        let was_good = candidates.get(name.as_str()).is_some_and(|one| !one.is_new());
        let bases = chains.get(&name).into_iter().flatten();
        let changed = bases.filter(|_| was_good && reason == Reason::Invalid).find(|base| {
            candidates.get(base.as_str()).is_some_and(|one| one.is_new() && one.last_good.is_some())
        });
        let sake = candidates.get(name.as_str()).map(|one| one.object.name.as_str());
        if let (Some(base), Some(sake)) = (changed, sake) {
            if let Some(base) = candidates.get_mut(base.as_str()) {
                base.sake.push(sake);
                base.step_back(Reason::BreaksOthers, problems);
            }
            continue;
        }
        if let Some(one) = candidates.get_mut(name.as_str()) {
            one.step_back(reason, problems);
            if one.stage == Stage::Out {
                restore(&name, candidates);
            }
        }
    }
}

/// Tries again what was held back for the sake of `gone`, which is bad without it as well.
fn restore(gone: &str, candidates: &mut BTreeMap<&str, Candidate<'_>>) {
    for candidate in candidates.values_mut().filter(|one| !one.sake.is_empty()) {
        candidate.sake.retain(|name| *name != gone);
        let held = candidate.refusal.as_ref().map(|refusal| refusal.reason);
        if candidate.sake.is_empty()
            && candidate.stage == Stage::LastGood
            && held == Some(Reason::BreaksOthers)
        {
            candidate.stage = Stage::Newest;
            candidate.refusal = None;
        }
    }
}

/// Takes out whatever is to blame, with all that builds on it: what is left has no problem that it
/// did not have before, so that this comes to an end.
fn leave_out(
    blamed: &BTreeMap<String, Vec<Problem>>,
    reason: Reason,
    chains: &BTreeMap<String, Vec<String>>,
    candidates: &mut BTreeMap<&str, Candidate<'_>>,
) {
    for candidate in candidates.values_mut() {
        let name = candidate.object.name.as_str();
        let mut bases = chains.get(name).into_iter().flatten();
        let cause = match blamed.get(name) {
            Some(problems) => problems.clone(),
            None => match bases.find_map(|base| blamed.get(base)) {
                Some(problems) => problems.clone(),
                None => continue,
            },
        };
        candidate.step_back(reason, cause);
        candidate.stage = Stage::Out;
    }
}

impl<'o> Candidate<'o> {
    fn new(object: &'o Object, schema: &Schema, namesake: Option<&Document>) -> Self {
        let (newest, problems) = document(&object.name, &object.spec, schema);
        let last_good = object.good.as_ref().filter(|good| good.spec != object.spec);
        let last_good = last_good.and_then(|good| document(&object.name, &good.spec, schema).0);
        let mut candidate = Self {
            object,
            stage: Stage::Newest,
            newest,
            last_good,
            refusal: None,
            sake: Vec::new(),
        };
        if let Some(namesake) = namesake {
            candidate.step_back(Reason::NameTaken, vec![taken(object, namesake)]);
            candidate.stage = Stage::Out;
        } else if candidate.newest.is_none() {
            candidate.step_back(Reason::Invalid, problems);
        }
        candidate
    }

    /// Whether what is tried was never in force.
    fn is_new(&self) -> bool {
        self.stage == Stage::Newest
            && self.object.good.as_ref().is_none_or(|good| good.spec != self.object.spec)
    }

    fn document(&self) -> Option<(&str, &Document)> {
        let document = match self.stage {
            Stage::Newest => self.newest.as_ref(),
            Stage::LastGood => self.last_good.as_ref(),
            Stage::Out => None,
        };
        document.map(|document| (self.object.name.as_str(), document))
    }

    /// What is tried now is not good. What is wrong with the newest spec is what its author wants
    /// to know, whatever came of the older one.
    fn step_back(&mut self, reason: Reason, problems: Vec<Problem>) {
        if self.stage == Stage::Newest {
            self.refusal = Some(Refusal { reason, problems });
        }
        self.stage = match self.stage {
            Stage::Newest if self.last_good.is_some() => Stage::LastGood,
            _ => Stage::Out,
        };
    }

    fn verdict(mut self) -> (String, Verdict) {
        let Object { name, generation, spec, good, .. } = self.object;
        let refusal = mem::take(&mut self.refusal);
        let verdict = Verdict {
            generation: *generation,
            in_force: match self.stage {
                Stage::Newest => Some(*generation),
                Stage::LastGood => good.as_ref().map(|good| good.generation),
                Stage::Out => None,
            },
            good: match refusal {
                None => Some(LastGood { generation: *generation, spec: spec.clone() }),
                Some(_) => good.clone(),
            },
            refusal,
        };
        (name.clone(), verdict)
    }
}

/// The document of an object, if it passes the schema; else what is wrong.
fn document(name: &str, spec: &Value, schema: &Schema) -> (Option<Document>, Vec<Problem>) {
    let whole = json!({
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": name},
        "spec": spec,
    });
    let file = File { name: format!("{OBJECT_PREFIX}{name}"), text: whole.to_string() };
    let mut problems = Vec::new();
    let document = compile::read(&file, Some(schema), &mut problems).pop();
    (document, problems)
}

fn taken(object: &Object, namesake: &Document) -> Problem {
    let Object { name, .. } = object;
    let message = if name == BUILTIN {
        "rocm is the built-in profile; give yours another name".to_owned()
    } else {
        format!("the file {} has a profile of this name, and files come first", namesake.file)
    };
    Problem {
        file: format!("{OBJECT_PREFIX}{name}"),
        at: super::Position::default(),
        path: "metadata.name".to_owned(),
        message,
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
