//! From one spec for each scale set to few profiles: names with the number of GPUs in them become one
//! pattern, equal specs one profile, and what many have in common a profile that they extend.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{idioms::Gpus, write::yaml};
use crate::{
    podspec::Quantity,
    profile::{
        BUILTIN, Pattern,
        spec::{API_VERSION, KIND},
        template::{EPHEMERAL_STORAGE, GPUS},
    },
};

/// A common part becomes a profile of its own if that saves more lines.
const LEAST_SAVED: usize = 5;
/// Lines of a profile beside its spec: the line between documents, apiVersion, kind, metadata, name and
/// spec.
const LINES_AROUND: usize = 6;
/// The names of built-in profiles.
const BUILT_IN: [&str; 2] = ["base", BUILTIN];
/// Fields of a spec that are a profile's own.
const OWN: [&str; 3] = ["extends", "match", "priority"];

/// A scale set with its spec.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) spec: Map<String, Value>,
    pub(super) gpus: Option<Gpus>,
}

/// A profile in the making.
#[derive(Debug)]
struct Profile {
    name: String,
    spec: Map<String, Value>,
}

/// Scale sets with one spec.
#[derive(Debug, Default)]
struct Group {
    /// Patterns with the number of GPUs.
    patterns: Vec<String>,
    names: Vec<String>,
    /// The number of GPUs of those that are in `names`.
    count: Option<u32>,
    /// The amounts for each number of GPUs.
    amounts: BTreeMap<u32, BTreeMap<&'static str, String>>,
}

/// The documents of the profiles that give each member its spec, bases first.
pub(super) fn profiles(members: &[Member]) -> Vec<Value> {
    let mut profiles = Vec::new();
    for (spec, members) in by_spec(members) {
        for group in groups(&members) {
            profiles.push(group.profile(spec));
        }
    }
    profiles.sort_by(|a, b| a.name.cmp(&b.name));
    unique_names(&mut profiles);
    priorities(&mut profiles, members);
    let mut bases = bases(&mut profiles);
    bases.append(&mut profiles);
    bases.into_iter().map(Profile::document).collect()
}

/// Members with the same spec, in the order of their names. Two scale sets of one name are told apart by
/// their namespaces.
fn by_spec(members: &[Member]) -> Vec<(&Map<String, Value>, Vec<&Member>)> {
    let mut sorted: Vec<&Member> = members.iter().collect();
    sorted.sort_by(|a, b| (&a.name, &a.namespace).cmp(&(&b.name, &b.namespace)));
    let mut found: BTreeMap<String, (&Map<String, Value>, Vec<&Member>)> = BTreeMap::new();
    for member in sorted {
        let resources = member.gpus.as_ref().map(|gpus| gpus.amounts.keys().collect::<Vec<_>>());
        let key = format!("{} {resources:?}", json!(member.spec));
        found.entry(key).or_insert_with(|| (&member.spec, Vec::new())).1.push(member);
    }
    found.into_values().collect()
}

/// The patterns that a name gives: each run of digits that is the number of GPUs in turn.
fn patterns(name: &str, count: u32) -> Vec<String> {
    let of_count = runs(name).filter(|(_, run)| run.parse() == Ok(count));
    let patterns = of_count.filter_map(|(at, run)| {
        let (before, after) = (name.get(..at)?, name.get(at + run.len()..)?);
        let pattern = format!("{before}{GPUS}{after}");
        let read = Pattern::parse(&pattern).ok()?.matches(name)?;
        (read.gpus == Some(count)).then_some(pattern)
    });
    patterns.collect()
}

fn runs(name: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_start = |at: usize| {
        let before = at.checked_sub(1).and_then(|at| name.as_bytes().get(at));
        name.as_bytes().get(at).is_some_and(u8::is_ascii_digit)
            && !before.is_some_and(u8::is_ascii_digit)
    };
    (0..name.len()).filter(move |at| is_start(*at)).filter_map(|at| {
        let rest = name.get(at..)?;
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        Some((at, rest.get(..end)?))
    })
}

