//! The documentation against the code: examples compile, tables are complete, links lead somewhere.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking; clippy knows test functions, not their helpers"
)]

mod architecture;
mod commands;
mod cpu_builders;
mod generated;

use std::{collections::BTreeSet, fs, path::Path, process::Command, time::Duration};

use arc_rocm::{
    admission::{Outcome, Record},
    annotations, doctor,
    inject::{ChangeReason, ConflictCode, Skip},
    profile::{File, ProfileSet, source::documents, spec_schema},
    telemetry::{CertificateKind, Metrics},
    tls::Validity,
};
use serde_json::Value;

/// A page of the documentation.
struct Page {
    /// Its path from the repository's root.
    name: String,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The pages of the site, and those that other sites show.
fn pages() -> Vec<Page> {
    let summary = fs::read_to_string(root().join("site/SUMMARY.md")).unwrap();
    let site = summary.lines().filter_map(|line| line.split_once("](")?.1.strip_suffix(')'));
    let mut names: Vec<String> = site.map(ToOwned::to_owned).collect();
    names.push("deploy/helm/arc-rocm/README.md".to_owned());
    names.sort();
    let read = |name: &String| fs::read_to_string(root().join(name)).unwrap();
    names.iter().map(|name| Page { name: name.clone(), text: read(name) }).collect()
}

fn page(name: &str) -> String {
    pages().into_iter().find(|page| page.name == name).unwrap().text
}

impl Page {
    /// The YAML blocks that hold runner profiles, each moved down to its line of the page, so
    /// that a problem's place is one in the page.
    fn profiles(&self) -> Vec<File> {
        let mut files = Vec::new();
        let mut block: Option<String> = None;
        for (index, line) in self.text.lines().enumerate() {
            match &mut block {
                None if line == "```yaml" => block = Some("\n".repeat(index + 1)),
                None => {}
                Some(text) if line == "```" => {
                    if text.contains("kind: RunnerProfile\n") {
                        files.push(File { name: self.name.clone(), text: text.clone() });
                    }
                    block = None;
                }
                Some(text) => {
                    text.push_str(line);
                    text.push('\n');
                }
            }
        }
        assert!(block.is_none(), "{}: a block of code without an end", self.name);
        files
    }
}

/// The row of a table whose first cell is this word.
fn row<'t>(text: &'t str, word: &str) -> Option<&'t str> {
    text.lines().find(|line| line.starts_with(&format!("| `{word}` |")))
}

