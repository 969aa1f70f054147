//! `start.sh`: what it writes, when it refuses to start the runner, and that it gets out of the way.

use std::{path::Path, time::Duration};

use arc_rocm::scripts::{self, START_NAME};

use crate::{
    consumers::{bash_words, docker_env_file, github_env, grep_count, shlex_pairs, vllm_devices},
    world::{Script, Shell, World, can_unshare, is_root, kill},
};

/// All that the script needs of an image. `cat`, `env` and `sh` are for the commands below.
const TOOLS: [&str; 16] = [
    "chmod", "date", "id", "mkdir", "mv", "rm", "sed", "sleep", "sort", "stat", "tail", "tee",
    "timeout", "cat", "env", "sh",
];

pub(crate) const DEVICES: &str = "podinfo/gha-render-devices";
pub(crate) const ISOLATION: &str = "podinfo/gha-gpu-isolation-settings";
const READY_AT_SECOND_CALL: &str =
    r#"[ -e "$WORLD/podinfo/ready" ] && exit; : >"$WORLD/podinfo/ready"; exit 1"#;
/// A `date` that goes a minute with every look at it.
const LEAPS: &str =
    r#"t=$(cat "$WORLD/podinfo/t" 2>/dev/null); echo $((t)); echo $((t + 60)) >"$WORLD/podinfo/t""#;
/// A `date` for which no second ends between two looks at it.
const STANDS_STILL: &str = "echo 0";
pub(crate) const RAN: [&str; 3] = ["sh", "-c", "echo ran"];

in_every_shell!(
    render_nodes_are_sorted_by_number,
    group_add_flags_come_first,
    written_files_are_readable_by_consumers,
    no_render_node_stops_the_start,
    too_few_render_nodes_stop_the_start,
    extra_render_nodes_are_used_with_a_warning,
    unopenable_node_is_reported_with_groups,
    unopenable_node_does_not_count,
    kfd_is_opened_like_render_nodes,
    missing_kfd_stops_the_start,
    cpu_runner_gets_no_device_file,
    isolation_settings_are_empty_by_default,
    isolation_settings_have_more_lines,
    files_are_world_readable_under_any_umask,
    unwritable_podinfo_is_reported_and_runner_starts,
    exit_code_is_the_commands,
    arguments_are_unchanged,
    stdin_is_the_commands,
    environment_is_neither_read_nor_changed,
    sigterm_reaches_the_command,
    wait_for_ready_docker_takes_no_time,
    wait_for_docker_retries_five_times_a_second,
    wait_for_docker_ends_with_dockers_error,
    wait_for_docker_last_attempt_may_succeed,
    wait_for_hanging_docker_has_the_same_limit,
    wait_for_docker_is_reported_every_few_seconds,
    wait_without_docker_program_is_skipped,
    wait_of_zero_runs_no_docker,
    sigterm_between_attempts_ends_the_wait,
    sigterm_during_an_attempt_ends_the_wait,
    sigterm_ends_the_wait_of_process_1,
    unknown_option_is_reported_and_ignored,
    bad_numbers_or_missing_command_exit_with_1,
    script_runs_in_strict_shells,
    registry_credentials_are_copied_and_writable,
    registry_credentials_of_the_image_are_kept,
);

pub(crate) fn world(shell: Shell) -> World {
    let world = World::new(shell, &TOOLS);
    for own in ["", "podinfo", "calls"] {
        world.give_to_runner(own);
    }
    world
}

pub(crate) fn start<'a>(world: &'a World, options: &[&str], command: &[&str]) -> Script<'a> {
    let (script, args) = of_profile(world, options, command);
    world.script(&script, START_NAME, &args).says_paths_of_a_pod().by_runner()
}