/// Members with one spec, as few groups as their amounts allow.
fn groups(members: &[&Member]) -> Vec<Group> {
    // Names that differ in their number of GPUs alone.
    let mut families: BTreeMap<String, BTreeMap<u32, &Member>> = BTreeMap::new();
    for member in members {
        if let Some(gpus) = &member.gpus {
            for pattern in patterns(&member.name, gpus.count) {
                families.entry(pattern).or_default().insert(gpus.count, member);
            }
        }
    }
    families.retain(|_, members| members.len() > 1);
    let mut families: Vec<_> = families.into_iter().collect();
    families.sort_by_key(|(_, members)| std::cmp::Reverse(members.len()));
    let mut done: BTreeSet<&str> = BTreeSet::new();
    let mut groups: Vec<Group> = Vec::new();
    for (pattern, family) in families {
        let is_free = family.values().all(|member| !done.contains(member.name.as_str()));
        if !is_free {
            continue;
        }
        done.extend(family.values().map(|member| member.name.as_str()));
        let amounts = family
            .into_iter()
            .filter_map(|(count, member)| Some((count, member.gpus.as_ref()?.amounts.clone())));
        let group =
            Group { patterns: vec![pattern], amounts: amounts.collect(), ..Group::default() };
        add(&mut groups, group);
    }
    for member in members.iter().filter(|member| !done.contains(member.name.as_str())) {
        let (names, gpus) = (vec![member.name.clone()], member.gpus.as_ref());
        let amounts = gpus.map(|gpus| (gpus.count, gpus.amounts.clone())).into_iter().collect();
        add(
            &mut groups,
            Group { patterns: Vec::new(), names, count: gpus.map(|gpus| gpus.count), amounts },
        );
    }
    groups
}

/// Adds a group to the first one that says nothing else.
fn add(groups: &mut Vec<Group>, group: Group) {
    let fits = |other: &&mut Group| {
        let same =
            |count: &u32, amounts| other.amounts.get(count).is_none_or(|there| there == amounts);
        let reads_another = |patterns: &[String], names: &[String]| {
            let patterns = patterns.iter().filter_map(|pattern| Pattern::parse(pattern).ok());
            let is_match =
                |pattern: Pattern| names.iter().any(|name| pattern.matches(name).is_some());
            patterns.into_iter().any(is_match)
        };
        (other.names.is_empty() || group.names.is_empty() || other.count == group.count)
            && !reads_another(&other.patterns, &group.names)
            && !reads_another(&group.patterns, &other.names)
            && group.amounts.iter().all(|(count, amounts)| same(count, amounts))
    };
    match groups.iter_mut().find(fits) {
        Some(other) => {
            other.patterns.extend(group.patterns);
            other.names.extend(group.names);
            other.count = other.count.or(group.count);
            other.amounts.extend(group.amounts);
        }
        None => groups.push(group),
    }
}

impl Group {
    fn profile(self, spec: &Map<String, Value>) -> Profile {
        let all: Vec<&String> = self.patterns.iter().chain(&self.names).collect();
        let name = profile_name(&all);
        let mut spec = spec.clone();
        let scale_sets = json!({"scaleSets": all});
        spec.insert("match".into(), scale_sets);
        let mut gpu = match spec.remove("gpu") {
            Some(Value::Object(gpu)) => gpu,
            _ => Map::new(),
        };
        gpu.extend(self.count.map(|count| ("count".to_owned(), count.into())));
        gpu.extend(amounts(&self.amounts));
        // Without amounts too: it says that there are GPUs.
        if !gpu.is_empty() || !self.patterns.is_empty() {
            spec.insert("gpu".into(), gpu.into());
        }
        Profile { name, spec }
    }
}