/// Each example stands alone: a reader copies one.
#[test]
fn every_profile_in_the_documentation_compiles() {
    let mut count = 0;
    let mut problems = Vec::new();
    for file in pages().iter().flat_map(Page::profiles) {
        count += 1;
        if let Err(found) = ProfileSet::compile(&[file]) {
            problems.extend(found.iter().map(ToString::to_string));
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
    assert!(count >= 18, "only {count} examples were found");
}

#[test]
fn a_problem_in_an_example_is_reported_at_its_line_of_the_page() {
    let text = "# Page\n\n```yaml\napiVersion: arc-rocm.dev/v1alpha1\nkind: RunnerProfile\n\
                metadata: {name: x}\nspec: {gpus: 2}\n```\n";
    let page = Page { name: "docs/x.md".to_owned(), text: text.to_owned() };
    let problems = ProfileSet::compile(&page.profiles()).unwrap_err();
    assert!(problems[0].to_string().starts_with("docs/x.md:7:"), "{}", problems[0]);
}

#[test]
fn every_conflict_is_explained_in_its_own_words() {
    let text = page("docs/precedence.md");
    for code in ConflictCode::ALL {
        let row = row(&text, code.as_str()).unwrap_or_else(|| panic!("no row for {code:?}"));
        assert!(row.contains(code.meaning()), "{code:?} means: {}\n{row}", code.meaning());
    }
}

#[test]
fn every_reason_of_a_change_is_explained_in_its_own_words() {
    let text = page("docs/precedence.md");
    for reason in ChangeReason::ALL {
        let row = row(&text, reason.as_str()).unwrap_or_else(|| panic!("no row for {reason:?}"));
        assert!(row.contains(reason.meaning()), "{reason:?} means: {}\n{row}", reason.meaning());
    }
}

#[test]
fn every_reason_to_leave_a_pod_alone_is_explained() {
    let text = page("docs/admission.md");
    for skip in Skip::ALL {
        let row = row(&text, skip.as_str()).unwrap_or_else(|| panic!("no row for {skip:?}"));
        let mut cells = row.trim_end_matches(" |").rsplit(" | ");
        let event = cells.next().unwrap();
        let wanted = match (skip.has_event(), skip.is_warned()) {
            (false, _) => "none",
            (true, false) => "Normal",
            (true, true) => "Warning",
        };
        assert_eq!(event, wanted, "{row}");
        assert_eq!(cells.next().unwrap() == "yes", skip.is_warned(), "{row}");
    }
    for outcome in [Outcome::Patched, Outcome::Unchanged, Outcome::Skipped, Outcome::Refused] {
        assert!(text.contains(&format!("`{}`", outcome.as_str())));
    }
}

#[test]
fn doctor_page_has_the_table_of_findings() {
    let text = page("docs/doctor.md");
    let rows = doctor::FindingCode::ALL.iter().map(|code| {
        let (word, level) = (code.as_str(), code.level().as_str());
        format!("| `{word}` | {level} | {} | {} |\n", code.meaning(), code.remedy())
    });
    let head = "| code | level | what it means | what to do |\n|---|---|---|---|\n";
    let table: String =
        [head.to_owned()].into_iter().chain(rows).chain(["\n".to_owned()]).collect();
    assert!(text.contains(&table), "docs/doctor.md needs this table:\n{table}");
}

#[test]
fn remedies_of_the_doctor_name_values_of_the_chart() {
    let text = fs::read_to_string(root().join("deploy/helm/arc-rocm/values.yaml")).unwrap();
    let values = documents("values.yaml", &text).unwrap().remove(0).to_json();
    let mut count = 0;
    for code in doctor::FindingCode::ALL {
        let after = ["chart's value ", "--set '"].into_iter().flat_map(|before| {
            code.remedy().split(before).skip(1).map(|rest| {
                rest.split(|c: char| !c.is_ascii_alphabetic() && c != '.').next().unwrap()
            })
        });
        for value in after {
            count += 1;
            let pointer = format!("/{}", value.replace('.', "/"));
            assert!(values.pointer(&pointer).is_some(), "{code:?}: the chart has no value {value}");
        }
    }
    assert!(count > 5, "{count}");
}

#[test]
fn every_annotation_has_its_place() {
    let text = page("docs/annotations.md");
    for name in [
        annotations::PROFILE,
        annotations::INJECT,
        annotations::GPUS,
        annotations::OVERRIDES,
        annotations::STATUS,
    ] {
        assert!(text.contains(&format!("\n## `{name}`\n")), "no heading for {name}");
    }
}

#[test]
fn every_metric_is_listed() {
    let text = page("docs/admission.md");
    let metrics = all_metrics();
    let families = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let mut count = 0;
    for family in families {
        let (name, kind) = family.split_once(' ').unwrap();
        let name = match kind {
            "counter" => format!("{name}_total"),
            "info" => format!("{name}_info"),
            _ => name.to_owned(),
        };
        assert!(row(&text, &name).is_some(), "no row for {name}");
        count += 1;
    }
    assert!(count > 5);
}

/// What /metrics prints once each family has a series: one without is not printed.
fn all_metrics() -> String {
    let metrics = Metrics::default();
    let record = Record {
        uid: String::new(),
        namespace: String::new(),
        name: String::new(),
        owner: None,
        outcome: Outcome::Patched,
        reason: "injected",
        skip: None,
        profile: Some("rocm".to_owned()),
        operations: 1,
        conflicts: vec![ConflictCode::EnvKept],
        dry_run: false,
    };
    metrics.admitted(record, Duration::from_micros(50));
    metrics.certificate_trusted(true);
    metrics.profile_objects(1, 0);
    for kind in [CertificateKind::Leaf, CertificateKind::Ca] {
        metrics.validity(kind, Some(Validity { not_before: 0, not_after: 1 }));
    }
    metrics.encode().unwrap()
}

/// The names of our metrics as Prometheus has them, those of a histogram's parts among them.
fn series() -> BTreeSet<String> {
    let metrics = all_metrics();
    let families = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let mut names = BTreeSet::new();
    for (name, kind) in families.map(|family| family.split_once(' ').unwrap()) {
        let endings: &[&str] = match kind {
            "counter" => &["_total"],
            "info" => &["_info"],
            "histogram" => &["_bucket", "_sum", "_count"],
            _ => &[""],
        };
        names.extend(endings.iter().map(|ending| format!("{name}{ending}")));
    }
    names
}

/// The metrics of ours that a text names.
fn named(text: &str) -> BTreeSet<&str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_name(c));
    words.filter(|word| word.starts_with("arc_rocm_")).collect()
}

