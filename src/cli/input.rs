//! The objects that `inject` and `explain` read, as YAML or JSON: pods, the objects of ARC that become
//! pods, values of its chart, lists and `AdmissionReviews`.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    path::Path,
};

use anyhow::Context as _;
use serde_json::Value;

use super::{
    UsageError,
    values::{ScaleSet, ValuesFile},
};
use crate::{
    admission,
    arc::{self, Release, runner_pod},
    inject::ARC_CONTROLLER,
    profile::{
        Problem,
        source::{self, Node},
    },
};

/// Most keys that a message lists.
const MOST_KEYS: usize = 5;

/// The pod of an input, and who asks for it.
#[derive(Clone, Debug, clap::Args)]
pub struct RequestArgs {
    /// Namespace of pods that name none; default: default
    #[arg(long, short, value_name = "NAMESPACE")]
    pub namespace: Option<String>,

    /// Name of the scale set, alone or for a values file
    #[arg(long, value_name = "NAME")]
    pub scale_set: Option<String>,

    /// Where an umbrella chart's values file has the values of the scale set, such as gpu.runners
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,

    /// User who creates the pods
    #[arg(long = "as", default_value = ARC_CONTROLLER, value_name = "USER")]
    pub user: String,
}

/// One object of the input.
pub(super) enum Object {
    /// A pod, or the runner pod that ARC makes of an object or of values.
    Pod(Value),
    /// An `AdmissionReview`.
    Review(Value),
    /// Any other object, such as a Service beside the pods.
    Other(Value),
}

/// The objects of a file.
pub(super) struct Input {
    pub(super) objects: Vec<Object>,
    /// Whether the file is a list.
    pub(super) is_list: bool,
}

impl Input {
    /// Reads a file; `-` is standard input. Other objects alone are an error. What is assumed of a values
    /// file goes to standard error.
    pub(super) fn read(path: &Path, request: &RequestArgs) -> anyhow::Result<Self> {
        let bytes = bytes(path)?;
        let (input, notes) = Self::parse(path, bytes, request)?;
        for note in notes {
            let _ = writeln!(io::stderr(), "{note}");
        }
        Ok(input)
    }

    /// The objects of a file's content, and what is assumed, a line each.
    fn parse(
        path: &Path,
        bytes: Vec<u8>,
        request: &RequestArgs,
    ) -> anyhow::Result<(Self, Vec<String>)> {
        let file = path.display().to_string();
        let text = utf8(&file, bytes)?;
        let Documents { nodes, objects, repeated } = Documents::read(&file, &text)?;
        let has_flags = request.scale_set.is_some() || request.key.is_some();
        if objects.iter().any(|object| is_values(object, has_flags)) {
            let values = ValuesFile {
                path,
                text: &text,
                objects: &objects,
                nodes: &nodes,
                repeated: &repeated,
            };
            let ScaleSet { set, notes, .. } = values.scale_set(request)?;
            let objects = vec![Object::Pod(arc::next_runner_pod(&set))];
            return Ok((Self { objects, is_list: false }, notes));
        }
        if !repeated.is_empty() {
            return Err(problems(&repeated));
        }
        let mut input = Self { objects: Vec::new(), is_list: false };
        for document in objects {
            match text_at(&document, "kind") {
                "List"
                | "PodList"
                | "AutoscalingRunnerSetList"
                | "EphemeralRunnerSetList"
                | "EphemeralRunnerList" => {
                    input.is_list = true;
                    input.objects.extend(items(document));
                }
                _ => input.objects.push(Object::new(document)),
            }
        }
        let others: Option<Vec<&Value>> = input.objects.iter().map(Object::other).collect();
        match others.as_deref() {
            Some([other, ..]) => Err(expected(&file, &description(other))),
            Some([]) if !input.is_list => Err(expected(&file, "no object")),
            _ => {
                let note = format!("{file}: no values file: --scale-set and --key are not for it");
                Ok((input, has_flags.then_some(note).into_iter().collect()))
            }
        }
    }
}

/// What a file has in it; `-` is standard input.
pub(super) fn bytes(path: &Path) -> anyhow::Result<Vec<u8>> {
    let unreadable = || UsageError(format!("cannot read {}", path.display()));
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes).with_context(unreadable)?;
        return Ok(bytes);
    }
    fs::read(path).with_context(unreadable)
}

/// The text of a file.
///
/// # Errors
///
/// The line of the first byte that is not UTF-8.
pub(super) fn utf8(file: &str, bytes: Vec<u8>) -> anyhow::Result<String> {
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let good = error.as_bytes().iter().take(good);
        let line = 1 + good.filter(|byte| **byte == b'\n').count();
        UsageError::error(format!("{file}:{line}: not text: a byte that is not UTF-8"))
    })?;
    // Editors of Windows begin a file with a byte order mark.
    Ok(text.trim_start_matches('\u{feff}').to_owned())
}

