//! What can be said of the scripts without running them.

use arc_rocm::scripts::{DIND_NAME, JOB_COMPLETED, JOB_STARTED, START_NAME, dind, start};

use crate::world::Shell;

/// All parts of the start wrapper.
const PARTS: [&str; 6] = ["credentials", "cpuset", "docker", "env", "groups", "rocr"];

fn scripts() -> [(&'static str, String); 6] {
    [
        (START_NAME, start(&PARTS.map(|part| (part, true)))),
        (START_NAME, start(&[])),
        (DIND_NAME, dind(true)),
        (DIND_NAME, dind(false)),
        ("job-started.sh", JOB_STARTED.clone()),
        ("job-completed.sh", JOB_COMPLETED.clone()),
    ]
}

#[test]
fn scripts_parse_in_every_shell() {
    for (name, script) in scripts() {
        for shell in Shell::ALL {
            let output = shell.command().args(["-n", "-c", &script]).output().unwrap();
            assert!(
                output.status.success() && output.stderr.is_empty(),
                "{name}, {shell:?}: {output:?}"
            );
        }
    }
}

#[test]
fn scripts_never_exit_with_7() {
    for (name, script) in scripts() {
        assert!(!script.contains("exit 7") && !script.contains("return 7"), "{name}");
    }
}

/// Bytes of a script, which each runner pod carries: all together stay far below what etcd takes
/// for an object (1.5 MiB) and the kernel for an argument (128 KiB). It was 4608 before the start
/// wrapper read KFD's topology, `/etc/group` and the CPU request (issue 7).
const LONGEST: usize = 8192;

#[test]
fn scripts_are_small_ascii_with_final_newline() {
    for (name, script) in scripts() {
        assert!(script.len() <= LONGEST, "{name} has {} bytes", script.len());
        assert!(script.is_ascii() && script.ends_with('\n') && !script.contains('\t'), "{name}");
    }
}

/// What dockerd gives a container from SIGTERM to SIGKILL when it ends (moby,
/// `container.DefaultStopTimeout`).
const CONTAINER_SECONDS: u32 = 10;

/// 30 s is Kubernetes' default; the margin is for what lies between the steps.
#[test]
fn dind_steps_fit_into_the_termination_grace() {
    let script = dind(true);
    let seconds = |name: &str| -> u32 {
        let (_, rest) = script.split_once(&format!("\n{name}=")).unwrap();
        rest.lines().next().unwrap().parse().unwrap()
    };
    assert!(seconds("STOP_SECONDS") > CONTAINER_SECONDS);
    assert!(seconds("STOP_SECONDS") + seconds("CLEAN_SECONDS") <= 30 - 4);
}