#[test]
fn alerts_and_dashboard_name_metrics_that_there_are() {
    let series = series();
    let files = root().join("deploy/helm/arc-rocm/files");
    for (file, at_least) in [("alerts.yaml", 9), ("dashboard.json", 9)] {
        let text = fs::read_to_string(files.join(file)).unwrap();
        let named = named(&text);
        for name in &named {
            assert!(series.contains(*name), "{file}: there is no metric {name}");
        }
        assert!(named.len() >= at_least, "{file}: {named:?}");
    }
}

#[test]
fn every_alert_has_a_runbook_line() {
    let path = root().join("deploy/helm/arc-rocm/files/alerts.yaml");
    let alerts = fs::read_to_string(path).unwrap();
    let page = page("docs/troubleshooting.md");
    let names: BTreeSet<&str> =
        alerts.lines().filter_map(|line| line.trim_start().strip_prefix("- alert: ")).collect();
    assert!(names.len() >= 5, "{names:?}");
    for name in &names {
        assert!(row(&page, name).is_some(), "docs/troubleshooting.md has no row for {name}");
    }
    let listed = page.lines().filter_map(|line| line.strip_prefix("| `ArcRocm"));
    assert_eq!(listed.count(), names.len(), "docs/troubleshooting.md has a row for no alert");
}

#[test]
fn the_dashboards_panels_have_expressions_and_places_of_their_own() {
    let path = root().join("deploy/helm/arc-rocm/files/dashboard.json");
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut places = BTreeSet::new();
    for panel in panels {
        let title = panel["title"].as_str().unwrap();
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{title}");
        for target in targets {
            let expression = target["expr"].as_str().unwrap();
            assert_eq!(named(expression).len(), 1, "{title}: {expression}");
            assert!(expression.contains("namespace=~\"$namespace\""), "{title}: {expression}");
        }
        let place = &panel["gridPos"];
        places.insert((place["x"].as_u64().unwrap(), place["y"].as_u64().unwrap()));
    }
    assert_eq!(places.len(), panels.len());
}

#[test]
fn the_chart_is_of_the_programs_version() {
    let text = fs::read_to_string(root().join("deploy/helm/arc-rocm/Chart.yaml")).unwrap();
    for line in [
        format!("version: {}", arc_rocm::VERSION),
        format!("appVersion: \"{}\"", arc_rocm::VERSION),
    ] {
        assert!(text.lines().any(|l| l == line), "no {line}");
    }
}

#[test]
fn support_page_has_the_tested_versions() {
    let page = page("docs/support.md");
    let row_of = |name: &str| {
        let row = page.lines().find(|line| line.starts_with(&format!("| {name} |")));
        row.unwrap().split(" | ").map(ToOwned::to_owned).collect::<Vec<String>>()
    };
    let kubernetes = row_of("Kubernetes");
    let chart = fs::read_to_string(root().join("deploy/helm/arc-rocm/Chart.yaml")).unwrap();
    let (_, oldest) = chart.split_once("kubeVersion: \">=").unwrap();
    let oldest = oldest.split(".0-0").next().unwrap();
    assert_eq!(kubernetes[1], format!("{oldest} and newer"));
    let cluster = root().join("tests/cluster");
    let newest = fs::read_to_string(cluster.join("go.mod")).unwrap();
    let (_, newest) = newest.split_once("k8s.io/kubernetes v").unwrap();
    let mut minors = vec![newest.split('.').take(2).collect::<Vec<_>>().join(".")];
    for entry in fs::read_dir(cluster.join("versions")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        minors.extend(name.strip_suffix(".mod").map(ToOwned::to_owned));
    }
    minors.sort();
    let last = minors.pop().unwrap();
    assert_eq!(kubernetes[2], format!("{} and {last}", minors.join(", ")));
    assert!(row_of("ARC")[2].starts_with(arc_rocm::arc::VERSION), "{:?}", row_of("ARC"));
}