/// The script with the parts that a profile asks for by these options, and its arguments. In bash it is
/// the image's, which has all parts: only the options say what it does.
fn of_profile(world: &World, options: &[&str], command: &[&str]) -> (String, Vec<String>) {
    let is_image = world.shell == Shell::Bash;
    let has = |name: &str| is_image || options.iter().any(|option| option.starts_with(name));
    let script = scripts::start(&[
        ("credentials", has("--docker-config=")),
        ("cpuset", has("--cpuset")),
        ("docker", has("--wait-for-docker=")),
        ("env", has("--env=")),
        ("groups", has("--group-add=nodes")),
        ("rocr", has("--rocr")),
    ]);
    assert!(script.contains("/etc/podinfo"));
    let script = script.replace("/etc/podinfo", &world.text("podinfo"));
    let mut paths = vec!["/dev/dri", "/dev/kfd", "/etc/group", "/sys/class/kfd"];
    if has("--cpuset") {
        paths.push("/proc/self/status");
    }
    let args = options.iter().chain(&["--"]).chain(command).map(|&arg| arg.to_owned()).collect();
    (world.with_paths(&script, &paths), args)
}

fn render_nodes_are_sorted_by_number(shell: Shell) {
    let world = world(shell);
    world.nodes(&["renderD1280", "renderD129", "renderD128", "renderD99"]);
    world.nodes(&["card1", "renderD", "renderD130x", "renderDx130", "renderD 130", "renderD*"]);
    world.write(DEVICES, "--device /dev/dri/renderD7\n");
    let end = start(&world, &["--gpus=4", "--group-add=110"], &RAN).run();
    assert_eq!((end.code, end.stdout.as_str()), (Some(0), "ran\n"), "{end:#?}");
    end.is_silent();
    assert_eq!(
        world.read(DEVICES),
        "--group-add 110 --device /dev/dri/renderD99 --device /dev/dri/renderD128 \
         --device /dev/dri/renderD129 --device /dev/dri/renderD1280\n"
    );
    assert_eq!(world.mode(DEVICES), 0o644);
    let left: Vec<_> = world.path("podinfo").read_dir().unwrap().collect();
    assert_eq!(left.len(), 2, "no temporary file stays: {left:?}");
}

fn group_add_flags_come_first(shell: Shell) {
    let world = world(shell);
    world.nodes(&["renderD128"]);
    for (options, words) in [
        (&["--gpus=1"][..], ""),
        (&["--group-add=110", "--gpus=1"], "--group-add 110 "),
        (&["--gpus=1", "--group-add=110", "--group-add=44"], "--group-add 110 --group-add 44 "),
    ] {
        assert_eq!(start(&world, options, &RAN).run().code, Some(0));
        assert_eq!(world.read(DEVICES), format!("{words}--device /dev/dri/renderD128\n"));
    }
}

fn written_files_are_readable_by_consumers(shell: Shell) {
    let world = world(shell);
    world.nodes(&["renderD128", "renderD136"]);
    let end = start(&world, &["--gpus=2", "--group-add=110"], &RAN).run();
    assert_eq!(end.code, Some(0), "{end:#?}");
    let file: &Path = &world.path(DEVICES);
    let words = [
        "--group-add",
        "110",
        "--device",
        "/dev/dri/renderD128",
        "--device",
        "/dev/dri/renderD136",
    ];
    assert_eq!(bash_words(file), words);
    assert_eq!(
        github_env(file),
        format!("GPU_FLAG=--device=/dev/mem --device=/dev/kfd {}", words.join(" "))
    );
    let pairs: Vec<_> = words.chunks(2).map(|w| (w[0].to_owned(), w[1].to_owned())).collect();
    assert_eq!(shlex_pairs(file), pairs);
    assert_eq!(grep_count(file), 2);
    assert_eq!(vllm_devices(file), ["/dev/dri/renderD128", "/dev/dri/renderD136"]);
    assert_eq!(docker_env_file(&world.path(ISOLATION)), []);
}

fn no_render_node_stops_the_start(shell: Shell) {
    let world = world(shell);
    world.nodes(&["card1"]);
    world.write(DEVICES, "--device /dev/dri/renderD7\n");
    let end = start(&world, &["--gpus=2", "--group-add=110"], &RAN).run();
    assert_eq!((end.code, end.stdout.as_str()), (Some(1), ""), "{end:#?}");
    end.says("2 GPUs requested, 0 usable in /dev/dri, the runner is not started");
    assert!(!world.exists(DEVICES), "an old file is worse than none");
}

fn too_few_render_nodes_stop_the_start(shell: Shell) {
    let world = world(shell);
    world.nodes(&["renderD128"]);
    let end = start(&world, &["--gpus=2"], &RAN).run();
    assert_eq!((end.code, end.stdout.as_str()), (Some(1), ""), "{end:#?}");
    end.says("2 GPUs requested, 1 usable in /dev/dri, the runner is not started");
    assert!(!world.exists(DEVICES));
}