/// `perGpu`, `total` and `byCount` for the amounts of each number of GPUs.
fn amounts(by_count: &BTreeMap<u32, BTreeMap<&'static str, String>>) -> Map<String, Value> {
    let mut fields: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    let mut exceptions: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    let names: BTreeSet<&str> =
        by_count.values().flat_map(|amounts| amounts.keys().copied()).collect();
    for name in names {
        let values: Vec<(u32, &str)> = by_count
            .iter()
            .filter_map(|(count, amounts)| Some((*count, amounts.get(name)?.as_str())))
            .collect();
        let Some((field, amount)) = rule(name, &values) else { continue };
        let gives = |count: u32, wanted: &str| {
            let wanted = wanted.parse::<Quantity>().ok();
            let amount = amount.parse::<Quantity>().ok();
            let given = if field == "perGpu" {
                amount.and_then(|one| one.checked_times(count))
            } else {
                amount
            };
            given.is_some() && given == wanted
        };
        for (count, wanted) in &values {
            if !gives(*count, wanted) {
                exceptions
                    .entry(count.to_string())
                    .or_default()
                    .insert(name.into(), (*wanted).into());
            }
        }
        fields.entry(field).or_default().insert(name.into(), amount.into());
    }
    let mut gpu: Map<String, Value> =
        fields.into_iter().map(|(field, amounts)| (field.to_owned(), amounts.into())).collect();
    if !exceptions.is_empty() {
        let exceptions =
            exceptions.into_iter().map(|(count, amounts)| (count, Value::from(amounts)));
        gpu.insert("byCount".into(), exceptions.collect::<Map<_, _>>().into());
    }
    gpu
}

/// The field and the amount that give most of `values`; of equals an amount per GPU, and the one of the
/// most GPUs. Of one number alone, storage is a total: images and checkouts do not grow with GPUs.
fn rule(name: &str, values: &[(u32, &str)]) -> Option<(&'static str, String)> {
    let (_, last) = values.last()?;
    let per_gpu = values
        .iter()
        .rev()
        .filter_map(|(count, amount)| Some(("perGpu", divided(amount, *count)?)));
    let totals = values.iter().rev().map(|(_, amount)| ("total", (*amount).to_owned()));
    let is_single = values.len() == 1;
    let candidates: Vec<_> = if is_single && name == EPHEMERAL_STORAGE {
        vec![("total", (*last).to_owned())]
    } else {
        per_gpu.chain(totals).collect()
    };
    let gives = |(field, amount): &(&str, String)| {
        let amount = amount.parse::<Quantity>().ok();
        let given = |count: u32| match (*field, &amount) {
            ("perGpu", Some(amount)) => amount.checked_times(count),
            (_, amount) => amount.clone(),
        };
        values.iter().filter(|(count, wanted)| given(*count) == wanted.parse().ok()).count()
    };
    let best = candidates.iter().map(gives).max()?;
    candidates.into_iter().find(|candidate| gives(candidate) == best)
}

/// An amount for one of `count` GPUs: a whole number, if need be in the next smaller unit.
fn divided(amount: &str, count: u32) -> Option<String> {
    const SMALLER: [(&str, &str, u64); 8] = [
        ("", "m", 1000),
        ("Ti", "Gi", 1024),
        ("Gi", "Mi", 1024),
        ("Mi", "Ki", 1024),
        ("T", "G", 1000),
        ("G", "M", 1000),
        ("M", "k", 1000),
        ("Pi", "Ti", 1024),
    ];
    let end = amount.find(|c: char| !c.is_ascii_digit()).unwrap_or(amount.len());
    let (number, unit) = amount.split_at_checked(end)?;
    let (number, count) = (number.parse::<u64>().ok()?, u64::from(count).max(1));
    if number % count == 0 {
        return Some(format!("{}{unit}", number / count));
    }
    let (_, smaller, times) = SMALLER.iter().find(|(larger, ..)| *larger == unit)?;
    let number = number.checked_mul(*times)?;
    (number % count == 0).then(|| format!("{}{smaller}", number / count))
}

/// What the names of a profile's scale sets have in common, without the number of GPUs; else the first
/// name.
fn profile_name(names: &[&String]) -> String {
    let is_mark = |c: char| !c.is_ascii_alphanumeric();
    let plain: Vec<String> = names
        .iter()
        .map(|name| {
            let name = name.replace('_', "-");
            let parts: Vec<&str> =
                name.split(GPUS).map(|part| part.trim_matches(is_mark)).collect();
            parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
        })
        .collect();
    let Some(first) = plain.first() else { return String::new() };
    let common = plain.iter().fold(first.as_str(), |common, name| {
        let same = common.bytes().zip(name.bytes()).take_while(|(a, b)| a == b).count();
        common.get(..same).unwrap_or_default()
    });
    let is_whole = plain.iter().all(|name| name.len() == common.len());
    let common =
        if is_whole { common } else { common.rsplit_once(is_mark).map_or("", |(start, _)| start) };
    let common = common.trim_matches(is_mark);
    let name = if common.is_empty() { first } else { common };
    name.to_ascii_lowercase()
}