fn expected(file: &str, found: &str) -> anyhow::Error {
    UsageError::error(format!(
        "{file}: expected a Pod, an AutoscalingRunnerSet, an EphemeralRunnerSet, an EphemeralRunner, a \
         List, an AdmissionReview or values of the chart gha-runner-scale-set, found {found}"
    ))
}

/// Whether an object is the values of a scale set. With the flags of a values file, any is that has no
/// kind.
pub(super) fn is_values(object: &Value, has_flags: bool) -> bool {
    object.is_object()
        && object.get("kind").is_none()
        && (has_flags || arc::KEYS.iter().any(|key| object.get(key).is_some()))
}

impl Object {
    fn new(object: Value) -> Self {
        match (text_at(&object, "apiVersion"), text_at(&object, "kind")) {
            ("v1", "Pod") => Self::Pod(object),
            (_, "AdmissionReview") => Self::Review(object),
            _ => runner_pod(&object).map_or(Self::Other(object), Self::Pod),
        }
    }

    /// The review of a pod; `None` for any other object.
    pub(super) fn review(self, request: &RequestArgs) -> Option<Value> {
        match self {
            Self::Pod(pod) => Some(request.review(&pod)),
            Self::Review(review) => Some(review),
            Self::Other(_) => None,
        }
    }

    fn other(&self) -> Option<&Value> {
        match self {
            Self::Other(object) => Some(object),
            Self::Pod(_) | Self::Review(_) => None,
        }
    }
}

/// The items of a list. The API server leaves kind and apiVersion out of those of a `PodList`.
fn items(mut list: Value) -> Vec<Object> {
    let is_pods = text_at(&list, "kind") == "PodList";
    let items = match list.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    };
    let object = |item: Value| {
        let is_pod = is_pods && item.is_object() && text_at(&item, "kind").is_empty();
        if is_pod { Object::Pod(item) } else { Object::new(item) }
    };
    items.into_iter().map(object).collect()
}

/// What an object is that has no pod, and how to get the pod.
pub(super) fn description(object: &Value) -> String {
    match text_at(object, "kind") {
        "RunnerProfile" => "a RunnerProfile; give profiles by --profiles".to_owned(),
        "" => kindless(object),
        kind => {
            let article = if kind.starts_with(['A', 'E', 'I', 'O']) { "an" } else { "a" };
            format!("{article} {kind}")
        }
    }
}

/// What an object without kind is: maybe the values of another chart.
fn kindless(object: &Value) -> String {
    let members = object.as_object().into_iter().flatten();
    if let Some((key, _)) = members.clone().find(|(_, value)| is_values(value, false)) {
        return format!("the values of a scale set below {key}; give --key {key}");
    }
    let keys: Vec<&str> = members.map(|(key, _)| key.as_str()).take(MOST_KEYS).collect();
    match keys.as_slice() {
        [] => "an object without kind".to_owned(),
        keys => {
            format!("an object without kind, or the values of another chart: {}", keys.join(", "))
        }
    }
}

fn text_at<'v>(object: &'v Value, key: &str) -> &'v str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The documents of a file.
pub(super) struct Documents {
    /// None where the file is JSON: a review may be larger than the bounds of the YAML reader.
    pub(super) nodes: Vec<Node>,
    pub(super) objects: Vec<Value>,
    /// The keys that a map has twice.
    pub(super) repeated: Vec<Problem>,
}

impl Documents {
    pub(super) fn read(file: &str, text: &str) -> anyhow::Result<Self> {
        if text.trim_start().starts_with('{') {
            let values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
            if let Ok(objects) = values.collect::<Result<_, _>>() {
                return Ok(Self { nodes: Vec::new(), objects, repeated: Vec::new() });
            }
        }
        match source::documents_of_helm(file, text) {
            Ok((nodes, repeated)) => {
                let objects = nodes.iter().map(Node::to_json).collect();
                Ok(Self { nodes, objects, repeated })
            }
            Err(all) => Err(problems(&all)),
        }
    }
}

fn problems(problems: &[Problem]) -> anyhow::Error {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    UsageError::error(lines.join("\n"))
}