fn extra_render_nodes_are_used_with_a_warning(shell: Shell) {
    let world = world(shell);
    world.nodes(&["renderD128", "renderD129", "renderD130"]);
    let end = start(&world, &["--gpus=2"], &RAN).run();
    assert_eq!((end.code, end.stdout.as_str()), (Some(0), "ran\n"), "{end:#?}");
    end.says("2 GPUs requested, all 3 of /dev/dri are used");
    assert_eq!(grep_count(&world.path(DEVICES)), 3);
}

fn unopenable_node_is_reported_with_groups(shell: Shell) {
    let world = world(shell);
    let gid = world.closed_node("renderD128");
    let end = start(&world, &["--gpus=1", "--group-add=110"], &RAN).run();
    assert_eq!((end.code, end.stdout.as_str()), (Some(1), ""), "{end:#?}");
    end.says(&format!("cannot open /dev/dri/renderD128: its group is {gid}, this process is in "));
    if is_root() {
        end.says("this process is in 1001 (see groups in the profile)\n");
    }
    end.says("1 GPUs requested, 0 usable");
    assert!(!world.exists(DEVICES));
}

fn unopenable_node_does_not_count(shell: Shell) {
    let world = world(shell);
    world.closed_node("renderD128");
    world.nodes(&["renderD129"]);
    let end = start(&world, &["--gpus=1"], &RAN).run();
    assert_eq!(end.code, Some(0), "{end:#?}");
    end.says("cannot open /dev/dri/renderD128");
    assert_eq!(world.read(DEVICES), "--device /dev/dri/renderD129\n");
}

/// Without it no HIP call works, whatever render nodes there are.
fn kfd_is_opened_like_render_nodes(shell: Shell) {
    let world = world(shell);
    world.nodes(&["renderD128"]);
    let gid = world.closed("dev/kfd");
    let end = start(&world, &["--gpus=1"], &RAN).run();
    assert_eq!((end.code, end.stdout.as_str()), (Some(1), ""), "{end:#?}");
    end.says(&format!("arc-rocm: cannot open /dev/kfd: its group is {gid}, this process is in "));
    end.says("arc-rocm: no usable /dev/kfd, which ROCm needs, the runner is not started\n");
    assert!(!world.exists(DEVICES));
}

fn missing_kfd_stops_the_start(shell: Shell) {
    let world = world(shell);
    world.nodes(&["renderD128"]);
    std::fs::remove_file(world.path("dev/kfd")).unwrap();
    let end = start(&world, &["--gpus=1"], &RAN).run();
    assert_eq!(end.code, Some(1), "{end:#?}");
    end.says("arc-rocm: no usable /dev/kfd, which ROCm needs, the runner is not started\n");
    assert!(!world.exists("dev/kfd"), "an attempt to open it would make a file");
    assert_eq!(start(&world, &["--gpus=0"], &RAN).run().code, Some(0), "a CPU runner needs none");
}

fn cpu_runner_gets_no_device_file(shell: Shell) {
    let world = world(shell);
    for devices in [&[][..], &["renderD128"]] {
        world.nodes(devices);
        world.write(DEVICES, "--device /dev/dri/renderD7\n");
        let end = start(&world, &["--gpus=0", "--group-add=110"], &RAN).run();
        assert_eq!((end.code, end.stdout.as_str()), (Some(0), "ran\n"), "{end:#?}");
        end.is_silent();
        assert!(!world.exists(DEVICES));
        assert_eq!(world.read(ISOLATION), "");
    }
}

fn isolation_settings_are_empty_by_default(shell: Shell) {
    let world = world(shell);
    world.nodes(&["renderD128"]);
    for gpus in ["--gpus=0", "--gpus=1"] {
        world.write(ISOLATION, "ROCR_VISIBLE_DEVICES=\n");
        let end = start(&world, &[gpus], &RAN).run();
        assert_eq!(end.code, Some(0), "{end:#?}");
        assert_eq!((world.read(ISOLATION).as_str(), world.mode(ISOLATION)), ("", 0o644));
    }
}