fn unique_names(profiles: &mut [Profile]) {
    let mut taken: BTreeSet<String> = BUILT_IN.iter().map(|name| (*name).to_owned()).collect();
    for profile in profiles {
        profile.name = free_name(&profile.name, &taken);
        taken.insert(profile.name.clone());
    }
}

fn free_name(name: &str, taken: &BTreeSet<String>) -> String {
    let name = if name.is_empty() { "runners" } else { name };
    let more = (2..).map(|number| format!("{name}-{number}"));
    let mut names = std::iter::once(name.to_owned()).chain(more);
    names.find(|name| !taken.contains(name)).unwrap_or_default()
}

/// A profile whose scale sets a pattern of another one matches too comes before that.
fn priorities(profiles: &mut [Profile], members: &[Member]) {
    fn patterns(profile: &Profile) -> Vec<Pattern> {
        let all = profile.spec.get("match").and_then(|all| all.get("scaleSets")?.as_array());
        let texts = all.into_iter().flatten().filter_map(Value::as_str);
        texts.filter_map(|text| Pattern::parse(text).ok()).collect()
    }
    let all: Vec<Vec<Pattern>> = profiles.iter().map(patterns).collect();
    let matches = |patterns: &[Pattern], name: &str| {
        patterns.iter().any(|pattern| pattern.matches(name).is_some())
    };
    for (index, profile) in profiles.iter_mut().enumerate() {
        let Some(own) = all.get(index) else { continue };
        let own_names = members
            .iter()
            .map(|member| member.name.as_str())
            .filter(|name| own.iter().any(|pattern| pattern.as_str() == *name));
        let is_shadowed = own_names.into_iter().any(|name| {
            all.iter()
                .enumerate()
                .any(|(other, patterns)| other != index && matches(patterns, name))
        });
        if is_shadowed {
            profile.spec.insert("priority".into(), 10.into());
        }
    }
}

/// Takes common parts out of profiles, as long as that saves lines; the profiles that have them.
fn bases(profiles: &mut [Profile]) -> Vec<Profile> {
    let mut bases = Vec::new();
    let mut taken: BTreeSet<String> = profiles.iter().map(|profile| profile.name.clone()).collect();
    taken.extend(BUILT_IN.iter().map(|name| (*name).to_owned()));
    loop {
        let mut best: Option<(usize, Map<String, Value>, Vec<usize>)> = None;
        for (index, a) in profiles.iter().enumerate() {
            for b in profiles.iter().skip(index + 1) {
                if a.spec.get("extends") != b.spec.get("extends") {
                    continue;
                }
                let common = common(&a.spec, &b.spec);
                let has = |profile: &Profile| {
                    profile.spec.get("extends") == a.spec.get("extends")
                        && has_all(&profile.spec, &common)
                };
                let members: Vec<usize> = profiles
                    .iter()
                    .enumerate()
                    .filter(|(_, one)| has(one))
                    .map(|(index, _)| index)
                    .collect();
                let lines = lines(&common);
                // Each member says what it extends, if it does not yet.
                let extends = if a.spec.contains_key("extends") { 1 } else { members.len() };
                let saved = (lines * (members.len() - 1)).saturating_sub(LINES_AROUND + extends);
                if saved > LEAST_SAVED && best.as_ref().is_none_or(|(most, ..)| saved > *most) {
                    best = Some((saved, common, members));
                }
            }
        }
        let Some((_, mut spec, members)) = best else { return bases };
        let names: Vec<String> =
            members.iter().filter_map(|index| Some(profiles.get(*index)?.name.clone())).collect();
        let name = free_name(&profile_name(&names.iter().collect::<Vec<_>>()), &taken);
        taken.insert(name.clone());
        let mut extends = None;
        for index in members {
            let Some(profile) = profiles.get_mut(index) else { continue };
            without(&mut profile.spec, &spec);
            extends = profile.spec.insert("extends".into(), name.clone().into());
        }
        spec.extend(extends.map(|extends| ("extends".to_owned(), extends)));
        bases.insert(0, Profile { name, spec });
    }
}