#[test]
fn every_value_of_the_chart_is_in_the_table_or_below_one_that_is() {
    let path = root().join("deploy/helm/arc-rocm/values.schema.json");
    let schema: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let page = page("deploy/README.md");
    let mut count = 0;
    for name in schema["properties"].as_object().unwrap().keys().filter(|name| *name != "global") {
        let is_listed = page.lines().filter_map(|line| line.strip_prefix("| `")).any(|line| {
            let cell = line.split(" |").next().unwrap_or_default();
            cell.split('`').any(|word| word == name || word.starts_with(&format!("{name}.")))
        });
        assert!(is_listed, "deploy/README.md has no value {name}");
        count += 1;
    }
    assert!(count > 20);
}

#[test]
fn every_field_of_a_profile_is_listed() {
    let text = page("docs/profiles.md");
    let schema = serde_json::to_value(spec_schema()).unwrap();
    let own = schema["$defs"].as_object().unwrap().iter();
    let own = own.filter(|(name, _)| !name.starts_with("io.k8s.")).map(|(_, schema)| schema);
    let mut count = 0;
    for schema in own.chain([&schema]) {
        let fields = schema.get("properties").and_then(Value::as_object);
        for field in fields.into_iter().flat_map(|fields| fields.keys()) {
            let listed = text.lines().any(|line| {
                let cell = line.strip_prefix("| `").and_then(|line| line.split_once("` |"));
                cell.is_some_and(|(path, _)| path.rsplit('.').next() == Some(field))
            });
            assert!(listed, "no row for {field}");
            count += 1;
        }
    }
    assert!(count > 40, "only {count} fields");
}

#[test]
fn site_has_every_page_of_docs_once() {
    let mut names: Vec<String> = pages().into_iter().map(|page| page.name).collect();
    let all = names.len();
    names.dedup();
    assert_eq!(all, names.len(), "a page comes twice in site/SUMMARY.md");
    for entry in fs::read_dir(root().join("docs")).unwrap() {
        let name = format!("docs/{}", entry.unwrap().file_name().display());
        let is_page = Path::new(&name).extension().is_some_and(|ending| ending == "md");
        assert!(!is_page || names.contains(&name), "site/SUMMARY.md does not have {name}");
    }
}

#[test]
fn links_between_pages_lead_somewhere() {
    for Page { name, text } in pages() {
        let folder = root().join(&name).parent().unwrap().to_owned();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')) {
            let target = target.0;
            if target.contains("://") {
                continue;
            }
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = if path.is_empty() { root().join(&name) } else { folder.join(path) };
            assert!(path.exists(), "{name}: {target} is not there");
            if !anchor.is_empty() {
                let text = fs::read_to_string(&path).unwrap();
                let found = text.lines().filter(|l| l.starts_with('#')).any(|l| slug(l) == anchor);
                assert!(found, "{name}: {target} has no such heading");
            }
        }
    }
}

/// The anchor that GitHub makes of a heading.
fn slug(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn every_command_has_its_place() {
    let text = page("docs/cli.md");
    let help = Command::new(env!("CARGO_BIN_EXE_arc-rocm")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let mut count = 0;
    for line in commands.lines().take_while(|line| !line.is_empty()) {
        let name = line.split_whitespace().next().unwrap();
        if line.starts_with("  ") && !line.starts_with("   ") && name != "help" {
            assert!(text.contains(&format!("\n## `arc-rocm {name}`\n")), "no heading for {name}");
            count += 1;
        }
    }
    assert!(count >= 7, "{help}");
}

#[test]
fn the_pages_are_finished() {
    for Page { name, text } in pages() {
        // The placeholder that `import` writes is named in code.
        let text = text.replace("`TODO`", "");
        for word in ["TODO", "FIXME"] {
            assert!(!text.contains(word), "{name} says {word}");
        }
    }
}