fn isolation_settings_have_more_lines(shell: Shell) {
    let world = world(shell);
    world.nodes(&["renderD128"]);
    let more = ["--env=HSA_ENABLE_SDMA=0", "--env=NOTE=100%s,a=b"];
    for gpus in ["--gpus=0", "--gpus=1"] {
        let end = start(&world, &[gpus, more[0], more[1]], &RAN).run();
        assert_eq!(end.code, Some(0), "{end:#?}");
        let variables = docker_env_file(&world.path(ISOLATION));
        let expected = [("HSA_ENABLE_SDMA", "0"), ("NOTE", "100%s,a=b")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(variables.into_iter().collect::<Vec<_>>(), expected);
    }
}

fn files_are_world_readable_under_any_umask(shell: Shell) {
    let world = world(shell);
    world.nodes(&["renderD128"]);
    let end = start(&world, &["--gpus=1"], &RAN)
        .behind(&["sh", "-c", "umask 0077; exec \"$@\"", "sh"])
        .run();
    assert_eq!(end.code, Some(0), "{end:#?}");
    assert_eq!((world.mode(DEVICES), world.mode(ISOLATION)), (0o644, 0o644));
}

fn unwritable_podinfo_is_reported_and_runner_starts(shell: Shell) {
    let world = world(shell);
    world.nodes(&["renderD128"]);
    let reported = || {
        let end = start(&world, &["--gpus=1"], &RAN).run();
        assert_eq!((end.code, end.stdout.as_str()), (Some(0), "ran\n"), "{end:#?}");
        end.says("/gha-render-devices, jobs that read it will miss it");
        end.says("/gha-gpu-isolation-settings, jobs that read it will miss it");
    };
    world.chmod("podinfo", 0o555);
    reported();
    std::fs::remove_dir(world.path("podinfo")).unwrap();
    reported();
}

fn registry_credentials_are_copied_and_writable(shell: Shell) {
    let world = world(shell);
    world.write("secret.json", "{\"auths\":{}}\n");
    let login = format!("--docker-config={}", world.text("secret.json"));
    let end = start(&world, &[&login], &RAN).env("HOME", &world.text("home")).run();
    assert_eq!((end.code, end.stdout.as_str()), (Some(0), "ran\n"), "{end:#?}");
    assert_eq!(world.read("home/.docker/config.json"), "{\"auths\":{}}\n");
    assert_eq!(world.mode("home/.docker/config.json"), 0o600);
    let elsewhere = world.text("elsewhere");
    start(&world, &[&login], &RAN).env("DOCKER_CONFIG", &elsewhere).run();
    assert_eq!(world.read("elsewhere/config.json"), "{\"auths\":{}}\n");
}

fn registry_credentials_of_the_image_are_kept(shell: Shell) {
    let world = world(shell);
    world.write("secret.json", "new");
    world.write("config.json", "old");
    let login = format!("--docker-config={}", world.text("secret.json"));
    let folder = world.text("");
    let end =
        start(&world, &[&login], &RAN).env("DOCKER_CONFIG", folder.trim_end_matches('/')).run();
    assert_eq!((end.code, world.read("config.json").as_str()), (Some(0), "old"), "{end:#?}");
    let missing = format!("--docker-config={}", world.text("no-such-file"));
    let end = start(&world, &[&missing], &RAN).env("HOME", &world.text("home")).run();
    assert_eq!((end.code, end.stdout.as_str()), (Some(0), "ran\n"), "{end:#?}");
    end.says("docker is not logged in");
    assert!(!world.exists("home/.docker/config.json"), "an empty file would break the docker CLI");
}

fn exit_code_is_the_commands(shell: Shell) {
    let world = world(shell);
    for code in [0, 1, 7, 42] {
        let end = start(&world, &[], &["sh", "-c", &format!("exit {code}")]).run();
        assert_eq!(end.code, Some(code), "{end:#?}");
    }
    let end = start(&world, &[], &["sh", "-c", "kill -s KILL $$"]).run();
    assert_eq!((end.code, end.signal), (None, Some(9)), "{end:#?}");
    let end = start(&world, &[], &["no-such-program"]).run();
    assert_eq!(end.code, Some(127), "{end:#?}");
}

fn arguments_are_unchanged(shell: Shell) {
    let world = world(shell);
    let odd =
        ["", "two words", "a\nline\n", "'\"$(id)`id`\\", "*", "--", "--gpus=9", "-n", "\u{e9}\t"];
    let mut command = vec!["sh", "-c", r#"for a; do printf '<%s>' "$a"; done"#, "sh"];
    command.extend(odd);
    let end = start(&world, &["--gpus=0"], &command).run();
    assert_eq!(end.code, Some(0), "{end:#?}");
    assert_eq!(end.stdout, format!("<{}>", odd.join("><")));
}

fn stdin_is_the_commands(shell: Shell) {
    let world = world(shell);
    world.program(
        "docker",
        "cat >/dev/null; [ -e \"$WORLD/ready\" ] && exit; : >\"$WORLD/ready\"; exit 1",
    );
    let end = start(&world, &["--wait-for-docker=3"], &["cat"]).stdin("one\ntwo").run();
    assert_eq!((end.code, end.stdout.as_str()), (Some(0), "one\ntwo"), "{end:#?}");
}

fn environment_is_neither_read_nor_changed(shell: Shell) {
    let world = world(shell);
    world.nodes(&["renderD128", "renderD129"]);
    world.program("docker", READY_AT_SECOND_CALL);
    world.program("date", STANDS_STILL);
    world.program("sleep", "");
    // Names that a careless script would use, and what shells themselves listen to.
    let vars = [
        ("gpus", "9"),
        ("minor", "x"),
        ("node", "x"),
        ("found", "x"),
        ("waited", "x"),
        ("error", "x"),
        ("option", "x"),
        ("podinfo", "/nowhere"),
        ("root", "/nowhere"),
        ("flags", "--privileged"),
        ("IFS", "/-12"),
        ("POSIXLY_CORRECT", "1"),
        ("LC_ALL", "C"),
        ("CDPATH", "/"),
        ("GLOBIGNORE", "*"),
        ("ENV", "/nowhere"),
        ("ROCR_VISIBLE_DEVICES", "0"),
    ];
    let mut script = start(&world, &["--gpus=2", "--wait-for-docker=30"], &["env"]);
    for (name, value) in vars {
        script = script.env(name, value);
    }
    let end = script.run();
    assert_eq!(end.code, Some(0), "{end:#?}");
    end.is_silent();
    assert_eq!(world.read(DEVICES), "--device /dev/dri/renderD128 --device /dev/dri/renderD129\n");
    for (name, value) in vars {
        // Shells make their own IFS and pass none on.
        let kept = end.stdout.lines().any(|line| line == format!("{name}={value}"));
        assert!(kept || name == "IFS", "{name} is gone or changed: {}", end.stdout);
    }
    assert!(!end.stdout.contains("arc_"), "{}", end.stdout);
}

fn sigterm_reaches_the_command(shell: Shell) {
    let world = world(shell);
    world.program("docker", "");
    let command = "trap 'kill $!; echo got TERM; exit 5' TERM; sleep 5 & echo \"pid $$.\"; wait";
    let job = start(&world, &["--wait-for-docker=3"], &["sh", "-c", command]).start();
    world.await_text("stdout", &format!("pid {}.", job.pid()));
    job.terminate();
    let end = job.end();
    assert_eq!(end.code, Some(5), "{end:#?}");
    assert!(end.stdout.ends_with("got TERM\n"), "{end:#?}");
}

fn wait_for_ready_docker_takes_no_time(shell: Shell) {
    let world = world(shell);
    world.nodes(&["renderD128"]);
    world.program("docker", "echo 'Server Version: 29'; echo 'WARNING: no swap limit' >&2");
    world.program("sleep", "");
    // The quickest of three, for the sake of a busy machine.
    let took = (0..3)
        .map(|_| {
            let end = start(&world, &["--gpus=1", "--wait-for-docker=120"], &RAN).run();
            assert_eq!((end.code, end.stdout.as_str()), (Some(0), "ran\n"), "{end:#?}");
            end.is_silent();
            end.took
        })
        .min();
    assert!(took < Some(Duration::from_millis(500)), "{took:?}");
    assert_eq!(world.calls(), ["docker info"; 3]);
}

fn wait_for_docker_retries_five_times_a_second(shell: Shell) {
    let world = world(shell);
    world.program(
        "docker",
        "n=$(cat \"$WORLD/podinfo/n\" 2>/dev/null); echo \"${n}x\" >\"$WORLD/podinfo/n\"; [ \"$n\" = xx ]",
    );
    world.program("date", STANDS_STILL);
    world.program("sleep", "exec \"$WORLD/tools/sleep\" \"$@\"");
    let end = start(&world, &["--wait-for-docker=120"], &RAN).run();
    assert_eq!((end.code, end.stdout.as_str()), (Some(0), "ran\n"), "{end:#?}");
    let mut calls = world.calls();
    calls.retain(|call| call != "date +%s");
    // No second is wasted: the fraction is slept, and nothing else.
    let expected = ["docker info", "sleep 0.2", "docker info", "sleep 0.2", "docker info"];
    assert_eq!(calls, expected);
    assert!(end.took >= Duration::from_millis(400), "{end:#?}");
    // dockerd starts at the same time: what takes no 5 s is not worth a line.
    end.is_silent();
}

fn wait_for_docker_ends_with_dockers_error(shell: Shell) {
    let world = world(shell);
    world.program(
        "docker",
        "echo 'Client: 29'; printf 'first\\nCannot connect to it\\n' >&2; exit 7",
    );
    // A wait of a second would give docker no more than one for its words.
    world.program("date", LEAPS);
    let end = start(&world, &["--wait-for-docker=30"], &RAN).run();
    assert_eq!((end.code, end.stdout.as_str()), (Some(1), ""), "{end:#?}");
    end.says("docker is not ready after 60 s (Cannot connect to it), the runner is not started");
}

fn wait_for_docker_last_attempt_may_succeed(shell: Shell) {
    let world = world(shell);
    world.program("date", LEAPS);
    world.program("docker", &format!("cat >/dev/null; {READY_AT_SECOND_CALL}"));
    let end = start(&world, &["--wait-for-docker=30"], &["cat"]).stdin("mine").run();
    assert_eq!((end.code, end.stdout.as_str()), (Some(0), "mine"), "{end:#?}");
    assert_eq!(world.calls().iter().filter(|call| *call == "docker info").count(), 2);
}

fn wait_for_hanging_docker_has_the_same_limit(shell: Shell) {
    let world = world(shell);
    world.program("docker", "exec sleep 60");
    world.program("timeout", "exec \"$WORLD/tools/timeout\" \"$@\"");
    let end = start(&world, &["--wait-for-docker=1"], &RAN).run();
    assert_eq!((end.code, end.stdout.as_str()), (Some(1), ""), "{end:#?}");
    end.says("(no answer), the runner is not started");
    // The only attempt within the second, and the last one. docker's own note may come too late.
    let mut calls = world.calls();
    calls.retain(|call| call.starts_with("timeout "));
    assert_eq!(calls, ["timeout 1 docker info"; 2]);
}

fn wait_for_docker_is_reported_every_few_seconds(shell: Shell) {
    let world = world(shell);
    // A clock that goes 3 s with every look at it.
    world.program("date", "t=$(cat \"$WORLD/podinfo/t\" 2>/dev/null); echo $((t)); echo $((t + 3)) >\"$WORLD/podinfo/t\"");
    world.program("sleep", "");
    world.program("docker", "exit 1");
    let end = start(&world, &["--wait-for-docker=30"], &RAN).run();
    assert_eq!(end.code, Some(1), "{end:#?}");
    let waits: Vec<&str> = end
        .stderr
        .lines()
        .filter_map(|line| line.strip_prefix("arc-rocm: waiting for docker "))
        .collect();
    let seconds = [6, 12, 18, 24];
    assert_eq!(waits, seconds.map(|waited| format!("({waited} of 30 s)")));
    end.says("docker is not ready after 30 s (no answer), the runner is not started");
    assert_eq!(world.calls().iter().filter(|call| *call == "sleep 0.2").count(), 9);
}

/// Nothing in the image could use it, and a job brings its own program later.
fn wait_without_docker_program_is_skipped(shell: Shell) {
    let world = world(shell);
    let end = start(&world, &["--wait-for-docker=120"], &RAN).run();
    assert_eq!((end.code, end.stdout.as_str()), (Some(0), "ran\n"), "{end:#?}");
    end.is_silent();
}

fn wait_of_zero_runs_no_docker(shell: Shell) {
    let world = world(shell);
    world.program("docker", "exit 1");
    for options in [&["--wait-for-docker=0"][..], &[]] {
        let end = start(&world, options, &RAN).run();
        assert_eq!((end.code, end.stdout.as_str()), (Some(0), "ran\n"), "{end:#?}");
        end.is_silent();
    }
    assert_eq!(world.calls(), [""; 0]);
}

fn sigterm_between_attempts_ends_the_wait(shell: Shell) {
    let world = world(shell);
    world.program("docker", "exit 1");
    let body = "echo $$ >\"$WORLD/podinfo/pid\"; exec \"$WORLD/tools/sleep\" 60";
    world.program("sleep", body);
    sigterm_ends_the_wait(&world, "sleep 0.2");
}

fn sigterm_during_an_attempt_ends_the_wait(shell: Shell) {
    let world = world(shell);
    world.program("docker", "echo $$ >\"$WORLD/podinfo/pid\"; exec sleep 60");
    // Not the script's 5 s: the attempt must not end by itself.
    world.program("timeout", "shift; exec \"$WORLD/tools/timeout\" 60 \"$@\"");
    sigterm_ends_the_wait(&world, "docker info");
}

#[track_caller]
fn sigterm_ends_the_wait(world: &World, during: &str) {
    let job = start(world, &["--wait-for-docker=120"], &RAN).start();
    world.await_call(during);
    world.await_text("podinfo/pid", "\n");
    // GNU timeout forgets its child for a moment after the fork.
    world.await_sleep_of_parent("podinfo/pid");
    job.terminate();
    let end = job.end();
    assert_eq!((end.code, end.stdout.as_str()), (Some(143), ""), "{end:#?}");
    // In a pod the kernel ends what process 1 leaves behind.
    kill("KILL", world.read("podinfo/pid").trim());
}

fn sigterm_ends_the_wait_of_process_1(shell: Shell) {
    let flags = ["--user", "--map-root-user", "--pid", "--fork", "--kill-child=KILL"];
    if !can_unshare(&flags) {
        return;
    }
    let world = world(shell);
    world.program("docker", "exit 1");
    let (script, args) = of_profile(&world, &["--wait-for-docker=120"], &RAN);
    let job = world
        .script(&script, START_NAME, &args)
        .behind(&[&["unshare"][..], &flags].concat())
        .start();
    world.await_text("stderr", "waiting for docker");
    job.terminate_child();
    let end = job.end();
    assert_eq!((end.code, end.stdout.as_str()), (Some(143), ""), "{end:#?}");
}

fn unknown_option_is_reported_and_ignored(shell: Shell) {
    let world = world(shell);
    world.nodes(&["renderD128"]);
    let end = start(&world, &["--numa=auto", "--gpus=1", "--fence"], &RAN).run();
    assert_eq!((end.code, end.stdout.as_str()), (Some(0), "ran\n"), "{end:#?}");
    end.says("unknown option --numa=auto, ignored");
    end.says("unknown option --fence, ignored");
    assert_eq!(world.read(DEVICES), "--device /dev/dri/renderD128\n");
}

fn bad_numbers_or_missing_command_exit_with_1(shell: Shell) {
    let world = world(shell);
    for option in
        ["--gpus=", "--gpus=two", "--gpus=-1", "--wait-for-docker=", "--wait-for-docker=2m"]
    {
        let end = start(&world, &[option], &RAN).run();
        assert_eq!((end.code, end.stdout.as_str()), (Some(1), ""), "{option}: {end:#?}");
        end.says("not numbers, the runner is not started");
    }
    let end = start(&world, &["--gpus=0"], &[]).run();
    assert_eq!(end.code, Some(1), "{end:#?}");
    end.says("no command after --");
}

fn script_runs_in_strict_shells(shell: Shell) {
    let world = world(shell);
    world.nodes(&["renderD128", "renderD129"]);
    world.program("docker", READY_AT_SECOND_CALL);
    let (script, args) = of_profile(&world, &["--gpus=1", "--wait-for-docker=3", "--rocr"], &RAN);
    let end = world.script(&format!("set -eu\n{script}"), START_NAME, &args).by_runner().run();
    assert_eq!((end.code, end.stdout.as_str()), (Some(0), "ran\n"), "{end:#?}");
}