/// What two specs have in common, field by field; lists as a whole. The number of GPUs stays with the
/// names, and what `gpu` says about its amounts stays with them.
fn common(a: &Map<String, Value>, b: &Map<String, Value>) -> Map<String, Value> {
    let both = a.iter().filter(|(field, _)| !OWN.contains(&field.as_str()));
    let both = both.filter_map(|(field, value)| {
        let other = b.get(field)?;
        let mut common = common_value(value, other)?;
        if let ("gpu", Value::Object(gpu)) = (field.as_str(), &mut common) {
            gpu.remove("count");
            let is_same = value == other;
            gpu.retain(|field, _| is_same || !["limits", "byCount"].contains(&field.as_str()));
        }
        Some((field.clone(), common))
    });
    both.filter(|(_, value)| *value != json!({})).collect()
}

fn common_value(a: &Value, b: &Value) -> Option<Value> {
    match (a, b) {
        (a, b) if a == b => Some(a.clone()),
        (Value::Object(a), Value::Object(b)) => {
            let both = a
                .iter()
                .filter_map(|(key, value)| Some((key.clone(), common_value(value, b.get(key)?)?)));
            let both: Map<String, Value> = both.collect();
            (!both.is_empty()).then(|| both.into())
        }
        _ => None,
    }
}

fn has_all(spec: &Map<String, Value>, part: &Map<String, Value>) -> bool {
    part.iter().all(|(field, part)| {
        spec.get(field).is_some_and(|value| match (value, part) {
            (Value::Object(value), Value::Object(part)) => has_all(value, part),
            (value, part) => value == part,
        })
    })
}

/// Takes `part` out of a spec that has it.
fn without(spec: &mut Map<String, Value>, part: &Map<String, Value>) {
    for (field, part) in part {
        match (spec.get_mut(field), part) {
            (Some(Value::Object(value)), Value::Object(part)) if !part.is_empty() => {
                without(value, part);
                if value.is_empty() {
                    spec.remove(field);
                }
            }
            _ => {
                spec.remove(field);
            }
        }
    }
}

fn lines(spec: &Map<String, Value>) -> usize {
    yaml(&json!({"spec": spec})).lines().count().saturating_sub(1)
}

impl Profile {
    fn document(self) -> Value {
        json!({
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": self.name},
            "spec": self.spec,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, gpus: u32, memory: &str, pool: &str) -> Member {
        let spec =
            json!({"extends": "base", "template": {"spec": {"nodeSelector": {"pool": pool}}}});
        let amounts = [("memory", memory.to_owned())].into();
        Member {
            name: name.to_owned(),
            namespace: "n".to_owned(),
            spec: spec.as_object().unwrap().clone(),
            gpus: Some(Gpus { count: gpus, amounts }),
        }
    }

    /// Name and spec of each profile, without what all have.
    fn specs(members: &[Member]) -> Vec<(String, Value)> {
        let documents = profiles(members).into_iter().map(|mut document| {
            let spec = document["spec"].as_object_mut().unwrap();
            spec.retain(|field, _| ["match", "gpu", "priority"].contains(&field.as_str()));
            (document["metadata"]["name"].as_str().unwrap().to_owned(), document["spec"].take())
        });
        documents.collect()
    }

    #[test]
    fn linear_amounts_of_a_family_are_per_gpu() {
        let family = [member("a-gpu-2", 2, "20Gi", "x"), member("a-gpu-4", 4, "40Gi", "x")];
        let gpu = json!({"perGpu": {"memory": "10Gi"}});
        let spec = json!({"match": {"scaleSets": ["a-gpu-{gpus}"]}, "gpu": gpu});
        assert_eq!(specs(&family), [("a-gpu".to_owned(), spec)]);
    }

    #[test]
    fn other_amounts_of_a_family_are_by_count() {
        let family = [
            member("a.1", 1, "75000Mi", "x"),
            member("a.2", 2, "125000Mi", "x"),
            member("a.4", 4, "250000Mi", "x"),
        ];
        let gpu = json!({"perGpu": {"memory": "62500Mi"}, "byCount": {"1": {"memory": "75000Mi"}}});
        assert_eq!(specs(&family)[0].1["gpu"], gpu);
        let same = [member("a.1", 1, "8Gi", "x"), member("a.2", 2, "8Gi", "x")];
        assert_eq!(specs(&same)[0].1["gpu"], json!({"total": {"memory": "8Gi"}}));
    }

    #[test]
    fn names_of_equal_sets_are_in_one_profile() {
        let sets = [
            member("repo-a", 1, "8Gi", "x"),
            member("repo-b", 1, "8Gi", "x"),
            member("z", 1, "9Gi", "x"),
        ];
        let found = specs(&sets);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].0, "repo");
        assert_eq!(found[0].1["match"], json!({"scaleSets": ["repo-a", "repo-b"]}));
        assert_eq!(found[0].1["gpu"], json!({"count": 1, "perGpu": {"memory": "8Gi"}}));
    }

