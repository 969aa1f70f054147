//! A profile's `match`, compiled.

use serde_json::Value;

use super::{
    pattern::{Pattern, PatternError},
    spec::Match,
};
use crate::podspec::{RunnerPod, asked};

/// A compiled `match`.
#[derive(Clone, Debug, Default)]
pub struct Matcher {
    scale_sets: Option<Vec<Pattern>>,
    /// The resource that a runner may ask for instead.
    gpu_resource: Option<String>,
    namespaces: Option<Vec<Pattern>>,
    organizations: Option<Vec<Pattern>>,
    repositories: Option<Vec<Pattern>>,
    enterprises: Option<Vec<Pattern>>,
    selector: Vec<Requirement>,
}

/// What a pod did not match.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mismatch {
    /// `match.scaleSets`
    ScaleSets,
    /// `match.requestsGpu`
    RequestsGpu,
    /// `match.namespaces`
    Namespaces,
    /// `match.organizations`
    Organizations,
    /// `match.repositories`
    Repositories,
    /// `match.enterprises`
    Enterprises,
    /// `match.selector`
    Selector,
}

impl Mismatch {
    /// The field, as a user writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ScaleSets => "match.scaleSets",
            Self::RequestsGpu => "match.requestsGpu",
            Self::Namespaces => "match.namespaces",
            Self::Organizations => "match.organizations",
            Self::Repositories => "match.repositories",
            Self::Enterprises => "match.enterprises",
            Self::Selector => "match.selector",
        }
    }
}

/// One requirement of a label selector.
#[derive(Clone, Debug)]
struct Requirement {
    key: String,
    operator: Operator,
}

#[derive(Clone, Debug)]
enum Operator {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    DoesNotExist,
}

/// What is wrong with a `match`: the list, the index of its pattern, and why.
pub(crate) type MatchProblem = (&'static str, Option<usize>, String);

impl Matcher {
    /// Compiles the `match` of a profile whose GPUs are `gpu_resource`; all problems at once.
    pub(crate) fn compile(matches: &Match, gpu_resource: &str) -> Result<Self, Vec<MatchProblem>> {
        let Match {
            scale_sets,
            requests_gpu,
            namespaces,
            organizations,
            repositories,
            enterprises,
            selector,
        } = matches;
        let mut problems = Vec::new();
        let mut names = |field: &'static str, texts: &Option<Vec<String>>| {
            let texts = texts.as_ref()?;
            let parse = |text: &String| Pattern::parse(text)?.without_gpus();
            Some(patterns(field, texts, parse, &mut problems))
        };
        let namespaces = names("namespaces", namespaces);
        let organizations = names("organizations", organizations);
        let repositories = names("repositories", repositories);
        let enterprises = names("enterprises", enterprises);
        let scale_sets = scale_sets
            .as_ref()
            .map(|texts| patterns("scaleSets", texts, |text| Pattern::parse(text), &mut problems));
        let selector = selector.as_ref().map(requirements).unwrap_or_default();
        let gpu_resource = (*requests_gpu == Some(true)).then(|| gpu_resource.to_owned());
        if problems.is_empty() {
            Ok(Self {
                scale_sets,
                gpu_resource,
                namespaces,
                organizations,
                repositories,
                enterprises,
                selector,
            })
        } else {
            Err(problems)
        }
    }

    /// What of `match` the pod does not match, if anything.
    pub fn mismatch(&self, pod: &RunnerPod<'_>) -> Option<Mismatch> {
        let one_of = |patterns: &Option<Vec<Pattern>>, name: &str| {
            patterns.as_ref().is_none_or(|patterns| {
                patterns.iter().any(|pattern| pattern.matches(name).is_some())
            })
        };
        let is_named = self.scale_sets.as_ref().map(|patterns| {
            pod.scale_sets()
                .any(|name| patterns.iter().any(|pattern| pattern.matches(name).is_some()))
        });
        let asks = self.gpu_resource.as_ref().map(|resource| {
            let runner = pod.runner().map(|(_, runner)| runner);
            runner.and_then(|runner| asked(runner, resource)).is_some_and(|count| count > 0)
        });
        match (is_named, asks) {
            (None, None) | (Some(true), _) | (_, Some(true)) => {}
            (Some(false), _) => return Some(Mismatch::ScaleSets),
            (None, Some(false)) => return Some(Mismatch::RequestsGpu),
        }
        if !one_of(&self.namespaces, pod.namespace) {
            return Some(Mismatch::Namespaces);
        }
        if !one_of(&self.organizations, pod.organization()) {
            return Some(Mismatch::Organizations);
        }
        if !one_of(&self.repositories, pod.repository()) {
            return Some(Mismatch::Repositories);
        }
        if !one_of(&self.enterprises, pod.enterprise()) {
            return Some(Mismatch::Enterprises);
        }
        if !self.selector.iter().all(|requirement| requirement.holds(pod)) {
            return Some(Mismatch::Selector);
        }
        None
    }

    /// The patterns for the scale set's name.
    pub fn scale_sets(&self) -> &[Pattern] {
        self.scale_sets.as_deref().unwrap_or_default()
    }

    /// The patterns for the namespace.
    pub fn namespaces(&self) -> &[Pattern] {
        self.namespaces.as_deref().unwrap_or_default()
    }
}

fn patterns(
    field: &'static str,
    texts: &[String],
    parse: impl Fn(&String) -> Result<Pattern, PatternError>,
    problems: &mut Vec<MatchProblem>,
) -> Vec<Pattern> {
    let mut patterns = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        match parse(text) {
            Ok(pattern) => patterns.push(pattern),
            Err(error) => problems.push((field, Some(index), error.to_string())),
        }
    }
    if texts.is_empty() {
        let message = "an empty list matches nothing; leave it out to match any".to_owned();
        problems.push((field, None, message));
    }
    patterns
}

/// The requirements of a LabelSelector. A bad operator is refused where it is written.
fn requirements(selector: &Value) -> Vec<Requirement> {
    let labels = selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten();
    let labels = labels.map(|(key, value)| {
        let value = value.as_str().unwrap_or_default().to_owned();
        Requirement { key: key.clone(), operator: Operator::In(vec![value]) }
    });
    let expressions = selector.get("matchExpressions").and_then(Value::as_array);
    let expressions = expressions.into_iter().flatten().filter_map(|expression| {
        let values = expression.get("values").and_then(Value::as_array).into_iter().flatten();
        let values = values.filter_map(Value::as_str).map(str::to_owned).collect();
        let operator = match expression.get("operator")?.as_str()? {
            "In" => Operator::In(values),
            "NotIn" => Operator::NotIn(values),
            "Exists" => Operator::Exists,
            "DoesNotExist" => Operator::DoesNotExist,
            _ => return None,
        };
        Some(Requirement { key: expression.get("key")?.as_str()?.to_owned(), operator })
    });
    labels.chain(expressions).collect()
}

impl Requirement {
    fn holds(&self, pod: &RunnerPod<'_>) -> bool {
        let label = pod.label(&self.key);
        let is_in =
            |values: &[String]| label.is_some_and(|label| values.iter().any(|v| v == label));
        match &self.operator {
            Operator::In(values) => is_in(values),
            Operator::NotIn(values) => !is_in(values),
            Operator::Exists => label.is_some(),
            Operator::DoesNotExist => label.is_none(),
        }
    }
}