impl RequestArgs {
    /// The namespace of pods that name none.
    pub(super) fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or("default")
    }

    /// The plain runner pod of the scale set `name`.
    pub(super) fn plain_runner_pod(
        &self,
        name: &str,
        organization: Option<&str>,
        repository: Option<&str>,
    ) -> anyhow::Result<Value> {
        let release = Release { name, namespace: self.namespace(), version: arc::VERSION };
        arc::plain_runner_pod(&release, organization, repository)
            .map_err(|problem| UsageError::error(problem.message))
    }

    /// The `AdmissionReview` by which the API server would ask about `pod`.
    pub(super) fn review(&self, pod: &Value) -> Value {
        let namespace = pod.pointer("/metadata/namespace").and_then(Value::as_str);
        let namespace = namespace.filter(|namespace| !namespace.is_empty());
        self.review_in(namespace.unwrap_or_else(|| self.namespace()), pod)
    }

    /// The same for a pod in `namespace`.
    pub(super) fn review_in(&self, namespace: &str, pod: &Value) -> Value {
        let mut object = pod.clone();
        if let Value::Object(members) = &mut object {
            for (field, value) in [("apiVersion", "v1"), ("kind", "Pod")] {
                members.entry(field).or_insert_with(|| value.into());
            }
        }
        admission::of_pod("offline", &object, namespace, &self.user)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn request() -> RequestArgs {
        let (namespace, scale_set, key) = (None, None, None);
        RequestArgs { namespace, scale_set, key, user: ARC_CONTROLLER.to_owned() }
    }

    /// The pod and the notes of a values file.
    fn values(
        file: &str,
        text: &str,
        request: &RequestArgs,
    ) -> Result<(Value, Vec<String>), String> {
        let parsed = Input::parse(Path::new(file), text.into(), request);
        let (mut input, notes) = parsed.map_err(|error| format!("{error:#}"))?;
        match (input.objects.pop(), input.is_list) {
            (Some(Object::Pod(pod)), false) => Ok((pod, notes)),
            _ => Err("no pod".to_owned()),
        }
    }

    #[test]
    fn description_says_what_an_object_is() {
        for (object, words) in [
            (json!({"kind": "RunnerProfile"}), "--profiles"),
            (json!({"gpu": {"githubConfigUrl": "u"}}), "a scale set below gpu; give --key gpu"),
            (json!({"replicaCount": 1, "image": {}}), "of another chart: image, replicaCount"),
            (
                json!({"scaleset": {"minRunners": 1}, "auth": {"url": "u"}, "labels": {}}),
                "of another chart: auth, labels, scaleset",
            ),
            (json!({"kind": "Service"}), "a Service"),
            (json!({"kind": "AutoscalingListener"}), "an AutoscalingListener"),
            (json!({"kind": 7}), "without kind"),
            (json!([1]), "without kind"),
        ] {
            assert!(description(&object).contains(words), "{object}: {}", description(&object));
        }
    }

    #[test]
    fn values_name_is_from_flag_values_comment_or_file() {
        let name = |request: &RequestArgs, text: &str| {
            let (pod, notes) = values("dir/from-file.yaml", text, request).unwrap();
            let name = pod["metadata"]["annotations"]["actions.github.com/runner-scale-set-name"]
                .as_str()
                .unwrap()
                .to_owned();
            (name, notes.into_iter().find(|note| note.contains("scale set ")))
        };
        let comment = "# helm upgrade --install from-comment --namespace ci\ngithubConfigUrl: u\n";
        let own = format!("{comment}runnerScaleSetName: from_values\n");
        let flag = RequestArgs { scale_set: Some("from_flag".to_owned()), ..request() };
        assert_eq!(name(&flag, &own), ("from_flag".to_owned(), None));
        assert_eq!(name(&flag, comment), ("from_flag".to_owned(), None));
        assert_eq!(name(&request(), &own), ("from_values".to_owned(), None));
        let note = "dir/from-file.yaml: scale set from-comment, by the helm command on line 1";
        assert_eq!(name(&request(), comment), ("from-comment".to_owned(), Some(note.to_owned())));
        let note = "dir/from-file.yaml: scale set from-file is guessed from the file's name; give --scale-set";
        let bare = "githubConfigUrl: u\n";
        assert_eq!(name(&request(), bare), ("from-file".to_owned(), Some(note.to_owned())));
        let error = values("-", bare, &request()).unwrap_err();
        assert_eq!(error, "-: the values have no runnerScaleSetName; give --scale-set NAME");
    }

    #[test]
    fn values_namespace_is_from_values_flag_or_comment() {
        let namespace = |request: &RequestArgs, text: &str| {
            let (pod, notes) = values("a.yaml", text, request).unwrap();
            let guessed = notes.iter().any(|note| note.contains("namespace "));
            (pod["metadata"]["namespace"].as_str().unwrap().to_owned(), guessed)
        };
        let comment = "# helm install a CHART -n from-comment\ngithubConfigUrl: u\n";
        let own = format!("{comment}namespaceOverride: from-values\n");
        let flag = RequestArgs { namespace: Some("from-flag".to_owned()), ..request() };
        assert_eq!(namespace(&flag, &own), ("from-values".to_owned(), false));
        assert_eq!(namespace(&flag, comment), ("from-flag".to_owned(), false));
        assert_eq!(namespace(&request(), comment), ("from-comment".to_owned(), true));
        assert_eq!(namespace(&request(), "githubConfigUrl: u"), ("default".to_owned(), true));
    }

    #[test]
    fn values_key_leads_to_the_values_of_a_subchart() {
        let text =
            "# helm install fleet .\nci:\n  gpu:\n    runnerScaleSetName: a\n    template: []\n";
        let at = |key: &str| RequestArgs { key: Some(key.to_owned()), ..request() };
        let error = values("a.yaml", text, &at("ci.gpu")).unwrap_err();
        assert_eq!(error, "a.yaml:5:5: template: expected a map");
        let error = values("a.yaml", text, &at("ci.cpu")).unwrap_err();
        assert_eq!(error, "a.yaml: the file has no key ci.cpu");
        let text = text.replace("    template: []\n", "");
        let (pod, _) = values("a.yaml", &text, &at("ci.gpu")).unwrap();
        assert_eq!(pod["metadata"]["name"], "a-xxxxx-runner-xxxxx");
        let (_, notes) = values("a.yaml", "kind: Pod\napiVersion: v1\n", &at("a")).unwrap();
        assert_eq!(notes, ["a.yaml: no values file: --scale-set and --key are not for it"]);
    }

    #[test]
    fn values_are_read_as_helm_reads_them() {
        let text = "x-common: &common\n  env: [{name: A, value: b}]\ngithubConfigUrl: u\ntemplate:\n  spec:\n    \
                    containers:\n      - <<: *common\n        name: runner\n        image: first\n        \
                    image: last\n";
        let (pod, notes) = values("a.yaml", text, &request()).unwrap();
        let runner = &pod["spec"]["containers"][0];
        assert_eq!((&runner["image"], &runner["env"][0]["name"]), (&json!("last"), &json!("A")));
        let note = "a.yaml:10:9: template.spec.containers[0].image: duplicate key, also on line 9; \
                    Helm takes the last one";
        assert!(notes.contains(&note.to_owned()), "{notes:?}");
        // kubectl refuses such a manifest.
        let text = "kind: Pod\napiVersion: v1\nspec: {}\nspec: {}\n";
        let error = values("a.yaml", text, &request()).unwrap_err();
        assert_eq!(error, "a.yaml:4:1: spec: duplicate key, also on line 3");
    }

    #[test]
    fn input_broken_has_an_error_with_its_place() {
        for (text, expected) in [
            (&b"githubConfigUrl: u\n\xff\xfe"[..], "a.yaml:2: not text: a byte that is not UTF-8"),
            (b"githubConfigUrl: u\na: [\n", "a.yaml:2:4: not valid YAML: unclosed bracket"),
            (b"\x7fELF\x02\x01\0\0", "a.yaml:1:"),
            (b"", "a.yaml: expected a Pod"),
            (b"# a comment\n", "found no object"),
            (
                b"githubConfigUrl: u\n---\ngithubConfigUrl: v\n",
                "a.yaml:3:1: a values file has one document",
            ),
            (b"{\"containerMode\": {}, \"template\": 1}", "a.yaml: template: expected a map"),
            (b"{githubConfigUrl: u, template: 1}", "a.yaml:1:22: template: expected a map"),
            (
                b"replicaCount: 1\n",
                "an object without kind, or the values of another chart: replicaCount",
            ),
            (b"just text\n", "found an object without kind"),
        ] {
            let parsed = Input::parse(Path::new("a.yaml"), text.to_vec(), &request());
            let error = format!("{:#}", parsed.err().unwrap());
            assert!(error.contains(expected), "{error:?} is not {expected:?}");
        }
    }

    proptest! {
        #[test]
        fn input_of_any_bytes_does_not_panic(
            head in prop::sample::select(vec!["", "{", "template:\n  spec: ", "containerMode: {type: dind}\n",
                "# helm upgrade --install a \\\n", "kind: List\nitems: ", "githubConfigUrl: u\n---\n"]),
            bytes in prop::collection::vec(any::<u8>(), 0..60),
            text in "[-a-z0-9:\\[\\]{}&*<!|>#\"' \n]{0,60}",
        ) {
            for tail in [bytes, text.into_bytes()] {
                let all = [head.as_bytes(), &tail].concat();
                let _ = Input::parse(Path::new("a.yaml"), all, &request());
            }
        }
    }
}
