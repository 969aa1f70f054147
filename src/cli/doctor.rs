//! `arc-rocm doctor`: what is wrong with an installation, and what to do about it.

use std::{io::Write, process::ExitCode};

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    EXIT_FINDINGS,
    connect::ConnectArgs,
    output::{self, Format, printable},
};
use crate::doctor::{Check, Level, Settings, examine};

/// Whom to examine.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The cluster.
    #[command(flatten)]
    pub connect: ConnectArgs,

    /// The webhook's namespace
    #[arg(long, short, default_value = "arc-rocm", value_name = "NAMESPACE")]
    pub namespace: String,

    /// Name of the webhook's objects
    #[arg(long, default_value = "arc-rocm", value_name = "NAME")]
    pub name: String,

    /// Exit with 1 for warnings, and for what could not be found out, as for errors
    #[arg(long)]
    pub strict: bool,

    /// What to print
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Format,
}

impl Args {
    /// Examines.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let Self { connect, namespace, name, strict, output } = self;
        let client = connect.client().await?;
        let now = Timestamp::now().as_second();
        let checks = examine(&client, Settings { name, namespace }, now).await;
        output::write(|out| match output {
            Format::Text => text(out, &checks),
            Format::Json => Ok(writeln!(out, "{:#}", report(&checks))?),
        })?;
        let worst = checks.iter().filter_map(Check::level).max();
        let least = if strict { Level::Unknown } else { Level::Error };
        Ok(if worst >= Some(least) { ExitCode::from(EXIT_FINDINGS) } else { ExitCode::SUCCESS })
    }
}

/// How many findings have a level.
fn number(checks: &[Check], level: Level) -> usize {
    let findings = checks.iter().flat_map(|check| &check.findings);
    findings.filter(|finding| finding.code.level() == level).count()
}

/// For people: a line for each check, and below it what was found.
fn text(out: &mut dyn Write, checks: &[Check]) -> anyhow::Result<()> {
    for check in checks {
        let level = check.level().filter(|level| *level != Level::Info);
        let mark = level.map_or("ok", Level::as_str);
        let line = format!("{mark:8} {:13} {}", check.name, printable(&check.summary));
        writeln!(out, "{}", line.trim_end())?;
        for finding in &check.findings {
            let level = finding.code.level().as_str();
            let code = finding.code.as_str();
            writeln!(out, "         {level}: {} ({code})", printable(&finding.message))?;
            if !finding.remedy.is_empty() {
                writeln!(out, "           do: {}", printable(&finding.remedy))?;
            }
        }
    }
    let counted = |level: Level| output::count(number(checks, level), level.as_str());
    let (errors, warnings) = (counted(Level::Error), counted(Level::Warning));
    writeln!(out, "\n{errors}, {warnings}, {} unknown", number(checks, Level::Unknown))?;
    Ok(())
}

/// For programs: docs/doctor.md.
fn report(checks: &[Check]) -> Value {
    let checks_json: Vec<Value> = checks
        .iter()
        .map(|check| {
            let findings: Vec<Value> = check
                .findings
                .iter()
                .map(|finding| {
                    json!({
                        "code": finding.code.as_str(),
                        "level": finding.code.level().as_str(),
                        "message": finding.message,
                        "remedy": finding.remedy,
                    })
                })
                .collect();
            json!({
                "check": check.name,
                "level": check.level().map_or("ok", Level::as_str),
                "summary": check.summary,
                "findings": findings,
            })
        })
        .collect();
    json!({
        "checks": checks_json,
        "errors": number(checks, Level::Error),
        "warnings": number(checks, Level::Warning),
        "unknown": number(checks, Level::Unknown),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{
        Finding, FindingCode, Unknown, evaluate,
        testing::{change, controller, ephemeral_runner, healthy, pod, status},
    };

    fn printed(checks: &[Check]) -> String {
        let mut out = Vec::new();
        text(&mut out, checks).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn healthy_cluster_is_ok_in_every_check() {
        insta::assert_snapshot!(printed(&evaluate(&healthy())));
    }

    #[test]
    fn sick_cluster_has_findings_with_remedies() {
        let mut facts = healthy();
        change(facts.registration.as_mut().unwrap(), |one| {
            one["webhooks"][0]["reinvocationPolicy"] = json!("Never");
        });
        change(facts.deployment.as_mut().unwrap(), |one| one["status"] = json!({}));
        let dry_run = facts.dry_run.as_mut().unwrap();
        dry_run.called = false;
        dry_run.refusal = Some(status(
            500,
            "Internal error occurred: failed calling webhook \"mutate.arc-rocm.dev\": failed to call \
             webhook: Post \"https://arc-rocm.arc-rocm.svc:443/mutate?timeout=5s\": no endpoints \
             available for service \"arc-rocm\"",
        ));
        facts.certificate = Err(Unknown::Forbidden("get secrets arc-rocm-tls".to_owned()));
        facts.controllers = Ok(vec![controller("my-arc")]);
        let refusal = status(
            403,
            "pods \"arc-rocm-doctor\" is forbidden: violates PodSecurity \"baseline:latest\": privileged \
             (container \"dind\" must not set securityContext.privileged=true)",
        );
        facts.trials.values_mut().for_each(|trial| *trial = Ok(Some(refusal.clone())));
        facts.nodes.as_mut().unwrap().clear();
        facts.runner_pods.as_mut().unwrap().push(pod("old", None));
        let failed = json!({"phase": "Failed", "reason": "InvalidPod", "message": refusal.message});
        facts.runners = Ok(vec![ephemeral_runner("late", &failed)]);
        let checks = evaluate(&facts);
        insta::assert_snapshot!(printed(&checks));
        insta::assert_snapshot!("sick_json", format!("{:#}", report(&checks)));
    }

    #[test]
    fn control_characters_are_not_printed() {
        let message = "x\u{1b}[2Jy\nz".to_owned();
        let finding = Finding { code: FindingCode::RunnerFailed, message, remedy: String::new() };
        let check = Check { name: "runners", summary: String::new(), findings: vec![finding] };
        assert!(printed(&[check]).contains("warning: x [2Jy z (runner-failed)\n"));
    }
}