    #[test]
    fn set_that_a_pattern_matches_too_comes_first() {
        let sets = [
            member("a-2", 2, "2Gi", "x"),
            member("a-4", 4, "4Gi", "x"),
            member("a-8", 8, "8Gi", "other"),
        ];
        let found = specs(&sets);
        let priority =
            |name: &str| found.iter().find(|(found, _)| found == name).unwrap().1.get("priority");
        assert_eq!((priority("a"), priority("a-8")), (None, Some(&json!(10))));
    }

    /// `ci-3` has another number in its name than GPUs.
    #[test]
    fn name_that_a_pattern_reads_another_number_from_has_a_profile_of_its_own() {
        let sets = [
            member("ci-1", 1, "1Gi", "x"),
            member("ci-2", 2, "2Gi", "x"),
            member("ci-3", 4, "4Gi", "x"),
        ];
        let found = specs(&sets);
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[1].1["match"], json!({"scaleSets": ["ci-3"]}));
        assert_eq!((&found[1].1["gpu"]["count"], &found[1].1["priority"]), (&json!(4), &json!(10)));
    }

    #[test]
    fn number_that_touches_digits_or_is_another_is_no_pattern() {
        assert_eq!(patterns("mi300.2", 2), ["mi300.{gpus}"]);
        assert_eq!(patterns("gfx942", 2), [""; 0]);
        assert_eq!(patterns("a-2-b-2", 2), ["a-{gpus}-b-2", "a-2-b-{gpus}"]);
        assert_eq!(patterns("a-4", 2), [""; 0]);
    }

    #[test]
    fn amounts_are_divided_in_whole_numbers() {
        for (amount, count, one) in [
            ("40", 2, Some("20")),
            ("10", 4, Some("2500m")),
            ("450Gi", 4, Some("115200Mi")),
            ("100G", 3, None),
            ("1.5", 2, None),
            ("7Mi", 3, None),
        ] {
            assert_eq!(divided(amount, count).as_deref(), one, "{amount}");
            if let Some(one) = one {
                let times = one.parse::<Quantity>().unwrap().checked_times(count);
                assert_eq!(times, amount.parse().ok());
            }
        }
    }

    #[test]
    fn common_part_becomes_a_profile_of_its_own_if_that_saves_lines() {
        let big = |name: &str, own: &str| {
            let mut member = member(name, 1, "1Gi", "x");
            let env: Vec<Value> = (0..12)
                .map(|index| json!({"name": format!("VARIABLE_{index}"), "value": "long enough"}))
                .collect();
            member.spec.insert("runner".into(), json!({"image": own, "env": env}));
            member
        };
        let sets = [big("fleet-x", "i:1"), big("fleet-y", "i:2")];
        let documents = profiles(&sets);
        let extends = |index: usize| documents[index]["spec"]["extends"].as_str().unwrap();
        assert_eq!(documents[0]["metadata"]["name"], "fleet");
        assert_eq!([extends(0), extends(1), extends(2)], ["base", "fleet", "fleet"]);
        assert_eq!(documents[1]["spec"]["runner"], json!({"image": "i:1"}));
        assert!(documents[0]["spec"].get("match").is_none());
        // Two sets with little in common stay by themselves.
        let small = profiles(&[member("fleet-x", 1, "1Gi", "x"), member("fleet-y", 1, "1Gi", "y")]);
        assert_eq!(small.len(), 2);
    }
}
