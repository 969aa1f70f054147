//! What can be said of the scripts without running them.

use arc_rocm::scripts::{DIND, DIND_NAME, JOB_COMPLETED, JOB_STARTED, START_NAME, start};

use crate::world::Shell;

fn scripts() -> [(&'static str, String); 5] {
    [
        (START_NAME, start(&["credentials", "cpuset", "docker", "groups", "rocr"])),
        (START_NAME, start(&[])),
        (DIND_NAME, DIND.clone()),
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

/// 30 s is Kubernetes' default; the margin is for what lies between the steps.
#[test]
fn dind_steps_fit_into_the_termination_grace() {
    let seconds = |name: &str| -> u32 {
        let (_, rest) = DIND.split_once(&format!("\n{name}=")).unwrap();
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap();
        digits.parse().unwrap()
    };
    assert!(seconds("CONTAINER_SECONDS") < seconds("STOP_SECONDS"));
    assert!(
        seconds("STOP_SECONDS") + seconds("DAEMON_SECONDS") + seconds("CLEAN_SECONDS") <= 30 - 4
    );
}
